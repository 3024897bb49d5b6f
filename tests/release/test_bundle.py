"""A bundle is whole or refused, and says which promise is broken."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from honour.approval.calibration import Platt, expit, logit
from honour.approval.card import TrainedModel
from honour.approval.segment import Offset, SegmentOffsets
from honour.errors import BundleRefused
from honour.features.catalogue import CANDIDATE_FEATURES, PAYMENT_FEATURES, SCHEMA_ID
from honour.records.event import ServedFeatures
from honour.release.bundle import load_bundle, write_bundle
from honour.release.manifest import Manifest, id_of, sha256

FILES = ("model.onnx", "calibrator.json", "encoder.json", "parity.json", "retry.json", "state.bin")


@pytest.fixture
def folder(trained: TrainedModel, tmp_path: Path) -> Path:
    """A bundle as it was written."""
    write_bundle(tmp_path / "bundle", trained=trained, fallback_order=("acq_2",), state=b"state")
    return tmp_path / "bundle"


def _forge(folder: Path, change: Callable[[dict[str, Any]], None], **files: bytes) -> None:
    """Change the manifest and files as someone would who also knows how hashes are made."""
    said = msgspec.json.decode((folder / "manifest.json").read_bytes())
    for name, content in files.items():
        path = folder / name.replace("_json", ".json").replace("_onnx", ".onnx")
        path.write_bytes(content)
        said["files"][path.name] = sha256(content)
    change(said)
    try:
        manifest = msgspec.convert(said, Manifest)
        said["bundle_id"] = id_of(manifest)
    except msgspec.ValidationError:
        pass
    (folder / "manifest.json").write_bytes(msgspec.json.encode(said))


def _served(*routes: str) -> ServedFeatures:
    values = {"route": None}
    row = [values.get(feature.name, None if feature.kind == "category" else 0.0) for feature in CANDIDATE_FEATURES]
    at = [feature.name for feature in CANDIDATE_FEATURES].index("route")
    candidates = tuple(tuple(route if place == at else value for place, value in enumerate(row)) for route in routes)
    payment = tuple(None if feature.kind == "category" else 0.0 for feature in PAYMENT_FEATURES)
    return ServedFeatures(schema=SCHEMA_ID, payment=payment, candidates=candidates)


def test_what_was_written_is_what_is_loaded(folder: Path, trained: TrainedModel) -> None:
    bundle = load_bundle(folder)
    assert bundle.manifest.training == msgspec.structs.replace(trained.training, holdout_days=10.0)
    assert bundle.manifest.fallback_order == ("acq_2",)
    assert bundle.state == b"state"
    assert bundle.model.encoder == trained.encoder
    assert bundle.model.calibrator == trained.calibrator
    assert len(trained.parity.rows) >= 200


def test_offsets_by_segment_are_served_and_nobody_changes_them(trained: TrainedModel, tmp_path: Path) -> None:
    offsets = SegmentOffsets(of={"route": (Offset(number=float(np.float32(0.8)), log_odds=-0.7),)})
    rows = np.array([[np.nan if value is None else value for value in row] for row in trained.parity.rows], dtype=np.float32)
    said = offsets.apply(trained.calibrator.apply(expit(np.array(trained.parity.raw))), rows)
    folder = tmp_path / "bundle"
    with pytest.raises(BundleRefused, match="training library"):
        write_bundle(folder, trained=trained._replace(offsets=offsets))
    write_bundle(folder, trained=trained._replace(offsets=offsets, parity=msgspec.structs.replace(trained.parity, p=tuple(said.tolist()))))
    model = load_bundle(folder).model
    write_bundle(tmp_path / "without", trained=trained)
    before, after = (load_bundle(tmp_path / name).model.predict_many(_served("acq_1", "acq_2")) for name in ("without", "bundle"))
    assert model.offsets == offsets
    assert logit(after)[0] - logit(before)[0] == pytest.approx(-0.7)
    assert after[1] == pytest.approx(before[1], abs=1e-12)
    path = folder / "segments.json"
    path.write_bytes(path.read_bytes().replace(b"-0.7", b"+0.7"))
    with pytest.raises(BundleRefused, match=r"segments\.json: SHA-256 differs"):
        load_bundle(folder)


def test_all_candidates_are_scored_in_one_call_in_the_order_given(folder: Path) -> None:
    model = load_bundle(folder).model
    p = model.predict_many(_served("acq_1", "acq_2", "acq_1"))
    assert p.shape == (3,)
    assert p[0] == p[2] > p[1]
    assert model.predict_many(_served()).shape == (0,)
    assert np.array_equal(model.predict_many(_served("acq_2")), p[1:2])


def test_an_unknown_route_is_scored_as_one_that_is_missing(folder: Path) -> None:
    model = load_bundle(folder).model
    assert 0.0 < model.predict_many(_served("acq_new"))[0] < 1.0


def test_features_of_another_catalogue_are_not_scored(folder: Path) -> None:
    with pytest.raises(BundleRefused, match="catalogue"):
        load_bundle(folder).model.predict_many(msgspec.structs.replace(_served("acq_1"), schema="sha256:other"))


def test_the_same_content_has_the_same_bundle_id_and_any_other_content_another(trained: TrainedModel, tmp_path: Path) -> None:
    first = write_bundle(tmp_path / "a", trained=trained)
    assert write_bundle(tmp_path / "b", trained=trained) == first
    assert write_bundle(tmp_path / "c", trained=trained, state=b"other") != first
    again = trained._replace(training=msgspec.structs.replace(trained.training, seed=2))
    assert write_bundle(tmp_path / "d", trained=again) != first


def test_a_new_bundle_takes_the_place_of_the_old_one_and_leaves_nothing_beside_it(folder: Path, trained: TrainedModel) -> None:
    bundle_id = write_bundle(folder, trained=trained)
    assert load_bundle(folder).bundle_id == bundle_id
    assert not (folder / "state.bin").exists()
    assert [path.name for path in folder.parent.iterdir()] == ["bundle"]


def test_a_model_that_cannot_prove_itself_is_not_written_and_the_old_bundle_stays(folder: Path, trained: TrainedModel) -> None:
    bundle_id = load_bundle(folder).bundle_id
    with pytest.raises(BundleRefused, match="training library"):
        write_bundle(folder, trained=trained._replace(calibrator=Platt(slope=1.3, intercept=0.0)))
    assert load_bundle(folder).bundle_id == bundle_id
    assert [path.name for path in folder.parent.iterdir()] == ["bundle"]


def test_a_folder_that_is_not_there_is_named_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(BundleRefused, match=r"no such bundle.*honour train"):
        load_bundle(tmp_path / "nothing")


@pytest.mark.parametrize("name", ["manifest.json", *FILES])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(BundleRefused, match=rf"{name}: the file is missing"):
        load_bundle(folder)


@pytest.mark.parametrize("name", FILES)
def test_a_file_with_one_byte_changed_is_named(folder: Path, name: str) -> None:
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(bytes(content))
    with pytest.raises(BundleRefused, match=rf"{name}: SHA-256 differs"):
        load_bundle(folder)


def test_a_manifest_with_a_better_figure_written_in_is_refused(folder: Path) -> None:
    path = folder / "manifest.json"
    path.write_bytes(path.read_bytes().replace(b"0.4,", b"0.3,", 1))
    with pytest.raises(BundleRefused, match="bundle_id is"):
        load_bundle(folder)


def test_a_manifest_that_is_cut_short_is_refused(folder: Path) -> None:
    path = folder / "manifest.json"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(BundleRefused, match="cannot be understood"):
        load_bundle(folder)


def test_a_format_of_another_version_is_refused(folder: Path) -> None:
    _forge(folder, lambda said: said.update(format=99))
    with pytest.raises(BundleRefused, match="format 99; this Honour reads 2"):
        load_bundle(folder)


def test_a_bundle_of_another_catalogue_is_refused(folder: Path) -> None:
    _forge(folder, lambda said: said.update(schema="sha256:other"))
    with pytest.raises(BundleRefused, match=r"feature catalogue 'sha256:other'"):
        load_bundle(folder)


def test_an_encoder_of_another_catalogue_is_refused(folder: Path) -> None:
    _forge(folder, lambda _said: None, encoder_json=msgspec.json.encode({"schema": "sha256:other", "categories": {}}))
    with pytest.raises(BundleRefused, match=r"encoder.json: of feature catalogue sha256:other"):
        load_bundle(folder)


def test_answers_further_than_a_hundred_thousandth_from_the_training_library_are_refused(folder: Path) -> None:
    rows = msgspec.json.decode((folder / "parity.json").read_bytes())
    rows["raw"][7] += 0.001
    _forge(folder, lambda _said: None, parity_json=msgspec.json.encode(rows))
    with pytest.raises(BundleRefused, match="sample row 7 before calibration"):
        load_bundle(folder)


def test_the_tolerance_cannot_be_raised(folder: Path) -> None:
    _forge(folder, lambda said: said.update(parity_tolerance=0.5))
    with pytest.raises(BundleRefused, match=r"parity_tolerance is 0\.5"):
        load_bundle(folder)


def test_a_model_that_is_no_onnx_is_refused(folder: Path) -> None:
    _forge(folder, lambda _said: None, model_onnx=b"not a model")
    with pytest.raises(BundleRefused, match=r"model\.onnx: ONNX Runtime cannot load it"):
        load_bundle(folder)


def test_a_calibrator_of_an_unknown_kind_is_refused(folder: Path) -> None:
    _forge(folder, lambda _said: None, calibrator_json=b'{"type":"spline"}')
    with pytest.raises(BundleRefused, match=r"calibrator\.json: cannot be understood"):
        load_bundle(folder)


def test_a_manifest_that_leads_out_of_its_folder_is_refused(folder: Path) -> None:
    _forge(folder, lambda said: said["files"].update({"../secret": "sha256:0"}))
    with pytest.raises(BundleRefused, match="outside the bundle"):
        load_bundle(folder)

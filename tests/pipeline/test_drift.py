"""Attempts that are like those of training show no sign; a mix that changed and a model that no longer holds do."""

from __future__ import annotations

import msgspec
import numpy as np
import pyarrow.parquet as pq
import pytest
from pipeline_shop import Cut

from honour.approval.calibration import Calibrator, Platt
from honour.approval.model import ApprovalModel
from honour.approval.segment import SegmentOffsets
from honour.features.encode import Encoder
from honour.learning.dataset import Rows, rows_of
from honour.learning.split import Split, split_at
from honour.pipeline.drift import drift_of, report_of
from honour.pipeline.result import DriftReport
from honour.records.retrain import RetrainSettings
from honour.release.bundle import load_bundle

pytestmark = pytest.mark.slow

LIMITS = RetrainSettings(later_attempts_min=300, score_drift_max=0.2, calibration_error_max=0.03)
"""A thousand attempts to judge on: what is found in a calm world is wide too."""
DAY_US = 86_400_000_000


def _rows(cut: Cut) -> tuple[Rows, Split]:
    """All attempts, and a cut five days before their end."""
    rows = rows_of(pq.read_table(cut.folder / "training.parquet"))
    return rows, split_at(int(rows.at_us.max()) - 5 * DAY_US, payments=rows.payments, at_us=rows.at_us)


def _past(report: DriftReport) -> set[str]:
    return {sign.name for sign in report.past}


def test_a_calm_world_shows_no_sign(cut: Cut) -> None:
    rows, held = _rows(cut)
    # The model that has not seen the last days; the shipped one has.
    names = (".onnx", "-calibrator.json", "-encoder.json", "-segments.json")
    onnx, calibrator, encoder, offsets = ((cut.folder / f"judged{rest}").read_bytes() for rest in names)
    told: type = Calibrator  # type: ignore[assignment]  # a union is a type to msgspec
    judged = ApprovalModel(
        onnx,
        calibrator=msgspec.json.decode(calibrator, type=told),
        encoder=msgspec.json.decode(encoder, type=Encoder),
        offsets=msgspec.json.decode(offsets, type=SegmentOffsets),
    )
    bundle = load_bundle(cut.folder / "bundle")._replace(model=judged)
    report = report_of(rows, held=held, bundle=bundle, limits=LIMITS)
    assert [sign.name for sign in report.signs] == ["drift", "score_drift", "calibration", "log_loss"]
    assert _past(report) == set()


def test_a_network_that_leaves_is_drift(cut: Cut) -> None:
    rows, held = _rows(cut)
    kept = np.array([network != "visa" for network in rows.columns["network"]])
    report = report_of(rows, held=held._replace(late=held.late & kept), bundle=load_bundle(cut.folder / "bundle"), limits=LIMITS)
    assert "drift" in _past(report)
    assert "network" in report.past[0].found


def test_a_model_that_promises_too_much_is_seen(cut: Cut) -> None:
    rows, held = _rows(cut)
    bundle = load_bundle(cut.folder / "bundle")
    content = (cut.folder / "bundle" / "model.onnx").read_bytes()
    wrong = ApprovalModel(content, calibrator=Platt(slope=1.0, intercept=2.5), encoder=bundle.model.encoder)
    report = report_of(rows, held=held, bundle=bundle._replace(model=wrong), limits=LIMITS)
    assert {"score_drift", "calibration", "log_loss"} >= _past(report) >= {"calibration", "log_loss"}


def test_too_few_or_too_short_a_time_says_nothing(cut: Cut) -> None:
    rows, held = _rows(cut)
    bundle = load_bundle(cut.folder / "bundle")
    for limits in (
        msgspec.structs.replace(LIMITS, later_attempts_min=100_000),
        msgspec.structs.replace(LIMITS, later_hours_min=200.0),
    ):
        assert report_of(rows, held=held, bundle=bundle, limits=limits).signs == ()


def test_a_bundle_that_has_seen_the_whole_log_has_nothing_after_it(cut: Cut) -> None:
    report = drift_of(cut.shop.path, bundle=cut.folder / "bundle", limits=LIMITS, threads=1, step=lambda *_: None)
    assert (report.n_later, report.signs) == (0, ())
    assert not list(cut.shop.path.glob("tmp*"))

"""Bundles on disk: written whole or not at all, loaded only when every promise holds.

    bundle/
      manifest.json    what it is; SHA-256 of every other file
      model.onnx       features to probability
      calibrator.json  probability to calibrated probability
      segments.json    offsets by segment after the calibrator (absent: none)
      encoder.json     categories to numbers
      retry.json       what follows a refusal
      parity.json      sample rows with the training library's own answers
      state.bin        feature state at the end of training (optional)

Nothing in it is executed or unpickled.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from honour import __version__
from honour.approval.calibration import Calibrator
from honour.approval.card import ParityRows, TrainedModel
from honour.approval.model import ApprovalModel
from honour.approval.retry_model import RetryModel
from honour.approval.segment import SegmentOffsets
from honour.errors import BundleRefused
from honour.features.catalogue import SCHEMA_ID
from honour.features.encode import Encoder
from honour.release.manifest import FORMAT, PARITY_TOLERANCE, Manifest, id_of, sha256

MANIFEST, MODEL, CALIBRATOR, SEGMENTS, ENCODER, RETRY, PARITY, STATE = (
    "manifest.json",
    "model.onnx",
    "calibrator.json",
    "segments.json",
    "encoder.json",
    "retry.json",
    "parity.json",
    "state.bin",
)
NEEDED = (MODEL, CALIBRATOR, ENCODER, RETRY, PARITY)


class Bundle(NamedTuple):
    """A bundle whose every promise held when it was loaded."""

    bundle_id: str
    manifest: Manifest
    model: ApprovalModel
    retry_model: RetryModel
    state: bytes | None


def write_bundle(folder: Path, *, trained: TrainedModel, fallback_order: tuple[str, ...] = (), state: bytes | None = None) -> str:
    """Write a bundle to `folder`, in place of what is there, and return its bundle_id.

    fallback_order  route ids of the settings in force, to try in order when no model can score
    state           feature state right after the last training row, so that later data are judged with warm windows

    The folder appears whole or not at all: it is written beside its place, loaded as a proof, and renamed.
    """
    files = {
        MODEL: trained.onnx,
        CALIBRATOR: _json(trained.calibrator),
        ENCODER: _json(trained.encoder),
        RETRY: _json(trained.retry_model),
        PARITY: _json(trained.parity),
    }
    if trained.offsets.of:
        files[SEGMENTS] = _json(trained.offsets)
    if state is not None:
        files[STATE] = state
    manifest = Manifest(
        honour=__version__,
        training=trained.training,
        fallback_order=fallback_order,
        files={name: sha256(content) for name, content in sorted(files.items())},
    )
    manifest = msgspec.structs.replace(manifest, bundle_id=id_of(manifest))
    files[MANIFEST] = msgspec.json.format(_json(manifest), indent=2)
    folder.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        beside.chmod(0o755)
        for name, content in files.items():
            _write(beside / name, content)
        load_bundle(beside)
        _put_in_place(beside, folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return manifest.bundle_id


def load_bundle(folder: Path) -> Bundle:
    """The bundle in `folder`, or BundleRefused.

    Refused, in this order: no manifest or one that cannot be read, another format, another feature catalogue, a manifest that is not
    its bundle_id, a file missing or altered, a model that cannot be loaded, answers further than 1e-5 from the training library's.
    """
    manifest, files = verify(folder)
    for name in NEEDED:
        if name not in files:
            raise BundleRefused(f"{folder / MANIFEST}: names no {name}; a bundle needs {', '.join(NEEDED)}. Train again.")
    encoder = _decoded(folder / ENCODER, files[ENCODER], kind=Encoder)
    if encoder.schema != manifest.schema:
        raise BundleRefused(f"{folder / ENCODER}: of feature catalogue {encoder.schema}, the manifest of {manifest.schema}. Train again.")
    calibrator: Calibrator = _decoded(folder / CALIBRATOR, files[CALIBRATOR], kind=Calibrator)
    offsets: SegmentOffsets | None = _decoded(folder / SEGMENTS, files[SEGMENTS], kind=SegmentOffsets) if SEGMENTS in files else None
    model = ApprovalModel(files[MODEL], calibrator=calibrator, encoder=encoder, offsets=offsets)
    _check_parity(folder, model, parity=_decoded(folder / PARITY, files[PARITY], kind=ParityRows), tolerance=manifest.parity_tolerance)
    retry_model: RetryModel = _decoded(folder / RETRY, files[RETRY], kind=RetryModel)
    return Bundle(bundle_id=manifest.bundle_id, manifest=manifest, model=model, retry_model=retry_model, state=files.get(STATE))


def verify(folder: Path) -> tuple[Manifest, dict[str, bytes]]:
    """The manifest and every file that it names, as written; BundleRefused when one is missing or altered. Nothing is loaded yet."""
    manifest = _manifest(folder)
    return manifest, {name: _verified(folder, name, expected=expected) for name, expected in manifest.files.items()}


def _manifest(folder: Path) -> Manifest:
    path = folder / MANIFEST
    content = _read(folder, MANIFEST)
    said = _decoded(path, content, kind=dict[str, Any])
    if said.get("format") != FORMAT:
        raise BundleRefused(
            f"{path}: format {said.get('format')!r}; this Honour reads {FORMAT}. Train again, or use the Honour that wrote it."
        )
    if said.get("schema") != SCHEMA_ID:
        raise BundleRefused(
            f"{path}: of feature catalogue {said.get('schema')!r}; this Honour computes {SCHEMA_ID}. Train a bundle with this version "
            "and the same features.files."
        )
    manifest: Manifest = _decoded(path, content, kind=Manifest)
    if manifest.bundle_id != id_of(manifest):
        raise BundleRefused(
            f"{path}: bundle_id is {manifest.bundle_id}, its content has {id_of(manifest)}. The file was changed after training: "
            "copy the bundle again or train again."
        )
    return manifest


def _verified(folder: Path, name: str, *, expected: str) -> bytes:
    if name != Path(name).name:
        raise BundleRefused(f"{folder / MANIFEST}: names a file outside the bundle, {name!r}. Train again.")
    content = _read(folder, name)
    if sha256(content) != expected:
        raise BundleRefused(
            f"{folder / name}: SHA-256 differs from {MANIFEST}. The file was changed after training: copy the bundle again or train again."
        )
    return content


def _read(folder: Path, name: str) -> bytes:
    try:
        return (folder / name).read_bytes()
    except FileNotFoundError:
        missing = "no such bundle" if name == MANIFEST and not folder.is_dir() else "the file is missing"
        raise BundleRefused(f"{folder / name}: {missing}. Copy the bundle again, whole, or make one with `honour train`.") from None
    except OSError as error:
        raise BundleRefused(f"{folder / name}: cannot be read ({error.strerror}). Give this process the right to read it.") from error


def _decoded(path: Path, content: bytes, *, kind: Any) -> Any:
    try:
        return msgspec.json.decode(content, type=kind)
    except (msgspec.DecodeError, ValueError) as error:
        raise BundleRefused(f"{path}: cannot be understood: {error}. Copy the bundle again or train again.") from error


def _check_parity(folder: Path, model: ApprovalModel, *, parity: ParityRows, tolerance: float) -> None:
    if not len(parity.rows) == len(parity.raw) == len(parity.p) or not parity.rows:
        raise BundleRefused(f"{folder / PARITY}: {len(parity.rows)} rows, {len(parity.raw)} raw and {len(parity.p)} p. Train again.")
    if not 0.0 < tolerance <= PARITY_TOLERANCE:
        raise BundleRefused(f"{folder / MANIFEST}: parity_tolerance is {tolerance}; at most {PARITY_TOLERANCE} is allowed. Train again.")
    matrix = np.array([[np.nan if value is None else value for value in row] for row in parity.rows], dtype=np.float32)
    uncalibrated = 1.0 / (1.0 + np.exp(-np.array(parity.raw)))
    for what, served, trained in (
        ("before calibration", model.scores_matrix(matrix), uncalibrated),
        ("calibrated", model.predict_matrix(matrix), np.array(parity.p)),
    ):
        apart = np.abs(served - trained)
        at = int(np.argmax(np.where(np.isnan(apart), np.inf, apart)))
        if not apart[at] <= tolerance:  # Also true of NaN.
            raise BundleRefused(
                f"{folder / MODEL}: p of sample row {at} {what} is {served[at]:.7f}, the training library gave {trained[at]:.7f}; they may "
                f"differ by {tolerance}. Train again, with the versions of constraints.txt."
            )


def _put_in_place(beside: Path, folder: Path) -> None:
    """Rename `beside` to `folder`; what was there is moved away first, since a folder cannot be renamed over a full one."""
    if not os.path.lexists(folder):
        os.replace(beside, folder)
        sync(folder.parent)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{folder.name}-old-", dir=folder.parent)) / folder.name
    os.replace(folder, old)
    try:
        os.replace(beside, folder)
    except OSError:
        os.replace(old, folder)
        raise
    finally:
        shutil.rmtree(old.parent, ignore_errors=True)
    sync(folder.parent)


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def sync(path: Path) -> None:
    """Make a file or the names in a folder durable."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _json(value: Any) -> bytes:
    return msgspec.json.encode(value, order="deterministic")

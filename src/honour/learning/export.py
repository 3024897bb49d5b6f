"""Trees from LightGBM to ONNX, with the same answer for every float32 row, missing values included."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import lightgbm
import numpy as np
from numpy.typing import NDArray
from onnxmltools.convert import convert_lightgbm  # type: ignore[import-untyped]  # onnxmltools ships no types
from onnxmltools.convert.common.data_types import FloatTensorType  # type: ignore[import-untyped]  # as above

from honour.approval.calibration import Calibrator, expit
from honour.approval.card import ParityRows
from honour.approval.segment import SegmentOffsets

OPSET = 15
N_PARITY = 256
_TREES = re.compile(r"^(threshold=)(.*)$", flags=re.MULTILINE)


def with_float32_thresholds(booster: lightgbm.Booster) -> lightgbm.Booster:
    """The same trees with every threshold lowered to a float32.

    LightGBM compares with a double, ONNX with a float32 to which that double is rounded, perhaps upwards onto the next value. For a float32
    x, x <= t is the same as x <= (greatest float32 that is not above t).
    """
    text = booster.model_to_string(num_iteration=-1)
    # Sizes of trees in bytes no longer hold; without them LightGBM finds the trees by itself.
    text = re.sub(r"^tree_sizes=.*\n", "", text, count=1, flags=re.MULTILINE)
    return lightgbm.Booster(model_str=_TREES.sub(lambda line: line[1] + _lowered(line[2]), text))


def to_onnx(booster: lightgbm.Booster, *, n_features: int) -> bytes:
    """ONNX of trees with float32 thresholds: input (n, n_features) float32, one output (n, 2), the second column P(approved)."""
    model: Any = convert_lightgbm(
        booster, name="honour", initial_types=[("features", FloatTensorType([None, n_features]))], target_opset=OPSET, zipmap=False
    )
    # The label that the converter adds has a wrong shape, about which ONNX Runtime warns at every call; nobody reads it.
    for output in [output for output in model.graph.output if output.name != "probabilities"]:
        model.graph.output.remove(output)
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def parity_rows(
    raw_of: Callable[[NDArray[np.float32]], NDArray[np.float64]],
    *,
    matrix: NDArray[np.float32],
    calibrator: Calibrator,
    seed: int,
    offsets: SegmentOffsets | None = None,
) -> ParityRows:
    """Rows drawn from `matrix`, a third of them with values taken away, and the answers of the training library itself.

    raw_of  log-odds of rows by the model as it was fitted, so that what is proved includes all that the export does
    """
    generator = np.random.default_rng(seed)
    rows = matrix[generator.integers(len(matrix), size=N_PARITY)]
    gone = generator.random(rows.shape) < 0.3
    gone[: 2 * N_PARITY // 3] = False
    rows = np.where(gone, np.float32(np.nan), rows)
    raw = np.asarray(raw_of(rows), dtype=np.float64)
    return ParityRows(
        rows=tuple(tuple(None if np.isnan(value) else float(value) for value in row) for row in rows),
        raw=tuple(raw.tolist()),
        p=tuple((offsets or SegmentOffsets()).apply(calibrator.apply(expit(raw)), rows).tolist()),
    )


def _lowered(thresholds: str) -> str:
    doubles = np.array([float(value) for value in thresholds.split()], dtype=np.float64)
    singles = doubles.astype(np.float32)
    above = singles.astype(np.float64) > doubles
    singles[above] = np.nextafter(singles[above], np.float32(-np.inf))
    return " ".join(repr(float(value)) for value in singles)

"""ONNX answers as LightGBM does, next to thresholds and with values missing."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest

from honour.approval.calibration import expit
from honour.features.catalogue import FEATURES
from honour.learning.export import with_float32_thresholds
from honour.learning.kinds.boosted_lightgbm import LightGBMModel

N = len(FEATURES)


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    generator = np.random.default_rng(0)
    matrix = (generator.integers(0, 30, (2_000, N)) / np.float32(10)).astype(np.float32)
    matrix[generator.random(matrix.shape) < 0.1] = np.nan
    # Features without a missing value are treated differently by LightGBM, and negative ones by the converter.
    matrix[:, 0] = np.nan_to_num(matrix[:, 0])
    matrix[:, 1] = -1.0 - np.nan_to_num(matrix[:, 1])
    return matrix


@pytest.mark.parametrize("n_threads", [1, 2])
def test_onnx_agrees_with_lightgbm_between_thresholds_on_them_and_without_values(rows: np.ndarray, n_threads: int) -> None:
    generator = np.random.default_rng(1)
    y = (generator.random(len(rows)) < expit(np.nan_to_num(rows[:, 0]) + rows[:, 1] + np.nan_to_num(rows[:, 5]))).astype(float)
    model = LightGBMModel(n_steps=6, n_leaves=31, n_threads=n_threads).fit(rows, y)
    asked = [
        rows,
        np.nextafter(rows, np.float32(9)),
        np.nextafter(rows, np.float32(-9)),
        np.where(generator.random(rows.shape) < 0.4, np.nan, rows),
    ]
    asked += [np.full((1, N), np.nan), generator.normal(scale=3.0, size=(2_000, N))]
    matrix = np.concatenate(asked).astype(np.float32)
    raw = model.decision_function(matrix)
    assert np.array_equal(raw, with_float32_thresholds(model.booster_).predict(matrix, raw_score=True))
    session = onnxruntime.InferenceSession(model.to_onnx())
    assert len(session.get_outputs()) == 1
    (served,) = session.run(None, {"features": matrix})
    assert np.abs(served[:, 1] - expit(raw)).max() < 1e-6


def test_the_same_rows_and_seed_give_the_same_bytes_with_any_number_of_threads(rows: np.ndarray) -> None:
    y = (np.nan_to_num(rows[:, 3]) > 1.4).astype(float)
    assert len({LightGBMModel(n_steps=2, n_threads=n).fit(rows, y).to_onnx() for n in (1, 1, 2)}) == 1

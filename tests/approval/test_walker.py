"""The compiled walk through trees says what ONNX Runtime says, and steps aside where it cannot know that."""

from __future__ import annotations

import lightgbm
import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from honour.approval.onnx_trees import trees_of
from honour.approval.walker import Walker
from honour.learning.export import to_onnx, with_float32_thresholds

N_FEATURES = 12


def grown(*, n_trees: int, seed: int) -> bytes:
    generator = np.random.default_rng(seed)
    matrix = generator.normal(size=(1_500, N_FEATURES)).astype(np.float32)
    matrix[:, 3] = np.round(matrix[:, 3])  # Many equal values, so that thresholds lie on them.
    matrix[generator.random(matrix.shape) < 0.2] = np.nan
    y = (np.nansum(matrix[:, :4], axis=1) + generator.normal(size=len(matrix)) > 0).astype(float)
    told = {"objective": "binary", "num_leaves": 31, "min_data_in_leaf": 3, "num_threads": 1, "verbose": -1, "seed": seed}
    return to_onnx(
        with_float32_thresholds(lightgbm.train(told, lightgbm.Dataset(matrix, label=y), num_boost_round=n_trees)), n_features=N_FEATURES
    )


def asked(content: bytes, rows: NDArray[np.float32]) -> NDArray[np.float32]:
    answer: NDArray[np.float32] = onnxruntime.InferenceSession(content).run(["probabilities"], {"features": rows})[0][:, 1]
    return answer


def rows_near(content: bytes, *, n: int, n_shared: int, seed: int) -> NDArray[np.float32]:
    """Rows with values on and just above thresholds, and missing ones; the first columns the same in all rows."""
    trees = trees_of(content, n_features=N_FEATURES)
    assert trees is not None
    generator = np.random.default_rng(seed)
    rows = generator.choice(trees.nodes["threshold"], size=(n, N_FEATURES)).astype(np.float32)
    rows = np.where(generator.random(rows.shape) < 0.3, np.nextafter(rows, np.float32(np.inf)), rows)
    rows[generator.random(rows.shape) < 0.2] = np.nan
    rows[generator.random(rows.shape) < 0.05] = np.inf
    rows[generator.random(rows.shape) < 0.05] = -np.inf
    rows[:, :n_shared] = rows[0, :n_shared]
    return rows


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("n_shared", [0, 5, N_FEATURES])
def test_the_walk_and_onnx_runtime_agree_on_thresholds_missing_values_and_infinities(seed: int, n_shared: int) -> None:
    content = grown(n_trees=40, seed=seed)
    trees = trees_of(content, n_features=N_FEATURES)
    assert trees is not None
    walker = Walker(trees)
    for n in (1, 2, 8, 33):
        rows = rows_near(content, n=n, n_shared=n_shared, seed=seed)
        np.testing.assert_allclose(walker.scores(rows), asked(content, rows), atol=1e-6)


def test_no_rows_have_no_scores() -> None:
    trees = trees_of(grown(n_trees=2, seed=1), n_features=N_FEATURES)
    assert trees is not None
    assert Walker(trees).scores(np.empty((0, N_FEATURES), dtype=np.float32)).shape == (0,)


@pytest.mark.parametrize(
    "spoiled",
    [
        b"",
        b"not an ONNX file",
        grown(n_trees=3, seed=1)[:-400],
        grown(n_trees=3, seed=1).replace(b"LOGISTIC", b"SOFTMAX_"),
        grown(n_trees=3, seed=1).replace(b"BRANCH_LEQ", b"BRANCH_GTE"),
        grown(n_trees=3, seed=1).replace(b"TreeEnsembleClassifier", b"TreeEnsembleRegressorX"),
    ],
    ids=["empty", "no ONNX", "torn", "another link", "another comparison", "another operator"],
)
def test_what_the_reader_does_not_know_for_certain_is_left_to_onnx_runtime(spoiled: bytes) -> None:
    assert trees_of(spoiled, n_features=N_FEATURES) is None

"""What a model says, by compiled code: trees, tables, or the mean of both, held to ONNX Runtime before it is used."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from honour.approval import onnx_trees, tables
from honour.approval.calibration import expit, logit
from honour.approval.onnx_file import constants_of, operators_of
from honour.approval.onnx_trees import Trees, trees_of
from honour.approval.tables import Tables, tables_of
from honour.approval.walker import Walker

Matrix = NDArray[np.float32]
Scores = Callable[[Matrix], NDArray[np.float64]]

N_HELD = 256
SAME = 1e-6
"""Compiled code must say what ONNX Runtime says, to this; else it is not used."""
_LARGEST = np.finfo(np.float32).max
_MEAN = {"Clip", "Log", "Sub"}
"""What joins trees and tables (`honour.learning.kinds.mixed`)."""


def compiled_scores(onnx_bytes: bytes, *, n_features: int, by_runtime: Scores) -> Scores | None:
    """(n, n_features) to (n,) probabilities before calibration, or None where only ONNX Runtime knows what the file says.

    by_runtime  the same, by ONNX Runtime: both must say the same of rows near all thresholds, a part of them missing
    """
    operators, constants = operators_of(onnx_bytes), constants_of(onnx_bytes)
    trees, found = trees_of(onnx_bytes, n_features=n_features), tables_of(constants, n_features=n_features)
    unseen = constants.get("unseen")
    scores: Scores
    if trees is not None and operators <= onnx_trees.OPERATORS:
        scores = Walker(trees).scores
    elif found is not None and operators <= tables.OPERATORS:
        scores = _of_tables(found)
    elif trees is None or found is None or unseen is None or unseen.shape != (n_features,):
        return None
    elif operators <= onnx_trees.OPERATORS | tables.OPERATORS | _MEAN:
        scores = _of_both(Walker(trees), found, unseen=unseen)
    else:
        return None
    rows = _near_thresholds(trees, found, n_features=n_features)
    return scores if bool(np.all(np.abs(scores(rows) - by_runtime(rows)) <= SAME)) else None


def _of_tables(found: Tables) -> Scores:
    return lambda matrix: expit(found.log_odds(matrix))


def _of_both(walker: Walker, found: Tables, *, unseen: Matrix) -> Scores:
    return lambda matrix: expit(0.5 * (logit(walker.scores(with_unseen(matrix, unseen))) + found.log_odds(matrix)))


def with_unseen(matrix: Matrix, unseen: Matrix) -> Matrix:
    """The matrix with `unseen` (n_features,) for what is missing, where that is not missing itself."""
    return np.where(np.isnan(matrix), unseen, matrix)


def _near_thresholds(trees: Trees | None, tables: Tables | None, *, n_features: int) -> Matrix:
    """Rows whose values are thresholds of the feature they stand for, the next number above one, or missing: (n, n_features)."""
    generator, n = np.random.default_rng(0), N_HELD
    rows = generator.normal(size=(n, n_features)).astype(np.float32)
    for feature in range(n_features):
        found = np.concatenate([_thresholds_of_trees(trees, feature), _thresholds_of_tables(tables, feature)])
        if len(found):
            drawn = generator.choice(found, size=n)
            rows[:, feature] = np.where(generator.random(n) < 0.5, drawn, np.nextafter(drawn, _LARGEST))
    rows[generator.random(rows.shape) < 0.15] = np.nan
    rows[: n // 2, : n_features // 2] = rows[0, : n_features // 2]  # As in one payment, columns that do not differ.
    return rows


def _thresholds_of_trees(trees: Trees | None, feature: int) -> Matrix:
    if trees is None:
        return np.empty(0, dtype=np.float32)
    found: Matrix = trees.nodes["threshold"][np.isin(trees.nodes["feature"], (feature, feature + trees.n_features))]
    return found


def _thresholds_of_tables(found: Tables | None, feature: int) -> Matrix:
    if found is None:
        return np.empty(0, dtype=np.float32)
    edges = found.edges[found.numbers == feature].ravel()
    codes = [np.arange(-1, size + 1, dtype=np.float32) for size in found.sizes[found.categories == feature]]
    return np.concatenate([edges[np.isfinite(edges)], *codes])

"""Walking trees in compiled code: all candidates of a payment at once, and once for all of them where they do not differ."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from honour.approval.compiled import compiled
from honour.approval.onnx_trees import Trees


class Walker:
    """P(approved) of an ensemble, as ONNX Runtime gives it to six digits.

    The sum is exact in float64 where ONNX Runtime adds float32; every comparison is the same.
    """

    def __init__(self, trees: Trees) -> None:
        self._trees = trees
        self._walk = _compiled()
        self.scores(np.zeros((1, trees.n_features), dtype=np.float32))  # Compiled, or read from the cache, before the first payment.

    def scores(self, matrix: NDArray[np.float32]) -> NDArray[np.float64]:
        """(n, n_features) to (n,) probabilities before calibration."""
        scores = np.empty(len(matrix))
        self._walk(self._trees.nodes, self._trees.starts, matrix, scores, self._trees.is_logit)
        return scores


@cache
def _compiled() -> Any:
    return compiled(_walk)


def _walk(nodes: Any, starts: Any, matrix: Any, scores: Any, is_logit: Any) -> None:
    """Compiled. Rows walk a tree together, a step each in turn, so that their waits for memory overlap.

    Each row is laid out twice, missing as more than everything and as less than everything, so that a step is one comparison.
    Down to the first node whose feature differs between rows, one walk serves all.
    """
    n_rows, n_features = matrix.shape
    if n_rows == 0:
        return
    laid_out = np.empty((n_rows, 2 * n_features + 1), np.float32)
    is_shared = np.ones(2 * n_features + 1, np.bool_)
    for row in range(n_rows):
        for feature in range(n_features):
            value = matrix[row, feature]
            missing = value != value  # NaN is the one value that differs from itself.
            laid_out[row, feature] = np.inf if missing else value
            laid_out[row, n_features + feature] = -np.inf if missing else value
            if laid_out[row, feature] != laid_out[0, feature] or laid_out[row, n_features + feature] != laid_out[0, n_features + feature]:
                is_shared[feature] = False
                is_shared[n_features + feature] = False
        laid_out[row, 2 * n_features] = -np.inf  # A leaf sends to itself.
        scores[row] = 0.0
    leaf = 2 * n_features
    is_shared[leaf] = False
    at = np.empty(n_rows, np.int64)
    for start in starts:
        place = start
        node = nodes[place]
        while is_shared[node.feature]:
            place = start + node.child + (laid_out[0, node.feature] > node.threshold)
            node = nodes[place]
        at[:] = place
        moved = node.feature != leaf
        while moved:
            moved = False
            for row in range(n_rows):
                node = nodes[at[row]]
                place = start + node.child + (laid_out[row, node.feature] > node.threshold)
                moved |= place != at[row]
                at[row] = place
        for row in range(n_rows):
            scores[row] += nodes[at[row]].threshold
    if is_logit:
        for row in range(n_rows):
            scores[row] = 1.0 / (1.0 + np.exp(-scores[row]))

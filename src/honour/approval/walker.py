"""Walking trees in compiled code: all candidates of a payment at once, and once for all of them where they do not differ."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from honour.approval.onnx_trees import Trees
from honour.features.compiled import compiled


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
    """Compiled. Down to the first node whose feature differs between rows, one walk serves all; from there each row walks alone.

    Each row is laid out twice, missing as more than everything and as less than everything, so that a step is one comparison. Places
    are unsigned, so that no step asks whether one counts from the end.
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
        scores[row] = 0.0
    is_shared[2 * n_features] = False
    leaf = np.uint64(2 * n_features)
    for number in range(len(starts)):
        start = np.uint64(starts[number])
        fork: Any = start
        asked = np.uint64(nodes[fork].feature)
        while is_shared[asked]:
            fork = start + np.uint64(nodes[fork].child) + np.uint64(laid_out[0, asked] > nodes[fork].threshold)
            asked = np.uint64(nodes[fork].feature)
        for row in range(n_rows):
            place: Any = fork
            at: Any = asked
            while at != leaf:
                place = start + np.uint64(nodes[place].child) + np.uint64(laid_out[row, at] > nodes[place].threshold)
                at = np.uint64(nodes[place].feature)
            scores[row] += nodes[place].threshold
    if is_logit:
        for row in range(n_rows):
            scores[row] = 1.0 / (1.0 + np.exp(-scores[row]))

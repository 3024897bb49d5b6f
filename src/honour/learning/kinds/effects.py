"""A sum of tables under the logit, each table pulled to 0 by a variance of its own, which is found from the rows.

Log-odds of a row are an intercept and one value from each table, values of table t drawn from N(0, variance_t). Values are the mode
given the variances, found table by table with Newton steps (levels of one table share no row, so that their steps are exact beside each
other); variances are what the values and their uncertainty say (an EM round; Breslow and Clayton 1993, "Approximate inference in
generalized linear mixed models", with the Hessian's diagonal in place of its inverse). Variances of tables with few rows a level come
out low by this, up to a fifth of the standard deviation at forty rows.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from honour.features.compiled import compiled
from honour.learning.kinds.port import Floats

ROUNDS = 12
PASSES = 3
"""Passes over all tables between two looks at the variances."""
VARIANCE_FIRST, VARIANCE_MIN, VARIANCE_MAX = 0.05, 1e-6, 4.0


class Effects(NamedTuple):
    """Values of all tables, one table after another.

    values     (n_values,), 0 for a level without rows
    starts     (n_tables + 1,) where each table begins, and the end; variances: (n_tables,)
    intercept  log-odds of a row of which nothing is known
    """

    values: Floats
    starts: NDArray[np.int64]
    variances: Floats
    intercept: float

    @classmethod
    def none(cls, starts: NDArray[np.int64], *, y: Floats, weight: Floats) -> Self:
        """Tables that say nothing yet; the intercept is the log-odds of the rows."""
        share = float(y @ weight / weight.sum())
        variances = np.full(len(starts) - 1, VARIANCE_FIRST)
        return cls(np.zeros(int(starts[-1])), starts, variances, math.log(share / (1.0 - share)))


def fit_effects(effects: Effects, *, index: NDArray[np.int32], y: Floats, weight: Floats) -> Effects:
    """`ROUNDS` more rounds from where `effects` stand.

    index  : (n_tables, n) place in `values` that each table looks up for each row
    y, weight : (n,)
    """
    values, variances, starts, intercept = effects.values.copy(), effects.variances, effects.starts, effects.intercept
    owner = np.repeat(np.arange(len(variances)), np.diff(starts))
    seen = np.bincount(index.ravel(), minlength=len(values)) > 0
    levels = np.maximum(np.bincount(owner[seen], minlength=len(variances)), 1)
    z = np.full(len(y), intercept)
    for places in index:
        z += values[places]
    curvature, one_pass = np.zeros(len(values)), _compiled_pass()
    for _ in range(ROUNDS):
        for _ in range(PASSES):
            intercept = one_pass(index, y, weight, starts, 1.0 / variances, z, values, curvature, intercept)
        uncertain = np.where(seen, 1.0 / (curvature + 1.0 / variances[owner]), 0.0)
        squares = np.bincount(owner, weights=values**2 + uncertain, minlength=len(variances))
        variances = np.clip(squares / levels, VARIANCE_MIN, VARIANCE_MAX)
    return Effects(values, starts, variances, float(intercept))


@cache
def _compiled_pass() -> Any:
    return compiled(_pass)


def _pass(
    index: NDArray[np.int32],
    y: Floats,
    weight: Floats,
    starts: NDArray[np.int64],
    penalties: Floats,
    z: Floats,
    values: Floats,
    curvature: Floats,
    intercept: float,
) -> float:
    """Compiled. A Newton step of each table, then of the intercept, which is returned; changes z, values and the curvature."""
    gradient, steps = np.zeros(len(values)), np.zeros(len(values))
    curvature[:] = 0.0
    for table in range(len(penalties)):
        places = index[table]
        for row in range(len(y)):
            p = 1.0 / (1.0 + math.exp(-z[row]))
            gradient[places[row]] += weight[row] * (y[row] - p)
            curvature[places[row]] += weight[row] * p * (1.0 - p)
        for place in range(starts[table], starts[table + 1]):
            steps[place] = (gradient[place] - penalties[table] * values[place]) / (curvature[place] + penalties[table])
            values[place] += steps[place]
        for row in range(len(y)):
            z[row] += steps[places[row]]
    total, bend = 0.0, 1e-9
    for row in range(len(y)):
        p = 1.0 / (1.0 + math.exp(-z[row]))
        total += weight[row] * (y[row] - p)
        bend += weight[row] * p * (1.0 - p)
    for row in range(len(y)):
        z[row] += total / bend
    return intercept + total / bend

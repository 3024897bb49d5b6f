"""Logged choices with what came back: the only thing that an estimator reads."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from honour.errors import LogContractBroken

Floats = NDArray[np.float64]
TOLERANCE = 1e-6


class Logged(NamedTuple):
    """One target policy against n logged choices among K candidates.

    chosen      (n,)   position of the candidate that was chosen
    p_logged    (n,)   probability with which it was chosen, in (0, 1]
    p_target    (n, K) probability with which the target policy would choose each; rows sum to 1
    reward      (n,)   what came back, in `unit`
    predicted   (n, K) reward expected of each candidate by a model fitted on earlier data
    clusters    (n,)   payment of each row: rows of one payment are not independent
    unit        of the reward, such as "approved" or "minor units"
    """

    chosen: NDArray[np.intp]
    p_logged: Floats
    p_target: Floats
    reward: Floats
    predicted: Floats
    clusters: NDArray[Any]
    unit: str

    @property
    def weight(self) -> Floats:
        """Target probability of what was chosen over its logged probability: (n,)."""
        return self.p_target[np.arange(len(self.chosen)), self.chosen] / self.p_logged


def checked(logged: Logged) -> Logged:
    """The same, or LogContractBroken: a log that breaks its promises is not estimated from."""
    n, k = logged.p_target.shape
    for name, column, shape in (
        ("chosen", logged.chosen, (n,)),
        ("p_logged", logged.p_logged, (n,)),
        ("reward", logged.reward, (n,)),
        ("predicted", logged.predicted, (n, k)),
        ("clusters", logged.clusters, (n,)),
    ):
        if column.shape != shape:
            raise LogContractBroken(f"{name} has shape {column.shape}; {n} choices among {k} candidates need {shape}.")
    wrong = np.flatnonzero(~((logged.p_logged > 0.0) & (logged.p_logged <= 1.0 + TOLERANCE)))
    if len(wrong):
        first = logged.p_logged[wrong[0]]
        raise LogContractBroken(
            f"p_logged[{wrong[0]}] is {first:g}; a propensity must lie in (0, 1]. {len(wrong)} of {n} rows are affected. "
            "A candidate with propensity 0 cannot have been chosen: check the logger, do not clip."
        )
    sums = logged.p_target.sum(axis=1)
    wrong = np.flatnonzero((np.abs(sums - 1.0) > TOLERANCE) | (logged.p_target < 0.0).any(axis=1))
    if len(wrong):
        raise LogContractBroken(
            f"p_target[{wrong[0]}] sums to {sums[wrong[0]]:g}; the probabilities of a policy sum to 1 and are not negative."
        )
    for name, column in (("reward", logged.reward), ("predicted", logged.predicted)):
        if not np.isfinite(column).all():
            raise LogContractBroken(f"{name} holds a value that is not a number; leave rows without an answer out.")
    return logged

"""Exploration at a price: choosing a candidate that is not the best, on purpose, with known probability.

Inverse-gap weighting (Foster and Rakhlin 2020, Beyond UCB, arXiv 2002.04926): with v* the best of K values, every other candidate i gets
1 / (K + gamma (v* - v_i)) and the best keeps the rest. gamma is the smallest one with which the expected loss,
the sum of propensity x gap, stays within the budget.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_PRECISION = 1e-12


def propensities(values: Floats, *, budget_minor: float) -> Floats:
    """Probability of choosing each candidate: (K,) values in minor units to (K,) that sum to 1.

    budget_minor  most expected loss, minor units; 0 puts everything on the best (the first of equals)

    >>> propensities(np.array([10.0, 4.0, 7.0]), budget_minor=0.0).tolist()
    [1.0, 0.0, 0.0]
    """
    chosen = np.zeros(len(values))
    best = int(np.argmax(values))
    gaps = values[best] - values
    others = np.arange(len(values)) != best
    if budget_minor > 0.0 and len(values) > 1:
        gamma = _gamma(gaps[others], n=len(values), budget_minor=budget_minor)
        chosen[others] = 1.0 / (len(values) + gamma * gaps[others])
    chosen[best] = 1.0 - chosen[others].sum()
    return chosen


def draw_for(salt: str, payment_id: str, attempt_number: int) -> float:
    """The uniform number in [0, 1) that belongs to one attempt of one payment: the same whenever it is asked for."""
    digest = hashlib.blake2b(f"{payment_id}\x1f{attempt_number}".encode(), key=_key_of(salt), digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 11) / 2.0**53


@lru_cache(maxsize=64)
def _key_of(salt: str) -> bytes:
    return hashlib.sha256(salt.encode()).digest()


def pick(probabilities: Floats, *, draw: float) -> int:
    """Position that `draw` falls on; never one of probability 0."""
    reached = np.cumsum(probabilities)
    at = int(np.searchsorted(reached, draw * reached[-1], side="right"))
    return min(at, int(np.flatnonzero(probabilities)[-1]))


def _gamma(gaps: Floats, *, n: int, budget_minor: float) -> float:
    """Smallest gamma >= 0 whose expected loss is within the budget, to 12 digits; the loss falls as gamma grows."""
    behind = [float(gap) for gap in gaps if gap > 0.0]  # A few plain floats: faster than arrays of a few.

    def loss(gamma: float) -> float:
        return sum(gap / (n + gamma * gap) for gap in behind)

    if loss(0.0) <= budget_minor:
        return 0.0
    # Each term is below 1 / gamma, so this gamma is enough.
    low, high = 0.0, len(behind) / budget_minor
    while high - low > _PRECISION * high:
        middle = (low + high) / 2.0
        low, high = (low, middle) if loss(middle) <= budget_minor else (middle, high)
    return high

"""Exploration at a price: choosing a candidate that is not the best, on purpose, with known probability.

Inverse-gap weighting (Foster and Rakhlin 2020, Beyond UCB, arXiv 2002.04926): with v* the best of K values, every other candidate i gets
1 / (K + gamma (v* - v_i) / u_i) and the best keeps the rest. gamma is the smallest one with which the expected loss,
the sum of propensity x gap, stays within the budget. u_i is how uncertain its value is against the average candidate: what is known
already is not bought again, and a route that may have recovered is probed. A small share of choices is even over all candidates, so
that models of later generations learn from more than what the present one likes (uniform slice); it is paid from the same budget.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Sequence
from functools import cache, lru_cache
from itertools import accumulate
from typing import Any

import numpy as np


def propensities(
    values: Sequence[float], *, budget_minor: float, spread: Sequence[float] | None = None, uniform_share: float = 0.0
) -> list[float]:
    """Probability of choosing each candidate: (K,) values in minor units to (K,) that sum to 1.

    budget_minor   most expected loss, minor units; 0 puts everything on the best (the first of equals)
    spread         (K,) standard deviations of what is not known of the values; None when all are alike
    uniform_share  share of choices that is even over all candidates, below 1; less where it would take more than half the budget

    >>> propensities([10.0, 4.0, 7.0], budget_minor=0.0)
    [1.0, 0.0, 0.0]
    """
    chosen = np.empty(len(values))
    known = _NOTHING if spread is None else np.array(spread, dtype=np.float64)
    _kernel().explored(np.array(values, dtype=np.float64), known, float(budget_minor), float(uniform_share), chosen)
    told: list[float] = chosen.tolist()
    return told


def draw_for(salt: str, payment_id: str, attempt_number: int) -> float:
    """The uniform number in [0, 1) that belongs to one attempt of one payment: the same whenever it is asked for."""
    digest = hashlib.blake2b(f"{payment_id}\x1f{attempt_number}".encode(), key=_key_of(salt), digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 11) / 2.0**53


@lru_cache(maxsize=64)
def _key_of(salt: str) -> bytes:
    return hashlib.sha256(salt.encode()).digest()


def pick(probabilities: Sequence[float], *, draw: float) -> int:
    """Position that `draw` falls on; never one of probability 0."""
    reached = list(accumulate(probabilities))
    at = bisect_right(reached, draw * reached[-1])
    return at if at < len(reached) else max(place for place, p in enumerate(probabilities) if p)


_NOTHING = np.empty(0)


@cache
def _kernel() -> Any:
    from honour.policy import kernel  # Half a second, which only those pay who decide.

    return kernel

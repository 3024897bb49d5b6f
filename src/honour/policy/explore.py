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
from functools import lru_cache
from itertools import accumulate

_PRECISION = 1e-12
_STEPS_MAX = 100
_WEIGHT_MAX = 10.0


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
    highest, n = max(values), len(values)
    best = values.index(highest)
    chosen = [0.0] * n
    if budget_minor > 0.0 and n > 1:
        gaps = [highest - value for value in values]
        weights, even_minor = _weights(spread, n=n), sum(gaps) / n
        even = min(uniform_share, 0.5 * budget_minor / even_minor) if even_minor > 0.0 else uniform_share
        gamma = _gamma(gaps, weights, n=n, budget_minor=(budget_minor - even * even_minor) / (1.0 - even))
        chosen = [even / n + (1.0 - even) / (n + gamma * gap / weight) for gap, weight in zip(gaps, weights, strict=True)]
        chosen[best] = 0.0
    chosen[best] = 1.0 - sum(chosen)
    return chosen


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


def _weights(spread: Sequence[float] | None, *, n: int) -> list[float]:
    """Uncertainty of each candidate against the average one, within bounds; 1 when nothing is known of it."""
    if spread is None or not (mean := sum(spread) / n) > 0.0:
        return [1.0] * n
    return [min(_WEIGHT_MAX, max(1.0 / _WEIGHT_MAX, each / mean)) for each in spread]


def _gamma(gaps: Sequence[float], weights: Sequence[float], *, n: int, budget_minor: float) -> float:
    """Smallest gamma >= 0 whose expected loss is within the budget, to 12 digits.

    The loss is L = sum of g / (n + gamma g / u), and 1 / L rises ever more slowly (a harmonic mean of lines), so that Newton's steps
    on it come from below and never pass what is looked for. They begin where a single line through the mean of g / u would end,
    which is not beyond it either (Jensen).
    """
    behind = [(gap, gap / weight) for gap, weight in zip(gaps, weights, strict=True) if gap > 0.0]
    total = sum([gap for gap, _ in behind])
    if total <= n * budget_minor:
        return 0.0
    square = sum([gap * scaled for gap, scaled in behind])
    gamma = (total / budget_minor - n) * total / square if square > 0.0 else 0.0
    for _ in range(_STEPS_MAX):
        loss = slope = 0.0
        for gap, scaled in behind:
            share = 1.0 / (n + gamma * scaled)
            loss += gap * share
            slope += gap * scaled * share * share
        over = loss - budget_minor
        if over <= _PRECISION * budget_minor:
            return gamma * (1.0 + 2.0 * _PRECISION) if over > 0.0 else gamma
        gamma += over / slope * (loss / budget_minor)
    # Each term is below u / gamma, so this gamma is always enough.
    return sum(gap / scaled for gap, scaled in behind) / budget_minor

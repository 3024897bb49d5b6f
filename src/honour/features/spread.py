"""Quantiles from counts between fixed edges: exact to add up and take apart, the same online and in SQL, merged over any window.

Edges are 1, 2, 3, 4, 6, 8, 12, 16, 24, ...: powers of two and one and a half times them, so that a quantile is off by at most half of
its lower edge, and by much less where values spread evenly between two edges. A value at or above the last edge counts as just below it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Final


def _edges(last: int) -> tuple[int, ...]:
    found = [1, 2]
    while found[-1] < last:
        found.append(found[-1] * 3 // 2 if found[-1] & (found[-1] - 1) == 0 else found[-1] * 4 // 3)
    return tuple(found)


EDGES: Final = {"latency_ms": _edges(2**17), "amount_minor": _edges(2**30)}
"""Upper edges of the counts of each number: 131 seconds; ten million units of a currency with cents."""


def place_of(value: int, *, of: str) -> int:
    """Which count a value belongs to: the first whose upper edge is above it.

    >>> place_of(0, of="latency_ms"), place_of(5, of="latency_ms"), place_of(10**9, of="latency_ms")
    (0, 4, 33)
    """
    edges = EDGES[of]
    return min(bisect_right(edges, value), len(edges) - 1)


def quantile(counts: Sequence[tuple[int, int]], *, q: float, of: str) -> float | None:
    """The `q` quantile of what was counted; None when nothing was.

    counts  (place, how many), places ascending, none of them empty

    >>> quantile([(4, 3), (6, 1)], q=0.5, of="latency_ms")
    5.333333333333333
    """
    edges = EDGES[of]
    rank = q * sum(n for _, n in counts)
    below = 0
    for place, n in counts:
        if below + n >= rank:
            lower = edges[place - 1] if place else 0
            return lower + (edges[place] - lower) * (rank - below) / n
        below += n
    return None

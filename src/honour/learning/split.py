"""Splits by time and by payment: what is judged is later than what was fitted, and no payment is on both sides."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]


class Split(NamedTuple):
    """Rows to fit and rows to judge; (n,) each. Rows of payments that straddle the cut after it are in neither."""

    early: Mask
    late: Mask
    from_us: int
    until_us: int


def payment_numbers(payments: NDArray[np.object_]) -> NDArray[np.intp]:
    """A number for each payment id."""
    return np.unique(payments.astype(str), return_inverse=True)[1]


def began_us(payments: NDArray[np.intp], *, at_us: NDArray[np.int64]) -> NDArray[np.int64]:
    """Instant of the first attempt of each row's payment."""
    first = np.full(int(payments.max()) + 1, np.iinfo(np.int64).max)
    np.minimum.at(first, payments, at_us)
    return first[payments]


def split_at(cut_us: int, *, payments: NDArray[np.intp], at_us: NDArray[np.int64], until_us: int | None = None) -> Split:
    """Rows before `cut_us` against rows of payments that began from then on, and before `until_us`.

    A payment that began before the cut keeps its rows before the cut; its later rows are dropped, since their answer is no news.

    >>> split = split_at(2, payments=np.array([0, 1, 1, 2]), at_us=np.array([0, 1, 2, 3]))
    >>> split.early.tolist(), split.late.tolist()
    ([True, True, False, False], [False, False, False, True])
    """
    end = int(at_us.max()) + 1 if until_us is None else until_us
    early = at_us < cut_us
    late = (began_us(payments, at_us=at_us) >= cut_us) & (at_us < end)
    return Split(early=early, late=late, from_us=cut_us, until_us=end)


def forward_splits(payments: NDArray[np.intp], *, at_us: NDArray[np.int64], n_blocks: int, first_share: float) -> tuple[Split, ...]:
    """Rolling origins: the rows after the first `first_share` of them in `n_blocks` equal blocks, each against all before it.

    Empty blocks (many rows at one instant) are left out.
    """
    ordered = np.sort(at_us)
    places = np.linspace(first_share, 1.0, n_blocks + 1) * (len(ordered) - 1)
    cuts = [int(ordered[int(place)]) for place in places]
    cuts[-1] += 1
    splits = (split_at(cut, payments=payments, at_us=at_us, until_us=until) for cut, until in pairwise(cuts))
    return tuple(split for split in splits if split.early.any() and split.late.any())

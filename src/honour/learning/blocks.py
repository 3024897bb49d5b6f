"""Rolling origins: blocks of time, each to be judged by what is fitted on everything before it; and which features drift."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from honour.errors import CannotTrain
from honour.features.catalogue import FEATURES
from honour.features.encode import Encoder
from honour.learning.dataset import Rows
from honour.learning.fit import fit_encoder
from honour.learning.kinds.port import Encoding
from honour.learning.split import Split, forward_splits

N_BLOCKS, N_BLOCKS_OF_MANY = 4, 2
MANY_ROWS = 60_000
"""Of more rows two blocks are judged: each has tens of thousands, and every further origin is one more fit of most of them. What the other
two would have told was not measured.
"""
FIRST_SHARE = 0.5
DRIFT_MAX = 0.4
"""Kolmogorov-Smirnov distance between fitted and later values from which a feature is said to drift."""
ROWS_MAX = 200_000
"""Of more rows only the newest are searched: sizes are then known well enough, and fitting is what takes time."""


class Block(NamedTuple):
    """One origin: the encoder of what precedes it, and its rows."""

    split: Split
    encoder: Encoder
    early: Rows
    late: Rows


def blocks_of(rows: Rows, *, encoding: Encoding = "rates", rows_max: int | None = None) -> tuple[Block, ...]:
    """Rolling origins over the newest `ROWS_MAX` rows (or `rows_max`, when that is less), or CannotTrain when no block has both answers
    after one with both.
    """
    rows = rows.newest(min(ROWS_MAX, rows_max or ROWS_MAX))
    blocks: list[Block] = []
    n_blocks = N_BLOCKS if len(rows) <= MANY_ROWS else N_BLOCKS_OF_MANY
    for split in forward_splits(rows.payments, at_us=rows.at_us, n_blocks=n_blocks, first_share=FIRST_SHARE):
        early, late = rows.where(split.early), rows.where(split.late)
        if len(np.unique(early.approved)) == 2:
            blocks.append(Block(split, fit_encoder(early.columns, approved=early.approved, encoding=encoding), early, late))
    if not blocks or len(np.unique(np.concatenate([block.late.approved for block in blocks]))) < 2:
        raise CannotTrain(
            f"{len(rows)} attempts, but no block of time with both answers after one with both; nothing later to calibrate on. "
            "Import a longer history."
        )
    return tuple(blocks)


def drifting(blocks: tuple[Block, ...]) -> tuple[str, ...]:
    """Numbers whose distribution in later rows is, on average over blocks, `DRIFT_MAX` away from that of the rows before."""
    return tuple(
        feature.name
        for feature in FEATURES
        if feature.kind == "number"
        and float(np.mean([distance(block.early.columns[feature.name], block.late.columns[feature.name]) for block in blocks])) >= DRIFT_MAX
    )


def distance(left: NDArray[np.float64], right: NDArray[np.float64]) -> float:
    """Kolmogorov-Smirnov distance of two samples, missing values aside; 0 when one has none.

    >>> distance(np.array([1.0, 2.0]), np.array([2.0, 3.0, np.nan]))
    0.5
    """
    left, right = np.sort(left[~np.isnan(left)]), np.sort(right[~np.isnan(right)])
    if not len(left) or not len(right):
        return 0.0
    at = np.concatenate([left, right])
    share_left = np.searchsorted(left, at, side="right") / len(left)
    share_right = np.searchsorted(right, at, side="right") / len(right)
    return float(np.abs(share_left - share_right).max())

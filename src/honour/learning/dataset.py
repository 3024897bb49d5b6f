"""A training set as arrays: raw features, answers, payments and instants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow ships no types
from numpy.typing import NDArray

from honour.errors import CannotTrain
from honour.features.catalogue import FEATURES
from honour.features.encode import Encoder
from honour.learning.split import Mask, Split, payment_numbers, split_at

Matrix = NDArray[np.float32]

ROWS_MIN = 500
"""Fewer attempts than this say less about a route than its own approval rate does."""

EARLY_MIN, LATE_MIN = 300, 50
"""Rows that each side of the hold-out needs."""
DAY_US = 86_400_000_000

_NEEDED = ("payment_id", "at_us", "approved")


class Rows(NamedTuple):
    """Attempts with their answers.

    columns   raw features by name, (n,) each: None for a category that is not known, NaN for a number
    approved  (n,) 1.0 or 0.0
    payments  (n,) a number for each payment
    at_us     (n,) instant as of which the features are
    """

    columns: dict[str, NDArray[Any]]
    approved: NDArray[np.float64]
    payments: NDArray[np.intp]
    at_us: NDArray[np.int64]

    def where(self, mask: Mask) -> Rows:
        """The rows where `mask` holds."""
        columns = {name: column[mask] for name, column in self.columns.items()}
        return Rows(columns=columns, approved=self.approved[mask], payments=self.payments[mask], at_us=self.at_us[mask])

    def newest(self, n: int | None) -> Rows:
        """The `n` newest rows, in the order they are in; all when `n` is None."""
        if n is None or len(self) <= n:
            return self
        kept = np.zeros(len(self), dtype=bool)
        kept[np.argsort(self.at_us, kind="stable")[-n:]] = True
        return self.where(kept)

    @staticmethod
    def joined(parts: Sequence[Rows]) -> Rows:
        """All rows of `parts`, one part after another."""
        return Rows(
            columns={name: np.concatenate([part.columns[name] for part in parts]) for name in parts[0].columns},
            approved=np.concatenate([part.approved for part in parts]),
            payments=np.concatenate([part.payments for part in parts]),
            at_us=np.concatenate([part.at_us for part in parts]),
        )

    def encoded(self, encoder: Encoder) -> Matrix:
        """The matrix that a model reads; (n, n_features)."""
        columns: Mapping[str, Any] = self.columns
        return encoder.encode_columns(columns)

    def __len__(self) -> int:
        return len(self.approved)


def rows_of(table: pa.Table) -> Rows:
    """The rows of a training set as `honour.features.offline.training_set` makes it.

    Raises CannotTrain for an absent column, fewer than 500 rows, or one answer only.
    """
    needed = (*_NEEDED, *(feature.name for feature in FEATURES))
    if absent := [name for name in needed if name not in table.column_names]:
        raise CannotTrain(f"training set: column {absent[0]} is absent ({len(absent)} are). Build it with this version of Honour.")
    if len(table) < ROWS_MIN:
        raise CannotTrain(f"{len(table)} attempts with an answer; training needs at least {ROWS_MIN}. Import more history.")
    approved = _numbers(table["approved"])
    check_answers(approved, what="attempts with an answer")
    return Rows(
        columns={feature.name: _column(table[feature.name], is_category=feature.kind == "category") for feature in FEATURES},
        approved=approved,
        payments=payment_numbers(table["payment_id"].to_numpy()),
        at_us=table["at_us"].to_numpy().astype(np.int64),
    )


def hold_out(rows: Rows, *, days: float) -> Split:
    """The last `days` kept aside, or CannotTrain when too little is before or after the cut."""
    cut_us = int(rows.at_us.max()) + 1 - round(days * DAY_US)
    split = split_at(cut_us, payments=rows.payments, at_us=rows.at_us)
    n_early, n_late = int(split.early.sum()), int(split.late.sum())
    if n_early < EARLY_MIN or n_late < LATE_MIN:
        span = (int(rows.at_us.max()) - int(rows.at_us.min())) / DAY_US
        raise CannotTrain(
            f"holding out the last {days:g} days of {span:.2f} leaves {n_early} attempts to fit and {n_late} later ones to judge; "
            f"needed are {EARLY_MIN} and {LATE_MIN}. Give another --holdout-days, or import more history."
        )
    check_answers(rows.approved[split.early], what="attempts before the held-out days")
    return split


def check_answers(approved: NDArray[np.float64], *, what: str) -> None:
    """Raise CannotTrain unless both answers are among them."""
    n_approved = int(approved.sum())
    if n_approved in (0, len(approved)):
        which = "none of them approved" if n_approved == 0 else "all of them approved"
        raise CannotTrain(f"{len(approved)} {what}, {which}; training needs both approved and not approved ones. Import more history.")


def _column(column: pa.ChunkedArray, *, is_category: bool) -> NDArray[Any]:
    return column.to_numpy().astype(object) if is_category else _numbers(column)


def _numbers(column: pa.ChunkedArray) -> NDArray[np.float64]:
    values: NDArray[np.float64] = column.cast(pa.float64()).to_numpy()
    return values

"""Tallies of whole tables of attempts: the same counts that events one by one would give, a column at a time."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow ships no types
import pyarrow.compute as pc  # type: ignore[import-untyped]  # as above

from honour.features.expectation import EDGES, Expected, Row
from honour.features.tally import DAY_US, EXAMPLES, Example, Tally, shown
from honour.records.expectation import Expectation


def needed_columns(expected: Expected) -> list[str]:
    """Columns of attempts that a tally is made of."""
    rows = {row.column for row in expected.rows()}
    return ["arrived_us", "attempt_id", *sorted(rows | expected.counted())]


def tally_of(attempts: pa.Table, *, expected: Expected) -> Tally:
    """The tally of attempts whose answers arrived on one day; columns at least `needed_columns`, at least one row."""
    last_us = pc.max(attempts["arrived_us"]).as_py()
    tally = Tally(day=last_us // DAY_US, n=len(attempts), last_us=last_us)
    for row in expected.rows():
        broken = _broken(attempts[row.column], row, expected)
        tally.judged[row.expectation.name] = len(attempts)
        tally.broken[row.expectation.name] = n_broken = pc.sum(broken).as_py() or 0
        if n_broken:
            tally.examples[row.expectation.name] = _examples(attempts, broken, column=row.column)
    for column in expected.counted():
        tally.counts[column] = counts_of(attempts[column])
    return tally


def counts_of(column: Any) -> Counter[str]:
    """How often each value occurs, those that are not known left out; numbers in bins."""
    known = column.drop_null()
    if pa.types.is_integer(known.type) or pa.types.is_floating(known.type):
        at = np.searchsorted(np.array(EDGES), known.to_numpy(), side="right")
        numbers = np.bincount(at, minlength=1)
        return Counter({str(EDGES[place - 1]) if place else "0": int(n) for place, n in enumerate(numbers) if n})
    counted = known.value_counts()
    return Counter(dict(zip(counted.field("values").to_pylist(), counted.field("counts").to_pylist(), strict=True)))


def _broken(column: Any, row: Row, expected: Expected) -> Any:
    """Whether each row breaks an expectation."""
    one: Expectation = row.expectation
    if one.kind == "nulls":
        return pc.is_null(column)
    if one.kind == "referential":
        return _outside(column, sorted(expected.routes))
    if one.allowed:
        return _outside(pc.cast(column, pa.string()), one.allowed)
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        return pa.chunked_array([pa.array(np.zeros(len(column), dtype=bool))])
    within: Any = pc.is_valid(column)
    for bound, holds in ((one.min, pc.greater_equal), (one.max, pc.less_equal)):
        if bound is not None:
            within = pc.and_(within, pc.fill_null(holds(column, bound), False))
    return pc.and_(pc.is_valid(column), pc.invert(within))


def _outside(column: Any, allowed: Any) -> Any:
    known = pc.is_in(column, value_set=pa.array(allowed, type=pa.string()))
    return pc.and_(pc.is_valid(column), pc.invert(known))


def _examples(attempts: pa.Table, broken: Any, *, column: str) -> list[Example]:
    first = attempts.select(list(dict.fromkeys(("attempt_id", column)))).filter(broken).slice(0, EXAMPLES)
    pairs = zip(first["attempt_id"].to_pylist(), first[column].to_pylist(), strict=True)
    return [Example(attempt_id=attempt_id, value=shown(column, value)) for attempt_id, value in pairs]

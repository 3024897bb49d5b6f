"""Expectations in force: those that Honour ships and an installation's own; and what breaks one, a value at a time.

Rows are held against `domain`, `nulls` and `referential` expectations here, by files that are read and by events that were taken;
`honour.features.tally_arrow` does the same for whole tables. Everything else is judged on days: `honour.features.tally`.
"""

from __future__ import annotations

import tomllib
from bisect import bisect_right
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache
from importlib import resources
from typing import NamedTuple

import msgspec

from honour.errors import BadSettings
from honour.features.answer import whole_ms
from honour.features.columns import CANDIDATE_COLUMNS, PAYMENT_COLUMNS, read_payment
from honour.records.attempt import Attempt
from honour.records.expectation import Expectation

ANSWERS = ("status", "response_code", "latency_ms")
"""Columns of an answer, beside those of payment and candidate."""
Value = str | int | float | None
Breaks = Callable[[Value], bool]
EDGES: tuple[int, ...] = tuple(edge for power in range(40) for edge in (2**power, 3 * 2**power // 2) if power or edge == 1)
"""Between these numbers are counted: 1, 2, 3, 4, 6, 8, 12, ..."""

_NEEDED = {"domain": ("column",), "nulls": ("column",), "distribution": ("column",), "referential": ("known",)}


class Row(NamedTuple):
    """An expectation of single rows, and whether a value of its column breaks it."""

    expectation: Expectation
    column: str
    breaks: Breaks


class Expected(NamedTuple):
    """Everything that is expected of data: the expectations in force, and the routes of the settings."""

    expectations: tuple[Expectation, ...]
    routes: frozenset[str] = frozenset()

    def of(self, *kinds: str) -> tuple[Expectation, ...]:
        """Those of some kinds."""
        return tuple(one for one in self.expectations if one.kind in kinds)

    def rows(self) -> tuple[Row, ...]:
        """Those that single rows break."""
        made = ((one, breaking(one, routes=self.routes)) for one in self.expectations)
        return tuple(Row(one, one.column, breaks) for one, breaks in made if breaks is not None and one.column is not None)

    def counted(self) -> frozenset[str]:
        """Columns whose values are counted by the day."""
        columns = {one.column for one in self.of("distribution")} | {one.by for one in self.of("volume")}
        columns |= {one.column for one in self.of("referential") if one.known == "earlier"}
        return frozenset(column for column in columns if column is not None)


@cache
def shipped() -> tuple[Expectation, ...]:
    """Those that Honour ships."""
    content = resources.files("honour.features").joinpath("expectations.toml").read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(content)["expectations"], tuple[Expectation, ...])


def expected_of(own: Sequence[Expectation] = (), *, routes: Collection[str] = (), where: str = "quality.expectations") -> Expected:
    """The expectations in force; BadSettings for one that cannot be."""
    for at, one in enumerate(own):
        if why := _fault(one, names=[other.name for other in own]):
            raise BadSettings(f"{where}[{at}] ({one.name}): {why}")
    named = {one.name: one for one in (*shipped(), *own)}
    return Expected(tuple(one for one in named.values() if one.severity != "off"), frozenset(routes))


def breaking(one: Expectation, *, routes: Collection[str]) -> Breaks | None:
    """Whether a value breaks an expectation of single rows; None for one that is of another kind, or of routes where none are set."""
    if one.kind == "nulls":
        return lambda value: value is None
    if one.kind == "referential" and one.known == "routes" and routes:
        return lambda value: value is not None and value not in routes
    if one.kind != "domain":
        return None
    allowed, least, most = frozenset(one.allowed), one.min, one.max
    if allowed:
        return lambda value: value is not None and str(value) not in allowed

    def outside(value: Value) -> bool:
        return isinstance(value, int | float) and not ((least is None or value >= least) and (most is None or value <= most))

    return outside


def refusing(expected: Expected) -> Callable[[Attempt], str | None]:
    """Why a row of a file is left out: the first expectation that it breaks and whose severity is `refuse`."""
    rows = [row for row in expected.rows() if row.expectation.severity == "refuse"]

    def refuse(attempt: Attempt) -> str | None:
        if not rows:
            return None
        values = values_of(attempt)
        for row in rows:
            if row.breaks(values.get(row.column)):
                return f"{row.column} breaks the expectation {row.expectation.name!r}: {in_words(row.expectation)}"
        return None

    return refuse


def values_of(attempt: Attempt) -> dict[str, Value]:
    """An attempt by columns, as a lake has it."""
    values: Mapping[str, Value] = dict(zip(PAYMENT_COLUMNS, read_payment(attempt.payment), strict=True))
    sent = (attempt.route, attempt.authentication, attempt.credential)
    told = (attempt.status, attempt.response_code, whole_ms(attempt.latency_ms))
    return {**values, **dict(zip((*CANDIDATE_COLUMNS, *ANSWERS), (*sent, *told), strict=True))}


def binned(value: float) -> str:
    """The bin that a number is counted in: the edge at or below it.

    >>> binned(0), binned(5), binned(100)
    ('0', '4', '96')
    """
    at = bisect_right(EDGES, value)
    return str(EDGES[at - 1]) if at else "0"


def in_words(one: Expectation) -> str:
    """What is expected, for a person."""
    column = one.column or ""
    match one.kind:
        case "schema":
            return "the columns that the last file of this mapping had"
        case "domain":
            ends = [f"at least {one.min:g}"] if one.min is not None else []
            ends += [f"at most {one.max:g}"] if one.max is not None else []
            return f"{column} {'one of ' + ', '.join(one.allowed) if one.allowed else ' and '.join(ends)}"
        case "nulls":
            return f"{column} given"
        case "rows":
            return "rows that can be used"
        case "freshness":
            return f"the newest event not older than {one.hours_max:g} h"
        case "volume":
            return f"as many attempts a day as usual{f', for each {one.by}' if one.by else ''}"
        case "referential":
            told = {"routes": "a route of the settings", "earlier": f"among those of the {one.reference_days} days before"}
            return f"{column} {told[one.known]}" if one.known in told else "disputes name payments that are there"
        case "distribution":
            return f"{column} distributed as in the {one.reference_days} days before"


def _fault(one: Expectation, *, names: Sequence[str]) -> str | None:
    columns = (*PAYMENT_COLUMNS, *CANDIDATE_COLUMNS, *ANSWERS)
    if names.count(one.name) > 1:
        return f"the name is given {names.count(one.name)} times; every expectation needs one of its own."
    for key in _NEEDED.get(one.kind, ()):
        if getattr(one, key) is None:
            return f"kind {one.kind!r} needs {key}."
    if one.kind == "referential" and one.known != "payments" and one.column is None:
        return f"known = {one.known!r} needs column."
    for key, column in (("column", one.column), ("by", one.by)):
        if column is not None and column not in columns:
            return f"{key} {column!r} is no column of attempts. Allowed: {', '.join(columns)}."
    if one.kind == "domain" and not one.allowed and one.min is None and one.max is None:
        return "a domain needs allowed, min or max."
    if one.kind == "volume" and one.less_max >= one.more_max:
        return f"less_max {one.less_max:g} is not below more_max {one.more_max:g}."
    return None

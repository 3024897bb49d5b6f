"""What a day of data was like, and how that stands to what is expected of it.

A tally holds counts only. `honour.features.tally_arrow` makes it of tables, `honour.features.live` of events one by one;
both are judged here, so that a batch and a server say the same of the same day.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

import msgspec

from honour.features.expectation import Expected
from honour.records.expectation import Expectation, Severity
from honour.records.instant import date_of, from_us

DAY_US = 86_400_000_000
HOUR_US = 3_600_000_000
EXAMPLES = 5
SHARE_MIN = 1e-4
"""A bin with less is taken as this: an empty one alone would make the index infinite."""
P_CHANCE = 0.001
"""A share above its limit that chance makes of it more often than this is not told."""
DAYS_MIN = 3
"""Days before without which nothing is said of what is usual."""
VALUES_MAX = 200_000
"""Most values of a column that a day counts; bounded, because callers make them up."""
_LATE_HOURS = 3
"""A day counts as whole when its newest event is so much earlier than usual, or less."""
_PRIVATE = ("payment_id", "card_id", "merchant_id")


class Example(msgspec.Struct, frozen=True, kw_only=True):
    """A row that breaks an expectation: the name of its attempt, and the value; None where it is not known or names a shopper."""

    attempt_id: str
    value: str | None


@dataclass
class Tally:
    """One day (UTC, of arrival), counted.

    day     since 1970; n: attempts; last_us: the newest arrival
    judged, broken  rows looked at, and rows that broke it, by expectation; examples: the first few
    counts  by column, attempts by value
    """

    day: int
    n: int = 0
    last_us: int = 0
    judged: Counter[str] = field(default_factory=Counter)
    broken: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[Example]] = field(default_factory=dict)
    counts: dict[str, Counter[str]] = field(default_factory=dict)

    def add(self, other: Tally) -> None:
        """Count another part of the same day."""
        self.n += other.n
        self.last_us = max(self.last_us, other.last_us)
        self.judged.update(other.judged)
        self.broken.update(other.broken)
        for name, examples in other.examples.items():
            self.examples[name] = (self.examples.get(name, []) + examples)[:EXAMPLES]
        for column, counts in other.counts.items():
            self.counts.setdefault(column, Counter()).update(counts)


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """One expectation on one day. `figure` None: it cannot be said.

    limit  that the figure must not pass; found: the figure in words
    """

    expectation: Expectation
    day: date
    holds: bool
    figure: float | None
    limit: float
    found: str
    examples: tuple[Example, ...] = ()


def judge(tally: Tally, *, before: Sequence[Tally], expected: Expected, goes_on: bool) -> list[Judged]:
    """Every expectation of a day, held against its tally and those of the days before, the oldest first.

    goes_on  events of a later day are there, so that the day is whole
    """
    found: list[Judged] = []
    for one in expected.expectations:
        if one.name in tally.judged:
            found.append(_of_rows(one, tally))
        elif one.kind == "volume":
            found += _volumes(one, tally, before=before[-one.reference_days :], goes_on=goes_on)
        elif one.kind == "distribution" and tally.n:
            found.append(_distribution(one, tally, before=before[-one.reference_days :]))
        elif one.kind == "referential" and one.known == "earlier" and tally.n:
            found.append(_earlier(one, tally, before=before[-one.reference_days :]))
    return found


def freshness(one: Expectation, *, newest_us: int, now_us: int) -> Judged:
    """The age of the newest event."""
    hours = max(0.0, (now_us - newest_us) / HOUR_US)
    newest = from_us(newest_us)
    return _judged(one, newest_us // DAY_US, hours, one.hours_max, f"the newest event is of {newest:%Y-%m-%d %H:%M} UTC, {hours:.1f} h ago")


def share(one: Expectation, *, n_broken: int, n: int, day: int, what: str) -> Judged:
    """A share of rows that a reader of files counted."""
    return _share(one, day, n_broken=n_broken, n=n, found=f"{n_broken} of {n} {what}")


def schema(one: Expectation, *, columns: Mapping[str, str], known: Mapping[str, str] | None, day: int) -> Judged:
    """Columns of a file, by name and kind, against those of the last file of its mapping."""
    if known is None:
        return _judged(one, day, None, 0.0, "no file of this mapping came before")
    gone, added = sorted(known.keys() - columns.keys()), sorted(columns.keys() - known.keys())
    turned = [
        f"{name} ({known[name]}, now {kind})"
        for name, kind in columns.items()
        if "empty" not in (kind, known.get(name, "empty")) and known[name] != kind
    ]
    parts = [f"{what} {', '.join(names)}" for what, names in (("gone:", gone), ("new:", added), ("of another kind:", turned)) if names]
    return _judged(one, day, float(len(gone) + len(added) + len(turned)), 0.0, "; ".join(parts) or "the same columns")


def index_of(before: Mapping[str, int], after: Mapping[str, int]) -> float:
    """Population stability index of counts, less what chance alone makes of it: (k - 1)(1/n + 1/m) for k values (Yurdakul 2018).

    >>> index_of({"a": 500, "b": 500}, {"a": 510, "b": 490})
    0.0
    """
    n, m = sum(before.values()), sum(after.values())
    values = before.keys() | after.keys()
    total = 0.0
    for value in values:
        a, b = max(before.get(value, 0) / n, SHARE_MIN), max(after.get(value, 0) / m, SHARE_MIN)
        total += (b - a) * math.log(b / a)
    return max(0.0, total - (len(values) - 1) * (1.0 / n + 1.0 / m))


def missing_days(day: int, *, before: Sequence[Tally]) -> list[Tally]:
    """Days between the last one and this one of which nothing came."""
    return [Tally(day=one) for one in range(before[-1].day + 1, day)][-366:] if before else []


def _of_rows(one: Expectation, tally: Tally) -> Judged:
    n, n_broken = tally.judged[one.name], tally.broken[one.name]
    words = f"{n_broken} of {n} attempts" + (f" without {one.column}" if one.kind == "nulls" else "")
    return _share(one, tally.day, n_broken=n_broken, n=n, found=words, examples=tally.examples.get(one.name, ()))


def _volumes(one: Expectation, tally: Tally, *, before: Sequence[Tally], goes_on: bool) -> list[Judged]:
    """A day against the mean of the days before, those of the same weekday where there are two."""
    if not tally.n and not before:
        return []
    known = before[1:] if len(before) > DAYS_MIN else before  # The first day of all may have begun late.
    same = [day for day in known if (tally.day - day.day) % 7 == 0]
    compared = same if len(same) >= 2 else known[-7:]
    if len(known) < DAYS_MIN:
        return [_judged(one, tally.day, None, one.less_max, f"fewer than {DAYS_MIN} whole days came before")]
    if not (goes_on or not tally.n or _as_late_as_usual(tally, known)):
        return [_judged(one, tally.day, None, one.less_max, "the day is not over")]
    usual: Counter[str] = Counter()
    for day in compared:
        usual.update({"": day.n} if one.by is None else day.counts.get(one.by, {}))
    now = {"": tally.n} if one.by is None else tally.counts.get(one.by, {})
    found = [
        _volume(one, tally.day, now.get(value, 0), usual=total / len(compared), value=value)
        for value, total in usual.items()
        if total / len(compared) >= one.n_min
    ]
    return found or [_judged(one, tally.day, None, one.less_max, f"fewer than {one.n_min} attempts a day before")]


def _volume(one: Expectation, day: int, n: int, *, usual: float, value: str) -> Judged:
    ratio, who = n / usual, f" of {one.by} {value}" if value else ""
    found = f"{n} attempts{who}, {usual:.0f} are usual"
    if not n:
        found = f"no attempts{who}, {usual:.0f} are usual"
    holds = one.less_max <= ratio <= one.more_max
    limit = one.less_max if ratio < 1 else one.more_max
    return Judged(expectation=one, day=date_of(day), holds=holds, figure=ratio, limit=limit, found=found)


def _as_late_as_usual(tally: Tally, known: Sequence[Tally]) -> bool:
    """Its newest event is about as late in the day as those of the days before, so that it is whole."""
    earliest = min(day.last_us % DAY_US for day in known[-7:])
    return tally.last_us % DAY_US >= earliest - _LATE_HOURS * HOUR_US


def _distribution(one: Expectation, tally: Tally, *, before: Sequence[Tally]) -> Judged:
    column = one.column or ""
    earlier: Counter[str] = Counter()
    for day in before:
        earlier.update(day.counts.get(column, {}))
    now = tally.counts.get(column, Counter())
    if min(now.total(), earlier.total()) < one.n_min:
        return _judged(one, tally.day, None, one.index_max, f"fewer than {one.n_min} attempts that day or before")
    moved = sorted(now.keys() | earlier.keys(), key=lambda value: -abs(now[value] / now.total() - earlier[value] / earlier.total()))
    told = ", ".join(f"{value} {earlier[value] / earlier.total():.1%} to {now[value] / now.total():.1%}" for value in moved[:2])
    return _judged(one, tally.day, index_of(earlier, now), one.index_max, f"{column}: {told}")


def _earlier(one: Expectation, tally: Tally, *, before: Sequence[Tally]) -> Judged:
    """Values that are new, less those that would be new anyway: as many as came once only among those before (Good 1953)."""
    column = one.column or ""
    known: Counter[str] = Counter()
    for day in before:
        known.update(day.counts.get(column, {}))
    now = tally.counts.get(column, Counter())
    if len(before) < DAYS_MIN or now.total() < one.n_min or not known:
        return _judged(one, tally.day, None, one.share_max, f"fewer than {DAYS_MIN} days before, or than {one.n_min} attempts")
    new = {value: n for value, n in now.items() if value not in known}
    n_new, n_once = sum(new.values()), sum(n == 1 for n in known.values())
    first = ", ".join(sorted(new, key=lambda value: -new[value])[:EXAMPLES]) if column not in _PRIVATE else ""
    found = f"{n_new} of {now.total()} attempts with a {column} that is new{f': {first}' if first else ''}"
    return _share(one, tally.day, n_broken=n_new, n=now.total(), found=found, expected=n_once / known.total())


def exceeds(n_broken: int, *, n: int, share_max: float) -> bool:
    """More than a share of n rows, and more than chance makes of it: with a probability below 0.001 by Chernoff's bound,
    P(X >= k) <= exp(-n KL(k/n, share_max)).

    >>> exceeds(1, n=1, share_max=0.01), exceeds(2, n=2, share_max=0.01), exceeds(1, n=1000, share_max=0.0)
    (False, True, True)
    """
    if not n or (q := n_broken / n) <= share_max:
        return False
    if share_max <= 0.0:
        return True
    divergence = q * math.log(q / share_max) + ((1 - q) * math.log((1 - q) / (1 - share_max)) if q < 1.0 else 0.0)
    return n * divergence > -math.log(P_CHANCE)


def _share(
    one: Expectation, day: int, *, n_broken: int, n: int, found: str, expected: float = 0.0, examples: Sequence[Example] = ()
) -> Judged:
    """A share of rows, less what is `expected` to be there anyway."""
    figure = max(0.0, n_broken / n - expected) if n else None
    holds = not exceeds(n_broken, n=n, share_max=min(1.0, one.share_max + expected))
    judged = _judged(one, day, figure, one.share_max, found)
    return msgspec.structs.replace(judged, holds=holds, examples=() if holds else tuple(examples))


def _judged(one: Expectation, day: int, figure: float | None, limit: float, found: str) -> Judged:
    holds = figure is None or figure <= limit
    return Judged(expectation=one, day=date_of(day), holds=holds, figure=figure, limit=limit, found=found)


def shown(column: str, value: object) -> str | None:
    """A value as an example may show it."""
    return None if value is None or column in _PRIVATE else str(value)[:64]


def worst(found: Sequence[Judged]) -> Severity:
    """The gravest severity among what does not hold; off when all does."""
    said = {one.expectation.severity for one in found if not one.holds}
    return "refuse" if "refuse" in said else "warn" if "warn" in said else "off"

"""A batch held against expectations, day by day: what was looked at, what does not hold, and the report of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime
from typing import Literal

import msgspec

from honour.features.expectation import Expected, in_words
from honour.features.tally import Example, Judged, Tally, judge, missing_days
from honour.records.expectation import ExpectationKind, Severity
from honour.records.instant import date_of

Source = Literal["import", "lake", "log"]
Status = Literal["holds", "broken", "cannot say"]


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """One expectation over all of a batch.

    expects   in words; days_judged, days_broken: of how many days it could be said, and on how many it did not hold
    figure    the worst, its limit, on which day, and in words; None when nothing can be said
    """

    name: str
    kind: ExpectationKind
    severity: Severity
    expects: str
    days_judged: int
    days_broken: int
    figure: float | None
    limit: float
    day: date | None
    found: str
    examples: tuple[Example, ...] = ()

    @property
    def status(self) -> Status:
        """Whether it holds."""
        return "broken" if self.days_broken else "holds" if self.days_judged else "cannot say"


class BatchReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a batch was like.

    source    import: files into the log; lake: files into a lake; log: events into a lake, or looked at
    columns   of the last file, by name and kind; mapping: the name of its mapping, both for files only
    """

    source: Source
    at: datetime
    files: tuple[str, ...] = ()
    mapping: str | None = None
    columns: dict[str, str] = {}
    n_attempts: int
    n_days: int
    first_day: date | None
    last_day: date | None
    checked: tuple[Checked, ...]

    def broken(self, severity: Severity | None = None) -> list[Checked]:
        """What does not hold, of one severity or any."""
        return [one for one in self.checked if one.days_broken and severity in (None, one.severity)]


class Judging:
    """Holds one day after the other against expectations.

    before  gives tallies of days that came before the batch, the oldest first; no day of a batch may come before them
    """

    def __init__(self, expected: Expected, *, before: Callable[[], Iterable[Tally]] = tuple) -> None:
        self._expected = expected
        self._days = max((one.reference_days for one in expected.expectations), default=1)
        self._before_of: Callable[[], Iterable[Tally]] | None = before
        self._before: list[Tally] = []
        self._found: list[Judged] = []
        self._seen: list[int] = []
        self.n_attempts = 0

    def take(self, tally: Tally, *, goes_on: bool) -> list[Judged]:
        """Judge a day; one that the batch before it ended with is judged as a whole.

        goes_on  a later day follows
        """
        if self._before_of is not None:
            self._before, self._before_of = list(self._before_of())[-self._days - 1 :], None
        n_new = tally.n
        if self._before and self._before[-1].day == tally.day:
            whole = self._before.pop()
            whole.add(tally)
            tally = whole
        found = [
            one
            for empty in missing_days(tally.day, before=self._before)
            for one in judge(empty, before=self._before, expected=self._expected, goes_on=True)
        ]
        found += judge(tally, before=self._before, expected=self._expected, goes_on=goes_on)
        self._before = [*self._before[-self._days :], tally]
        self.n_attempts += n_new
        self._seen.append(tally.day)
        self.note(found)
        return found

    def note(self, found: Iterable[Judged]) -> None:
        """Count what was judged elsewhere: of files, or of the newest event."""
        self._found += found

    @property
    def newest_us(self) -> int | None:
        """The newest arrival; None when nothing ever came."""
        return self._before[-1].last_us if self._before else None

    def report(
        self,
        source: Source,
        *,
        at: datetime,
        files: Sequence[str] = (),
        mapping: str | None = None,
        columns: dict[str, str] | None = None,
    ) -> BatchReport:
        """Everything that was judged, by expectation."""
        by_name: dict[str, list[Judged]] = {one.name: [] for one in self._expected.expectations}
        for judged in self._found:
            by_name[judged.expectation.name].append(judged)
        ends = [date_of(day) for day in (min(self._seen), max(self._seen))] if self._seen else []
        return BatchReport(
            source=source,
            at=at,
            files=tuple(files),
            mapping=mapping,
            columns=columns or {},
            n_attempts=self.n_attempts,
            n_days=len(set(self._seen)),
            first_day=ends[0] if ends else None,
            last_day=ends[-1] if ends else None,
            checked=tuple(_checked(found) for found in by_name.values() if found),
        )


def _checked(found: Sequence[Judged]) -> Checked:
    one = found[0].expectation
    said = [judged for judged in found if judged.figure is not None]
    broken = [judged for judged in said if not judged.holds]
    worst = max(broken or said or found, key=lambda judged: (_gravity(judged), judged.day))
    return Checked(
        name=one.name,
        kind=one.kind,
        severity=one.severity,
        expects=in_words(one),
        days_judged=len({judged.day for judged in said}),
        days_broken=len({judged.day for judged in broken}),
        figure=worst.figure,
        limit=worst.limit,
        day=worst.day,
        found=worst.found,
        examples=worst.examples,
    )


def _gravity(judged: Judged) -> float:
    """How far from what is expected: below a least, or above a most."""
    if judged.figure is None:
        return 0.0
    if judged.expectation.kind == "volume" and judged.figure < 1.0:
        return 1.0 / max(judged.figure, 1e-3)
    return judged.figure

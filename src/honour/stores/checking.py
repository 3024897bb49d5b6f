"""Holding what comes in against expectations, and keeping the reports: `quality/batch-<number>.json` in a data folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from honour.errors import BadSettings, BatchRefused
from honour.features.batch import BatchReport, Judging, Source
from honour.features.expectation import Expected, expected_of, values_of
from honour.features.quality import Found
from honour.features.tallier import Tallier
from honour.features.tally import DAY_US, Judged, Tally, freshness, schema, share
from honour.records.event import AttemptReported, DisputeReported, Event
from honour.records.expectation import Expectation
from honour.stores.opening import told_in

if TYPE_CHECKING:
    from honour.stores.lake import Lake
    from honour.stores.tabular import Imported

REPORTS_KEPT = 200


class Reports:
    """Reports of batches in a data folder, numbered in the order in which they came."""

    def __init__(self, data_dir: Path) -> None:
        self._folder = data_dir / "quality"

    def keep(self, report: BatchReport) -> Path:
        """Write a report; the oldest go past `REPORTS_KEPT`."""
        self._folder.mkdir(parents=True, exist_ok=True)
        there = self._paths()
        number = int(there[-1].stem.rpartition("-")[2]) + 1 if there else 1
        path = self._folder / f"batch-{number:06d}.json"
        beside = path.with_suffix(".part")
        beside.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=1))
        os.replace(beside, path)
        for old in there[: -REPORTS_KEPT + 1]:
            old.unlink(missing_ok=True)
        return path

    def newest(self, n_max: int) -> list[BatchReport]:
        """The newest reports, the newest first."""
        return [msgspec.json.decode(path.read_bytes(), type=BatchReport) for path in reversed(self._paths()[-n_max:])]

    def columns_of(self, mapping: str) -> dict[str, str] | None:
        """Columns of the last file that was read by a mapping of this name; None when there was none."""
        return next((one.columns for one in self.newest(REPORTS_KEPT) if one.mapping == mapping and one.columns), None)

    def _paths(self) -> list[Path]:
        return sorted(self._folder.glob("batch-*.json"))


class Check:
    """Holds the days of a batch against expectations while it is taken in; BatchRefused before a day that may not come in.

    before  tallies of the days before; asked for when the first day comes, since many builds have none
    of_log  what comes is in the event log already, where nothing can be mended
    """

    def __init__(
        self, expected: Expected, *, before: Callable[[], Sequence[Tally]] = tuple, refuses: bool = True, of_log: bool = False
    ) -> None:
        self.judging = Judging(expected, before=before)
        self.expected, self._refuses, self._of_log = expected, refuses, of_log

    def day(self, attempts: Any, *, goes_on: bool) -> None:
        """Attempts of one day, as a lake has them."""
        from honour.features.tally_arrow import tally_of

        self.take(tally_of(attempts, expected=self.expected), goes_on=goes_on)

    def take(self, tally: Tally, *, goes_on: bool) -> None:
        """A day that is counted already."""
        self._hold(self.judging.take(tally, goes_on=goes_on))

    def events(self, events: Sequence[tuple[Event, int]]) -> None:
        """Reported attempts with the instants of their answers, in that order."""
        tallier, tally = Tallier(self.expected), Tally(day=-1)
        for event, arrived_us in events:
            if not isinstance(event, AttemptReported) or event.attempt.status == "unknown":
                continue
            if (day := arrived_us // DAY_US) != tally.day:
                if tally.n:
                    self.take(tally, goes_on=True)
                tally = Tally(day=day)
            tally.n, tally.last_us = tally.n + 1, arrived_us
            tallier.count(tally, values_of(event.attempt), attempt_id=event.attempt.attempt_id)
        if tally.n:
            self.take(tally, goes_on=False)

    def files(self, found: Found, *, n_disputes: int, known: dict[str, str] | None, now: datetime) -> None:
        """What reading files came across."""
        today = int(now.timestamp()) // 86_400
        for one in self.expected.expectations:
            if one.kind == "rows":
                self._note(share(one, n_broken=len(found.refusals), n=found.n_rows, day=today, what="rows cannot be used"))
            elif one.kind == "referential" and one.known == "payments":
                n = n_disputes + found.n_unmatched_disputes
                self._note(share(one, n_broken=found.n_unmatched_disputes, n=n, day=today, what="disputes name no payment"))
            elif one.kind == "schema":
                before = known
                for columns in found.columns:
                    self._note(schema(one, columns=columns, known=before, day=today))
                    before = columns

    def age(self, *, now: datetime) -> None:
        """The newest event of all."""
        newest_us = self.judging.newest_us
        for one in self.expected.of("freshness"):
            if newest_us is not None:
                self._note(freshness(one, newest_us=newest_us, now_us=int(now.timestamp() * 1e6)))

    def report(self, source: Source, *, now: datetime, **of_files: Any) -> BatchReport:
        """What was found so far."""
        return self.judging.report(source, at=now, **of_files)

    def _note(self, judged: Judged) -> None:
        self.judging.note([judged])
        self._hold([judged])

    def _hold(self, found: Sequence[Judged]) -> None:
        refused = [one for one in found if not one.holds and one.expectation.severity == "refuse"]
        if refused and self._refuses:
            first = refused[0]
            raise BatchRefused(
                f"{first.day}: {first.found}; {first.expectation.name!r} allows {first.limit:g}, and found is {first.figure:g}. Nothing of "
                f"that day or after it was taken in. {_remedy(first.expectation.name, of_log=self._of_log)}"
            )


def _remedy(name: str, *, of_log: bool) -> str:
    if not of_log:
        return "Mend the source, or change the expectation in [[quality.expectations]] of honour.toml."
    return (
        "The log keeps what it has; lake, training sets and training end before that day. `honour quality report` shows what it holds. "
        f"To take it as it is, let {name!r} warn in [[quality.expectations]] of honour.toml, run `honour lake build`, and let it refuse "
        "again: a day that is over is judged once."
    )


def check_import(
    imported: Imported,
    events: Sequence[tuple[Event, int]],
    *,
    data_dir: Path,
    files: Sequence[str],
    mapping: str,
    expected: Expected,
    now: datetime,
) -> BatchReport:
    """Hold an import against expectations before anything of it is written; BatchRefused when it may not come in.

    Its days are compared with each other, and with those of the folder's lake that came before; the log is not read for it.
    """
    first_day = events[0][1] // DAY_US if events else 0
    check = Check(expected, before=lambda: [tally for tally in _landed(data_dir, expected=expected) if tally.day < first_day])
    n_disputes = sum(isinstance(event, DisputeReported) for event, _ in events)
    check.files(imported.found, n_disputes=n_disputes, known=Reports(data_dir).columns_of(mapping), now=now)
    check.events(events)
    check.age(now=now)
    return check.report("import", now=now, files=files, mapping=mapping, columns=imported.found.columns[-1])


@contextmanager
def checking(
    lake: Lake, *, data_dir: Path, source: Source, files: Sequence[str] = (), mapping: str | None = None, found: Found | None = None
) -> Iterator[Check]:
    """Hold what goes into a lake against expectations, its last days compared with; the report is kept, also of what was refused."""
    now, reports, expected = utc_now(), Reports(data_dir), expected_in(data_dir)
    check = Check(expected, before=lambda: tallies_of(lake, expected=expected), of_log=source == "log")
    try:
        if found is not None and mapping is not None:
            check.files(found, n_disputes=0, known=reports.columns_of(mapping), now=now)
        yield check
        if check.judging.n_attempts:
            check.age(now=now)
    finally:
        columns = found.columns[-1] if found is not None and found.columns else None
        if check.judging.n_attempts or columns:
            reports.keep(check.report(source, now=now, files=files, mapping=mapping, columns=columns))


def expected_in(data_dir: Path) -> Expected:
    """The expectations of a data folder, for commands that are given the folder alone: its honour.toml and the environment say."""
    file, told = data_dir / "honour.toml", told_in(data_dir)
    own = os.environ.get("HONOUR_QUALITY__EXPECTATIONS") or told.get("quality", {}).get("expectations", [])
    try:
        kind = tuple[Expectation, ...]
        read = msgspec.json.decode(own, type=kind) if isinstance(own, str) else msgspec.convert(own, kind)
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise BadSettings(f"{file}: quality.expectations: {error}.") from None
    return expected_of(read, routes=[str(route.get("id")) for route in told.get("routes", [])], where=f"{file}: quality.expectations")


def tallies_of(lake: Lake, *, expected: Expected, n_days: int | None = None) -> list[Tally]:
    """Tallies of the last days of a lake, those that batches are compared with, the oldest first; none where there is no lake."""
    from honour.features.tally_arrow import needed_columns, tally_of

    known = lake.manifest()
    days = n_days or max((one.reference_days for one in expected.expectations), default=1) + 1
    partitions = known.partitions[-days:] if known is not None else ()
    columns = needed_columns(expected)
    if known is not None and not known.columns.keys() >= set(columns):
        return []  # A lake from before an attribute was declared; it is about to be filled anew.
    return [tally_of(lake.read_part(one, columns=columns), expected=expected) for one in partitions]


def _landed(data_dir: Path, *, expected: Expected) -> list[Tally]:
    """Tallies of the lake of a data folder, if it has one."""
    if not (data_dir / "lake").is_dir():
        return []
    from honour.stores.lake import Lake  # Needs Arrow, which an import into the log does without.

    return tallies_of(Lake(str(data_dir / "lake")), expected=expected)


def looked_back(days: Sequence[Tally], *, expected: Expected, n_days: int, now: datetime) -> Check:
    """The last days held against those before them: what was taken in, looked at again. Nothing is refused."""
    check = Check(expected, before=lambda: days[:-n_days], refuses=False)
    for at, tally in enumerate(days[-n_days:], start=1):
        check.take(tally, goes_on=at < min(n_days, len(days)))
    check.age(now=now)
    return check


def tallies_in(attempts: Any, *, expected: Expected) -> list[Tally]:
    """Tallies of attempts as a lake has them, day by day of arrival, in order."""
    import pyarrow.compute as pc  # type: ignore[import-untyped]  # pyarrow ships no types

    from honour.features.tally_arrow import tally_of

    days = pc.divide(attempts["arrived_us"], DAY_US).to_numpy() if len(attempts) else []
    start, found = 0, list[Tally]()
    while start < len(attempts):
        n = int((days[start:] == days[start]).sum())
        found.append(tally_of(attempts.slice(start, n), expected=expected))
        start += n
    return found


def utc_now() -> datetime:
    """The clock."""
    return datetime.now(UTC)

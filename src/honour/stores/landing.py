"""Filling a lake: from the event log, as far as it goes, and from files or tables of past attempts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

import msgspec

from honour.errors import BadInput
from honour.features.from_log import LogReader
from honour.records.event import AttemptReported, Event, LoggedEvent
from honour.stores.lake import DAY_US, Lake, Manifest
from honour.stores.port import EventLog

Step = Callable[[str, int, int | None], None]


class Checks(Protocol):
    """Who looks at a day before it is taken in."""

    def day(self, attempts: Any, *, goes_on: bool) -> None:
        """Attempts of one day; raises BatchRefused when it may not come in. `goes_on`: a later day follows."""
        ...


_EVERY = 5_000


class Landed(msgspec.Struct, frozen=True, kw_only=True):
    """What a build did, and what is in the lake now.

    n_new      attempts that came in; n_late: answers older than the lake's end, left out
    n_refused  rows of files that cannot be used
    """

    lake: str
    n_new: int
    n_late: int = 0
    n_refused: int = 0
    n_rows: int
    n_days: int
    after_seq: int


def land_log(lake: Lake, log: EventLog, *, step: Step, to_seq: int | None = None, check: Checks | None = None) -> Landed:
    """Take in what the log has beyond the lake, each day as soon as it is complete, and looked at by `check`.

    to_seq  go no further than this event; absent, to the end of the log
    """
    with lake.building():
        known = lake.begin("log")
        if known.after_seq > log.last_seq:
            raise BadInput(
                f"{lake.place}: holds events up to {known.after_seq}, and the log ends at {log.last_seq}: it is the lake of another log. "
                "Delete it and build it again."
            )
        before = known.n_rows
        reader = LogReader(lambda decision_id: log.find(f"decision:{decision_id}"))
        events = (logged for logged in log.read(after_seq=known.after_seq) if to_seq is None or logged.seq <= to_seq)
        known = _land(lake, known, events, reader=reader, step=step, n_events=(to_seq or log.last_seq) - known.after_seq, check=check)
        return _landed(lake, known, n_new=known.n_rows - before)


def land_events(lake: Lake, events: Sequence[tuple[Event, int]], *, n_refused: int = 0, step: Step, check: Checks | None = None) -> Landed:
    """Take in past attempts, in the order of their answers, after what the lake has.

    events  with the instants of their answers; those older than the lake's end would count as learned now, so they are left out
    """
    with lake.building():
        known = lake.begin("files")
        before = known.n_rows
        newest = lake.read_part(known.last_day, columns=["arrived_us", "attempt_id"]) if known.last_day else None
        end_us = int(newest["arrived_us"][-1].as_py()) if newest is not None else 0
        there = set(newest["attempt_id"].to_pylist()) if newest is not None else set()
        n_late = 0

        def following() -> Iterable[LoggedEvent]:
            nonlocal n_late
            seq = known.after_seq
            for event, arrived_us in events:
                if arrived_us < end_us:
                    n_late += 1
                    continue
                if isinstance(event, AttemptReported) and event.attempt.attempt_id in there:
                    continue
                seq += 1
                yield LoggedEvent(seq=seq, arrived_us=arrived_us, event=event)

        known = _land(lake, known, following(), reader=LogReader(), step=step, n_events=len(events), check=check)
        return _landed(lake, known, n_new=known.n_rows - before, n_late=n_late, n_refused=n_refused)


def _landed(lake: Lake, known: Manifest, *, n_new: int, n_late: int = 0, n_refused: int = 0) -> Landed:
    return Landed(
        lake=lake.place,
        n_new=n_new,
        n_late=n_late,
        n_refused=n_refused,
        n_rows=known.n_rows,
        n_days=len(known.partitions),
        after_seq=known.after_seq,
    )


def _land(
    lake: Lake,
    known: Manifest,
    events: Iterable[LoggedEvent],
    *,
    reader: LogReader,
    step: Step,
    n_events: int | None,
    check: Checks | None,
) -> Manifest:
    def taken(*, goes_on: bool) -> Any:
        attempts = reader.take()
        if check is not None and len(attempts):
            check.day(attempts, goes_on=goes_on)
        return attempts

    day, seq = None, known.after_seq
    for n_read, logged in enumerate(events, start=1):
        if n_read % _EVERY == 0:
            step("filling the lake", n_read, n_events)
        if logged.arrived_us // DAY_US != day:
            if len(reader):
                known = lake.land(taken(goes_on=True), known, after_seq=seq)
            day = logged.arrived_us // DAY_US
        reader.read(logged)
        seq = logged.seq
    return lake.land(taken(goes_on=False), known, after_seq=seq)

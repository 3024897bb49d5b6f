"""The quality of a data folder for a person: its last days against what is expected of them, quarantine, and the last batches."""

from __future__ import annotations

from pathlib import Path

import msgspec

from honour.features.batch import BatchReport
from honour.features.from_log import LogReader
from honour.stores.checking import Reports, expected_in, looked_back, tallies_in, tallies_of, utc_now
from honour.stores.lake import Lake
from honour.stores.port import EventLog
from honour.stores.quarantine import Quarantine

BATCHES_SHOWN = 10
_ROWS_SHOWN = 5


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """Rows in quarantine for one reason; `where` they were to go: log, or the place of a lake."""

    reason: str
    where: str
    n: int
    first_rows: tuple[str, ...]


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """The last days as they were looked at now; rows in quarantine by reason, the most first; the newest batches first."""

    data: str
    checked: BatchReport
    quarantine: tuple[Waiting, ...]
    batches: tuple[BatchReport, ...]


def overview(data_dir: Path, *, lake: str, log: EventLog | None, n_days: int) -> Overview:
    """Look at the last days of a lake, and at what the log that fills it has beyond it.

    log  absent, the lake alone counts
    """
    expected, now, place = expected_in(data_dir), utc_now(), Lake(lake)
    reads = max((one.reference_days for one in expected.expectations), default=1) + n_days
    days = tallies_of(place, expected=expected, n_days=reads)
    if log is not None:
        known = place.manifest()
        reader = LogReader(lambda decision_id: log.find(f"decision:{decision_id}"))
        for logged in log.read(after_seq=known.after_seq if known is not None else 0):
            reader.read(logged)
        for tally in tallies_in(reader.take(), expected=expected):
            if days and days[-1].day == tally.day:
                days[-1].add(tally)
            else:
                days.append(tally)
    checked = looked_back(days, expected=expected, n_days=n_days, now=now).report("log" if log is not None else "lake", now=now)
    return Overview(
        data=str(data_dir),
        checked=checked,
        quarantine=tuple(_waiting(data_dir)),
        batches=tuple(Reports(data_dir).newest(BATCHES_SHOWN)),
    )


def _waiting(data_dir: Path) -> list[Waiting]:
    rows: dict[tuple[str, str], list[str]] = {}
    for batch in Quarantine(data_dir / "quarantine").batches():
        for row in batch.rows:
            rows.setdefault((row.reason, batch.lake or "log"), []).append(row.row)
    found = [Waiting(reason=reason, where=where, n=len(of), first_rows=tuple(of[:_ROWS_SHOWN])) for (reason, where), of in rows.items()]
    return sorted(found, key=lambda one: -one.n)

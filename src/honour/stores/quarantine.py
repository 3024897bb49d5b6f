"""Quarantine: rows of files that were refused on their way into the log or a lake, each with its reason, until they are replayed.

One file of JSON lines for each batch that had some, `quarantine/<hash of its content>.ndjson` in the data folder: reading the same
file again adds nothing. A row with a card number is listed without its cells, and cannot be replayed.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec

from honour.errors import MappingBroken
from honour.features.quality import Refusal
from honour.records.event import AttemptReported, Event
from honour.stores.port import EventLog
from honour.stores.tabular import Refuse, read_attempts

_HASH = 16


class Quarantined(msgspec.Struct, frozen=True, kw_only=True):
    """A refused row.

    row    its place in its file; reason: why it was refused
    cells  by column; None when they are not kept
    """

    row: str
    reason: str
    cells: dict[str, Any] | None


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of one batch that are in quarantine.

    lake  place of the lake that they were to go into; None for the event log
    """

    batch: str
    files: tuple[str, ...]
    lake: str | None = None
    rows: tuple[Quarantined, ...]


class Quarantine:
    """The quarantine of a data folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, refusals: Sequence[Refusal], *, files: Sequence[str], lake: str | None = None) -> str | None:
        """Keep refused rows; the name of their batch, or None when there are none. `lake` as in `Batch`."""
        if not refusals:
            return None
        rows = tuple(Quarantined(row=one.row, reason=one.reason, cells=one.cells) for one in refusals)
        place = lake if lake is None or "://" in lake else str(Path(lake).resolve())  # Replays are told from anywhere.
        name = hashlib.sha256(msgspec.json.encode(rows if place is None else (place, rows))).hexdigest()[:_HASH]
        self._write(Batch(batch=name, files=tuple(files), lake=place, rows=rows))
        return name

    def batches(self) -> list[Batch]:
        """Everything in quarantine, the oldest import first."""
        paths = sorted(self._folder.glob("*.ndjson"), key=lambda path: path.stat().st_mtime_ns)
        return [_read(path) for path in paths]

    def leave(self, batch: Batch, refusals: Sequence[Refusal]) -> int:
        """After a replay of `batch`: keep the rows that were refused again, with their new reasons, and those that could not be tried.

        refusals  `row` is the number of a tried row from 1, in the order of the batch
        """
        tried = [row for row in batch.rows if row.cells is not None]
        again = {int(one.row) - 1: one.reason for one in refusals}
        kept = [row for row in batch.rows if row.cells is None]
        kept += [msgspec.structs.replace(row, reason=again[at]) for at, row in enumerate(tried) if at in again]
        if kept:
            self._write(msgspec.structs.replace(batch, rows=tuple(kept)))
        else:
            self._path(batch.batch).unlink()
        return len(kept)

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.ndjson"

    def _write(self, batch: Batch) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._path(batch.batch)
        beside = path.with_suffix(".part")
        head = msgspec.json.encode({"batch": batch.batch, "files": batch.files, "lake": batch.lake})
        beside.write_bytes(b"\n".join([head, *map(msgspec.json.encode, batch.rows)]) + b"\n")
        os.replace(beside, path)


class Replayed(msgspec.Struct, frozen=True, kw_only=True):
    """n_logged, n_landed: attempts that went into the log and into lakes; n_left: rows that stay, refused again or not kept."""

    n_logged: int
    n_landed: int
    n_already_there: int
    n_left: int


def replay(quarantine: Quarantine, log: EventLog, mapping: Path, *, refuse: Refuse | None = None) -> Replayed:
    """Read rows in quarantine once more; what can be used goes where it was to go, the log or a lake, as learned now.

    refuse  as of `read_attempts`
    """
    n_logged = n_landed = n_known = n_left = 0
    with TemporaryDirectory() as folder:
        for batch in quarantine.batches():
            path = Path(folder) / f"{batch.batch}.ndjson"
            if not _write_rows(batch, path):
                n_left += len(batch.rows)
                continue
            try:
                imported = read_attempts([path], mapping, refuse=refuse)
            except MappingBroken:  # It fits no row of this batch, or columns of another file.
                n_left += len(batch.rows)
                continue
            now_us = time.time_ns() // 1_000
            events = [event for event, _ in imported.events]
            if batch.lake is not None:
                n_new = _land(batch.lake, events, now_us=now_us)
                n_landed += n_new
            else:
                n_new = log.append_many([(event, max(now_us, log.last_arrived_us)) for event in events])
                n_logged += n_new
            n_known += len(events) - n_new
            n_left += quarantine.leave(batch, imported.refusals)
    return Replayed(n_logged=n_logged, n_landed=n_landed, n_already_there=n_known, n_left=n_left)


def _land(place: str, events: Sequence[Event], *, now_us: int) -> int:
    """Attempts into a lake that are not there yet, after everything that is; how many were new."""
    from honour.stores.lake import Lake  # Needs Arrow, which an import into the log does without.
    from honour.stores.landing import land_events

    lake = Lake(place)
    known = lake.manifest()
    there: set[str] = set()
    for part in known.partitions if known is not None else ():
        there.update(lake.read_part(part, columns=["attempt_id"])["attempt_id"].to_pylist())
    new = [event for event in events if isinstance(event, AttemptReported) and event.attempt.attempt_id not in there]
    newest = lake.read_part(known.last_day, columns=["arrived_us"])["arrived_us"][-1].as_py() if known and known.last_day else 0
    return land_events(lake, [(event, max(now_us, newest)) for event in new], step=lambda *_: None).n_new


def _write_rows(batch: Batch, path: Path) -> int:
    """The rows that can be replayed, as a file that an import reads; how many they are."""
    rows = [row.cells for row in batch.rows if row.cells is not None]
    path.write_bytes(b"".join(msgspec.json.encode(cells) + b"\n" for cells in rows))
    return len(rows)


def _read(path: Path) -> Batch:
    head, *lines = path.read_bytes().splitlines()
    said = msgspec.json.decode(head)
    rows = tuple(msgspec.json.decode(line, type=Quarantined) for line in lines)
    return Batch(batch=said["batch"], files=tuple(said["files"]), lake=said.get("lake"), rows=rows)

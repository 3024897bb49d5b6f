"""The event log in one SQLite file: WAL, synchronous=FULL, group commit in a background thread (docs/adr/0002).

Events are JSON, so that operations can read them with any SQLite client:

    SELECT seq, kind, json_extract(body, '$.outcome.status') FROM events WHERE payment_id = 'pay_01'
"""

from __future__ import annotations

import fcntl
import os
import queue
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from honour.errors import LogContractBroken, LogUnavailable
from honour.records.event import Event, LoggedEvent, key_of, payment_id_of

FORMAT = 1
BATCH = 5_000
"""Most events of one transaction, and rows read at a time."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS events (
    seq INTEGER PRIMARY KEY, arrived_us INTEGER NOT NULL, kind TEXT NOT NULL, payment_id TEXT, key TEXT UNIQUE, body TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS events_of_payment ON events (payment_id, seq) WHERE payment_id IS NOT NULL;
"""
_INSERT = "INSERT INTO events (seq, arrived_us, kind, payment_id, key, body) VALUES (?, ?, ?, ?, ?, ?)"
_SELECT = "SELECT seq, arrived_us, body FROM events"
_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Event)


class _Pending(NamedTuple):
    era: int
    logged: LoggedEvent
    future: Future[LoggedEvent]


class SqliteLog:
    """An `EventLog` in the file at `path`. One process writes at a time; others may open it with `read_only`.

    bytes_max  size at which the file counts as full; None is the disk's
    """

    def __init__(self, path: Path, *, read_only: bool = False, bytes_max: int | None = None) -> None:
        self._path, self._read_only, self._bytes_max = path, read_only, bytes_max
        self._lock_file = None if read_only else _lock(path)
        self._reader_lock, self._append_lock, self._write_lock = threading.Lock(), threading.Lock(), threading.Lock()
        self._why: str | None = None
        self._last_seq = self._last_arrived_us = 0
        self._era = 0  # Raised by every recovery: what was taken in before one is never written after it.
        self._open()
        self._queue: queue.SimpleQueue[_Pending | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._write_forever, name="event-log", daemon=True)
        if not read_only:
            self._thread.start()

    @property
    def last_seq(self) -> int:
        """Position of the newest event taken in."""
        return self._last_seq

    @property
    def last_arrived_us(self) -> int:
        """Arrival time of the newest event taken in."""
        return self._last_arrived_us

    @property
    def why_unavailable(self) -> str | None:
        """Why nothing can be kept at present, or None."""
        return self._why

    def append(self, event: Event, *, arrived_us: int) -> Future[LoggedEvent]:
        """Take one event in; the future holds it once it is synchronised to disk."""
        with self._append_lock:
            self._check_writable()
            self._last_seq += 1
            self._last_arrived_us = max(arrived_us, self._last_arrived_us)
            pending = _Pending(self._era, LoggedEvent(seq=self._last_seq, arrived_us=self._last_arrived_us, event=event), Future())
            self._queue.put(pending)
        return pending.future

    def append_many(self, events: Iterable[tuple[Event, int]]) -> int:
        """Take in what is new, in transactions of a few thousand; how many were new."""
        n_new, source = 0, iter(events)
        while batch := list(islice(source, BATCH)):
            known = self._known([key for event, _ in batch if (key := key_of(event)) is not None])
            futures = []
            for event, arrived_us in batch:
                key = key_of(event)
                if key is None or key not in known:
                    known.add(key or "")
                    futures.append(self.append(event, arrived_us=arrived_us))
            for future in futures:
                future.result()
            n_new += len(futures)
        return n_new

    def read(self, *, after_seq: int = 0) -> Iterator[LoggedEvent]:
        """Durable events with seq > after_seq, in order, a few thousand in memory at a time."""
        while rows := self._rows(f"{_SELECT} WHERE seq > ? ORDER BY seq LIMIT {BATCH}", after_seq):
            for row in rows:
                yield self._event(row)
            after_seq = rows[-1][0]

    def story(self, payment_id: str) -> list[LoggedEvent]:
        """Durable events of one payment, in order."""
        return [self._event(row) for row in self._rows(f"{_SELECT} WHERE payment_id = ? ORDER BY seq", payment_id)]

    def find(self, key: str) -> LoggedEvent | None:
        """The durable event with this key, or None."""
        rows = self._rows(f"{_SELECT} WHERE key = ?", key)
        return self._event(rows[0]) if rows else None

    def recover(self) -> bool:
        """Open the file anew and try a write; True when it works."""
        with self._append_lock, self._write_lock, self._reader_lock:
            if self._why is None:
                return True
            try:
                self._writer.close()
                self._reader.close()
                self._open()
                with self._writer:
                    self._writer.execute("INSERT INTO meta VALUES ('probe', 1) ON CONFLICT (name) DO UPDATE SET value = value + 1")
            except (sqlite3.Error, OSError) as error:
                self._why = str(error)
                return False
            self._era += 1
            self._why = None
            return True

    def close(self) -> None:
        """Finish what was taken in and let go of the file."""
        if not self._read_only and self._thread.is_alive():
            self._queue.put(None)
            self._thread.join()
        with suppress(sqlite3.Error):
            self._writer.close()
        with suppress(sqlite3.Error):
            self._reader.close()
        if self._lock_file is not None:
            os.close(self._lock_file)
            self._lock_file = None

    def _open(self) -> None:
        if self._read_only and not self._path.exists():
            raise LogContractBroken(f"{self._path}: no event log there. Import attempts or start a server first.")
        self._writer = self._connect()
        if not self._read_only:
            self._writer.executescript(_SCHEMA)
            self._writer.execute("INSERT OR IGNORE INTO meta VALUES ('format', ?)", (FORMAT,))
            self._writer.commit()
        self._reader = self._connect()
        (found,) = self._reader.execute("SELECT value FROM meta WHERE name = 'format'").fetchone()
        if found != FORMAT:
            raise LogContractBroken(f"{self._path}: written in format {found}; this Honour reads {FORMAT}. Use the Honour that wrote it.")
        last = self._reader.execute("SELECT seq, arrived_us FROM events ORDER BY seq DESC LIMIT 1").fetchone()
        self._last_seq, self._last_arrived_us = (int(last[0]), int(last[1])) if last else (0, 0)

    def _connect(self) -> sqlite3.Connection:
        mode = "ro" if self._read_only else "rwc"
        connection = sqlite3.connect(f"file:{self._path}?mode={mode}", uri=True, check_same_thread=False, timeout=10)
        if not self._read_only:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            if self._bytes_max is not None:
                (page_size,) = connection.execute("PRAGMA page_size").fetchone()
                connection.execute(f"PRAGMA max_page_count = {max(1, self._bytes_max // page_size)}")
        return connection

    def _check_writable(self) -> None:
        if self._read_only:
            raise LogContractBroken(f"{self._path}: opened for reading only.")
        if self._why is not None:
            raise LogUnavailable(f"{self._path}: nothing can be kept: {self._why}. Free space or mend the disk; it is tried again by itself.")

    def _write_forever(self) -> None:
        while True:
            batch = [self._queue.get()]
            with suppress(queue.Empty):
                while len(batch) < BATCH:
                    batch.append(self._queue.get_nowait())
            pending = [one for one in batch if one is not None]
            if pending:
                with self._write_lock:
                    self._commit(pending)
            if len(pending) < len(batch):
                return

    def _commit(self, pending: list[_Pending]) -> None:
        """One transaction for all, or none of them."""
        stale = pending[0].era != self._era
        if self._why is None and not stale:
            try:
                with self._writer:
                    self._writer.executemany(_INSERT, [_row(one.logged) for one in pending])
            except sqlite3.IntegrityError as error:
                self._why = f"an event that is there already was appended ({error})"
            except (sqlite3.Error, OSError) as error:
                self._why = str(error)
        if self._why is None and not stale:
            for one in pending:
                one.future.set_result(one.logged)
            return
        refused = LogUnavailable(f"{self._path}: nothing can be kept: {self._why or 'the log was just recovered; send it again'}.")
        for one in pending:
            one.future.set_exception(refused)

    def _known(self, keys: list[str]) -> set[str]:
        found: set[str] = set()
        for start in range(0, len(keys), 500):
            part = keys[start : start + 500]
            found.update(row[0] for row in self._rows(f"SELECT key FROM events WHERE key IN ({','.join('?' * len(part))})", *part))
        return found

    def _rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with self._reader_lock:
            return self._reader.execute(query, values).fetchall()

    def _event(self, row: tuple[Any, ...]) -> LoggedEvent:
        seq, arrived_us, body = row
        try:
            return LoggedEvent(seq=seq, arrived_us=arrived_us, event=_decoder.decode(body))
        except msgspec.DecodeError as error:
            raise LogContractBroken(f"{self._path}: event {seq} cannot be read: {error}. Restore the file from a backup.") from None


def _row(logged: LoggedEvent) -> tuple[int, int, str, str | None, str | None, str]:
    event = logged.event
    kind = type(event).__struct_config__.tag
    return logged.seq, logged.arrived_us, str(kind), payment_id_of(event), key_of(event), _encoder.encode(event).decode()


def _lock(path: Path) -> int:
    """Hold the right to write; the kernel lets go of it when the process ends, however it ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        raise LogUnavailable(f"{path}: another process writes to this log. Stop it, or use another data folder.") from None
    return handle

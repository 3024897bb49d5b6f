"""The event log in one SQLite file: WAL, synchronous=FULL, group commit in a background thread (docs/adr/0002).

Events are JSON, so that operations can read them with any SQLite client:

    SELECT seq, kind, json_extract(body, '$.outcome.status') FROM events WHERE payment_id = 'pay_01'

Whoever appends gets the position at once, and the writer takes everything that waits in one commit. A key that is there already is
refused before it gets a position, so that positions have no gaps. When a commit fails, everything that waits fails with it: what was
given a position and is not durable is never written, until `recover` has read anew where the file ends.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from honour.errors import Contradiction, LogContractBroken, LogUnavailable
from honour.records.event import Event, LoggedEvent, key_of, payment_id_of

FORMAT = 1
BATCH = 5_000
"""Events of one commit of a bulk import, and rows read at a time."""

_SCHEMA = """
BEGIN;
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS events (
    seq INTEGER PRIMARY KEY, arrived_us INTEGER NOT NULL, kind TEXT NOT NULL, payment_id TEXT, key TEXT UNIQUE, body TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS events_of_payment ON events (payment_id, seq) WHERE payment_id IS NOT NULL;
INSERT OR IGNORE INTO meta VALUES ('format', {format});
COMMIT;
"""
_INSERT = "INSERT INTO events (seq, arrived_us, kind, payment_id, key, body) VALUES (?, ?, ?, ?, ?, ?)"
_SELECT = "SELECT seq, arrived_us, body FROM events"
_PROBE_BYTES = 65_536  # A page might fit where no event does.
_LARGEST = 2**63 - 1
_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Event)
_Row = tuple[int, int, str, str | None, str | None, str]


class _Pending(NamedTuple):
    """An event on its way to the file; in bulk only the last one has somebody waiting for it."""

    row: _Row
    logged: LoggedEvent
    future: Future[LoggedEvent] | None


class SqliteLog:
    """An `EventLog` in the file at `path`. One process writes at a time; others may open it with `read_only`.

    bytes_max  size at which the file counts as full; None is the disk's
    """

    def __init__(self, path: Path, *, read_only: bool = False, bytes_max: int | None = None) -> None:
        self._path, self._read_only, self._bytes_max = path, read_only, bytes_max
        self._lock = threading.Lock()  # Guards everything below but the writer's connection.
        self._wake = threading.Condition(self._lock)
        self._pending: list[_Pending] = []
        self._in_flight: dict[str, LoggedEvent] = {}
        self._why: str | None = None
        self._closed = False
        self._last_seq = self._last_arrived_us = 0
        self._lock_file = None if read_only else _hold(path)
        try:
            self._open()
        except BaseException:
            self._let_go()
            raise
        self._thread = threading.Thread(target=self._write_forever, name="event-log", daemon=True)
        if not read_only:
            self._thread.start()

    @property
    def last_seq(self) -> int:
        """Position of the newest event taken in; when reading only, of the newest durable one."""
        return self._end()[0] if self._read_only else self._last_seq

    @property
    def last_arrived_us(self) -> int:
        """Arrival time of that event."""
        return self._end()[1] if self._read_only else self._last_arrived_us

    @property
    def why_unavailable(self) -> str | None:
        """Why nothing can be kept at present, or None."""
        return self._why

    def append(self, event: Event, *, arrived_us: int) -> Future[LoggedEvent]:
        """Take one event in; the future holds it once it is synchronised to disk. It cannot be cancelled."""
        future: Future[LoggedEvent] = Future()
        future.set_running_or_notify_cancel()  # One who stops waiting must not stop the writer.
        key, body = key_of(event), _encoder.encode(event).decode()
        with self._wake:
            self._check_writable()
            if key is not None and (key in self._in_flight or self._look("SELECT 1 FROM events WHERE key = ?", key)):
                raise Contradiction(f"the log holds an event with key {key!r} already; the first stands.")
            self._take(event, key=key, body=body, arrived_us=arrived_us, future=future)
            self._wake.notify()
        return future

    def append_many(self, events: Iterable[tuple[Event, int]], *, progress: Callable[[int], None] | None = None) -> int:
        """Take in what is new, in commits of a few thousand; how many were new. `progress` gets how many were looked at so far."""
        n_new, n_seen, source = 0, 0, iter(events)
        while batch := list(islice(source, BATCH)):
            coded = [(event, arrived_us, key_of(event), _encoder.encode(event).decode()) for event, arrived_us in batch]
            durable: Future[LoggedEvent] = Future()
            durable.set_running_or_notify_cancel()
            with self._wake:
                self._check_writable()
                known = {*self._in_flight, *self._known([key for _, _, key, _ in coded if key is not None])}
                new: list[tuple[Event, int, str | None, str]] = []
                for one in coded:
                    if (key := one[2]) is None or key not in known:
                        new.append(one)
                        if key is not None:
                            known.add(key)
                for at, (event, arrived_us, key, body) in enumerate(new, start=1):
                    self._take(event, key=key, body=body, arrived_us=arrived_us, future=durable if at == len(new) else None)
                self._wake.notify()
            if new:
                durable.result()
            n_new, n_seen = n_new + len(new), n_seen + len(batch)
            if progress is not None:
                progress(n_seen)
        return n_new

    def read(self, *, after_seq: int = 0) -> Iterator[LoggedEvent]:
        """Events with seq > after_seq that are durable when reading starts, in order, a few thousand in memory at a time."""
        with self._readable():
            connection = self._connect(writes=False)
            try:
                (last,) = connection.execute("SELECT coalesce(max(seq), 0) FROM events").fetchone()
                while after_seq < last:
                    rows = connection.execute(f"{_SELECT} WHERE seq > ? ORDER BY seq LIMIT {BATCH}", (after_seq,)).fetchall()
                    for row in rows[: last - after_seq]:
                        after_seq += 1
                        if row[0] != after_seq:
                            raise LogContractBroken(f"{self._path}: event {after_seq} is missing. Restore the file from a backup.")
                        yield self._event(row)
            finally:
                connection.close()

    def story(self, payment_id: str) -> list[LoggedEvent]:
        """Durable events of one payment, in order."""
        with self._lock:
            rows = self._look(f"{_SELECT} WHERE payment_id = ? ORDER BY seq", payment_id)
        return [self._event(row) for row in rows]

    def find(self, key: str) -> LoggedEvent | None:
        """The event with this key, also when it was taken in and is not durable yet; or None."""
        with self._lock:
            if (logged := self._in_flight.get(key)) is not None:
                return logged
            rows = self._look(f"{_SELECT} WHERE key = ?", key)
        return self._event(rows[0]) if rows else None

    def recover(self) -> bool:
        """Open the file anew and try a write; True when it works. `last_seq` is then what is durable."""
        with self._lock:
            if self._why is None or self._closed:
                return not self._closed
            self._close_connections()
            try:
                self._open()
                self._writer.execute("INSERT OR REPLACE INTO meta VALUES ('probe', zeroblob(?))", (_PROBE_BYTES,))
                self._writer.execute("DELETE FROM meta WHERE name = 'probe'")
            except (sqlite3.Error, OSError, LogUnavailable) as error:
                self._why = str(error)
                return False
            self._why = None
            return True

    def close(self) -> None:
        """Finish what was taken in and let go of the file."""
        with self._wake:
            self._closed = True
            self._wake.notify()
        if self._thread.is_alive():
            self._thread.join()
        with self._lock:
            self._close_connections()
            self._let_go()

    def _open(self) -> None:
        if self._read_only and not self._path.exists():
            raise LogContractBroken(f"{self._path}: no event log there. Import attempts or start a server first.")
        is_new = not self._path.exists()
        with self._readable():
            self._looker = self._connect(writes=not self._read_only)
            self._check_format(self._looker)
            if not self._read_only:
                (mode,) = self._looker.execute("PRAGMA journal_mode = WAL").fetchone()
                if mode != "wal":
                    raise LogUnavailable(f"{self._path}: this file system gives journal mode {mode}, not WAL. Use a local disk.")
                self._writer = self._connect(writes=True)
                self._writer.executescript(_SCHEMA.format(format=FORMAT))
            if is_new:
                _synchronise_folder(self._path.parent)
            last = self._looker.execute("SELECT seq, arrived_us FROM events ORDER BY seq DESC LIMIT 1").fetchone()
        self._last_seq, self._last_arrived_us = (int(last[0]), int(last[1])) if last else (0, 0)

    def _check_format(self, connection: sqlite3.Connection) -> None:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
        if not tables and not self._read_only:
            return
        if not {"meta", "events"} <= tables:
            raise LogContractBroken(f"{self._path}: not an event log of Honour. Name another data folder.")
        (found,) = connection.execute("SELECT value FROM meta WHERE name = 'format'").fetchone() or (None,)
        if found != FORMAT:
            raise LogContractBroken(f"{self._path}: written in format {found}; this Honour reads {FORMAT}. Use the Honour that wrote it.")

    def _connect(self, *, writes: bool) -> sqlite3.Connection:
        mode = "rwc" if writes else "ro"
        address = f"{self._path.absolute().as_uri()}?mode={mode}"
        connection = sqlite3.connect(address, uri=True, check_same_thread=False, timeout=10, isolation_level=None)
        connection.execute("PRAGMA synchronous = FULL")
        if writes and self._bytes_max is not None:
            (page_size,) = connection.execute("PRAGMA page_size").fetchone()
            connection.execute(f"PRAGMA max_page_count = {max(1, self._bytes_max // page_size)}")
        return connection

    def _close_connections(self) -> None:
        for name in ("_writer", "_looker"):
            if (connection := getattr(self, name, None)) is not None:
                with suppress(sqlite3.Error):
                    connection.close()

    def _let_go(self) -> None:
        if self._lock_file is not None:
            os.close(self._lock_file)
            self._lock_file = None

    def _check_writable(self) -> None:
        if self._read_only:
            raise LogContractBroken(f"{self._path}: opened for reading only.")
        if self._closed:
            raise LogUnavailable(f"{self._path}: the log is closed. Nothing was accepted.")
        if self._why is not None:
            raise self._refusal()

    def _refusal(self) -> LogUnavailable:
        return LogUnavailable(f"{self._path}: {self._why}. Nothing was accepted. Make room or mend the disk; it is tried again by itself.")

    def _take(self, event: Event, *, key: str | None, body: str, arrived_us: int, future: Future[LoggedEvent] | None) -> None:
        """Give the event its place. The lock is held."""
        arrived_us = max(arrived_us, self._last_arrived_us)
        if arrived_us > _LARGEST:
            raise LogContractBroken(f"arrived_us is {arrived_us}; it must fit 64 bits. Pass microseconds since 1970.")
        logged = LoggedEvent(seq=self._last_seq + 1, arrived_us=arrived_us, event=event)
        self._last_seq, self._last_arrived_us = logged.seq, arrived_us
        if key is not None:
            self._in_flight[key] = logged
        kind = str(type(event).__struct_config__.tag)
        self._pending.append(_Pending((logged.seq, arrived_us, kind, payment_id_of(event), key, body), logged, future))

    def _write_forever(self) -> None:
        while True:
            with self._wake:
                while not self._pending and not self._closed:
                    self._wake.wait()
                batch, self._pending = self._pending, []
            if not batch:
                return
            try:
                self._commit([one.row for one in batch])
            except Exception as error:  # Whatever it was, nobody may wait for ever.
                self._fail(batch, why=str(error))
                continue
            with self._lock:
                for one in batch:
                    self._in_flight.pop(one.row[4] or "", None)
            for one in batch:
                if one.future is not None:
                    one.future.set_result(one.logged)

    def _commit(self, rows: Sequence[_Row]) -> None:
        """All of them in one commit, or none."""
        try:
            self._writer.execute("BEGIN IMMEDIATE")
            self._writer.executemany(_INSERT, rows)
            self._writer.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                self._writer.execute("ROLLBACK")
            raise

    def _fail(self, batch: list[_Pending], *, why: str) -> None:
        """Keep nothing more: what waits behind the batch has positions that build on it."""
        with self._lock:
            self._why = why
            waiting = batch + self._pending
            self._pending = []
            self._in_flight.clear()
            refusal = self._refusal()
        for one in waiting:
            if one.future is not None:
                one.future.set_exception(refusal)

    def _known(self, keys: Sequence[str]) -> set[str]:
        """Those of `keys` that are in the file. The lock is held."""
        found: set[str] = set()
        for start in range(0, len(keys), 500):
            part = keys[start : start + 500]
            found.update(row[0] for row in self._look(f"SELECT key FROM events WHERE key IN ({','.join('?' * len(part))})", *part))
        return found

    def _look(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Rows of a query. The lock is held."""
        with self._readable():
            return self._looker.execute(query, values).fetchall()

    def _end(self) -> tuple[int, int]:
        with self._lock:
            rows = self._look("SELECT seq, arrived_us FROM events ORDER BY seq DESC LIMIT 1")
        return (int(rows[0][0]), int(rows[0][1])) if rows else (0, 0)

    @contextmanager
    def _readable(self) -> Iterator[None]:
        """Errors of SQLite as those of Honour: what another try may mend, and what it will not."""
        try:
            yield
        except (sqlite3.OperationalError, sqlite3.ProgrammingError, OSError) as error:
            raise LogUnavailable(f"{self._path}: {error}. Check that the folder is there, may be written to, and has room.") from error
        except sqlite3.DatabaseError as error:
            raise LogContractBroken(f"{self._path}: {error}. Restore the file from a backup.") from error

    def _event(self, row: tuple[Any, ...]) -> LoggedEvent:
        seq, arrived_us, body = row
        try:
            return LoggedEvent(seq=seq, arrived_us=arrived_us, event=_decoder.decode(body))
        except msgspec.DecodeError as error:
            raise LogContractBroken(f"{self._path}: event {seq} cannot be read: {error}. Restore the file from a backup.") from None


def _hold(path: Path) -> int:
    """Hold the right to write; the kernel lets go of it when the process ends, however it ends."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise LogUnavailable(f"{path}: {error.strerror}. Name a data folder that may be written to.") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        raise LogUnavailable(f"{path}: another process writes to this log. Stop it, or use another data folder.") from None
    return handle


def _synchronise_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

"""The event log in one SQLite file: WAL, synchronous=FULL (docs/adr/0002).

Events are JSON, so that operations can read them with any SQLite client:

    SELECT seq, kind, json_extract(body, '$.outcome.status') FROM events WHERE payment_id = 'pay_01'
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import Any

from honour.errors import LogContractBroken, LogUnavailable
from honour.stores.checkpoint import PAGE_BYTES, PAGES_MAX, Checkpointer
from honour.stores.rows import BATCH, Row, Stored
from honour.stores.shared_log import SharedLog
from honour.stores.turn import FileTurn

FORMAT = 1

_SCHEMA = """
BEGIN;
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS events (
    seq INTEGER PRIMARY KEY, arrived_us INTEGER NOT NULL, kind TEXT NOT NULL, payment_id TEXT, key TEXT UNIQUE, body TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS events_of_payment ON events (payment_id, seq) WHERE payment_id IS NOT NULL;
INSERT OR IGNORE INTO meta VALUES ('format', {format});
COMMIT;
"""
_INSERT = "INSERT INTO events (seq, arrived_us, kind, payment_id, key, body) VALUES "
_ROW = "(?, ?, ?, ?, ?, ?)"
_AT_ONCE = 64
"""Rows of one statement. Each statement lets go of Python's lock and has to wait for it again, so that few of them keep a commit short."""
_SELECT = "SELECT seq, arrived_us, body FROM events"
_END = "SELECT seq, arrived_us FROM events ORDER BY seq DESC LIMIT 1"
_PROBE_BYTES = 65_536  # A page might fit where no event does.


def sqlite_log(path: Path, *, read_only: bool = False, bytes_max: int | None = None) -> SharedLog:
    """The event log in the file at `path`. Any number of processes on this machine may open it, `read_only` or to append.

    bytes_max  size at which the file counts as full; None is the disk's
    """
    turn = None if read_only else FileTurn(path)
    return SharedLog(SqliteRows(path, read_only=read_only, bytes_max=bytes_max), turn=turn)


class SqliteRows:
    """`Rows` in the file at `path`: one connection that looks, one that writes."""

    def __init__(self, path: Path, *, read_only: bool = False, bytes_max: int | None = None) -> None:
        self.name = str(path)
        self.is_away, self.n_journaled = False, 0
        self.bytes_max = bytes_max
        self._path, self._read_only = path, read_only
        self._looker: sqlite3.Connection | None = None
        self._writer: sqlite3.Connection | None = None
        self._checkpointer: Checkpointer | None = None

    def open(self) -> None:
        """Connect; make what is not there, check what is."""
        if self._read_only and not self._path.exists():
            raise LogContractBroken(f"{self._path}: no event log there. Import attempts or start a server first.")
        is_new = not self._path.exists()
        with self._errors():
            if is_new:
                _begin(self._path)
            self._looker = self._connect(writes=not self._read_only)
            self._check_format(self._looker)
            if not self._read_only:
                (mode,) = self._looker.execute("PRAGMA journal_mode = WAL").fetchone()
                if mode != "wal":
                    raise LogUnavailable(f"{self._path}: this file system gives journal mode {mode}, not WAL. Use a local disk.")
                self._writer = self._connect(writes=True)
                self._writer.executescript(_SCHEMA.format(format=FORMAT))
                self._writer.execute(f"PRAGMA wal_autocheckpoint = {PAGES_MAX}")
                self._checkpointer = Checkpointer(lambda: self._connect(writes=True))
            if is_new:
                _synchronise_folder(self._path.parent)

    def close(self) -> None:
        """Let go of the connections."""
        if self._checkpointer is not None:
            self._checkpointer.close()
            self._checkpointer = None
        for connection in (self._writer, self._looker):
            if connection is not None:
                with suppress(sqlite3.Error):
                    connection.close()

    def write(self, rows: Sequence[Row]) -> None:
        """All of them in one commit, or none."""
        writer = self._writing()
        if len(rows) <= _AT_ONCE:
            if rows:
                _insert(writer, rows)  # A statement alone is a commit.
        else:
            _insert_many(writer, rows)
        if self._checkpointer is not None:
            self._checkpointer.wrote(sum([len(row[5]) for row in rows]))

    def probe(self) -> None:
        """Write something as large as an event and take it away."""
        writer = self._writing()
        with self._errors():
            writer.execute("INSERT OR REPLACE INTO meta VALUES ('probe', zeroblob(?))", (_PROBE_BYTES,))
            writer.execute("DELETE FROM meta WHERE name = 'probe'")

    def end(self) -> tuple[int, int]:
        """Position and arrival time of the last event.

        Asked at the beginning of a turn, when nothing is written: the connection that writes has the last pages still, the other one
        would have to read them again.
        """
        rows = self._look(_END, on=self._writer)
        return (int(rows[0][0]), int(rows[0][1])) if rows else (0, 0)

    def after(self, seq: int, *, n_max: int) -> list[Stored]:
        """Durable events after a position, in order."""
        return self._look(f"{_SELECT} WHERE seq > ? ORDER BY seq LIMIT ?", seq, n_max)

    def count(self) -> int:
        """How many events there are."""
        return int(self._look("SELECT count(*) FROM events")[0][0])

    def oldest(self, *, n_max: int) -> list[Row]:
        """The first ones, whole."""
        return self._look("SELECT seq, arrived_us, kind, payment_id, key, body FROM events ORDER BY seq LIMIT ?", n_max)

    def drop(self, seq: int) -> None:
        """Take away the events up to a position: for a journal, whose events are elsewhere by then."""
        with self._errors():
            self._writing().execute("DELETE FROM events WHERE seq <= ?", (seq,))

    def of_payment(self, payment_id: str) -> list[Stored]:
        """Durable events of one payment, in order."""
        return self._look(f"{_SELECT} WHERE payment_id = ? ORDER BY seq", payment_id)

    def of_key(self, key: str) -> Stored | None:
        """The durable event with this key."""
        rows: list[Stored] = self._look(f"{_SELECT} WHERE key = ?", key)
        return rows[0] if rows else None

    def known(self, keys: Sequence[str]) -> set[str]:
        """Those of the keys that durable events have."""
        found: set[str] = set()
        for start in range(0, len(keys), 500):
            part = keys[start : start + 500]
            found.update(row[0] for row in self._look(f"SELECT key FROM events WHERE key IN ({','.join('?' * len(part))})", *part))
        return found

    def scan(self, after_seq: int) -> Iterator[Stored]:
        """Events after a position that are durable when the reading starts, in order, on a connection of its own."""
        with self._errors():
            connection = self._connect(writes=False)
            try:
                (last,) = connection.execute("SELECT coalesce(max(seq), 0) FROM events").fetchone()
                while after_seq < last:
                    found = connection.execute(f"{_SELECT} WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT {BATCH}", (after_seq, last))
                    rows = found.fetchall()
                    yield from rows
                    after_seq = rows[-1][0]
            finally:
                connection.close()

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
        if writes and self.bytes_max is not None:
            (page_size,) = connection.execute("PRAGMA page_size").fetchone()
            connection.execute(f"PRAGMA max_page_count = {max(1, self.bytes_max // page_size)}")
        return connection

    def _writing(self) -> sqlite3.Connection:
        if self._writer is None:
            raise LogUnavailable(f"{self._path}: not open for writing.")
        return self._writer

    def _look(self, query: str, *values: object, on: sqlite3.Connection | None = None) -> list[Any]:
        """Rows of a query."""
        if self._looker is None:
            raise LogUnavailable(f"{self._path}: not open.")
        with self._errors():
            return (on or self._looker).execute(query, values).fetchall()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Errors of SQLite as those of Honour: what another try may mend, and what it will not."""
        try:
            yield
        except (sqlite3.OperationalError, sqlite3.ProgrammingError, OSError) as error:
            raise LogUnavailable(f"{self._path}: {error}. Check that the folder is there, may be written to, and has room.") from error
        except sqlite3.DatabaseError as error:
            raise LogContractBroken(f"{self._path}: {error}. Restore the file from a backup.") from error


def _begin(path: Path) -> None:
    """An empty file whose pages are large enough for a decision, so that writing one is writing one page."""
    connection = sqlite3.connect(path)
    try:
        connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        connection.execute("PRAGMA journal_mode = WAL")
    finally:
        connection.close()


def _insert_many(writer: sqlite3.Connection, rows: Sequence[Row]) -> None:
    try:
        writer.execute("BEGIN IMMEDIATE")
        for start in range(0, len(rows), _AT_ONCE):
            _insert(writer, rows[start : start + _AT_ONCE])
        writer.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):
            writer.execute("ROLLBACK")
        raise


def _insert(writer: sqlite3.Connection, rows: Sequence[Row]) -> None:
    writer.execute(_INSERT + ", ".join([_ROW] * len(rows)), list(chain.from_iterable(rows)))


def _synchronise_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

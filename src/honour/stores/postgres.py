"""The event log in PostgreSQL, for servers on several machines (docs/adr/0012).

Events are JSON text, so that operations can read them with any client:

    SELECT seq, kind, body::jsonb #>> '{outcome,status}' FROM honour_events WHERE payment_id = 'pay_01'

The turn is a lock that PostgreSQL gives to a session, and only that session writes. So whoever loses the lock, because the server was
restarted or the network cut, has lost the means to write as well.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit

import structlog

from honour.errors import BadSettings, LogContractBroken, LogUnavailable
from honour.stores.line import Line
from honour.stores.rows import BATCH, Row, Stored

FORMAT = 1
ADDRESSES = ("postgresql", "postgres")
LOOK_LIMIT_S = 60.0
"""A read of some thousand events may take as long as this."""
TURN_LIMIT_S = 5.0
"""Whoever keeps the turn for longer than this, while another waits for it, is put out: it hangs, or its machine is gone."""
_LOCK_WAIT_MS = 200
"""Waits for locks are this short so that a server that is away is told from a lock that is taken."""
_WANTED_EVERY_S = 0.002

_SCHEMA = """
CREATE TABLE IF NOT EXISTS honour_meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS honour_events (
    seq BIGINT PRIMARY KEY, arrived_us BIGINT NOT NULL, kind TEXT NOT NULL, payment_id TEXT, key TEXT UNIQUE, body TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS honour_events_of_payment ON honour_events (payment_id, seq) WHERE payment_id IS NOT NULL;
"""
_COPY = "COPY honour_events (seq, arrived_us, kind, payment_id, key, body) FROM STDIN"
_SELECT = "SELECT seq, arrived_us, body FROM honour_events"
_END = "SELECT seq, arrived_us FROM honour_events ORDER BY seq DESC LIMIT 1"
_DOOR, _ROOM, _LEADER = 1, 2, 3
_PUT_OUT = """
SELECT pg_terminate_backend(pid) FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND classid = %s::int::oid AND objid = %s::int::oid AND objsubid = 2 AND granted AND pid <> pg_backend_pid()
  AND state_change < clock_timestamp() - make_interval(secs => %s)
"""
_PROBE_BYTES = 65_536

_log = structlog.get_logger("honour")


def name_of(address: str) -> str:
    """Where a log is, as messages may say it: without user, password and options. BadSettings for what is no address."""
    parts = urlsplit(address)
    if parts.scheme not in ADDRESSES:
        raise BadSettings("data.log: not an address of PostgreSQL. Allowed: postgresql://USER@HOST:PORT/DATABASE.")
    return f"postgresql://{parts.netloc.rpartition('@')[2]}{parts.path}"


class PostgresTurn:
    """Turns by advisory locks of one session, which is also the only one that writes: all servers of one database, on any machine.

    limit_s     seconds without an answer after which the server counts as away
    n_sessions  sessions so far: another number, another session, which holds nothing yet
    """

    def __init__(self, address: str, *, limit_s: float) -> None:
        self.n_sessions = 0
        self.line = Line(address, name=name_of(address), limit_s=limit_s)
        self._leads = False
        self._asked_at = 0.0
        self._is_wanted = False
        self._class = 0

    def take(self, *, wait: bool) -> bool:
        """Have the turn; False when another process has it, or waits for it, and `wait` is False."""
        if not self.line.is_open:
            self._connect()
        try:
            return self._take(wait=wait)
        except LogUnavailable:
            if self.line.is_open or self.line.was_cut:
                raise
        self._connect()  # The server was started again meanwhile, say.
        return self._take(wait=wait)

    def give(self) -> None:
        """Let the next one have it."""
        self._ask("SELECT pg_advisory_unlock(%s, %s)", self._class, _ROOM)

    def was_last(self) -> bool:
        """Not known: the store is asked where the log ends."""
        return False

    def note(self) -> None:
        """Nothing is noted."""

    def is_wanted(self) -> bool:
        """Somebody stood at the door a moment ago."""
        now = time.monotonic()
        if now - self._asked_at > _WANTED_EVERY_S:
            self._asked_at = now
            try:
                self._is_wanted = not self._tried("pg_try_advisory_lock_shared", _DOOR)
                if not self._is_wanted:
                    self._ask("SELECT pg_advisory_unlock_shared(%s, %s)", self._class, _DOOR)
            except LogUnavailable:
                self._is_wanted = True
        return self._is_wanted

    def leads(self) -> bool:
        """Whether this session does what only one should do; with it, that ends."""
        if self._leads and self.line.is_open:
            return True
        self._leads = self.line.is_open and self._tried("pg_try_advisory_lock", _LEADER)
        return self._leads

    def stop_leading(self) -> None:
        """Let another one do it."""
        if self._leads:
            self._leads = False
            self._ask("SELECT pg_advisory_unlock(%s, %s)", self._class, _LEADER)

    def close(self) -> None:
        """Let go of everything."""
        self.line.close()

    def _connect(self) -> None:
        self._leads = False
        self.line.connect()
        self.n_sessions += 1
        with self.line.use() as session:
            (schema, encoding, synchronous), *_ = session.execute(
                "SELECT current_schema(), current_setting('server_encoding'), current_setting('synchronous_commit')"
            ).fetchall()
            if schema is None or encoding != "UTF8":
                raise LogContractBroken(
                    f"{self.line.name}: a schema to write in and the encoding UTF8 are needed; found {schema}, {encoding}."
                )
            if synchronous == "off":
                session.execute("SET synchronous_commit = on")  # An answer leaves when its event is durable.
            session.execute(f"SET lock_timeout = {_LOCK_WAIT_MS}")
        self._class = zlib.crc32(f"honour\x1f{schema}".encode()) >> 1

    def _take(self, *, wait: bool) -> bool:
        if not wait:
            if not self._tried("pg_try_advisory_lock", _DOOR):
                return False
            try:
                return self._tried("pg_try_advisory_lock", _ROOM)
            finally:
                self._ask("SELECT pg_advisory_unlock(%s, %s)", self._class, _DOOR)
        began = time.monotonic()
        while not self._entered():
            if time.monotonic() - began > TURN_LIMIT_S:
                self._put_out()
                began = time.monotonic()
        self._asked_at, self._is_wanted = time.monotonic(), False
        return True

    def _entered(self) -> bool:
        """Wait at the door and for the room, for a moment."""
        from psycopg.errors import LockNotAvailable

        at = (self._class,)
        try:
            with self.line.use() as session, session.pipeline():
                session.execute("SELECT pg_advisory_lock(%s, 1)", at)
                session.execute("SELECT pg_advisory_lock(%s, 2)", at)
                session.execute("SELECT pg_advisory_unlock(%s, 1)", at)
        except LockNotAvailable:
            # Whichever of the two it was: a lock of a session outlives the statement that failed.
            self._ask("SELECT pg_advisory_unlock(%s, %s)", self._class, _DOOR)
            return False
        return True

    def _put_out(self) -> None:
        """End sessions that have hung in the turn, or at the door; what they had not committed is rolled back, and they cannot write."""
        for which in (_ROOM, _DOOR):
            with self.line.use() as session:
                n_ended = len(session.execute(_PUT_OUT, (self._class, which, TURN_LIMIT_S)).fetchall())
            if n_ended:
                _log.warning("turn_ended", why=f"a server kept the turn for more than {TURN_LIMIT_S:g} s")
                return

    def _tried(self, how: str, which: int) -> bool:
        return bool(self._ask(f"SELECT {how}(%s, %s)", self._class, which))

    def _ask(self, query: str, *values: object) -> Any:
        with self.line.use() as session:
            row = session.execute(query, values).fetchone()
        return row[0] if row else None


class PostgresRows:
    """`Rows` in the database at `address`: a session that looks, and that of the turn, which writes. Without a turn it only looks."""

    def __init__(self, address: str, *, turn: PostgresTurn | None, limit_s: float) -> None:
        self.name = name_of(address)
        self.is_away, self.n_journaled = False, 0
        self._address, self._turn, self._limit_s = address, turn, limit_s
        self._looker: Line | None = None

    def open(self) -> None:
        """Connect; make what is not there, check what is."""
        self._looker = Line(self._address, name=self.name, limit_s=self._limit_s)
        self._looker.connect()
        there = {
            name
            for (name,) in self._look(
                "SELECT relname FROM pg_class WHERE oid IN (to_regclass('honour_meta'), to_regclass('honour_events'))"
            )
        }
        if not there:
            if self._turn is None:
                raise LogContractBroken(f"{self.name}: no event log there. Import attempts or start a server first.")
            with self._turn.line.use(limit_s=LOOK_LIMIT_S) as session:
                session.execute(_SCHEMA, prepare=False)  # All of it, or nothing.
                session.execute("INSERT INTO honour_meta VALUES ('format', %s) ON CONFLICT DO NOTHING", (str(FORMAT),))
        elif len(there) == 1:
            raise LogContractBroken(f"{self.name}: only half an event log is there. Restore the database from a backup.")
        found = self.meta("format")
        if found != str(FORMAT):
            raise LogContractBroken(f"{self.name}: written in format {found}; this Honour reads {FORMAT}. Use the Honour that wrote it.")

    def close(self) -> None:
        """Let go of the session that looks."""
        if self._looker is not None:
            self._looker.close()
            self._looker = None

    def write(self, rows: Sequence[Row]) -> None:
        """All of them in one commit, or none."""
        with self._writing().use() as session, session.cursor() as cursor, cursor.copy(_COPY) as copy:
            for row in rows:
                copy.write_row(row)

    def probe(self) -> None:
        """Write something as large as an event and take it away."""
        with self._writing().use() as session:
            session.execute("INSERT INTO honour_meta VALUES ('probe', repeat('x', %s)) ON CONFLICT DO NOTHING", (_PROBE_BYTES,))
            session.execute("DELETE FROM honour_meta WHERE name = 'probe'")

    def end(self) -> tuple[int, int]:
        """Position and arrival time of the last event."""
        rows = self._look(_END)
        return (rows[0][0], rows[0][1]) if rows else (0, 0)

    def after(self, seq: int, *, n_max: int) -> list[Stored]:
        """Durable events after a position, in order."""
        return self._look(f"{_SELECT} WHERE seq > %s ORDER BY seq LIMIT %s", seq, n_max)

    def of_payment(self, payment_id: str) -> list[Stored]:
        """Durable events of one payment, in order."""
        return self._look(f"{_SELECT} WHERE payment_id = %s ORDER BY seq", payment_id)

    def of_key(self, key: str) -> Stored | None:
        """The durable event with this key."""
        rows = self._look(f"{_SELECT} WHERE key = %s", key)
        return rows[0] if rows else None

    def known(self, keys: Sequence[str]) -> set[str]:
        """Those of the keys that durable events have."""
        return {key for (key,) in self._look("SELECT key FROM honour_events WHERE key = ANY(%s)", list(keys))} if keys else set()

    def scan(self, after_seq: int) -> Iterator[Stored]:
        """Events after a position that are durable when the reading starts, in order, on a session of its own."""
        line = Line(self._address, name=self.name, limit_s=LOOK_LIMIT_S)
        try:
            line.connect()
            with line.use() as session:
                (last,) = session.execute("SELECT coalesce(max(seq), 0) FROM honour_events").fetchone() or (0,)
            while after_seq < last:
                with line.use() as session:
                    found = session.execute(f"{_SELECT} WHERE seq > %s AND seq <= %s ORDER BY seq LIMIT {BATCH}", (after_seq, last))
                    rows = found.fetchall()
                if not rows:
                    raise LogContractBroken(f"{self.name}: event {after_seq + 1} is missing. Restore the log from a backup.")
                yield from rows
                after_seq = rows[-1][0]
        finally:
            line.close()

    def meta(self, name: str) -> str | None:
        """What is noted beside the events under a name."""
        rows = self._look("SELECT value FROM honour_meta WHERE name = %s", name)
        return str(rows[0][0]) if rows else None

    def note(self, name: str, value: str | None) -> None:
        """Note something beside the events; None takes it away."""
        with self._writing().use() as session:
            session.execute("DELETE FROM honour_meta WHERE name = %s", (name,))
            if value is not None:
                session.execute("INSERT INTO honour_meta VALUES (%s, %s)", (name, value))

    def _writing(self) -> Line:
        if self._turn is None:
            raise LogUnavailable(f"{self.name}: not open for writing.")
        return self._turn.line

    def _look(self, query: str, *values: object) -> list[Any]:
        """Rows of a query; asked again on a new session when the one before was ended, unless it took too long."""
        if self._looker is None:
            raise LogUnavailable(f"{self.name}: not open.")
        try:
            with self._looker.use() as session:
                return session.execute(query, values).fetchall()
        except LogUnavailable:
            if self._looker.is_open or self._looker.was_cut:
                raise
        self._looker.connect()
        with self._looker.use() as session:
            return session.execute(query, values).fetchall()

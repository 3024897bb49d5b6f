"""A connection to PostgreSQL on which nothing takes longer than a limit, whatever has happened to the server.

PostgreSQL's own limits are of no use when the server is stopped, or a cable is pulled: nobody is there to keep them. So a thread of
our own cuts a connection that takes too long, and whoever waits on it gets an error at once.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from honour.errors import BadSettings, LogContractBroken, LogUnavailable

if TYPE_CHECKING:
    import psycopg

    Connection = psycopg.Connection[tuple[Any, ...]]

MISSING = "data.log: psycopg is not installed. Install it with `pip install 'honour[postgres]'`."


class Line:
    """One connection to the database at `address`, made by `connect` only: what was held by a session is known to be held by it.

    name     for messages; holds no secret
    limit_s  seconds that anything on it may take, connecting included
    """

    def __init__(self, address: str, *, name: str, limit_s: float) -> None:
        self._address, self.name, self._limit_s = address, name, limit_s
        self._lock = threading.RLock()  # One at a time.
        self._connection: Connection | None = None
        self._socket: socket.socket | None = None
        self._due: float | None = None
        self._was_cut = False
        self._closed = threading.Event()
        self._watch = threading.Thread(target=self._cut_late, name="event-log-watch", daemon=True)
        self._watch.start()

    @property
    def is_open(self) -> bool:
        """There is a session, as far as is known."""
        return self._connection is not None

    @property
    def was_cut(self) -> bool:
        """The last session ended because something took too long on it."""
        return self._was_cut

    def connect(self) -> None:
        """A new session; the one before is ended."""
        psycopg = _psycopg()
        with self._lock:
            self.drop()
            self._was_cut = False
            with self._errors():
                connection = psycopg.connect(
                    self._address,
                    autocommit=True,
                    connect_timeout=max(2, round(self._limit_s)),
                    application_name="honour",
                    prepare_threshold=0,
                )
            # A descriptor of our own: libpq closes its one by itself, and its number may then be that of something else.
            self._socket = socket.socket(fileno=os.dup(connection.fileno()))
            self._connection = connection

    def drop(self) -> None:
        """End the session, and with it whatever it holds."""
        with self._lock:
            connection, self._connection = self._connection, None
            if connection is not None:
                with suppress(Exception):
                    connection.close()
            if self._socket is not None:
                self._socket.close()
                self._socket = None

    @contextmanager
    def use(self, *, limit_s: float | None = None) -> Iterator[Connection]:
        """The session, for something that takes no longer than the limit. LogUnavailable when there is none, or it does not last."""
        with self._lock:
            if self._connection is None:
                raise LogUnavailable(f"{self.name}: not connected.")
            self._due = time.monotonic() + (limit_s or self._limit_s)
            try:
                with self._errors():
                    yield self._connection
            finally:
                self._due = None

    def close(self) -> None:
        """End the session and the watch."""
        self._closed.set()
        self.drop()

    def _cut_late(self) -> None:
        while not self._closed.wait(self._limit_s / 5):
            due, cut = self._due, self._socket
            if due is not None and cut is not None and time.monotonic() > due:
                self._was_cut = True
                with suppress(OSError):
                    cut.shutdown(socket.SHUT_RDWR)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Errors of PostgreSQL as those of Honour: what another try may mend, and what it will not. A session that is lost is dropped."""
        psycopg = _psycopg()
        try:
            yield
        except psycopg.errors.LockNotAvailable:
            raise
        except psycopg.errors.UniqueViolation as error:
            raise LogContractBroken(f"{self.name}: somebody appended out of turn ({error.diag.constraint_name}).") from None
        except (psycopg.OperationalError, psycopg.InterfaceError, psycopg.errors.ReadOnlySqlTransaction, OSError) as error:
            if self._connection is not None and (self._connection.closed or self._was_cut):
                self.drop()
            said = "it did not answer in time" if self._was_cut else _first_line(error)
            raise LogUnavailable(f"{self.name}: {said}. Check that the server runs, can be reached, and has room.") from None
        except psycopg.Error as error:
            raise LogContractBroken(f"{self.name}: {_first_line(error)}. Check the database, and what its user may do.") from None


def _psycopg() -> Any:
    try:
        import psycopg
    except ImportError:
        raise BadSettings(MISSING) from None
    return psycopg


def _first_line(error: BaseException) -> str:
    """What happened, without details: they may quote values."""
    diagnosed = getattr(getattr(error, "diag", None), "message_primary", None)
    return str(diagnosed or str(error).strip().partition("\n")[0] or type(error).__name__).rstrip(".")

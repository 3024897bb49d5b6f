"""Copying what was committed from SQLite's write-ahead log into its file, beside the commits and not within one.

By default SQLite copies within the commit that finds a thousand pages in the write-ahead log, and whoever waits for that commit waits for
the copying too: several milliseconds, some times a second. Here a thread copies what it can while commits go on. Nothing depends on it for
durability: a commit is on disk in the write-ahead log. Should it not keep up, a commit copies as before, from `PAGES_MAX` on; that is also
what lets the write-ahead log begin again, and takes little because most is copied already.
"""

from __future__ import annotations

import os
import sqlite3
import sys
import threading
from collections.abc import Callable
from contextlib import suppress

PAGE_BYTES = 8_192
PAGES_MAX = 4_096
"""Pages of the write-ahead log at which a commit copies: 32 MiB."""
_AFTER_BYTES = 2 * 1_024 * 1_024
"""Bytes of events after which the thread copies; with their indexes, some three times as many are written."""

_NICE = 10


class Checkpointer:
    """A thread with a connection of its own, which `connect` makes in it."""

    def __init__(self, connect: Callable[[], sqlite3.Connection]) -> None:
        self._connect = connect
        self._n_bytes = 0
        self._due, self._closed = threading.Event(), False
        self._thread = threading.Thread(target=self._copy_forever, name="event-log-checkpoint", daemon=True)
        self._thread.start()

    def wrote(self, n_bytes: int) -> None:
        """Count what was committed; by the thread that commits."""
        self._n_bytes += n_bytes
        if self._n_bytes >= _AFTER_BYTES:
            self._n_bytes = 0
            self._due.set()

    def close(self) -> None:
        """Let go of the connection."""
        self._closed = True
        self._due.set()
        self._thread.join()

    def _copy_forever(self) -> None:
        connection: sqlite3.Connection | None = None
        if sys.platform == "linux":  # Where threads have a priority of their own: whoever answers goes first on a core that both share.
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
        while self._due.wait() and not self._closed:
            self._due.clear()
            with suppress(sqlite3.Error):  # A disk that is full or away is found by the next commit, which says so.
                connection = connection or self._connect()
                connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        if connection is not None:
            connection.close()

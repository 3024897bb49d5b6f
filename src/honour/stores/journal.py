"""The journal of a server that stands in: events on this machine's disk that the shared log does not have yet."""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Sequence
from pathlib import Path

import msgspec

from honour.errors import LogUnavailable
from honour.stores.rows import Row, Stored
from honour.stores.sqlite import SqliteRows


class Journal:
    """Files in `folder`: journal.db holds the events; journal.lock is held by the one process that writes them, and names the folder.

    owner  that name, by which other servers know who stands in; empty until `lock`
    n      events that the shared log does not have yet
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._rows = SqliteRows(folder / "journal.db")
        self._lock: int | None = None
        self.owner, self.n = "", 0

    @property
    def aside(self) -> Path:
        """File of events that contradict the shared log: one JSON row a line."""
        return self._folder / "journal-refused.ndjson"

    def lock(self) -> bool:
        """Have the journal, until `close`; False when another process of this folder has it."""
        if self._lock is not None:
            return True
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            lock = os.open(self._folder / "journal.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self.owner = _owner(lock)
            except BlockingIOError:
                os.close(lock)
                return False
        except OSError as error:
            raise LogUnavailable(f"{self._folder}: {error.strerror}. Name a data folder that may be written to.") from error
        self._lock = lock
        self._rows.open()
        self.n = self._rows.count()
        return True

    def reopen(self) -> None:
        """Open the file anew after it could not be written."""
        self._rows.close()
        self._rows.open()

    def write(self, rows: Sequence[Row]) -> None:
        """All of them, durable on return, or none."""
        self._rows.write(rows)
        self.n += len(rows)

    def probe(self) -> None:
        """Write something as large as an event and take it away."""
        self._rows.probe()

    def after(self, seq: int, *, n_max: int) -> list[Stored]:
        """Events after a position, in order."""
        return self._rows.after(seq, n_max=n_max)

    def of_key(self, key: str) -> Stored | None:
        """The event with this key."""
        return self._rows.of_key(key)

    def oldest(self, *, n_max: int) -> list[Row]:
        """The first that are left, in order."""
        return self._rows.oldest(n_max=n_max)

    def drop(self, rows: Sequence[Row]) -> None:
        """Forget the first ones: the shared log has them."""
        self._rows.drop(rows[-1][0])
        self.n -= len(rows)

    def set_aside(self, row: Row) -> None:
        """Keep an event that cannot be forwarded for a person to look at."""
        with self.aside.open("ab") as file:
            file.write(msgspec.json.encode(row) + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def close(self) -> None:
        """Let go of it; what it holds stays."""
        if self._lock is not None:
            self._rows.close()
            os.close(self._lock)
            self._lock = None


def _owner(lock: int) -> str:
    """The name in the file; made the first time."""
    if found := os.pread(lock, 64, 0).decode(errors="replace").strip():
        return found
    made = secrets.token_hex(8)
    os.pwrite(lock, made.encode(), 0)
    os.fsync(lock)
    return made

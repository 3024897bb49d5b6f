"""Turns: which of the processes on one log may append now (docs/adr/0011).

A process that wants the turn stands at the door, of which there is one, and waits for the room behind it. So whoever is inside
sees whether somebody waits, and one who comes out has to let those at the door go first.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Protocol

from honour.errors import LogUnavailable


class Turn(Protocol):
    """The right to append, of which there is one for each log. When a process ends, however it ends, its turn ends with it."""

    def take(self, *, wait: bool) -> bool:
        """Have the turn; False when another process has it and `wait` is False. LogUnavailable when nobody can say."""
        ...

    def give(self) -> None:
        """Let the next one have it."""
        ...

    def was_last(self) -> bool:
        """No other process had it since `note`: the log ends where it ended then. Asked by the one that has it."""
        ...

    def note(self) -> None:
        """Whoever has it now knows where the log ends; said before it appends."""
        ...

    def is_wanted(self) -> bool:
        """Another process waits for it; asked by the one that has it."""
        ...

    def leads(self) -> bool:
        """Whether this process does what only one should do. The first that asks does, until it ends."""
        ...

    def close(self) -> None:
        """Let go of everything."""
        ...


class FileTurn:
    """Turns by locks of the kernel on files beside the log: all processes are on one machine. Whose the last turn was stands in a file."""

    def __init__(self, path: Path) -> None:
        self._files: list[int] = []
        self._name = os.urandom(16)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            for suffix in (".door", ".lock", ".leader"):
                self._files.append(os.open(path.with_suffix(suffix), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644))
        except OSError as error:
            self.close()
            raise LogUnavailable(f"{path}: {error.strerror}. Name a data folder that may be written to.") from error
        self._door, self._room, self._leader = self._files

    def take(self, *, wait: bool) -> bool:
        """Have the turn; False when another process has it, or waits for it, and `wait` is False."""
        if not _locked(self._door, fcntl.LOCK_EX, wait=wait):
            return False
        try:
            return _locked(self._room, fcntl.LOCK_EX, wait=wait)
        finally:
            fcntl.flock(self._door, fcntl.LOCK_UN)

    def was_last(self) -> bool:
        """No other process had it since `note`."""
        return os.pread(self._room, len(self._name), 0) == self._name

    def note(self) -> None:
        """Whoever has it now knows where the log ends."""
        try:
            os.pwrite(self._room, self._name, 0)
        except OSError as error:
            raise LogUnavailable(
                f"the lock beside the log: {error.strerror}. Check that there is room and that it may be written to."
            ) from error

    def give(self) -> None:
        """Let the next one have it."""
        fcntl.flock(self._room, fcntl.LOCK_UN)

    def is_wanted(self) -> bool:
        """Somebody stands at the door."""
        if not _locked(self._door, fcntl.LOCK_SH, wait=False):
            return True
        fcntl.flock(self._door, fcntl.LOCK_UN)
        return False

    def leads(self) -> bool:
        """Whether this process does what only one should do."""
        return _locked(self._leader, fcntl.LOCK_EX, wait=False)

    def close(self) -> None:
        """Let go of everything."""
        while self._files:
            os.close(self._files.pop())


def _locked(file: int, how: int, *, wait: bool) -> bool:
    try:
        fcntl.flock(file, how if wait else how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise LogUnavailable(f"the lock beside the log: {error.strerror}. Use a local disk.") from error
    return True

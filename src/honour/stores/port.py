"""The event log as the rest of Honour sees it. Every store passes tests/contracts/test_event_log.py."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from typing import Protocol

from honour.records.event import Event, LoggedEvent


class EventLog(Protocol):
    """Durable, ordered, append-only. The order of `append` is the order of `seq`."""

    @property
    def last_seq(self) -> int:
        """Position of the newest event taken in; 0 when empty."""
        ...

    @property
    def last_arrived_us(self) -> int:
        """Its arrival time; 0 when empty."""
        ...

    @property
    def why_unavailable(self) -> str | None:
        """Why nothing can be kept at present, or None."""
        ...

    def append(self, event: Event, *, arrived_us: int) -> Future[LoggedEvent]:
        """Take one event in; the future holds it once it is durable, and cannot be cancelled.

        Its position is `last_seq` as soon as this returns. An `arrived_us` before the last one is raised to it.
        Raises Contradiction when an event with the same key was taken in before, and LogUnavailable when nothing can be kept:
        then nothing happened. The future fails with LogUnavailable when it is not known to be durable, as does everything
        appended after it; `recover` then reads what the log holds. Sent again, an event that was kept after all is refused.
        """
        ...

    def append_many(self, events: Iterable[tuple[Event, int]], *, progress: Callable[[int], None] | None = None) -> int:
        """Take in (event, arrived_us) pairs whose keys are not there yet; how many were new, all durable on return.

        progress  called now and then with how many pairs were looked at so far
        """
        ...

    def read(self, *, after_seq: int = 0) -> Iterator[LoggedEvent]:
        """Events with seq > after_seq that are durable when reading starts, in order."""
        ...

    def story(self, payment_id: str) -> list[LoggedEvent]:
        """Durable events of one payment, in order."""
        ...

    def find(self, key: str) -> LoggedEvent | None:
        """The event with this idempotency key (`records.event.key_of`), or None."""
        ...

    def recover(self) -> bool:
        """Try to become available again after a failure: True when a write works. `last_seq` is then what is durable."""
        ...

    def close(self) -> None:
        """Make what was taken in durable, and let go."""
        ...

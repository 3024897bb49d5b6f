"""The event log as the rest of Honour sees it. Every store passes tests/contracts/test_event_log.py."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from typing import Protocol

from honour.records.event import Event, LoggedEvent


class EventLog(Protocol):
    """Durable, ordered, append-only. The order of `append` is the order of `seq`.

    last_seq         position of the newest event; 0 when empty
    last_arrived_us  its arrival time; 0 when empty
    why_unavailable  why nothing can be kept at present, or None
    """

    @property
    def last_seq(self) -> int: ...

    @property
    def last_arrived_us(self) -> int: ...

    @property
    def why_unavailable(self) -> str | None: ...

    def append(self, event: Event, *, arrived_us: int) -> Future[LoggedEvent]:
        """Take one event in; the future holds it once it is durable. An earlier `arrived_us` is raised to the last one.

        The future, or the call itself, raises LogUnavailable when the event cannot be kept; then it, and everything
        appended after it, is not in the log.
        """
        ...

    def append_many(self, events: Iterable[tuple[Event, int]]) -> int:
        """Take in (event, arrived_us) pairs whose keys are not there yet; how many were new, all durable on return."""
        ...

    def read(self, *, after_seq: int = 0) -> Iterator[LoggedEvent]:
        """Durable events with seq > after_seq, in order."""
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

"""The event log as the rest of Honour sees it. Every store passes tests/contracts/test_event_log.py."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol

from honour.records.event import Event, LoggedEvent


class Durable(Protocol):
    """An event that was taken in: a future of `concurrent.futures`, or what is cheaper."""

    def cancel(self) -> bool:
        """False: one who stops waiting must not stop the writer."""
        ...

    def done(self) -> bool:
        """It is durable, or it is known that it may not be."""
        ...

    def result(self, timeout: float | None = None) -> LoggedEvent:
        """The event once it is durable; raises what `exception` says."""
        ...

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Why it may not be durable, once that is known; None when it is."""
        ...

    def add_done_callback(self, fn: Callable[[Any], object], /) -> None:
        """Call `fn` with this once it is done, in whatever thread finds out."""
        ...


class EventLog(Protocol):
    """Durable, ordered, append-only. The order of `append` is the order of `seq`."""

    @property
    def last_seq(self) -> int:
        """Position of the newest event that this process knows of, its own at once; exact within a turn. 0 when empty."""
        ...

    @property
    def last_arrived_us(self) -> int:
        """Its arrival time; 0 when empty."""
        ...

    @property
    def why_unavailable(self) -> str | None:
        """Why nothing can be kept at present, or None."""
        ...

    @property
    def journaled(self) -> int | None:
        """Events that wait on this machine because the log is away and this server stands in; None while the log is there."""
        ...

    def take_turn(self, *, wait: bool = True) -> bool:
        """Keep other processes from appending until as many calls of `end_turn`; may be nested.

        From then on `last_seq` is where the log ends, so that who has folded everything up to there decides on what is true.
        False when another process has the turn, or is to have it next, and `wait` is False.
        """
        ...

    def end_turn(self) -> None:
        """Other processes may append again, once what was appended is durable: it is written from now on, so wait for it after this."""
        ...

    def news(self, *, after_seq: int, n_max: int) -> Sequence[LoggedEvent]:
        """The next durable events after a position, whoever appended them; `last_seq` is then not before them."""
        ...

    def leads(self) -> bool:
        """Whether this process, of all that append, does what only one should do. It stays so until it ends."""
        ...

    def append(self, event: Event, *, arrived_us: int, is_new: bool = False) -> Durable:
        """Take one event in; the future holds it once it is durable, and cannot be cancelled.

        Its position is `last_seq` as soon as this returns; outside a turn it waits for one. An `arrived_us` before the last one is
        raised to it. Raises Contradiction when an event with the same key was taken in before, and LogUnavailable when nothing can be
        kept: then nothing happened. The future fails with LogUnavailable when it is not known to be durable, as does everything
        appended after it; `recover` then reads what the log holds. Sent again, an event that was kept after all is refused.

        is_new  the caller knows, from the fold of the whole log, that its key is not there: it is not looked up. An error here fails the
                commit, as if the store had failed
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

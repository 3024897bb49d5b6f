"""The event log in memory: for tests, simulations and replays. It forgets with the process."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from itertools import islice

from honour.errors import Contradiction, LogUnavailable
from honour.records.event import Event, LoggedEvent, key_of, payment_id_of
from honour.stores.port import Durable


class MemoryLog:
    """An `EventLog` whose events are durable the moment they are appended, until the process ends. For one thread."""

    def __init__(self) -> None:
        self._events: list[LoggedEvent] = []
        self._by_key: dict[str, LoggedEvent] = {}
        self._by_payment: dict[str, list[LoggedEvent]] = {}
        self._closed = False

    @property
    def last_seq(self) -> int:
        """Position of the newest event."""
        return len(self._events)

    @property
    def last_arrived_us(self) -> int:
        """Arrival time of the newest event."""
        return self._events[-1].arrived_us if self._events else 0

    @property
    def why_unavailable(self) -> str | None:
        """Memory does not fail by itself: None."""
        return None

    @property
    def journaled(self) -> int | None:
        """Memory is never away: None."""
        return None

    def take_turn(self, *, wait: bool = True) -> bool:
        """Nobody else appends, so nobody waits: it is always our turn."""
        return wait or not self._closed

    def end_turn(self) -> None:
        """Nobody waits for it."""

    def news(self, *, after_seq: int, n_max: int) -> list[LoggedEvent]:
        """Events after a position."""
        return self._events[after_seq : after_seq + n_max]

    def leads(self) -> bool:
        """There is only one process."""
        return True

    def append(self, event: Event, *, arrived_us: int, is_new: bool = False) -> Durable:  # noqa: ARG002  # looked up anyway
        """Take one event in."""
        if self._closed:
            raise LogUnavailable("the log is closed. Nothing was accepted.")
        key = key_of(event)
        if key is not None and key in self._by_key:
            raise Contradiction(f"the log holds an event with key {key!r} already; the first stands.")
        logged = LoggedEvent(seq=self.last_seq + 1, arrived_us=max(arrived_us, self.last_arrived_us), event=event)
        self._events.append(logged)
        if key is not None:
            self._by_key[key] = logged
        payment_id = payment_id_of(event)
        if payment_id is not None:
            self._by_payment.setdefault(payment_id, []).append(logged)
        future: Future[LoggedEvent] = Future()
        future.set_result(logged)
        return future

    def append_many(self, events: Iterable[tuple[Event, int]], *, progress: Callable[[int], None] | None = None) -> int:
        """Take in what is new."""
        n_new = 0
        for n_seen, (event, arrived_us) in enumerate(events, start=1):
            if (key := key_of(event)) is None or key not in self._by_key:
                self.append(event, arrived_us=arrived_us)
                n_new += 1
            if progress is not None:
                progress(n_seen)
        return n_new

    def read(self, *, after_seq: int = 0) -> Iterator[LoggedEvent]:
        """Events with seq > after_seq that are there when reading starts, in order."""
        yield from islice(self._events, after_seq, self.last_seq)

    def story(self, payment_id: str) -> list[LoggedEvent]:
        """Events of one payment, in order."""
        return list(self._by_payment.get(payment_id, ()))

    def find(self, key: str) -> LoggedEvent | None:
        """The event with this key, or None."""
        return self._by_key.get(key)

    def recover(self) -> bool:
        """Memory does not fail by itself: available until closed."""
        return not self._closed

    def close(self) -> None:
        """Take nothing more in; what is there can still be read."""
        self._closed = True

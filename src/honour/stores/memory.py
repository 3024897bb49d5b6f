"""The event log in memory: for tests, simulations and replays. It forgets with the process."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import Future

from honour.errors import Contradiction
from honour.records.event import Event, LoggedEvent, key_of, payment_id_of


class MemoryLog:
    """An `EventLog` whose events are durable the moment they are appended, until the process ends."""

    why_unavailable: str | None = None

    def __init__(self) -> None:
        self._events: list[LoggedEvent] = []
        self._by_key: dict[str, LoggedEvent] = {}
        self._by_payment: dict[str, list[LoggedEvent]] = {}

    @property
    def last_seq(self) -> int:
        """Position of the newest event."""
        return len(self._events)

    @property
    def last_arrived_us(self) -> int:
        """Arrival time of the newest event."""
        return self._events[-1].arrived_us if self._events else 0

    def append(self, event: Event, *, arrived_us: int) -> Future[LoggedEvent]:
        """Take one event in."""
        future: Future[LoggedEvent] = Future()
        key = key_of(event)
        if key is not None and key in self._by_key:
            future.set_exception(Contradiction(f"the log holds an event with key {key!r} already; the first stands."))
            return future
        logged = LoggedEvent(seq=self.last_seq + 1, arrived_us=max(arrived_us, self.last_arrived_us), event=event)
        self._events.append(logged)
        if key is not None:
            self._by_key[key] = logged
        payment_id = payment_id_of(event)
        if payment_id is not None:
            self._by_payment.setdefault(payment_id, []).append(logged)
        future.set_result(logged)
        return future

    def append_many(self, events: Iterable[tuple[Event, int]]) -> int:
        """Take in what is new."""
        n_new = 0
        for event, arrived_us in events:
            if (key := key_of(event)) is None or key not in self._by_key:
                self.append(event, arrived_us=arrived_us)
                n_new += 1
        return n_new

    def read(self, *, after_seq: int = 0) -> Iterator[LoggedEvent]:
        """Events with seq > after_seq, in order."""
        yield from self._events[after_seq:]

    def story(self, payment_id: str) -> list[LoggedEvent]:
        """Events of one payment, in order."""
        return list(self._by_payment.get(payment_id, ()))

    def find(self, key: str) -> LoggedEvent | None:
        """The event with this key, or None."""
        return self._by_key.get(key)

    def recover(self) -> bool:
        """Memory does not fail by itself: always available."""
        return True

    def close(self) -> None:
        """Nothing to let go."""

"""The event log of any number of processes: positions at once, group commit in a background thread, turns (docs/adr/0002, 0011).

Only the process whose turn it is appends. Whoever appends gets the position at once, and the writer takes everything that waits in
one commit. The turn ends when all of it is durable and no more came, or, when another process waits for it, with the next commit. A
key that is there already is refused before it gets a position, so that positions have no gaps. When a commit fails, everything that
waits fails with it: what was given a position and is not durable is never written, until `recover` has read anew where the log ends.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from itertools import islice
from typing import Any, NamedTuple

import msgspec

from honour.errors import Contradiction, LogAway, LogContractBroken, LogUnavailable
from honour.records.event import Event, LoggedEvent, key_of, payment_id_of
from honour.stores.port import Durable
from honour.stores.rows import BATCH, Row, Rows, Stored
from honour.stores.turn import Turn

_LARGEST = 2**63 - 1
_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Event)


class _Pending(NamedTuple):
    """An event on its way to the store."""

    row: Row
    logged: LoggedEvent


class _Kept:
    """One event of a commit: many wait for one future."""

    __slots__ = ("_commit", "_logged")

    def __init__(self, logged: LoggedEvent, commit: Future[None]) -> None:
        self._logged, self._commit = logged, commit

    def cancel(self) -> bool:
        return False

    def done(self) -> bool:
        return self._commit.done()

    def result(self, timeout: float | None = None) -> LoggedEvent:
        self._commit.result(timeout)
        return self._logged

    def exception(self, timeout: float | None = None) -> BaseException | None:
        return self._commit.exception(timeout)

    def add_done_callback(self, fn: Callable[[Any], object], /) -> None:
        self._commit.add_done_callback(lambda _: fn(self))


class SharedLog:
    """An `EventLog` whose events are in `rows`. Without `turn` it is opened for reading only."""

    def __init__(self, rows: Rows, *, turn: Turn | None) -> None:
        self._rows, self._turn = rows, turn
        self._door = threading.Lock()  # Of those threads that want the turn for this process, one asks for it.
        self._lock = threading.Lock()  # Guards everything below.
        self._wake, self._let_go = threading.Condition(self._lock), threading.Condition(self._lock)
        self._has_turn = self._is_ending = self._is_writing = False
        self._n_within = 0
        self._pending: list[_Pending] = []
        self._commit, self._committing = _new_commit(), _new_commit()  # Of what is pending, and of what is being written.
        self._in_flight: dict[str, LoggedEvent] = {}
        self._why: str | None = None
        self._closed = False
        try:
            self._last_seq, self._last_arrived_us = self._opened()
        except BaseException:
            rows.close()
            if turn is not None:
                turn.close()
            raise
        self._thread = threading.Thread(target=self._write_forever, name="event-log", daemon=True)
        if turn is not None:
            self._thread.start()

    @property
    def last_seq(self) -> int:
        """Position of the newest event that this process knows of; when reading only, of the newest durable one."""
        return self._last_seq if self._turn is not None else self._end()[0]

    @property
    def last_arrived_us(self) -> int:
        """Arrival time of that event."""
        return self._last_arrived_us if self._turn is not None else self._end()[1]

    @property
    def why_unavailable(self) -> str | None:
        """Why nothing can be kept at present, or None."""
        return self._why

    @property
    def journaled(self) -> int | None:
        """Events that wait in a journal because the log is away; None while it is there."""
        return self._rows.n_journaled if self._rows.is_away else None

    def take_turn(self, *, wait: bool = True) -> bool:
        """Keep other processes from appending until `end_turn`; `last_seq` is then where the log ends. False when it is not our turn."""
        with self._lock:
            turn = self._writable()
            if self._joined():
                return True
            if self._has_turn and not wait:
                return False
        if not self._door.acquire(blocking=wait):
            return False
        try:
            with self._lock:
                while self._has_turn:
                    if self._joined():
                        return True
                    if not wait:
                        return False
                    self._let_go.wait()
            with self._noting():
                if not turn.take(wait=wait):
                    return False
            try:
                with self._lock, self._noting():
                    self._writable()
                    if not turn.was_last():
                        self._last_seq, self._last_arrived_us = self._rows.end()
                        turn.note()
                    self._has_turn, self._is_ending, self._n_within = True, False, 1
            except BaseException:
                turn.give()
                raise
            return True
        finally:
            self._door.release()

    def end_turn(self) -> None:
        """Other processes may append again, once what was appended is durable."""
        with self._lock:
            self._n_within -= 1
            if self._pending and not self._n_within:
                self._wake.notify()
            self._let_go_if_done()

    def append(self, event: Event, *, arrived_us: int, is_new: bool = False) -> Durable:
        """Take one event in; it is durable with everything that is written in the same commit."""
        key, body = key_of(event), _encoder.encode(event).decode()
        with self._lock:
            if self._has_turn and self._n_within:  # It does not end while the lock is held.
                return self._append(event, key=key, body=body, arrived_us=arrived_us, is_new=is_new)
        self.take_turn()
        try:
            with self._lock:
                return self._append(event, key=key, body=body, arrived_us=arrived_us, is_new=is_new)
        finally:
            self.end_turn()

    def append_many(self, events: Iterable[tuple[Event, int]], *, progress: Callable[[int], None] | None = None) -> int:
        """Take in what is new, in commits of a few thousand; how many were new. `progress` gets how many were looked at so far."""
        n_new, n_seen, source = 0, 0, iter(events)
        while batch := list(islice(source, BATCH)):
            n_taken, durable = self._append_batch(batch)
            if durable is not None:
                durable.result()
            n_new, n_seen = n_new + n_taken, n_seen + len(batch)
            if progress is not None:
                progress(n_seen)
        return n_new

    def news(self, *, after_seq: int, n_max: int) -> list[LoggedEvent]:
        """The next durable events after a position; `last_seq` is then not before them."""
        with self._lock, self._noting():
            rows = self._rows.after(after_seq, n_max=n_max)
            if rows and rows[-1][0] > self._last_seq:
                self._last_seq, self._last_arrived_us = rows[-1][0], rows[-1][1]
        return [self._event(row, seq=seq) for seq, row in enumerate(rows, start=after_seq + 1)]

    def read(self, *, after_seq: int = 0) -> Iterator[LoggedEvent]:
        """Events with seq > after_seq that are durable when reading starts, in order, a few thousand in memory at a time."""
        for seq, row in enumerate(self._rows.scan(after_seq), start=after_seq + 1):
            yield self._event(row, seq=seq)

    def story(self, payment_id: str) -> list[LoggedEvent]:
        """Durable events of one payment, in order."""
        with self._lock, self._noting():
            rows = self._rows.of_payment(payment_id)
        return [self._event(row) for row in rows]

    def find(self, key: str) -> LoggedEvent | None:
        """The event with this key, also when it was taken in here and is not durable yet; or None."""
        with self._lock, self._noting():
            if (logged := self._in_flight.get(key)) is not None:
                return logged
            row = self._rows.of_key(key)
        return self._event(row) if row else None

    def leads(self) -> bool:
        """Whether this process, of all that append, does what only one should do. It stays so until it ends."""
        return self._turn is not None and not self._closed and self._turn.leads()

    def recover(self) -> bool:
        """Open the store anew and try a write; True when it works. `last_seq` is then what is durable."""
        with self._door:
            with self._lock:
                if self._turn is None or self._why is None or self._closed:
                    return not self._closed
                while self._has_turn:
                    self._let_go.wait()
            try:
                self._turn.take(wait=True)
                try:
                    with self._lock:
                        self._rows.close()
                        self._rows.open()
                        self._rows.probe()
                        self._last_seq, self._last_arrived_us = self._rows.end()
                        self._why = None
                finally:
                    self._turn.give()
            except LogUnavailable as error:
                self._why = error.message
                return False
            return True

    def close(self) -> None:
        """Finish what was taken in and let go of the store."""
        with self._lock:
            self._closed = True
            self._wake.notify()
        if self._thread.is_alive():
            self._thread.join()
        with self._lock:
            self._rows.close()
        if self._turn is not None and self._door.acquire(blocking=False):  # Else a thread waits at it, for as long as the process lives.
            self._turn.close()
            self._door.release()

    def _opened(self) -> tuple[int, int]:
        if self._turn is None:
            self._rows.open()
            return 0, 0
        self._turn.take(wait=True)
        try:
            self._rows.open()
            return self._rows.end()
        finally:
            self._turn.give()

    def _writable(self) -> Turn:
        """The turn, of a log that takes events in. The lock is held."""
        if self._turn is None:
            raise LogContractBroken(f"{self._rows.name}: opened for reading only.")
        if self._closed:
            raise LogUnavailable(f"{self._rows.name}: the log is closed. Nothing was accepted.")
        if self._why is not None:
            raise self._refusal()
        return self._turn

    def _refusal(self) -> LogUnavailable:
        why = self._why or ""
        return LogUnavailable(f"{self._rows.name}: {why}. Nothing was accepted. Make room or mend the store; it is tried again by itself.")

    def _joined(self) -> bool:
        """Whether the turn is ours and not about to end; then it goes on until one more `end_turn`. The lock is held."""
        if not self._has_turn or (self._is_ending and not self._n_within):
            return False
        self._n_within += 1
        return True

    def _let_go_if_done(self) -> None:
        """The lock is held."""
        if self._has_turn and not self._n_within and not self._pending and not self._is_writing and self._turn is not None:
            self._has_turn = False
            with suppress(LogUnavailable):  # A store that is away has let go by itself.
                self._turn.give()
            self._let_go.notify_all()

    def _append(self, event: Event, *, key: str | None, body: str, arrived_us: int, is_new: bool) -> _Kept:
        """The lock is held, and the turn."""
        self._writable()
        if key is not None and (key in self._in_flight or (not is_new and self._is_stored(key))):
            raise Contradiction(f"the log holds an event with key {key!r} already; the first stands.")
        return self._take(event, key=key, body=body, arrived_us=arrived_us)

    def _is_stored(self, key: str) -> bool:
        with self._noting():
            return self._rows.of_key(key) is not None

    def _append_batch(self, batch: Sequence[tuple[Event, int]]) -> tuple[int, _Kept | None]:
        """How many were new, and the last of them."""
        coded = [(event, arrived_us, key_of(event), _encoder.encode(event).decode()) for event, arrived_us in batch]
        last: _Kept | None = None
        n_new = 0
        self.take_turn()
        try:
            with self._lock, self._noting():
                self._writable()
                known = {*self._in_flight, *self._rows.known([key for _, _, key, _ in coded if key is not None])}
                for event, arrived_us, key, body in coded:
                    if key is None or key not in known:
                        last = self._take(event, key=key, body=body, arrived_us=arrived_us)
                        n_new += 1
                        if key is not None:
                            known.add(key)
        finally:
            self.end_turn()
        return n_new, last

    def _take(self, event: Event, *, key: str | None, body: str, arrived_us: int) -> _Kept:
        """Give the event its place. The lock is held."""
        arrived_us = max(arrived_us, self._last_arrived_us)
        if arrived_us > _LARGEST:
            raise LogContractBroken(f"arrived_us is {arrived_us}; it must fit 64 bits. Pass microseconds since 1970.")
        logged = LoggedEvent(seq=self._last_seq + 1, arrived_us=arrived_us, event=event)
        self._last_seq, self._last_arrived_us = logged.seq, arrived_us
        if key is not None:
            self._in_flight[key] = logged
        kind = str(type(event).__struct_config__.tag)
        self._pending.append(_Pending((logged.seq, arrived_us, kind, payment_id_of(event), key, body), logged))
        return _Kept(logged, self._commit)

    def _write_forever(self) -> None:
        while batch := self._next_batch():
            try:
                self._rows.write([one.row for one in batch])
            except Exception as error:  # Whatever it was, nobody may wait for ever.
                self._fail(why=error.message if isinstance(error, LogUnavailable) else str(error))
                continue
            with self._lock:
                for one in batch:
                    self._in_flight.pop(one.row[4] or "", None)
                self._is_writing = False
                self._let_go_if_done()
            self._committing.set_result(None)

    def _next_batch(self) -> list[_Pending]:
        """Everything that waits, once the work that appends it is done; nothing when the log is closed."""
        with self._wake:
            while not self._closed and (self._n_within or not self._pending):
                self._wake.wait()
            batch, self._pending = self._pending, []
            self._committing, self._commit = self._commit, _new_commit()
            if batch and self._turn is not None:
                self._is_writing = True
                self._is_ending = self._turn.is_wanted()
        return batch

    def _fail(self, *, why: str) -> None:
        """Keep nothing more: what waits behind the batch has positions that build on it."""
        with self._lock:
            self._why = why
            self._pending = []
            waiting, self._commit = (self._committing, self._commit), _new_commit()
            self._in_flight.clear()
            self._is_writing = False
            refusal = self._refusal()
            self._let_go_if_done()
        for commit in waiting:
            commit.set_exception(refusal)

    @contextmanager
    def _noting(self) -> Iterator[None]:
        """A store that cannot be read cannot be written either: nothing is accepted until `recover` has opened it anew."""
        try:
            yield
        except LogAway:
            raise
        except LogUnavailable as error:
            if self._why is None and not self._closed:
                self._why = error.message
            raise

    def _end(self) -> tuple[int, int]:
        with self._lock:
            return self._rows.end()

    def _event(self, row: Stored, *, seq: int | None = None) -> LoggedEvent:
        """The event of a row, which must have position `seq` where one is given."""
        if seq is not None and row[0] != seq:
            raise LogContractBroken(f"{self._rows.name}: event {seq} is missing. Restore the log from a backup.")
        try:
            return LoggedEvent(seq=row[0], arrived_us=row[1], event=_decoder.decode(row[2]))
        except msgspec.DecodeError as error:
            raise LogContractBroken(f"{self._rows.name}: event {row[0]} cannot be read: {error}. Restore the log from a backup.") from None


def _new_commit() -> Future[None]:
    commit: Future[None] = Future()
    commit.set_running_or_notify_cancel()  # One who stops waiting must not stop the writer.
    return commit

"""The event log as a stream: every event, at least once, those of one payment in order (docs/adr/0019).

A message's key is the payment's id (`settings` where there is none), its value the event as the log has it:

    {"seq": 17, "arrived_us": 1772366400000000, "event": {"type": "decision", ...}}
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import structlog

from honour.errors import BadSettings, LogUnavailable, StreamUnavailable
from honour.records.event import LoggedEvent, payment_id_of
from honour.records.settings import DataSettings, StreamSettings
from honour.stores.opening import open_log
from honour.stores.port import EventLog
from honour.stream.brokers import check, producer_for

AT_ONCE = 1_000
LOOK_EVERY_S = 0.2
FLUSH_S = 10.0
AHEAD_MAX = 20_000
"""Events on their way to the brokers at once."""

_log = structlog.get_logger("honour")
_encoder = msgspec.json.Encoder()


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """Everything up to event `seq` of the log was acknowledged by the brokers of `topic`."""

    topic: str
    seq: int


def message_of(logged: LoggedEvent) -> tuple[str, bytes]:
    """Key and value of an event's message."""
    return payment_id_of(logged.event) or "settings", _encoder.encode(logged)


def position_of(folder: Path, *, topic: str) -> int:
    """Where a topic's stream is; 0 before its first event."""
    file = _file(folder)
    try:
        found = msgspec.json.decode(file.read_bytes(), type=Position)
    except FileNotFoundError:
        return 0
    except (OSError, msgspec.DecodeError) as error:
        raise BadSettings(f"{file}: cannot be read ({error}). Delete it to send the whole log again.") from None
    return found.seq if found.topic == topic else 0


class StreamOut:
    """Sends what the log holds, from where it was left, until `stop`.

    sent  events acknowledged by the brokers since the start
    """

    def __init__(self, data: DataSettings, told: StreamSettings) -> None:
        self.sent = 0
        self._data, self._told, self._folder = data, told, Path(data.dir)
        self._over = threading.Event()
        self._waiting: deque[list[int]] = deque()  # [seq, 1 once acknowledged], in order.
        self._refused: str | None = None

    def stop(self) -> None:
        """Send nothing more; what is on its way is waited for."""
        self._over.set()

    def run(self) -> None:
        """Send until stopped. A log or brokers that go away are waited for."""
        check(self._told)
        with _alone(self._folder):
            self._at = self._noted = position_of(self._folder, topic=self._told.events_topic)
            self._producer = producer_for(self._told)
            try:
                self._follow()
            finally:
                self._producer.flush(FLUSH_S)
                self._note()

    def _follow(self) -> None:
        log: EventLog | None = None
        after = self._at
        while not self._over.is_set():
            try:
                log = log or open_log(self._data, read_only=True)
                news = log.news(after_seq=after, n_max=AT_ONCE)
            except LogUnavailable as error:
                _log.warning("stream_waits", why=error.message)
                if log is not None:
                    log.close()
                log = None
                self._over.wait(1.0)
                continue
            for logged in news:
                self._send(logged)
                after = logged.seq
            self._producer.poll(0 if news else LOOK_EVERY_S)
            self._note()
        if log is not None:
            log.close()

    def _send(self, logged: LoggedEvent) -> None:
        key, value = message_of(logged)
        place = [logged.seq, 0]
        self._waiting.append(place)
        while not self._over.is_set():
            self._advance()
            try:
                if len(self._waiting) <= AHEAD_MAX:
                    self._producer.produce(self._told.events_topic, key=key, value=value, on_delivery=partial(self._delivered, place))
                    return
            except BufferError:  # Its queue is full.
                pass
            self._producer.poll(0.1)

    def _delivered(self, place: list[int], error: Any, message: Any) -> None:
        """Librdkafka sends again for as long as that may help; an error is one that it does not help."""
        if error is None:
            place[1] = 1
        elif self._refused is None:
            self._refused = f"event {place[0]} was refused by {message.topic()}: {error.str()}"

    def _advance(self) -> None:
        if self._refused is not None:
            raise StreamUnavailable(f"{self._refused}. Mend the topic or stream.kafka and start again: it goes on from there.")
        while self._waiting and self._waiting[0][1]:
            self._at = self._waiting.popleft()[0]
            self.sent += 1

    def _note(self) -> None:
        """Write down where we are: beside, renamed."""
        self._advance()
        if self._at == self._noted:
            return
        file = _file(self._folder)
        beside = file.with_suffix(".part")
        with beside.open("wb") as written:
            written.write(msgspec.json.encode(Position(topic=self._told.events_topic, seq=self._at)))
            written.flush()
            os.fsync(written.fileno())
        beside.replace(file)
        self._noted = self._at


def _file(folder: Path) -> Path:
    return folder / "stream-out.json"


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One process at a time sends the log of a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "stream-out.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BadSettings(f"{folder}: another `honour stream out` runs on this folder. One sends everything.") from None
        yield

"""Reports from a stream: outcomes, attempts and disputes that a topic brings, told to a server (docs/adr/0019).

A message's value is one object as a line of POST /v1/events: {"type": "outcome", "decision_id": "dec_...", "status": "approved"}. The
position in the topic is committed when the server has answered that everything up to there is durable, so a message may be told
twice; a report has its effect once. What the server refuses goes to another topic with the reason.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import httpx
import msgspec
import structlog

from honour.errors import BadSettings
from honour.records.card_number import holds_card_number
from honour.records.settings import StreamSettings
from honour.stream.brokers import check, consumer_for, producer_for

AT_ONCE = 500
PAUSE_S_MAX = 10.0
"""Longest pause between two tries when the server does not take anything in; it starts at a tenth of a second and doubles."""
TIMEOUT_S = 60.0
PATH = "/v1/events"

_log = structlog.get_logger("honour")


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """Why a message was refused: the problem's kind (its section in docs/errors.md), and what it says."""

    kind: str
    detail: str


class _Problem(msgspec.Struct, frozen=True):
    type: str
    detail: str


class _Line(msgspec.Struct, frozen=True):
    line: int
    problem: _Problem


class _Bulk(msgspec.Struct, frozen=True):
    accepted: int
    repeated: int
    refused: int
    refusals: tuple[_Line, ...]


class StreamIn:
    """Tells the server at `stream.server` what the topic brings, until `stop`.

    post      sends a body and gives status and answer; HTTP by default
    accepted  messages that stand, since the start; `refused` those that went to the other topic
    """

    def __init__(self, told: StreamSettings, *, post: Callable[[bytes], tuple[int, bytes]] | None = None) -> None:
        self.accepted = self.refused = 0
        self._told, self._post = told, post
        self._over = threading.Event()

    def stop(self) -> None:
        """Take nothing more; what was taken is told to the end."""
        self._over.set()

    def run(self) -> None:
        """Consume until stopped. Brokers or a server that go away are waited for."""
        check(self._told)
        consumer = consumer_for(self._told, topic=self._told.reports_topic)
        producer = producer_for(self._told)
        try:
            with httpx.Client(base_url=self._told.server or "", timeout=TIMEOUT_S, headers=self._headers()) as client:
                self._post = self._post or _posting(client)
                while not self._over.is_set():
                    messages = [one for one in consumer.consume(AT_ONCE, timeout=0.2) if _is_whole(one)]
                    if messages and self._tell(messages, producer=producer):
                        consumer.commit(asynchronous=False)
        finally:
            consumer.close()

    def _headers(self) -> dict[str, str]:
        key = {"authorization": f"Bearer {self._told.key}"} if self._told.key is not None else {}
        return {"content-type": "application/x-ndjson", **key}

    def _tell(self, messages: Sequence[Any], *, producer: Any) -> bool:
        """Whether all of them are durable, in the log or in the topic of the refused; False when stopped before."""
        lines, of_line, refused = [], [], []
        for message in messages:
            line = _line_of(message.value())
            if isinstance(line, Refusal):
                refused.append((message, line))
            else:
                lines.append(line)
                of_line.append(message)
        bulk = self._posted(b"\n".join(lines)) if lines else _Bulk(0, 0, 0, ())
        if bulk is None:
            return False
        refused += [(of_line[one.line - 1], _refusal_of(one.problem)) for one in bulk.refusals]
        for message, why in refused:
            _set_aside(message, why, topic=self._told.refused_topic, producer=producer)
        while producer.flush(1.0):
            if self._over.is_set():
                return False
        self.accepted += bulk.accepted
        self.refused += len(refused)
        return True

    def _posted(self, body: bytes) -> _Bulk | None:
        """The server's answer; None when stopped before there was one. BadSettings when it will never take this."""
        assert self._post is not None
        pause_s = 0.1
        while True:
            try:
                status, answer = self._post(body)
            except httpx.HTTPError as error:
                status, answer = 0, type(error).__name__.encode()
            if status == 200:
                return msgspec.json.decode(answer, type=_Bulk)
            if status in (400, 401, 403, 404, 413, 415, 422):
                raise BadSettings(
                    f"stream.server: {self._told.server}{PATH} answers {status}. Check stream.server, and stream.key and what it may do."
                )
            _log.warning("stream_waits", server=self._told.server, status=status, again_in_s=pause_s)
            if self._over.wait(pause_s):
                return None
            pause_s = min(PAUSE_S_MAX, 2 * pause_s)


def _posting(client: httpx.Client) -> Callable[[bytes], tuple[int, bytes]]:
    def post(body: bytes) -> tuple[int, bytes]:
        response = client.post(PATH, content=body)
        return response.status_code, response.content

    return post


def _is_whole(message: Any) -> bool:
    """A message, and not the news of an error, which librdkafka mends by itself."""
    if message.error() is None:
        return True
    _log.warning("stream_brokers", why=message.error().str())
    return False


def _line_of(value: bytes | None) -> bytes | Refusal:
    """The value on one line."""
    if not value:
        return Refusal(kind="bad-input", detail="the message has no value")
    try:
        return msgspec.json.format(value, indent=-1)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return Refusal(kind="bad-input", detail=f"not valid JSON: {error}")


def _refusal_of(problem: _Problem) -> Refusal:
    return Refusal(kind=problem.type.rpartition("#")[2], detail=problem.detail)


def _set_aside(message: Any, why: Refusal, *, topic: str, producer: Any) -> None:
    """The message as it came, unless it holds a card number, with the reason and where it came from as headers."""
    value = message.value()
    if why.kind == "card-number-refused" or holds_card_number((value or b"").decode(errors="replace")):
        value = None
    headers = {
        "honour-refused": why.kind,
        "honour-detail": why.detail,
        "honour-source": f"{message.topic()}/{message.partition()}/{message.offset()}",
    }
    producer.produce(topic, key=message.key(), value=value, headers={name: text.encode() for name, text in headers.items()})

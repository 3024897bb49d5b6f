"""One request with its retries, without any IO: a generator that says what to send and how long to wait, and is told what came back.

Every request has an idempotency key in its body (payment, decision, attempt or dispute), so that sending it again has the same effect.
It is sent again when nothing came back, and for 429, 502, 503 and 504, after a pause drawn evenly between 0 and a bound that doubles
(full jitter), or what Retry-After asks for; never past the instant at which the answer is due.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Generator
from typing import NamedTuple, TypeVar
from urllib.parse import quote

import msgspec

from honour.errors import HonourError, ServiceAway

Answer = TypeVar("Answer")

AGAIN = frozenset((429, 502, 503, 504))
_KNOWN_MAX = 8_192


class Options(NamedTuple):
    """How a client asks.

    api_key       sent as `Authorization: Bearer`
    deadline_ms   an answer to a decision is due then, retries included; the service is told what is left of it
    report_ms     the same of everything else: nobody waits for a report but the next decision
    retries_max   times that one request is sent again
    pause_ms      bound of the first pause; pause_ms_max of any
    """

    api_key: str | None = None
    deadline_ms: int = 1_000
    report_ms: int = 10_000
    retries_max: int = 3
    pause_ms: int = 25
    pause_ms_max: int = 1_000


DEFAULTS = Options()


class Send(NamedTuple):
    """Send this, and tell what came back, or None when nothing did, within so many seconds."""

    method: str
    path: str
    headers: dict[str, str]
    content: bytes | None
    timeout_s: float


class Pause(NamedTuple):
    """Wait so many seconds."""

    seconds: float


class Received(NamedTuple):
    """What came back."""

    status: int
    content: bytes
    retry_after: str | None


Exchange = Generator[Send | Pause, Received | None, Answer]


class _Problem(msgspec.Struct):
    type: str = "about:blank"
    title: str = ""
    detail: str = ""


def exchange(
    method: str,
    path: str,
    *,
    body: object = None,
    kind: type[Answer],
    allowed_ms: int,
    options: Options,
    now_s: Callable[[], float] = time.monotonic,
    draw: Callable[[], float] = random.random,
) -> Exchange[Answer]:
    """The answer; the service's own error where it refused; ServiceAway when no answer came in time."""
    due_s, content = now_s() + allowed_ms / 1_000, msgspec.json.encode(body) if body is not None else None
    why = "it did not answer"
    for number in range(options.retries_max + 1):
        left_s = due_s - now_s()
        if left_s <= 0.001:
            break
        received = yield Send(method, path, _headers(options, left_s=left_s, has_body=content is not None), content, left_s)
        if received is not None and received.status == 200:
            return _decoded(received.content, kind=kind)
        if received is not None and received.status not in AGAIN:
            raise _refusal(received)
        asked_s = 0.0
        if received is not None:
            why = f"it answered {received.status}"
            said = received.retry_after or ""
            asked_s = float(said) if said.isdigit() else 0.0
        bound_s = min(options.pause_ms_max, options.pause_ms * 2**number) / 1_000
        pause_s = max(asked_s, draw() * bound_s)
        if number == options.retries_max or now_s() + pause_s >= due_s:
            break
        yield Pause(pause_s)
    raise ServiceAway(f"{method} {path}: {why} within {allowed_ms} ms. Send the same again later: it has its effect once.")


def payment_path(payment_id: str) -> str:
    """Path of the story of a payment."""
    return f"/v1/payments/{quote(payment_id, safe='')}"


def _headers(options: Options, *, left_s: float, has_body: bool) -> dict[str, str]:
    headers = {"accept": "application/json"}
    if has_body:
        headers |= {"content-type": "application/json", "honour-deadline-ms": str(max(1, min(600_000, int(left_s * 1_000))))}
    if options.api_key is not None:
        headers["authorization"] = f"Bearer {options.api_key}"
    return headers


def _decoded(content: bytes, *, kind: type[Answer]) -> Answer:
    try:
        return msgspec.json.decode(content, type=kind)
    except msgspec.DecodeError as error:
        raise ServiceAway(f"what answered is not Honour, or another version of it: {error}. Check the address.") from error


def _refusal(received: Received) -> HonourError:
    """The error that the service raised, by its anchor; never the body, which may repeat what was sent."""
    try:
        problem = msgspec.json.decode(received.content[:_KNOWN_MAX], type=_Problem)
    except msgspec.DecodeError:
        problem = _Problem()
    anchor = problem.type.rpartition("#")[2]
    kind = next((one for one in _kinds(HonourError) if one.anchor == anchor), HonourError)
    return kind(problem.detail or f"the service answered {received.status} {problem.title}".strip() + ".")


def _kinds(kind: type[HonourError]) -> list[type[HonourError]]:
    return [kind, *(one for under in kind.__subclasses__() for one in _kinds(under))]

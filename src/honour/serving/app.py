"""The HTTP service. The POST paths are answered close to ASGI, the rest by Starlette (docs/adr/0006)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import structlog
from starlette.types import Receive, Scope, Send

from honour.errors import HonourError, LogUnavailable
from honour.records.attempt import Attempt, Outcome
from honour.serving import wire
from honour.serving.hot_path import Answered, Durable, Engine
from honour.serving.metrics import Metrics
from honour.serving.pages import pages
from honour.serving.wire import BulkLine, BulkResult, Problem

Handler = Callable[[Receive, "Headers"], Awaitable[tuple[int, bytes]]]
Headers = dict[bytes, bytes]

_log = structlog.get_logger("honour")
_REFUSALS_SHOWN = 1_000
_BULK_WAIT = 2_000
"""Lines of a bulk body after which their events are waited for, so that memory stays bounded."""


class Service:
    """An ASGI application around one engine.

    why_not_ready  why nothing is accepted at present, or None
    """

    def __init__(self, engine: Engine, *, metrics: Metrics | None = None) -> None:
        self.engine = engine
        self.metrics = metrics or Metrics()
        self.why_not_ready: str | None = None
        self._pages = pages(self)
        self._posts: dict[str, Handler] = {
            "/v1/decisions": self._decide,
            "/v1/outcomes": self._outcome,
            "/v1/attempts": self._attempt,
            "/v1/disputes": self._dispute,
            "/v1/events": self._bulk,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        handler = self._posts.get(scope["path"]) if scope["type"] == "http" else None
        if handler is None:
            await self._pages(scope, receive, send)
        elif scope["method"] != "POST":
            problem = wire.plain_problem(405, title="Method not allowed", detail=f"{scope['path']} takes POST only.")
            await _send(send, 405, wire.render(problem), extra=[(b"allow", b"POST")])
        else:
            await self._answer(handler, scope, receive, send)

    async def _answer(self, handler: Handler, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        try:
            headers = dict(scope["headers"])
            self._check(headers)
            status, body = await handler(receive, headers)
        except _Refused as refused:
            status, body = refused.problem.status, wire.render(refused.problem)
        except HonourError as error:
            problem = wire.problem_of(error)
            status, body = problem.status, wire.render(problem)
            self.metrics.refusals.labels(status, error.anchor).inc()
            if isinstance(error, LogUnavailable):
                self.fail(error.message)
        except Exception as error:  # The last line: the caller learns that it is our fault, and nothing else.
            _log.exception("unhandled", path=scope["path"], error=type(error).__name__)
            problem = wire.plain_problem(500, title="Honour is at fault", detail="The request was not taken in. The server's log has more.")
            status, body = 500, wire.render(problem)
        self.metrics.seconds.labels(scope["path"]).observe(time.perf_counter() - started)
        await _send(send, status, body)

    def fail(self, why: str) -> None:
        """Accept nothing more until `recovered`: the state may be ahead of the log."""
        if self.why_not_ready is None:
            _log.error("not_ready", why=why)
        self.why_not_ready = why

    def recovered(self) -> None:
        """Accept work again."""
        _log.info("ready_again")
        self.why_not_ready = None

    def _check(self, headers: Headers) -> None:
        if self.why_not_ready is not None:
            raise LogUnavailable(self.why_not_ready)
        kind = headers.get(b"content-type", b"application/json").split(b";")[0].strip().lower()
        if not kind.endswith((b"json", b"ndjson")):
            detail = "Send application/json (curl -H 'content-type: application/json')."
            raise _Refused(wire.plain_problem(415, title="Unsupported media type", detail=detail))

    async def _decide(self, receive: Receive, headers: Headers) -> tuple[int, bytes]:
        request = wire.parse_request(await self._body(receive, headers))
        answered = self.engine.decide(request)
        self.metrics.decided(answered.answer)
        return await self._when_durable(answered)

    async def _outcome(self, receive: Receive, headers: Headers) -> tuple[int, bytes]:
        outcome = wire.parse_outcome(await self._body(receive, headers))
        answered = self.engine.report_outcome(outcome)
        self.metrics.answered(outcome)
        return await self._when_durable(answered)

    async def _attempt(self, receive: Receive, headers: Headers) -> tuple[int, bytes]:
        attempt = wire.parse_attempt(await self._body(receive, headers))
        answered = self.engine.report_attempt(attempt)
        self.metrics.answered(attempt)
        return await self._when_durable(answered)

    async def _dispute(self, receive: Receive, headers: Headers) -> tuple[int, bytes]:
        return await self._when_durable(self.engine.report_dispute(wire.parse_dispute(await self._body(receive, headers))))

    async def _bulk(self, receive: Receive, headers: Headers) -> tuple[int, bytes]:
        accepted = n_refused = number = 0
        refusals: list[BulkLine] = []
        newest: Durable | None = None
        async for line in self._lines(receive, headers):
            number += 1
            if not line.strip():
                continue
            try:
                newest = self._report(line).durable or newest
                accepted += 1
            except LogUnavailable:
                raise
            except HonourError as error:
                n_refused += 1
                if len(refusals) < _REFUSALS_SHOWN:
                    refusals.append(BulkLine(line=number, problem=wire.problem_of(error)))
            if number % _BULK_WAIT == 0 and newest is not None:
                await asyncio.wrap_future(newest)
        if newest is not None:
            await asyncio.wrap_future(newest)
        return 200, wire.render(BulkResult(accepted=accepted, refused=n_refused, refusals=tuple(refusals)))

    def _report(self, line: bytes) -> Answered[Any]:
        match wire.parse_line(line):
            case Outcome() as outcome:
                self.metrics.answered(outcome)
                return self.engine.report_outcome(outcome)
            case Attempt() as attempt:
                self.metrics.answered(attempt)
                return self.engine.report_attempt(attempt)
            case dispute:
                return self.engine.report_dispute(dispute)

    async def _when_durable(self, answered: Answered[Any]) -> tuple[int, bytes]:
        body = wire.render(answered.answer)
        if answered.durable is not None and not answered.durable.done():
            await asyncio.wrap_future(answered.durable)
        elif answered.durable is not None:
            answered.durable.result()
        return 200, body

    async def _body(self, receive: Receive, headers: Headers) -> bytes:
        """The whole body, refused as soon as it is known to be too large."""
        most = self.engine.settings.serving.body_bytes_max
        _check_length(headers, most=most, key="serving.body_bytes_max")
        message = await receive()
        body: bytes = message.get("body", b"")
        while message.get("more_body"):
            if len(body) > most:
                break
            message = await receive()
            body += message.get("body", b"")
        if len(body) > most:
            raise _too_large(most, "serving.body_bytes_max")
        return body

    async def _lines(self, receive: Receive, headers: Headers) -> AsyncIterator[bytes]:
        """Lines of a body as they come in; one line at a time is in memory."""
        most, longest = self.engine.settings.serving.bulk_bytes_max, self.engine.settings.serving.body_bytes_max
        _check_length(headers, most=most, key="serving.bulk_bytes_max")
        rest, n_bytes, more = b"", 0, True
        while more:
            message = await receive()
            chunk: bytes = message.get("body", b"")
            more = bool(message.get("more_body"))
            n_bytes += len(chunk)
            if n_bytes > most:
                raise _too_large(most, "serving.bulk_bytes_max")
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                yield line
            if len(rest) > longest:
                raise _too_large(longest, "serving.body_bytes_max (one line)")
        if rest:
            yield rest


class _Refused(Exception):
    """A problem of HTTP itself."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.title)
        self.problem = problem


def _check_length(headers: Headers, *, most: int, key: str) -> None:
    length = headers.get(b"content-length", b"")
    if length.isdigit() and int(length) > most:
        raise _too_large(most, key)


def _too_large(most: int, key: str) -> _Refused:
    detail = f"At most {most} bytes are taken ({key}). Send many events line by line to /v1/events."
    return _Refused(wire.plain_problem(413, title="Body too large", detail=detail))


async def _send(send: Send, status: int, body: bytes, *, extra: list[tuple[bytes, bytes]] | None = None) -> None:
    kind = b"application/json" if status == 200 else b"application/problem+json"
    headers = [(b"content-type", kind), (b"content-length", str(len(body)).encode()), *(extra or ())]
    if status == 503:
        headers.append((b"retry-after", b"1"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})

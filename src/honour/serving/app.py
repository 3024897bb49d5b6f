"""The HTTP service. The POST paths are answered close to ASGI, the rest by Starlette (docs/adr/0006)."""

from __future__ import annotations

import asyncio
import time
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any

import structlog
from starlette.types import Receive, Send
from starlette.types import Scope as Asgi

from honour.errors import HonourError, LogUnavailable
from honour.records.api_key import Scope
from honour.records.attempt import Attempt, Dispute, Outcome
from honour.serving import wire
from honour.serving.body import Disconnected, Headers, HttpRefused, check_type, lines_of, whole_body
from honour.serving.durable import Waiting
from honour.serving.hot_path import Answered, Durable, Engine
from honour.serving.isolation import reported
from honour.serving.keys import ANYBODY, Holder, KeyRing
from honour.serving.metrics import Metrics
from honour.serving.pages import HOLDER, pages, scope_of
from honour.serving.push import DuePush
from honour.serving.security import refuse_in_url
from honour.serving.wire import BulkLine, BulkResult, Problem

Handler = Callable[[Receive, Headers, Holder], Awaitable[bytes]]

_log = structlog.get_logger("honour")
_REFUSALS_SHOWN = 1_000
_BULK_YIELD = 25
"""Lines of a bulk body after which decisions get their turn."""
_BULK_WAIT = 2_000
"""Lines of a bulk body after which their events are waited for, so that memory stays bounded."""


class Service:
    """An ASGI application around one engine.

    host  address it listens on: where others can reach it, requests need a key
    """

    def __init__(self, engine: Engine, *, host: str = "127.0.0.1") -> None:
        self.engine = engine
        self._ring = KeyRing(host=host)
        self.metrics = Metrics(engine)
        self.waiting = Waiting()
        self.push = DuePush(engine)
        self.metrics.follow(self.push)
        self.metrics.waiting.set_function(lambda: float(self.waiting.n))
        self._pages = pages(engine, metrics_text=self.metrics.text, problem_of=self.problem_of)
        self._posts: dict[str, tuple[Handler, Scope]] = {
            "/v1/decisions": (self._decide, "decide"),
            "/v1/outcomes": (self._outcome, "report"),
            "/v1/attempts": (self._attempt, "report"),
            "/v1/disputes": (self._dispute, "report"),
            "/v1/events": (self._bulk, "report"),
        }

    async def __call__(self, scope: Asgi, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._pages(scope, receive, send)
            return
        post = self._posts.get(scope["path"])
        if post is not None and scope["method"] == "POST" and not scope["query_string"]:
            await self._answer(post, scope, receive, send)
            return
        try:
            refuse_in_url(scope["path"], scope["query_string"])
            if post is None:
                scope[HOLDER] = self._reader(scope)
        except HonourError as error:
            await _send(send, self.problem_of(error))
            return
        if post is None:
            await self._pages(scope, receive, send)
        elif scope["method"] == "POST":
            await self._answer(post, scope, receive, send)
        else:
            problem = wire.plain_problem(405, title="Method Not Allowed", detail=f"{scope['path']} takes POST only.")
            self.metrics.refused(405, "method-not-allowed")
            await _send(send, problem, extra=[(b"allow", b"POST")])

    def problem_of(self, error: Exception) -> Problem:
        """What is said of an error, counted. What nobody foresaw is logged by where it happened, never by its words."""
        if isinstance(error, HttpRefused):
            self.metrics.refused(error.problem.status, error.anchor)
            return error.problem
        if isinstance(error, HonourError):
            if isinstance(error, LogUnavailable):
                self.stop(error.message)
            problem = wire.problem_of(error)
            self.metrics.refused(problem.status, error.anchor)
            return problem
        _log.error("unhandled", error=type(error).__name__, where=traceback.format_tb(error.__traceback__))
        self.metrics.refused(500, "unhandled")
        return wire.plain_problem(500, title="Internal Server Error", detail="Honour is at fault; its log says where. Send it again later.")

    def stop(self, why: str) -> None:
        """Accept nothing more until the state is rebuilt from the log."""
        if not self.engine.is_stopped:
            _log.error("not_ready", why=why)
            self.engine.stop(self.engine.log.why_unavailable or why)

    def _reader(self, scope: Asgi) -> Holder:
        if (needed := scope_of(scope["path"])) is None:
            return ANYBODY
        headers, settings = dict(scope["headers"]), self.engine.settings
        return self._ring.holder(headers, settings=settings, scope=needed, every_merchant=not scope["path"].startswith("/v1/payments"))

    async def _answer(self, post: tuple[Handler, Scope], scope: Asgi, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        handler, needed = post
        answer: bytes | Problem
        try:
            headers = dict(scope["headers"])
            answer = await handler(receive, headers, self._ring.holder(headers, settings=self.engine.settings, scope=needed))
        except Disconnected:
            return
        except Exception as error:  # The last line: every error leaves as a problem document.
            answer = self.problem_of(error)
        self.metrics.took(scope["path"], time.perf_counter() - started)
        await _send(send, answer)

    async def _decide(self, receive: Receive, headers: Headers, holder: Holder) -> bytes:
        request = wire.parse_request(await self._body(receive, headers))
        holder.check_merchant(request.payment.merchant_id)
        answered = self.engine.decide(request)
        if answered.is_news:
            self.metrics.decided(answered.answer)
        return await self._when_durable(answered)

    async def _outcome(self, receive: Receive, headers: Headers, holder: Holder) -> bytes:
        return await self._when_durable(self._report(wire.parse_outcome(await self._body(receive, headers)), holder))

    async def _attempt(self, receive: Receive, headers: Headers, holder: Holder) -> bytes:
        return await self._when_durable(self._report(wire.parse_attempt(await self._body(receive, headers)), holder))

    async def _dispute(self, receive: Receive, headers: Headers, holder: Holder) -> bytes:
        return await self._when_durable(self._report(wire.parse_dispute(await self._body(receive, headers)), holder))

    async def _bulk(self, receive: Receive, headers: Headers, holder: Holder) -> bytes:
        """Good lines are kept whatever the others are; the answer leaves when all of them are durable."""
        self._check_ready()
        check_type(headers, ("ndjson", "jsonl", "jsonlines", "json"), advice="Send application/x-ndjson, one JSON object a line.")
        accepted = repeated = n_refused = 0
        refusals: list[BulkLine] = []
        newest: Durable | None = None
        async for number, line in self._lines(receive, headers):
            try:
                answered = self._report(wire.parse_line(line), holder)
                newest = answered.durable or newest
                accepted += 1
                repeated += not answered.is_news
            except LogUnavailable:
                raise
            except (HonourError, HttpRefused) as error:
                n_refused += 1
                problem = self.problem_of(error)
                if len(refusals) < _REFUSALS_SHOWN:
                    refusals.append(BulkLine(line=number, problem=problem))
            if number % _BULK_WAIT == 0:
                await self.waiting.until(newest)
            elif number % _BULK_YIELD == 0:
                await asyncio.sleep(0)
        await self.waiting.until(newest)
        return wire.render(BulkResult(accepted=accepted, repeated=repeated, refused=n_refused, refusals=tuple(refusals)))

    def _report(self, report: wire.Report, holder: Holder) -> Answered[Any]:
        answered = reported(report, holder=holder, engine=self.engine, take=partial(self._take, report))
        if not answered.is_news:
            return answered
        if isinstance(report, Dispute):
            self.metrics.disputed()
        else:
            self.metrics.answered(report.status, route=answered.route, source="decision" if isinstance(report, Outcome) else "attempt")
        return answered

    def _take(self, report: wire.Report) -> Answered[Any]:
        if isinstance(report, Outcome):
            return self.engine.report_outcome(report)
        return self.engine.report_attempt(report) if isinstance(report, Attempt) else self.engine.report_dispute(report)

    async def _when_durable(self, answered: Answered[Any]) -> bytes:
        body = wire.render(answered.answer)
        await self.waiting.until(answered.durable)
        return body

    async def _body(self, receive: Receive, headers: Headers) -> bytes:
        self._check_ready()
        check_type(headers, ("json",), advice="Send application/json (curl -H 'content-type: application/json').")
        return await whole_body(receive, headers, bytes_max=self.engine.settings.serving.body_bytes_max)

    async def _lines(self, receive: Receive, headers: Headers) -> AsyncIterator[tuple[int, bytes]]:
        """Lines that hold something, with their numbers from 1."""
        serving, number = self.engine.settings.serving, 0
        async for line in lines_of(receive, headers, bytes_max=serving.bulk_bytes_max, line_bytes_max=serving.body_bytes_max):
            number += 1
            if line.strip():
                yield number, line

    def _check_ready(self) -> None:
        """Refuse before the body is read."""
        if (why := self.engine.why_not_ready) is not None:
            raise LogUnavailable(f"nothing can be kept at present: {why}. Nothing was accepted.")


async def _send(send: Send, answer: bytes | Problem, *, extra: list[tuple[bytes, bytes]] | None = None) -> None:
    status, kind, body = 200, b"application/json", answer
    told = list(extra or ())
    if isinstance(answer, Problem):
        status, kind, body = answer.status, b"application/problem+json", wire.render(answer)
        told += [(name.encode(), value.encode()) for name, value in wire.headers_of(answer).items()]
    headers = [(b"content-type", kind), (b"content-length", str(len(body)).encode()), *told]  # type: ignore[arg-type]  # bytes by now
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})

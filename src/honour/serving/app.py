"""The HTTP service. The POST paths are answered close to ASGI, the rest by Starlette (docs/adr/0006)."""

from __future__ import annotations

import time
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any, NamedTuple

import structlog
from starlette.types import Receive, Send
from starlette.types import Scope as Asgi

from honour.errors import HonourError, LogAway, LogUnavailable
from honour.records.api_key import Scope
from honour.records.attempt import Attempt, Dispute, Outcome
from honour.serving import wire
from honour.serving.body import Disconnected, Headers, HttpRefused, check_type, lines_of, whole_body
from honour.serving.deadline import Deadline, deadline_of
from honour.serving.durable import Waiting
from honour.serving.hot_path import Answered, Durable, Engine
from honour.serving.isolation import reported
from honour.serving.keys import ANYBODY, Holder, KeyRing
from honour.serving.metrics import Metrics
from honour.serving.pages import HOLDER, pages, scope_of
from honour.serving.push import DuePush
from honour.serving.queue import Queue, Rank
from honour.serving.rate import Rates
from honour.serving.security import refuse_in_url
from honour.serving.wire import BulkLine, BulkResult, Problem

BULK = "/v1/events"

_log = structlog.get_logger("honour")
_REFUSALS_SHOWN = 1_000
_BULK_TOGETHER = 10
"""Lines of a bulk body that are taken in one turn."""
_BULK_WAIT = 2_000
"""Lines of a bulk body after which their events are waited for, so that memory stays bounded."""


class Asked(NamedTuple):
    """One POST: its body and headers, who asks, and by when the answer is due; bulk bodies may have no deadline."""

    receive: Receive
    headers: Headers
    holder: Holder
    deadline: Deadline | None


Handler = Callable[[Asked], Awaitable[bytes]]


class Service:
    """An ASGI application around one engine.

    host      address it listens on: where others can reach it, requests need a key
    timer_ns  counts nanoseconds, for deadlines, queueing and rates
    """

    def __init__(self, engine: Engine, *, host: str = "127.0.0.1", timer_ns: Callable[[], int] = time.perf_counter_ns) -> None:
        self.engine = engine
        self.queue = Queue(lambda: self.engine.settings.serving, timer_ns=timer_ns)
        self._ring, self._rates, self._timer_ns = KeyRing(host=host), Rates(timer_ns=timer_ns), timer_ns
        self.metrics = Metrics(engine)
        self.waiting = Waiting()
        self.push = DuePush(engine)
        self.metrics.follow(self.push, self.queue)
        self.metrics.waiting.set_function(lambda: float(self.waiting.n))
        self._pages = pages(engine, metrics_text=self.metrics.text, problem_of=self.problem_of)
        self._posts: dict[str, tuple[Handler, Scope]] = {
            "/v1/decisions": (self._decide, "decide"),
            "/v1/outcomes": (self._outcome, "report"),
            "/v1/attempts": (self._attempt, "report"),
            "/v1/disputes": (self._dispute, "report"),
            BULK: (self._bulk, "report"),
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
            if isinstance(error, LogUnavailable) and not isinstance(error, LogAway):
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
        began_ns = self._timer_ns()
        handler, needed = post
        answer: bytes | Problem
        try:
            headers, settings = dict(scope["headers"]), self.engine.settings
            holder = self._ring.holder(headers, settings=settings, scope=needed)
            self._rates.take(holder)
            deadline = deadline_of(headers, default_ms=self._default_ms(scope["path"]), timer_ns=self._timer_ns)
            answer = await handler(Asked(receive, headers, holder, deadline))
        except Disconnected:
            return
        except Exception as error:  # The last line: every error leaves as a problem document.
            answer = self.problem_of(error)
        self.metrics.took(scope["path"], (self._timer_ns() - began_ns) / 1e9)
        await _send(send, answer)

    def _default_ms(self, path: str) -> int | None:
        """A bulk body takes the time it takes, unless its sender says otherwise."""
        return None if path == BULK else self.engine.settings.serving.deadline_ms

    async def _decide(self, asked: Asked) -> bytes:
        request = wire.parse_request(await self._body(asked))
        asked.holder.check_merchant(request.payment.merchant_id)
        rank: Rank = "in_progress" if self.engine.state.book.is_in_progress(request.payment.payment_id) else "decision"
        left_ns = asked.deadline.left_ns if asked.deadline is not None else None
        answered = await self.queue.run(rank, partial(self.engine.decide, request, left_ns=left_ns), deadline=asked.deadline)
        if answered.is_news:
            self.metrics.decided(answered.answer)
        return await self._when_durable(answered, asked)

    async def _outcome(self, asked: Asked) -> bytes:
        return await self._reported(wire.parse_outcome(await self._body(asked)), asked)

    async def _attempt(self, asked: Asked) -> bytes:
        return await self._reported(wire.parse_attempt(await self._body(asked)), asked)

    async def _dispute(self, asked: Asked) -> bytes:
        return await self._reported(wire.parse_dispute(await self._body(asked)), asked)

    async def _reported(self, report: wire.Report, asked: Asked) -> bytes:
        answered = await self.queue.run("report", partial(self._report, report, asked.holder), deadline=asked.deadline)
        return await self._when_durable(answered, asked)

    async def _bulk(self, asked: Asked) -> bytes:
        """Good lines are kept whatever the others are; the answer leaves when all of them are durable."""
        self._check_ready()
        check_type(asked.headers, ("ndjson", "jsonl", "jsonlines", "json"), advice="Send application/x-ndjson, one JSON object a line.")
        bulk, n_taken = _Bulk(), 0
        async for lines in self._lines(asked):
            await self.queue.run("bulk", partial(self._take_lines, lines, asked.holder, bulk), deadline=asked.deadline)
            n_taken += len(lines)
            if n_taken >= _BULK_WAIT:
                n_taken = 0
                await self.waiting.until(bulk.newest, deadline=asked.deadline)
        await self.waiting.until(bulk.newest, deadline=asked.deadline)
        return wire.render(BulkResult(accepted=bulk.accepted, repeated=bulk.repeated, refused=bulk.refused, refusals=tuple(bulk.refusals)))

    def _take_lines(self, lines: list[tuple[int, bytes]], holder: Holder, bulk: _Bulk) -> None:
        for number, line in lines:
            try:
                answered = self._report(wire.parse_line(line), holder)
                bulk.newest = answered.durable or bulk.newest
                bulk.accepted += 1
                bulk.repeated += not answered.is_news
            except LogUnavailable:
                raise
            except (HonourError, HttpRefused) as error:
                bulk.refused += 1
                problem = self.problem_of(error)
                if len(bulk.refusals) < _REFUSALS_SHOWN:
                    bulk.refusals.append(BulkLine(line=number, problem=problem))

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

    async def _when_durable(self, answered: Answered[Any], asked: Asked) -> bytes:
        body = wire.render(answered.answer)
        await self.waiting.until(answered.durable, deadline=asked.deadline)
        return body

    async def _body(self, asked: Asked) -> bytes:
        self._check_ready()
        check_type(asked.headers, ("json",), advice="Send application/json (curl -H 'content-type: application/json').")
        return await whole_body(asked.receive, asked.headers, bytes_max=self.engine.settings.serving.body_bytes_max)

    async def _lines(self, asked: Asked) -> AsyncIterator[list[tuple[int, bytes]]]:
        """Lines that hold something, with their numbers from 1, as many together as one turn takes."""
        serving, number = self.engine.settings.serving, 0
        together: list[tuple[int, bytes]] = []
        async for line in lines_of(asked.receive, asked.headers, bytes_max=serving.bulk_bytes_max, line_bytes_max=serving.body_bytes_max):
            number += 1
            if line.strip():
                together.append((number, line))
            if len(together) == _BULK_TOGETHER:
                yield together
                together = []
        if together:
            yield together

    def _check_ready(self) -> None:
        """Refuse before the body is read."""
        if (why := self.engine.why_not_ready) is not None:
            raise LogUnavailable(f"nothing can be kept at present: {why}. Nothing was accepted.")


class _Bulk:
    """What became of a bulk body so far."""

    def __init__(self) -> None:
        self.accepted = self.repeated = self.refused = 0
        self.refusals: list[BulkLine] = []
        self.newest: Durable | None = None


async def _send(send: Send, answer: bytes | Problem, *, extra: list[tuple[bytes, bytes]] | None = None) -> None:
    status, kind, body = 200, b"application/json", answer
    told = list(extra or ())
    if isinstance(answer, Problem):
        status, kind, body = answer.status, b"application/problem+json", wire.render(answer)
        told += [(name.encode(), value.encode()) for name, value in wire.headers_of(answer).items()]
    headers = [(b"content-type", kind), (b"content-length", str(len(body)).encode()), *told]  # type: ignore[arg-type]  # bytes by now
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})

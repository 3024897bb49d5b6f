"""The HTTP service. POSTs of one record are answered without a coroutine each, the rest by ASGI and Starlette (docs/adr/0015)."""

from __future__ import annotations

import asyncio
import time
import traceback
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Literal

import structlog
from starlette.types import Receive, Send
from starlette.types import Scope as Asgi

from honour.errors import HonourError, LogAway, LogUnavailable
from honour.records.api_key import Scope
from honour.serving import wire
from honour.serving.body import Disconnected, Headers, HttpRefused, check_type, lines_of, whole_body
from honour.serving.deadline import deadline_of
from honour.serving.durable import Waiting
from honour.serving.hot_path import Engine
from honour.serving.keys import ANYBODY, Holder, KeyRing
from honour.serving.metrics import Metrics
from honour.serving.pages import HOLDER, pages, scope_of
from honour.serving.posts import Asked, Path, Posts, Tell, UnderWay
from honour.serving.push import DuePush
from honour.serving.queue import Queue
from honour.serving.rate import Rates
from honour.serving.security import refuse_in_url
from honour.serving.wire import BulkLine, BulkResult, Problem
from honour.stores.port import Durable

BULK: Literal["/v1/events"] = "/v1/events"
PostPath = Path | Literal["/v1/events"]
SCOPES: dict[PostPath, Scope] = {
    "/v1/decisions": "decide",
    "/v1/outcomes": "report",
    "/v1/attempts": "report",
    "/v1/disputes": "report",
    BULK: "report",
}
"""Every path that takes a POST, and what a key must be allowed to."""

_log = structlog.get_logger("honour")
_REFUSALS_SHOWN = 1_000
_BULK_TOGETHER = 10
"""Lines of a bulk body that are taken in one turn."""
_BULK_WAIT = 2_000
"""Lines of a bulk body after which their events are waited for, so that memory stays bounded."""


class Service:
    """An ASGI application around one engine.

    host      address it listens on: where others can reach it, requests need a key
    timer_ns  counts nanoseconds, for deadlines, queueing and rates
    """

    def __init__(self, engine: Engine, *, host: str = "127.0.0.1", timer_ns: Callable[[], int] = time.perf_counter_ns) -> None:
        self.engine = engine
        self.queue = Queue(lambda: self.engine.settings.serving, timer_ns=timer_ns, turn=engine.turn, newest=lambda: engine.newest)
        self._ring, self._rates, self._timer_ns = KeyRing(host=host), Rates(timer_ns=timer_ns), timer_ns
        self.metrics = Metrics(engine)
        self.waiting = Waiting()
        self.push = DuePush(engine)
        self.metrics.follow(self.push, self.queue)
        self.metrics.waiting.set_function(lambda: float(self.waiting.n))
        self._pages = pages(engine, metrics_text=self.metrics.text, problem_of=self.problem_of)
        self._posts = Posts(engine, queue=self.queue, waiting=self.waiting, metrics=self.metrics, problem_of=self.problem_of)

    async def __call__(self, scope: Asgi, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._pages(scope, receive, send)
            return
        needed = SCOPES.get(scope["path"])
        if needed is not None and scope["method"] == "POST" and not scope["query_string"]:
            await self._answer(scope, receive, send)
            return
        try:
            refuse_in_url(scope["path"], scope["query_string"])
            if needed is None:
                scope[HOLDER] = self._reader(scope)
        except HonourError as error:
            await _send(send, self.problem_of(error))
            return
        if needed is None:
            await self._pages(scope, receive, send)
        elif scope["method"] == "POST":
            await self._answer(scope, receive, send)
        else:
            problem = wire.plain_problem(405, title="Method Not Allowed", detail=f"{scope['path']} takes POST only.")
            self.metrics.refused(405, "method-not-allowed")
            await _send(send, problem, extra=[(b"allow", b"POST")])

    @property
    def body_bytes_max(self) -> int:
        """Largest body of one record."""
        return self.engine.settings.serving.body_bytes_max

    def now_ns(self) -> int:
        """The clock of deadlines and durations."""
        return self._timer_ns()

    def begin(self, path: PostPath, headers: Headers) -> Asked:
        """Who asks, and by when the answer is due; refuses before the body is read."""
        holder = self._ring.holder(headers, settings=self.engine.settings, scope=SCOPES[path])
        self._rates.take(holder)
        asked = Asked(headers, holder, deadline_of(headers, default_ms=self._default_ms(path), timer_ns=self._timer_ns))
        if path != BULK:
            self._posts.check(asked)
        return asked

    def answer(self, path: Path, body: bytes, asked: Asked, *, began_ns: int, tell: Tell) -> UnderWay:
        """Answer a whole body, without a coroutine: `tell` is called once."""

        def told(answer: bytes | Problem) -> None:
            self.metrics.took(path, (self._timer_ns() - began_ns) / 1e9)
            tell(answer)

        return self._posts.answer(path, body, asked, tell=told)

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

    async def _answer(self, scope: Asgi, receive: Receive, send: Send) -> None:
        began_ns = self._timer_ns()
        path: PostPath = scope["path"]
        answer: bytes | Problem
        try:
            asked = self.begin(path, dict(scope["headers"]))
            if path != BULK:
                body = await whole_body(receive, asked.headers, bytes_max=self.body_bytes_max)
                done: asyncio.Future[bytes | Problem] = asyncio.get_running_loop().create_future()
                under_way = self.answer(path, body, asked, began_ns=began_ns, tell=done.set_result)
                try:
                    answer = await done
                finally:
                    under_way.forget()
                await _send(send, answer)
                return
            answer = await self._bulk(receive, asked)
        except Disconnected:
            return
        except Exception as error:  # The last line: every error leaves as a problem document.
            answer = self.problem_of(error)
        self.metrics.took(path, (self._timer_ns() - began_ns) / 1e9)
        await _send(send, answer)

    def _default_ms(self, path: PostPath) -> int | None:
        """A bulk body takes the time it takes, unless its sender says otherwise."""
        return None if path == BULK else self.engine.settings.serving.deadline_ms

    async def _bulk(self, receive: Receive, asked: Asked) -> bytes:
        """Good lines are kept whatever the others are; the answer leaves when all of them are durable."""
        self._posts.check_ready()
        check_type(asked.headers, ("ndjson", "jsonl", "jsonlines", "json"), advice="Send application/x-ndjson, one JSON object a line.")
        bulk, n_taken = _Bulk(), 0
        async for lines in self._lines(receive, asked):
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
                answered = self._posts.report(wire.parse_line(line), holder)
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

    async def _lines(self, receive: Receive, asked: Asked) -> AsyncIterator[list[tuple[int, bytes]]]:
        """Lines that hold something, with their numbers from 1, as many together as one turn takes."""
        serving, number = self.engine.settings.serving, 0
        together: list[tuple[int, bytes]] = []
        async for line in lines_of(receive, asked.headers, bytes_max=serving.bulk_bytes_max, line_bytes_max=serving.body_bytes_max):
            number += 1
            if line.strip():
                together.append((number, line))
            if len(together) == _BULK_TOGETHER:
                yield together
                together = []
        if together:
            yield together


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

"""What GET answers: the story of a payment, health, metrics, the OpenAPI document and its readable page."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from honour.errors import HonourError, LogUnavailable, UnknownReference
from honour.records.api_key import Scope
from honour.serving import openapi, wire
from honour.serving.due import answered
from honour.serving.hot_path import Engine
from honour.serving.isolation import told_to
from honour.serving.keys import Holder, without_secrets
from honour.serving.story import Health, Story, told
from honour.serving.wire import Problem

HOLDER = "honour.holder"
"""Where the scope of a request says who asks (`serving.keys.Holder`)."""
_PROBLEM = "application/problem+json"
_OPEN = frozenset(("/healthz", "/readyz", "/openapi.json", "/docs"))


def scope_of(path: str) -> Scope | None:
    """What a key must be allowed for a GET; None where nobody needs one. What is not named here needs the most."""
    if path in _OPEN:
        return None
    return "read" if path == "/metrics" or path.startswith("/v1/payments") else "administer"


def pages(engine: Engine, *, metrics_text: Callable[[], bytes], problem_of: Callable[[Exception], Problem]) -> Starlette:
    """The GET paths of a service.

    problem_of  what is said of an error, counted and logged
    """

    async def payment(request: Request) -> Response:
        return _json(await _story(engine, request.path_params["payment_id"], holder=request.scope[HOLDER]))

    async def due(request: Request) -> Response:
        if (why := engine.why_not_ready) is not None:
            raise LogUnavailable(f"what is due is not known at present: {why}.")
        merchants = request.scope[HOLDER].merchants
        return _json(answered(engine.state.due, request.query_params, now_us=engine.now_us, merchants=merchants))

    async def settings(_request: Request) -> Response:
        return _json(without_secrets(engine.settings))

    async def healthz(_request: Request) -> Response:
        return _json(Health(status="alive"))

    async def readyz(_request: Request) -> Response:
        if (why := engine.why_not_ready) is not None:
            return _problem(wire.problem_of(LogUnavailable(f"nothing can be kept at present: {why}.")))
        return _json(Health(status="ready", bundle=engine.bundle_id))

    async def metrics(_request: Request) -> Response:
        return Response(metrics_text(), media_type="text/plain; version=0.0.4")

    async def document(_request: Request) -> Response:
        return _json(openapi.document())

    async def readable(_request: Request) -> Response:
        return Response(openapi.page(), media_type="text/html")

    async def refused(_request: Request, error: Exception) -> Response:
        return _problem(problem_of(error))

    routes = [
        Route("/v1/payments", due),
        Route("/v1/payments/{payment_id:path}", payment),
        Route("/v1/settings", settings),
        Route("/healthz", healthz),
        Route("/readyz", readyz),
        Route("/metrics", metrics),
        Route("/openapi.json", document),
        Route("/docs", readable),
    ]
    return Starlette(routes=routes, exception_handlers={HonourError: refused, HTTPException: _of_http, Exception: refused})


async def _story(engine: Engine, payment_id: str, *, holder: Holder) -> Story:
    events = told_to(holder, await asyncio.to_thread(engine.log.story, payment_id))
    if not events:
        raise UnknownReference(f"payment_id {payment_id!r} names no payment in the log.")
    book = engine.state.book
    history = book.history(payment_id)
    return Story(
        payment_id=payment_id,
        approved=history.approved,
        attempts_answered=history.n_answered,
        awaiting_outcome_of=book.awaited(payment_id),
        events=tuple(told(logged) for logged in events),
    )


def _json(value: Any) -> Response:
    return Response(wire.render(value), media_type="application/json")


def _problem(problem: Problem) -> Response:
    return Response(wire.render(problem), problem.status, wire.headers_of(problem), _PROBLEM)


async def _of_http(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    problem = wire.plain_problem(error.status_code, title=HTTPStatus(error.status_code).phrase, detail="/docs lists what there is.")
    return Response(wire.render(problem), error.status_code, error.headers, _PROBLEM)

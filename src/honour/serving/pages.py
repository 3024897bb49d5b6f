"""What GET answers: the story of a payment, health, metrics, the OpenAPI document and its readable page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from honour.errors import CardNumberRefused, HonourError, UnknownReference
from honour.records.card_number import holds_card_number
from honour.records.event import DecisionMade, LoggedEvent
from honour.records.instant import from_us
from honour.serving import openapi, wire
from honour.serving.story import Health, Story, StoryEvent

if TYPE_CHECKING:
    from honour.serving.app import Service


def pages(service: Service) -> Starlette:
    """The GET paths of a service."""

    async def payment(request: Request) -> Response:
        return _json(_story(service, request.path_params["payment_id"]))

    async def healthz(_request: Request) -> Response:
        return _json(Health(status="alive"))

    async def readyz(_request: Request) -> Response:
        why = service.why_not_ready or service.engine.log.why_unavailable
        if why is None:
            return _json(Health(status="ready", bundle=service.engine.bundle_id))
        problem = wire.plain_problem(503, title="Not ready", detail=why)
        return Response(wire.render(problem), 503, {"retry-after": "1"}, "application/problem+json")

    async def metrics(_request: Request) -> Response:
        service.metrics.ready.set(service.why_not_ready is None)
        service.metrics.log_seq.set(service.engine.log.last_seq)
        service.metrics.model_failures.set(service.engine.n_model_failures)
        return Response(service.metrics.text(), media_type="text/plain; version=0.0.4")

    async def document(_request: Request) -> Response:
        return _json(openapi.document())

    async def readable(_request: Request) -> Response:
        return Response(openapi.page(), media_type="text/html")

    return Starlette(
        routes=[
            Route("/v1/payments/{payment_id}", payment),
            Route("/healthz", healthz),
            Route("/readyz", readyz),
            Route("/metrics", metrics),
            Route("/openapi.json", document),
            Route("/docs", readable),
        ],
        exception_handlers={HonourError: _refuse, 404: _not_found, 405: _not_allowed},
    )


def _story(service: Service, payment_id: str) -> Story:
    if holds_card_number(payment_id):
        raise CardNumberRefused("a card number was found in the path. Honour never takes one.", path="$.payment_id")
    events = service.engine.log.story(payment_id)
    if not events:
        raise UnknownReference("the log holds no payment with this id.")
    history, pending = service.engine.state.book.history(payment_id), service.engine.state.book.pending(payment_id)
    return Story(
        payment_id=payment_id,
        approved=history.approved,
        attempts_answered=history.n_answered,
        awaiting_outcome_of=pending.decision_id if pending else None,
        events=tuple(_told(logged) for logged in events),
    )


def _told(logged: LoggedEvent) -> StoryEvent:
    event = logged.event
    if isinstance(event, DecisionMade):
        event = msgspec.structs.replace(event, features=None)
    return StoryEvent(seq=logged.seq, arrived_at=from_us(logged.arrived_us), event=event)


def _json(value: Any) -> Response:
    return Response(wire.render(value), media_type="application/json")


async def _refuse(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HonourError)
    problem = wire.problem_of(error)
    return Response(wire.render(problem), problem.status, media_type="application/problem+json")


async def _not_found(_request: Request, _error: Exception) -> Response:
    problem = wire.plain_problem(404, title="No such path", detail="See /docs for what there is.")
    return Response(wire.render(problem), 404, media_type="application/problem+json")


async def _not_allowed(_request: Request, error: Exception) -> Response:
    problem = wire.plain_problem(405, title="Method not allowed", detail="See /docs for what there is.")
    return Response(wire.render(problem), 405, getattr(error, "headers", None), "application/problem+json")

"""A small shop: settings, bodies, a model without training, and HTTP without sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import numpy as np
from numpy.typing import NDArray

from honour.outcomes.state import State
from honour.records.event import ServedFeatures
from honour.records.route import Merchant, Route, RouteCost
from honour.records.settings import ServingSettings, Settings
from honour.serving.app import Service
from honour.serving.hot_path import Engine
from honour.serving.score import Model
from honour.stores.memory import MemoryLog
from honour.stores.port import EventLog

NOON_US = 1_772_366_400_000_000  # 2026-03-01T12:00Z
SECOND_US = 1_000_000

SETTINGS = Settings(
    # Whether an answer is in time on a busy machine is asked by tests that say so.
    serving=ServingSettings(deadline_ms=60_000, queue_delay_ms=60_000),
    merchants={"default": Merchant(margin_bps=2500, exploration_budget_minor=5.0)},
    routes=(
        Route(id="acq_1", cost=RouteCost(attempt_minor=10)),
        Route(id="acq_2", cost=RouteCost(attempt_minor=12), authentications=("none", "three_ds")),
        Route(id="acq_brl", currencies=("BRL",)),
    ),
)


class Fixed:
    """A model that gives the candidates these probabilities, in turn, or what `answer` makes of their number."""

    def __init__(self, answer: Callable[[int], NDArray[np.float64]] | None = None) -> None:
        self._answer = answer or (lambda n: np.linspace(0.9, 0.5, n))

    def predict_many(self, served: ServedFeatures) -> NDArray[np.float64]:
        """One probability for each candidate."""
        return self._answer(len(served.candidates))


class Clock:
    """Time that passes when it is told to, and a second with every look."""

    def __init__(self) -> None:
        self.now_us = NOON_US

    def __call__(self) -> int:
        self.now_us += SECOND_US
        return self.now_us


def engine(log: EventLog | None = None, *, model: Model | None = None, settings: Settings = SETTINGS, state: State | None = None) -> Engine:
    """An engine on an empty log, whose clock starts at noon."""
    bundle_id = "bdl_test" if model is not None else None
    ticks = iter(range(0, 10**12, 1_000))
    return Engine(
        settings,
        log=log if log is not None else MemoryLog(),
        state=state or State(),
        model=model,
        bundle_id=bundle_id,
        clock_us=Clock(),
        timer_ns=lambda: next(ticks),
    )


def payment(payment_id: str = "pay_1", **changed: Any) -> dict[str, Any]:
    """A payment as JSON."""
    card = {"card_id": "crd_1", "bin": "411111", "network": "visa"}
    told = {"payment_id": payment_id, "merchant_id": "mer_1", "amount_minor": 5_000, "currency": "EUR", "card": card}
    return {**told, **changed}


def card_number() -> str:
    """The card number that networks publish for tests, made here: it stands in no file."""
    return "4111" + "1111" * 3


def ask(service: Service, method: str, path: str, **sent: Any) -> httpx.Response:
    """One request over HTTP without a socket."""
    return ask_all(service, [(method, path, sent)])[0]


def ask_all(service: Service, requests: list[tuple[str, str, dict[str, Any]]]) -> list[httpx.Response]:
    """Requests one after the other, in one event loop."""

    async def go() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app=service)
        async with httpx.AsyncClient(transport=transport, base_url="http://honour.test") as client:
            return [await client.request(method, path, **sent) for method, path, sent in requests]

    return asyncio.run(go())


def in_pieces(body: bytes, *, n_bytes: int = 65_536) -> Any:
    """A body without a content-length."""

    async def pieces() -> Any:
        for start in range(0, len(body), n_bytes):
            yield body[start : start + n_bytes]

    return pieces()


def seconds_after_noon(n: int) -> int:
    """An instant in microseconds."""
    return NOON_US + n * SECOND_US


def refs(tree: Any) -> Iterator[str]:
    """Every $ref in a JSON document."""
    if isinstance(tree, dict):
        if isinstance(tree.get("$ref"), str):
            yield tree["$ref"]
        for value in tree.values():
            yield from refs(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from refs(value)

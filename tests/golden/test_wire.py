"""Wire messages as callers see them: changed only on purpose."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
from numpy.typing import NDArray

from honour.outcomes.state import State
from honour.records.event import ServedFeatures
from honour.records.route import Merchant, Route, RouteCost
from honour.records.settings import Settings
from honour.serving.app import Service
from honour.serving.hot_path import Engine
from honour.stores.memory import MemoryLog

Golden = Callable[[str, str], None]

PAYMENT = {
    "payment_id": "pay_01",
    "merchant_id": "mer_7",
    "amount_minor": 12900,
    "currency": "BRL",
    "created_at": "2026-03-01T12:00:00Z",
    "card": {"card_id": "crd_9f", "bin": "41111111", "network": "visa", "issuer_country": "BR"},
}
SETTINGS = Settings(
    merchants={"default": Merchant(country="BR", mcc="5732", margin_bps=2500, exploration_budget_minor=5.0)},
    routes=(
        Route(id="acq_br_1", cost=RouteCost(attempt_minor=12, approval_bps=90)),
        Route(id="acq_us_2", cost=RouteCost(attempt_minor=9), authentications=("none", "three_ds")),
        Route(id="acq_eur", currencies=("EUR",)),
    ),
)


class Fixed:
    """A model that knows the probabilities."""

    def predict_many(self, served: ServedFeatures) -> NDArray[np.float64]:
        """One probability for each candidate, falling."""
        return np.linspace(0.875, 0.625, len(served.candidates))


def test_the_answer_to_a_decision(golden: Golden) -> None:
    (response,) = _ask(("POST", "/v1/decisions", {"payment": PAYMENT}))
    golden("decision.json", _shown(response))


def test_a_value_that_is_not_allowed(golden: Golden) -> None:
    (response,) = _ask(("POST", "/v1/decisions", {"payment": {**PAYMENT, "currency": "XXQ"}}))
    assert response.status_code == 422
    golden("problem_bad_input.json", _shown(response))


def test_the_story_of_a_payment(golden: Golden) -> None:
    said = {"status": "declined", "response_code": "51", "happened_at": "2026-03-01T12:00:01Z"}
    *_, response = _ask(
        ("POST", "/v1/decisions", {"payment": PAYMENT, "at": "2026-03-01T12:00:00Z"}),
        ("POST", "/v1/outcomes", said),
        ("POST", "/v1/decisions", {"payment": PAYMENT, "at": "2026-03-02T12:00:00Z"}),
        ("GET", "/v1/payments/pay_01", None),
    )
    assert len(response.json()["events"]) == 3
    golden("story.json", _shown(response))


def test_the_document_of_the_api(golden: Golden) -> None:
    (response,) = _ask(("GET", "/openapi.json", None))
    golden("openapi.json", re.sub(r'("version": )"[^"]*"', r'\1"*"', _shown(response)))


def _shown(response: httpx.Response) -> str:
    """Indented, to six digits, and without the one number that differs on every run."""
    return json.dumps(_masked(response.json()), indent=2) + "\n"


def _masked(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: 0 if key == "elapsed_us" and isinstance(one, int) else _masked(one) for key, one in value.items()}
    if isinstance(value, float):
        return float(f"{value:.6g}")
    return [_masked(one) for one in value] if isinstance(value, list) else value


def _ask(*requests: tuple[str, str, dict[str, Any] | None]) -> list[httpx.Response]:
    """Requests one after the other; an outcome is of the newest decision."""
    service = Service(
        Engine(SETTINGS, log=MemoryLog(), state=State(), model=Fixed(), bundle_id="bdl_test", clock_us=lambda: 1_772_366_400_000_000)
    )

    async def go() -> list[httpx.Response]:
        answers: list[httpx.Response] = []
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=service), base_url="http://honour.test") as client:
            for method, path, body in requests:
                if path == "/v1/outcomes" and body is not None:
                    body = {**body, "decision_id": answers[-1].json()["decision_id"]}
                answers.append(await client.request(method, path, json=body))
        return answers

    return asyncio.run(go())

"""Every problem that the service may answer with, in one expected file: what was asked, and the document that came back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import httpx

from honour.outcomes.state import State
from honour.records.route import Route
from honour.records.settings import Settings
from honour.serving.app import Service
from honour.serving.hot_path import Engine
from honour.stores.memory import MemoryLog

JSON = {"content-type": "application/json"}
PAYMENT = {
    "payment_id": "pay_01",
    "merchant_id": "mer_7",
    "amount_minor": 12900,
    "currency": "BRL",
    "card": {"card_id": "crd_9f", "bin": "41111111", "network": "visa"},
}
CARD = PAYMENT["card"] | {"card_id": "4111" + "1111" * 3}  # type: ignore[operator]  # a mapping
ATTEMPT = {"attempt_id": "att_1", "payment": PAYMENT, "route": "one", "attempted_at": "2026-03-01T11:00:00Z", "status": "declined"}
ASKED: dict[str, tuple[str, str, dict[str, Any]]] = {
    "not json": ("POST", "/v1/decisions", {"content": b'{"payment":', "headers": JSON}),
    "unknown field": ("POST", "/v1/decisions", {"json": {"payment": PAYMENT, "urgent": True}}),
    "unknown currency": ("POST", "/v1/decisions", {"json": {"payment": PAYMENT | {"currency": "BRX"}}}),
    "unknown route": ("POST", "/v1/decisions", {"json": {"payment": PAYMENT, "routes": ["two"]}}),
    "card number": ("POST", "/v1/decisions", {"json": {"payment": PAYMENT | {"card": CARD}}}),
    "card number in the path": ("GET", f"/v1/payments/{CARD['card_id']}", {}),
    "unknown decision": ("POST", "/v1/outcomes", {"json": {"decision_id": "dec_none", "status": "approved"}}),
    "unknown payment": ("GET", "/v1/payments/pay_none", {}),
    "contradiction": ("POST", "/v1/attempts", {"json": ATTEMPT | {"status": "approved"}}),
    "no such path": ("GET", "/v2/decisions", {}),
    "wrong method": ("GET", "/v1/decisions", {}),
    "wrong type": ("POST", "/v1/decisions", {"content": b"<xml/>", "headers": {"content-type": "text/xml"}}),
    "too large": ("POST", "/v1/decisions", {"content": b" " * 300_000, "headers": JSON}),
}


def test_every_problem_is_answered_as_expected(golden: Callable[[str, str], None]) -> None:
    told = asyncio.run(_answers())
    assert all(one["status"] == one["document"]["status"] for one in told.values())
    golden("problems.json", json.dumps(told, indent=2) + "\n")


async def _answers() -> dict[str, Any]:
    engine = Engine(Settings(routes=(Route(id="one"),)), log=MemoryLog(), state=State(), clock_us=lambda: 1_772_366_400_000_000)
    service = Service(engine)
    told: dict[str, Any] = {}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=service), base_url="http://honour.test") as client:
        await client.post("/v1/attempts", json=ATTEMPT)
        for name, (method, path, sent) in ASKED.items():
            told[name] = _told(await client.request(method, path, **sent))
        engine.stop("database or disk is full")
        told["log unavailable"] = _told(await client.post("/v1/decisions", json={"payment": PAYMENT}))
        told["not ready"] = _told(await client.get("/readyz"))
    return told


def _told(response: httpx.Response) -> dict[str, Any]:
    kept = {name: response.headers[name] for name in ("content-type", "allow", "retry-after") if name in response.headers}
    return {"status": response.status_code, **kept, "document": response.json()}

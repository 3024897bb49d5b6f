"""The last permitted attempt is given once: among requests at the same time, after a restart, and with answers that never come."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import msgspec
import pytest
from shop import SETTINGS, Fixed, engine, payment

from honour.networks.retry_limit import RetryCounter
from honour.outcomes.state import State
from honour.records.attempt import Attempt, Outcome, Status
from honour.records.decision import DecisionRequest
from honour.records.instant import from_us
from honour.records.payment import Card, Payment
from honour.serving.app import Service
from honour.serving.hot_path import Engine
from honour.stores.memory import MemoryLog

VISA_LIMIT = 20


def test_of_many_requests_at_once_as_many_attempts_are_given_as_the_network_allows() -> None:
    # Whether an answer is in time on a busy machine is not asked here.
    serving = msgspec.structs.replace(SETTINGS.serving, deadline_ms=60_000, queue_delay_ms=60_000)
    service = Service(engine(model=Fixed(), settings=msgspec.structs.replace(SETTINGS, serving=serving)))
    answers = asyncio.run(_at_once(service, [payment(f"pay_{number}") for number in range(60)]))
    given = [answer for answer in answers if answer["action"] == "attempt"]
    assert len(given) == VISA_LIMIT
    assert sorted(answer["retry"]["attempts_left"] for answer in given) == list(range(1, VISA_LIMIT + 1))
    assert {answer["reason"]["code"] for answer in answers if answer["action"] == "stop"} == {"network_retry_limit"}


def test_after_a_restart_attempts_without_an_answer_still_count() -> None:
    shop = engine(model=Fixed())
    for number in range(VISA_LIMIT):
        shop.decide(_request(f"pay_{number}"))
    restarted = engine(shop.log, model=Fixed(), state=_replayed(shop))
    assert restarted.decide(_request("pay_new")).answer.reason.code == "network_retry_limit"
    assert _replayed(shop).retries.to_bytes() == shop.state.retries.to_bytes()
    assert RetryCounter.from_bytes(shop.state.retries.to_bytes()).to_bytes() == shop.state.retries.to_bytes()


@pytest.mark.parametrize(("status", "action"), [("abandoned", "attempt"), ("unknown", "stop"), ("declined", "stop")])
def test_an_attempt_is_given_back_only_when_it_was_never_sent(status: Status, action: str) -> None:
    shop = engine(model=Fixed())
    decisions = [shop.decide(_request(f"pay_{number}")).answer for number in range(VISA_LIMIT)]
    shop.report_outcome(Outcome(decision_id=decisions[0].decision_id, status=status))
    assert shop.decide(_request("pay_new")).answer.action == action


def test_attempts_that_honour_did_not_choose_take_their_place_even_before_their_answer() -> None:
    shop = engine(model=Fixed())
    for number in range(VISA_LIMIT):
        at = from_us(shop.log.last_arrived_us or 1_772_366_400_000_000)
        status: Status = "unknown" if number % 2 else "declined"
        shop.report_attempt(
            Attempt(attempt_id=f"own_{number}", payment=_payment(f"own_{number}"), route="acq_1", attempted_at=at, status=status)
        )
    assert shop.decide(_request("pay_new")).answer.reason.code == "network_retry_limit"
    shop.report_attempt(Attempt(attempt_id="own_1", payment=_payment("own_1"), route="acq_1", attempted_at=at, status="abandoned"))
    assert shop.decide(_request("pay_new")).answer.action == "attempt"


def _payment(payment_id: str) -> Payment:
    card = Card(card_id="crd_1", bin="411111", network="visa")
    return Payment(payment_id=payment_id, merchant_id="mer_1", amount_minor=5_000, currency="EUR", card=card)


def _request(payment_id: str) -> DecisionRequest:
    return DecisionRequest(payment=_payment(payment_id))


def _replayed(shop: Engine) -> State:
    state = State()
    assert isinstance(shop.log, MemoryLog)
    for logged in shop.log.read():
        state.apply(logged)
    return state


async def _at_once(service: Service, payments: list[dict[str, Any]]) -> list[dict[str, Any]]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=service), base_url="http://honour.test") as client:
        answers = await asyncio.gather(*(client.post("/v1/decisions", json={"payment": one}) for one in payments))
    return [answer.json() for answer in answers]

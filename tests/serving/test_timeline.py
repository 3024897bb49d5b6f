"""Ids, instants and terms of what the engine writes down, and what it finds again long after."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from shop import NOON_US, SETTINGS, Fixed, engine, payment

from honour.errors import Contradiction
from honour.outcomes.state import State
from honour.records.attempt import Attempt, Dispute, Outcome
from honour.records.decision import DecisionRequest
from honour.records.event import DecisionMade
from honour.records.instant import from_us
from honour.records.route import Merchant
from honour.serving.hot_path import Engine

HALF_A_YEAR_LATER = "2026-09-01T00:00:00Z"


def test_a_pending_decision_is_the_same_to_the_byte_after_a_restart() -> None:
    shop = engine(model=Fixed())
    before = msgspec.json.encode(shop.decide(_request()).answer)
    shop.resume(State.from_bytes(shop.state.to_bytes()))
    assert msgspec.json.encode(shop.decide(_request()).answer) == before


def test_ids_of_decisions_hold_no_digits_so_that_none_looks_like_a_card_number() -> None:
    shop = engine(model=Fixed())
    ids = [shop.decide(_request(f"pay_{number}")).answer.decision_id for number in range(200)]
    assert len(set(ids)) == 200
    assert not any(character.isdigit() for one in ids for character in one)


def test_what_a_payment_does_not_say_is_taken_from_the_terms_of_its_merchant_and_logged_so() -> None:
    terms = Merchant(country="BR", mcc="5732")
    shop = engine(model=Fixed(), settings=msgspec.structs.replace(SETTINGS, merchants={"default": terms}))
    shop.decide(_request())
    shop.decide(_request("pay_2", merchant_country="DE"))
    assert [(made.payment.merchant_country, made.payment.mcc) for made in _decisions(shop)] == [("BR", "5732"), ("DE", "5732")]


def test_an_outcome_of_a_live_decision_arrives_by_the_servers_clock() -> None:
    shop = engine(model=Fixed())
    decision = shop.decide(_request()).answer
    shop.report_outcome(Outcome(decision_id=decision.decision_id, status="declined", happened_at=datetime(2030, 1, 1, tzinfo=UTC)))
    assert from_us(shop.log.last_arrived_us) < datetime(2026, 3, 1, 12, 1, tzinfo=UTC)


def test_a_replay_before_the_end_of_the_log_is_decided_at_its_end() -> None:
    shop = engine(model=Fixed())
    shop.decide(_request())
    shop.decide(_request("pay_2", at="2020-01-01T00:00:00Z"))
    first, second = _decisions(shop)
    assert second.decided_us == first.decided_us > NOON_US


def test_settings_taken_later_decide_from_then_on() -> None:
    shop = engine(model=Fixed())
    shop.take_settings(msgspec.structs.replace(SETTINGS, routes=SETTINGS.routes[1:2]))
    assert {ranked.route for ranked in shop.decide(_request()).answer.ranking} == {"acq_2"}


def test_reports_from_before_the_book_remembers_are_found_in_the_log() -> None:
    shop = engine(model=Fixed())
    attempt = msgspec.convert(
        {"attempt_id": "att_1", "payment": payment(), "route": "acq_1", "attempted_at": "2026-03-01T11:00:00Z", "status": "declined"},
        Attempt,
    )
    dispute = Dispute(dispute_id="dsp_1", payment_id="pay_1")
    shop.report_attempt(attempt)
    shop.report_dispute(dispute)
    shop.decide(_request("pay_2", at=HALF_A_YEAR_LATER))
    assert "pay_1" not in shop.state.book
    assert (shop.report_attempt(attempt).is_news, shop.report_dispute(dispute).is_news) == (False, False)
    for contradicting in (
        lambda: shop.report_attempt(msgspec.structs.replace(attempt, status="approved")),
        lambda: shop.report_dispute(msgspec.structs.replace(dispute, kind="fraud_report")),
    ):
        with pytest.raises(Contradiction):
            contradicting()


def _request(payment_id: str = "pay_1", *, at: str | None = None, **changed: Any) -> DecisionRequest:
    return msgspec.convert({"payment": payment(payment_id, **changed), "at": at}, DecisionRequest)


def _decisions(shop: Engine) -> list[DecisionMade]:
    return [logged.event for logged in shop.log.read() if isinstance(logged.event, DecisionMade)]

"""Outcomes, attempts and disputes: what is taken, what repeats, what contradicts."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
import service_kit as kit

from honour.errors import Contradiction, UnknownReference
from honour.records.attempt import Attempt, Dispute, Outcome
from honour.serving.hot_path import Engine


@pytest.fixture
def engine() -> Engine:
    """An engine that has decided on pay_01."""
    made = kit.engine()
    made.decide(kit.request())
    return made


def _outcome(engine: Engine, **told: Any) -> Outcome:
    pending = engine.decide(kit.request()).answer
    return msgspec.convert({"decision_id": pending.decision_id} | told, Outcome)


def test_the_same_outcome_again_is_answered_with_the_first_and_not_written_again(engine: Engine) -> None:
    told = _outcome(engine, status="declined", response_code="51", latency_ms=120)
    first = engine.report_outcome(told)
    again = engine.report_outcome(msgspec.structs.replace(told, latency_ms=130))
    assert (again.answer, again.is_news) == (first.answer, False)
    assert engine.log.last_seq == 2


@pytest.mark.parametrize("second", [{"status": "approved"}, {"status": "declined", "response_code": "05"}])
def test_a_contradicting_outcome_is_refused_and_the_first_stands(engine: Engine, second: dict[str, str]) -> None:
    told = _outcome(engine, status="declined", response_code="51")
    engine.report_outcome(told)
    with pytest.raises(Contradiction, match="contradicts"):
        engine.report_outcome(msgspec.convert({"decision_id": told.decision_id} | second, Outcome))
    assert engine.report_outcome(told).answer == told


def test_unknown_is_settled_once_by_a_later_outcome(engine: Engine) -> None:
    told = _outcome(engine, status="unknown")
    engine.report_outcome(told)
    settled = msgspec.structs.replace(told, status="approved")
    assert engine.report_outcome(settled).is_news
    assert engine.report_outcome(told).answer == settled
    with pytest.raises(Contradiction):
        engine.report_outcome(msgspec.structs.replace(told, status="declined"))


def test_an_outcome_for_a_decision_nobody_made_is_an_unknown_reference(engine: Engine) -> None:
    with pytest.raises(UnknownReference, match="dec_nobody"):
        engine.report_outcome(Outcome(decision_id="dec_nobody", status="approved"))


def test_a_stop_has_no_outcome(engine: Engine) -> None:
    stop = engine.decide(kit.request("pay_02", currency="JPY")).answer
    with pytest.raises(UnknownReference, match="names no decision to attempt"):
        engine.report_outcome(Outcome(decision_id=stop.decision_id, status="approved"))


def test_an_outcome_of_an_overridden_decision_still_counts(engine: Engine) -> None:
    told = _outcome(engine, status="declined")
    engine.report_attempt(msgspec.convert(kit.attempt(), Attempt))
    assert engine.report_outcome(told).is_news
    assert engine.decide(kit.request()).answer.attempt_number == 3


def test_the_same_attempt_again_is_taken_once(engine: Engine) -> None:
    told = msgspec.convert(kit.attempt(), Attempt)
    assert [engine.report_attempt(told).is_news for _ in range(3)] == [True, False, False]


@pytest.mark.parametrize(
    "change", [{"status": "approved"}, {"route": "acq_br_1"}, {"response_code": "05"}, {"payment": kit.payment("pay_02")}]
)
def test_an_attempt_id_used_for_something_else_is_refused(engine: Engine, change: dict[str, Any]) -> None:
    engine.report_attempt(msgspec.convert(kit.attempt(), Attempt))
    with pytest.raises(Contradiction, match="contradicts it and was not kept"):
        engine.report_attempt(msgspec.convert(kit.attempt(**change), Attempt))


def test_an_unknown_attempt_is_settled_by_its_answer(engine: Engine) -> None:
    engine.report_attempt(msgspec.convert(kit.attempt(status="unknown"), Attempt))
    assert engine.report_attempt(msgspec.convert(kit.attempt(status="approved"), Attempt)).is_news
    assert engine.decide(kit.request()).answer.reason.code == "already_approved"


def test_an_attempt_from_before_the_book_remembers_is_found_in_the_log(engine: Engine) -> None:
    engine.report_attempt(msgspec.convert(kit.attempt(), Attempt))
    engine.decide(kit.request("pay_99", at="2026-12-01T00:00:00Z"))
    assert "pay_01" not in engine.state.book
    assert not engine.report_attempt(msgspec.convert(kit.attempt(), Attempt)).is_news
    with pytest.raises(Contradiction):
        engine.report_attempt(msgspec.convert(kit.attempt(status="approved"), Attempt))


def test_a_dispute_needs_a_payment_that_is_known_and_is_taken_once(engine: Engine) -> None:
    with pytest.raises(UnknownReference, match="pay_77"):
        engine.report_dispute(Dispute(dispute_id="dsp_1", payment_id="pay_77"))
    told = Dispute(dispute_id="dsp_1", payment_id="pay_01")
    assert [engine.report_dispute(told).is_news for _ in range(2)] == [True, False]
    with pytest.raises(Contradiction):
        engine.report_dispute(msgspec.structs.replace(told, kind="fraud_report"))

"""Decisions of the engine: idempotent, replayed, bounded by the log's timeline, never lost to a model."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest
import service_kit as kit

from honour.errors import BadInput, Contradiction
from honour.outcomes.state import State
from honour.records.attempt import Attempt, Outcome
from honour.records.decision import Decision
from honour.records.event import DecisionMade, LoggedEvent, OutcomeReported, SettingsTaken
from honour.records.instant import from_us
from honour.serving.hot_path import Engine
from honour.stores.memory import MemoryLog


def test_the_same_payment_asked_again_before_its_outcome_is_known_gets_the_same_bytes() -> None:
    engine = kit.engine()
    first = engine.decide(kit.request())
    again = engine.decide(kit.request())
    assert msgspec.json.encode(again.answer) == msgspec.json.encode(first.answer)
    assert (first.is_news, again.is_news, engine.log.last_seq) == (True, False, 1)


def test_a_pending_decision_is_the_same_to_the_byte_after_a_restart() -> None:
    engine = kit.engine()
    before = msgspec.json.encode(engine.decide(kit.request()).answer)
    engine.resume(State.from_bytes(engine.state.to_bytes()))
    assert msgspec.json.encode(engine.decide(kit.request()).answer) == before


def test_a_payment_whose_outcome_is_unknown_is_still_waited_for() -> None:
    engine = kit.engine()
    first = engine.decide(kit.request()).answer
    engine.report_outcome(Outcome(decision_id=first.decision_id, status="unknown"))
    assert engine.decide(kit.request()).answer == first


def test_after_a_decline_the_same_payment_is_the_retry_question() -> None:
    engine = kit.engine()
    first = engine.decide(kit.request()).answer
    engine.report_outcome(Outcome(decision_id=first.decision_id, status="declined", response_code="51"))
    second = engine.decide(kit.request()).answer
    assert (second.attempt_number, second.action) == (2, "attempt")
    assert second.decision_id != first.decision_id


def test_an_approved_payment_is_stopped_and_a_stop_is_decided_anew_each_time() -> None:
    engine = kit.engine()
    first = engine.decide(kit.request()).answer
    engine.report_outcome(Outcome(decision_id=first.decision_id, status="approved"))
    stops = [engine.decide(kit.request()).answer for _ in range(2)]
    assert [(stop.action, stop.attempt, stop.reason.code) for stop in stops] == [("stop", None, "already_approved")] * 2
    assert stops[0].decision_id != stops[1].decision_id


def test_a_route_that_the_merchant_forced_overrides_the_pending_decision() -> None:
    engine = kit.engine()
    first = engine.decide(kit.request()).answer
    engine.report_attempt(msgspec.convert(kit.attempt(), Attempt))
    second = engine.decide(kit.request()).answer
    assert (second.attempt_number, second.decision_id != first.decision_id) == (2, True)


def test_another_amount_under_a_pending_payment_id_is_refused() -> None:
    engine = kit.engine()
    engine.decide(kit.request())
    with pytest.raises(Contradiction, match="amount_minor differs"):
        engine.decide(kit.request(amount_minor=1))


def test_a_payment_id_of_another_merchant_is_refused() -> None:
    engine = kit.engine()
    engine.decide(kit.request())
    with pytest.raises(Contradiction, match="another merchant"):
        engine.decide(kit.request(merchant_id="mer_8"))


def test_propensities_of_the_ranking_sum_to_one_and_the_chosen_one_is_among_them() -> None:
    decision = kit.engine().decide(kit.request()).answer
    assert sum(ranked.propensity for ranked in decision.ranking) == pytest.approx(1.0)
    assert decision.attempt is not None
    assert decision.attempt.propensity in [ranked.propensity for ranked in decision.ranking]


def test_nothing_eligible_is_a_stop_with_the_reasons_of_every_candidate() -> None:
    decision = kit.engine().decide(kit.request(currency="JPY")).answer
    assert (decision.action, decision.reason.code) == ("stop", "nothing_eligible")
    assert all("currency_not_supported" in ranked.reasons for ranked in decision.ranking)


def test_an_unknown_route_is_named_with_what_is_allowed() -> None:
    asked = msgspec.structs.replace(kit.request(), routes=("acq_br_1", "acq_xx"))
    with pytest.raises(BadInput, match="acq_xx.*acq_br_1, acq_us_2") as caught:
        kit.engine().decide(asked)
    assert caught.value.path == "$.routes[1]"


def test_what_a_payment_does_not_say_is_taken_from_the_terms_of_its_merchant_and_logged_so() -> None:
    engine = kit.engine()
    engine.decide(kit.request())
    made = _events(engine)[0]
    assert isinstance(made, DecisionMade)
    assert (made.payment.merchant_country, made.payment.mcc) == ("BR", "5732")


def test_a_model_that_fails_gives_the_static_order_and_is_counted() -> None:
    engine = kit.engine(model=kit.BrokenModel())
    decision = engine.decide(kit.request()).answer
    assert (decision.stage, decision.bundle, decision.action, decision.reason.code) == ("fallback", None, "attempt", "static_order")
    assert engine.failures == {"features": 0, "model": 1}


def test_a_model_that_gives_no_probability_is_not_believed() -> None:
    class Wrong(kit.FallingModel):
        def predict_many(self, served: kit.ServedFeatures) -> kit.NDArray[kit.np.float64]:
            return super().predict_many(served) * float("nan")

    assert kit.engine(model=Wrong()).decide(kit.request()).answer.stage == "fallback"


def test_without_a_bundle_the_static_order_answers() -> None:
    engine = Engine(kit.SETTINGS, log=MemoryLog(), state=State(), clock_us=lambda: kit.NOW_US, timer_ns=lambda: 0)
    decision = engine.decide(kit.request()).answer
    assert (decision.stage, decision.bundle) == ("fallback", None)
    assert decision.attempt is not None
    assert (decision.attempt.route, decision.attempt.propensity) == ("acq_br_1", 1.0)


def test_a_replayed_decision_is_made_at_its_instant_and_its_outcome_arrives_on_the_same_timeline() -> None:
    engine = kit.engine()
    decision = engine.decide(kit.request(at="2025-01-01T00:00:00Z")).answer
    engine.report_outcome(
        Outcome(decision_id=decision.decision_id, status="declined", happened_at=datetime(2025, 1, 1, 0, 0, 2, tzinfo=UTC))
    )
    assert [f"{from_us(logged.arrived_us):%Y-%m-%d %H:%M:%S}" for logged in engine.log.read()] == [
        "2025-01-01 00:00:00",
        "2025-01-01 00:00:02",
    ]


def test_an_outcome_that_says_when_it_arrives_arrives_then() -> None:
    engine = kit.engine()
    decision = engine.decide(kit.request(at="2025-01-01T00:00:00Z")).answer
    engine.report_outcome(Outcome(decision_id=decision.decision_id, status="declined", at=datetime(2025, 1, 1, 0, 1, tzinfo=UTC)))
    assert from_us(engine.log.last_arrived_us) == datetime(2025, 1, 1, 0, 1, tzinfo=UTC)


def test_a_replay_before_the_end_of_the_log_counts_as_arriving_at_its_end() -> None:
    engine = kit.engine()
    engine.decide(kit.request("pay_01"))
    engine.decide(kit.request("pay_02", at="2020-01-01T00:00:00Z"))
    made = _events(engine)[1]
    assert isinstance(made, DecisionMade)
    assert made.decided_us == kit.NOW_US


def test_an_outcome_of_a_live_decision_arrives_by_the_servers_clock() -> None:
    engine = kit.engine()
    decision = engine.decide(kit.request()).answer
    engine.report_outcome(Outcome(decision_id=decision.decision_id, status="declined", happened_at=datetime(2030, 1, 1, tzinfo=UTC)))
    assert engine.log.last_arrived_us == kit.NOW_US


def test_an_attempt_from_days_ahead_is_refused_since_it_would_hold_the_log_there() -> None:
    engine = kit.engine()
    with pytest.raises(BadInput, match="ahead of the server's clock") as caught:
        engine.report_attempt(msgspec.convert(kit.attempt(attempted_at="2026-03-09T00:00:00Z"), Attempt))
    assert (caught.value.path, engine.log.last_seq) == ("$.attempted_at", 0)


def test_the_same_events_and_settings_give_the_same_decisions() -> None:
    def decisions() -> list[Decision]:
        engine, told = kit.engine(), []
        for number in range(20):
            decision = engine.decide(kit.request(f"pay_{number % 7}")).answer
            told.append(decision)
            if decision.attempt is not None and number % 2:
                engine.report_outcome(Outcome(decision_id=decision.decision_id, status="declined"))
        return told

    assert decisions() == decisions()


def test_settings_taken_later_decide_from_then_on_and_are_logged_without_the_salt() -> None:
    engine = kit.engine()
    only_us = msgspec.structs.replace(kit.SETTINGS, routes=kit.SETTINGS.routes[1:])
    engine.take_settings(only_us)
    decision = engine.decide(kit.request()).answer
    assert {ranked.route for ranked in decision.ranking} == {"acq_us_2"}
    taken = _events(engine)[0]
    assert isinstance(taken, SettingsTaken)
    assert (taken.settings.policy.salt, taken.settings.routes) == ("", only_us.routes)


def test_ids_of_decisions_hold_no_digits_so_that_none_looks_like_a_card_number() -> None:
    engine = kit.engine()
    ids = [engine.decide(kit.request(f"pay_{number}")).answer.decision_id for number in range(200)]
    assert len(set(ids)) == 200
    assert not any(character.isdigit() for one in ids for character in one)


def test_an_outcome_folds_into_what_the_next_decision_sees() -> None:
    engine = kit.engine()
    for number in range(5):
        decision = engine.decide(kit.request(f"pay_{number}", card={**kit.payment()["card"], "card_id": f"crd_{number}"})).answer
        engine.report_outcome(Outcome(decision_id=decision.decision_id, status="declined"))
    engine.decide(kit.request("pay_9"))
    made = _events(engine)[-1]
    assert isinstance(made, DecisionMade)
    assert made.features is not None
    assert 0.0 in made.features.payment


def _events(engine: Engine) -> list[DecisionMade | OutcomeReported | SettingsTaken]:
    logged: list[LoggedEvent] = list(engine.log.read())
    return [one.event for one in logged]  # type: ignore[misc]  # the kinds that these tests write

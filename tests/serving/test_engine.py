"""The engine: the same question gets the same answer, reports move a payment on, and the log alone is enough to go on."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from numpy.typing import NDArray
from shop import NOON_US, SETTINGS, Fixed, engine, payment, seconds_after_noon

from honour.errors import BadInput, Contradiction, HonourError, LogUnavailable, UnknownReference
from honour.outcomes.state import State
from honour.records.attempt import Attempt, Dispute, Outcome
from honour.records.decision import Decision, DecisionRequest
from honour.records.event import DecisionMade, SettingsTaken
from honour.records.instant import from_us
from honour.records.payment import Payment
from honour.serving.hot_path import Engine
from honour.serving.recovery import restore

DAY_S = 86_400


def test_the_same_payment_asked_again_before_its_outcome_gets_the_same_bytes() -> None:
    shop = engine(model=Fixed())
    first, again = shop.decide(_request()), shop.decide(_request())
    assert msgspec.json.encode(again.answer) == msgspec.json.encode(first.answer)
    assert (first.is_news, again.is_news, shop.log.last_seq) == (True, False, 1)


def test_a_decline_leads_to_the_second_attempt() -> None:
    shop = engine(model=Fixed())
    _answer(shop, shop.decide(_request()).answer, "declined", response_code="05")
    second = shop.decide(_request()).answer
    assert (second.attempt_number, second.action) == (2, "attempt")
    assert second.retry.attempts_left == 19


def test_an_unknown_outcome_leaves_the_decision_pending() -> None:
    shop = engine(model=Fixed())
    first = shop.decide(_request()).answer
    _answer(shop, first, "unknown")
    assert shop.decide(_request()).answer == first


def test_after_an_approval_the_payment_stops() -> None:
    shop = engine(model=Fixed())
    _answer(shop, shop.decide(_request()).answer, "approved")
    decision = shop.decide(_request()).answer
    assert (decision.action, decision.reason.code, decision.attempt) == ("stop", "already_approved", None)
    with pytest.raises(UnknownReference):
        _answer(shop, decision, "approved")


@given(p=st.lists(st.floats(0, 1), min_size=3, max_size=3), name=st.text(min_size=1, max_size=20))
def test_propensities_of_the_eligible_sum_to_one_and_the_chosen_has_its_own(p: list[float], name: str) -> None:
    decision = engine(model=Fixed(lambda _: np.array(p))).decide(_request(name)).answer
    shares = [candidate.propensity for candidate in decision.ranking if candidate.eligible]
    if decision.attempt is None:
        assert (decision.reason.code, sum(shares)) == ("not_worth_attempting", 0.0)
        return
    assert sum(shares) == pytest.approx(1.0)
    assert decision.attempt.propensity in shares
    assert decision.attempt.propensity > 0.0


def _raises(_: int) -> NDArray[np.float64]:
    raise RuntimeError("the session is broken")


@pytest.mark.parametrize(
    "answer",
    [
        _raises,
        lambda n: np.full(n, np.nan),
        lambda n: np.full(n, 1.5),
        lambda n: np.full(n + 1, 0.5),
        lambda _n: np.array(0.5),
        lambda _n: None,
    ],
)
def test_whatever_breaks_in_the_model_the_static_order_answers(answer: Callable[[int], Any]) -> None:
    settings = msgspec.structs.replace(SETTINGS, policy=msgspec.structs.replace(SETTINGS.policy, fallback_order=("acq_2", "acq_1")))
    shop = engine(model=Fixed(answer), settings=settings)
    decision = shop.decide(_request()).answer
    assert (decision.stage, decision.bundle, decision.reason.code) == ("fallback", None, "static_order")
    assert decision.attempt is not None
    assert (decision.attempt.route, decision.attempt.propensity) == ("acq_2", 1.0)
    assert shop.failures == {"features": 0, "model": 1, "deadline": 0}
    _answer(shop, decision, "declined")
    following = shop.decide(_request()).answer.attempt
    assert following is not None
    assert following.route == "acq_1"


def test_without_a_model_the_static_order_answers_and_nothing_failed() -> None:
    shop = engine()
    assert shop.decide(_request()).answer.stage == "fallback"
    assert shop.failures == {"features": 0, "model": 0, "deadline": 0}


def test_a_forced_attempt_overrides_the_pending_decision() -> None:
    shop = engine(model=Fixed())
    pending = shop.decide(_request()).answer
    shop.report_attempt(_attempt(status="declined"))
    following = shop.decide(_request()).answer
    assert following.decision_id != pending.decision_id
    assert following.attempt_number == 2
    _answer(shop, pending, "declined")  # It was sent as well, and its answer counts.
    _answer(shop, following, "declined")
    assert shop.decide(_request()).answer.attempt_number == 4


def test_a_forced_approval_ends_the_payment() -> None:
    shop = engine(model=Fixed())
    shop.decide(_request())
    shop.report_attempt(_attempt(status="approved"))
    assert shop.decide(_request()).answer.reason.code == "already_approved"


def test_an_attempt_may_be_repeated_and_settled_and_not_contradicted() -> None:
    shop = engine(model=Fixed())
    news = [shop.report_attempt(_attempt(status=status)).is_news for status in ("unknown", "unknown", "declined", "declined", "unknown")]
    assert news == [True, False, True, False, False]
    for changed in ({"status": "approved"}, {"status": "declined", "route": "acq_2"}):
        with pytest.raises(Contradiction, match="att_1"):
            shop.report_attempt(_attempt(**changed))
    with pytest.raises(Contradiction, match="att_1"):
        shop.report_attempt(_attempt("pay_2", status="declined"))
    assert shop.log.last_seq == 2


def test_an_attempt_that_has_not_happened_yet_is_refused() -> None:
    shop = engine()
    with pytest.raises(BadInput, match="ahead of the server's clock") as refused:
        shop.report_attempt(_attempt(status="declined", attempted_at=from_us(seconds_after_noon(2 * DAY_S))))
    assert refused.value.path == "$.attempted_at"
    assert shop.log.last_seq == 0


def test_a_replayed_decision_and_its_outcome_live_on_the_callers_timeline() -> None:
    shop = engine(model=Fixed())
    at = from_us(NOON_US - 30 * DAY_S * 1_000_000)
    decision = shop.decide(_request(at=at)).answer
    _answer(shop, decision, "declined")
    arrived = [from_us(logged.arrived_us) for logged in shop.log.read()]
    assert arrived == [at, at]
    later = from_us(NOON_US - 29 * DAY_S * 1_000_000)
    shop.report_outcome(Outcome(decision_id=shop.decide(_request(at=at)).answer.decision_id, status="declined", at=later))
    assert from_us(shop.log.last_arrived_us) == later
    earlier = shop.decide(_request("pay_2", at=at))
    assert earlier.answer.attempt_number == 1
    assert from_us(shop.log.last_arrived_us) == later  # Time never runs backwards along the log.


def test_a_code_of_never_again_ends_every_payment_of_the_card_at_the_merchant() -> None:
    shop = engine(model=Fixed())
    _answer(shop, shop.decide(_request()).answer, "declined", response_code="04")
    for name in ("pay_1", "pay_2"):
        decision = shop.decide(_request(name)).answer
        assert (decision.action, decision.reason.code) == ("stop", "network_never_retry")
        assert all("network_rule" in candidate.reasons for candidate in decision.ranking)
    assert shop.decide(_request("pay_3", merchant_id="mer_2")).answer.action == "attempt"


def test_a_payment_of_the_merchant_waits_when_the_answer_asks_for_time() -> None:
    shop = engine(model=Fixed())
    at = from_us(NOON_US)
    _answer(shop, shop.decide(_request(at=at, initiator="merchant")).answer, "declined", response_code="51")
    waiting = shop.decide(_request(at=at, initiator="merchant")).answer
    assert (waiting.action, waiting.wait_until) == ("wait", from_us(seconds_after_noon(DAY_S)))
    with pytest.raises(UnknownReference):
        _answer(shop, waiting, "declined")
    following = shop.decide(_request(at=waiting.wait_until, initiator="merchant")).answer
    assert (following.action, following.attempt_number) == ("attempt", 2)


def test_a_payment_id_belongs_to_one_merchant() -> None:
    shop = engine(model=Fixed())
    _answer(shop, shop.decide(_request()).answer, "declined")
    with pytest.raises(Contradiction, match="another merchant"):
        shop.report_attempt(_attempt(merchant_id="mer_2", status="declined"))


def test_a_dispute_needs_a_payment_that_is_known() -> None:
    shop = engine(model=Fixed())
    dispute = Dispute(dispute_id="dsp_1", payment_id="pay_1")
    with pytest.raises(UnknownReference, match="pay_1"):
        shop.report_dispute(dispute)
    shop.decide(_request())
    assert [shop.report_dispute(dispute).is_news for _ in range(2)] == [True, False]
    with pytest.raises(Contradiction, match="dsp_1"):
        shop.report_dispute(msgspec.structs.replace(dispute, kind="fraud_report"))


def test_a_stopped_engine_takes_nothing_in() -> None:
    shop = engine(model=Fixed())
    shop.stop("the disk is full")
    for ask in (lambda: shop.decide(_request()), lambda: shop.report_attempt(_attempt(status="declined"))):
        with pytest.raises(LogUnavailable, match="the disk is full"):
            ask()
    assert shop.log.last_seq == 0


def test_settings_in_force_are_logged_without_their_salt() -> None:
    shop = engine(model=Fixed())
    shop.take_settings(msgspec.structs.replace(SETTINGS, policy=msgspec.structs.replace(SETTINGS.policy, salt="secret")))
    (logged,) = shop.log.read()
    assert isinstance(logged.event, SettingsTaken)
    assert logged.event.settings.policy.salt == ""
    assert shop.settings.policy.salt == "secret"


def test_the_log_holds_what_the_decision_was_made_from() -> None:
    shop = engine(model=Fixed())
    decision = shop.decide(_request()).answer
    (logged,) = shop.log.read()
    assert isinstance(logged.event, DecisionMade)
    assert logged.event.decision == decision
    assert logged.event.features is not None
    assert len(logged.event.features.candidates) == sum(candidate.eligible for candidate in decision.ranking)


PAYMENTS = st.sampled_from(["pay_1", "pay_2", "pay_3"])
STATUSES = st.sampled_from(["approved", "declined", "failed", "abandoned", "unknown"])
CODES = st.sampled_from([None, "51", "05", "04", "R0"])
INSTANTS = st.none() | st.integers(-200 * DAY_S, 200 * DAY_S).map(lambda s: from_us(seconds_after_noon(s)))
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("decide"), PAYMENTS, INSTANTS, st.sampled_from(["mer_1", "mer_2"])),
        st.tuples(st.just("outcome"), st.integers(0, 5), STATUSES, CODES, INSTANTS),
        st.tuples(st.just("attempt"), st.sampled_from(["att_1", "att_2", "att_3"]), PAYMENTS, STATUSES, INSTANTS),
        st.tuples(st.just("dispute"), st.sampled_from(["dsp_1", "dsp_2"]), PAYMENTS),
    ),
    max_size=25,
)


@examples(max_examples=150)
@given(steps=STEPS, cut=st.integers(0, 25), is_scored=st.booleans())
def test_any_sequence_of_asks_and_reports_folds_to_the_same_state_from_the_log(
    steps: list[tuple[Any, ...]], cut: int, is_scored: bool
) -> None:
    shop = engine(model=Fixed() if is_scored else None)
    asked: list[str] = []
    snapshot = State().to_bytes()
    for step in steps:
        with suppress(HonourError):
            _take(shop, step, asked)
        assert shop.state.seq == shop.log.last_seq
        if shop.log.last_seq <= cut:
            snapshot = shop.state.to_bytes()
    replayed = restore(shop.log)
    assert replayed.to_bytes() == shop.state.to_bytes()
    resumed = State.from_bytes(snapshot)
    for logged in shop.log.read(after_seq=resumed.seq):
        resumed.apply(logged)
    assert resumed.to_bytes() == shop.state.to_bytes()
    assert _asked_again(shop, resumed) == _asked_again(shop, replayed)


def _take(shop: Engine, step: tuple[Any, ...], asked: list[str]) -> None:
    match step:
        case ("decide", payment_id, at, merchant_id):
            decision = shop.decide(_request(payment_id, at=at, merchant_id=merchant_id)).answer
            asked.append(decision.decision_id)
        case ("outcome", at, status, code, instant):
            decision_id = asked[at] if at < len(asked) else "dec_none"
            shop.report_outcome(Outcome(decision_id=decision_id, status=status, response_code=code, at=instant))
        case ("attempt", attempt_id, payment_id, status, instant):
            shop.report_attempt(_attempt(payment_id, attempt_id=attempt_id, status=status, attempted_at=instant or from_us(NOON_US)))
        case ("dispute", dispute_id, payment_id):
            shop.report_dispute(Dispute(dispute_id=dispute_id, payment_id=payment_id))


def _asked_again(shop: Engine, state: State) -> list[bytes]:
    """What an engine with this state would decide next; its log is thrown away."""
    answers = []
    for name in ("pay_1", "pay_2", "pay_3"):
        probe = engine(model=Fixed(), state=State.from_bytes(state.to_bytes()))
        try:
            answers.append(msgspec.json.encode(probe.decide(_request(name, at=from_us(shop.log.last_arrived_us))).answer))
        except HonourError as error:
            answers.append(str(error).encode())
    return answers


def _request(payment_id: str = "pay_1", *, at: Any = None, **changed: Any) -> DecisionRequest:
    return DecisionRequest(payment=_payment(payment_id, **changed), at=at)


def _payment(payment_id: str, **changed: Any) -> Payment:
    return msgspec.convert(payment(payment_id, **changed), Payment)


def _attempt(payment_id: str = "pay_1", *, merchant_id: str = "mer_1", **told: Any) -> Attempt:
    sent = {"attempt_id": "att_1", "route": "acq_1", "attempted_at": from_us(NOON_US), **told}
    return Attempt(payment=_payment(payment_id, merchant_id=merchant_id), **sent)


def _answer(shop: Engine, decision: Decision, status: Any, *, response_code: str | None = None) -> None:
    shop.report_outcome(Outcome(decision_id=decision.decision_id, status=status, response_code=response_code))

"""What may follow an attempt counts: a demand for authentication can be answered, a challenge that was left cannot."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from honour.approval.retry_model import AdditiveLogit, RetryModel
from honour.networks.codes import rows_by_key
from honour.networks.retry_limit import Allowed
from honour.policy.decide import Decided, decide
from honour.policy.eligible import consider
from honour.policy.outlook import Asked, History, Predicted, outlook
from honour.policy.value import cost_of, expected_values_minor
from honour.records.instant import to_us
from honour.records.payment import Card, Initiator, Payment
from honour.records.route import Candidate, Merchant, Route, RouteCost

AT_US = 1_772_366_400_000_000
HOUR_US = 3_600_000_000
ROUTES = (Route(id="acq_a", authentications=("none", "three_ds")),)
CARD = Card(card_id="crd_1", bin="411111", network="visa", issuer_country="DE", funding="debit")
OPEN_DOOR = RetryModel(recovery=AdditiveLogit(intercept=-9.0, weights={"form=none": 9.0}))


def _decided(
    *,
    p_approve: tuple[float, ...],
    model: RetryModel | None,
    initiator: Initiator = "customer",
    history: History | None = None,
    allowed: Allowed | None = None,
    terms: Merchant | None = None,
    routes: tuple[Route, ...] = ROUTES,
) -> Decided:
    payment = Payment(payment_id="pay_1", merchant_id="mer_1", amount_minor=1_000, currency="EUR", card=CARD, initiator=initiator)
    allowed, history = allowed or Allowed(), history or History()
    considered = consider(
        payment,
        routes=routes,
        requested=None,
        allowed=allowed,
        last_code=history.last_response_code,
        refused=history.n_answered > 0,
    )
    return decide(
        payment,
        considered=considered,
        predicted=Predicted(np.array(p_approve[: sum(one.eligible for one in considered)])),
        terms=terms or Merchant(margin_bps=2_000),
        allowed=allowed,
        history=history,
        fallback_order=(),
        draw=0.5,
        at_us=AT_US,
        retry_model=model,
    )


def _refused(code: str, *, hours_ago: float = 1.0) -> History:
    return History(1, False, AT_US - int(hours_ago * HOUR_US), ("acq_a",), "declined", code, AT_US - int(hours_ago * HOUR_US), "pan")


def test_the_form_that_leaves_a_second_chance_wins_over_a_slightly_likelier_one() -> None:
    alone = _decided(p_approve=(0.80, 0.83), model=None)
    with_what_follows = _decided(p_approve=(0.80, 0.83), model=OPEN_DOOR)
    assert alone.chosen is not None
    assert with_what_follows.chosen is not None
    assert (alone.chosen.authentication, with_what_follows.chosen.authentication) == ("three_ds", "none")
    first = with_what_follows.ranking[0]
    assert first.p_recovered == pytest.approx(0.5)
    assert first.expected_value_minor == pytest.approx(0.80 * 200 + 0.20 * 0.5 * 200)


COSTS = st.builds(
    RouteCost,
    attempt_minor=st.floats(0, 50),
    approval_minor=st.floats(0, 50),
    approval_bps=st.floats(0, 400),
    decline_minor=st.floats(0, 50),
    cross_border_bps=st.sampled_from([0.0, 80.0]),
)


@given(st.lists(st.tuples(COSTS, st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=5), st.booleans(), st.integers(1, 10**9))
def test_a_value_is_that_of_the_attempt_and_of_what_may_follow_to_the_last_bit(
    known: list[tuple[RouteCost, float, float]], is_corrected: bool, amount_minor: int
) -> None:
    routes = tuple(Route(id=f"acq_{at}", country="DE" if at % 2 else "BR", cost=cost) for at, (cost, _, _) in enumerate(known))
    payment = Payment(payment_id="pay_1", merchant_id="mer_1", amount_minor=amount_minor, currency="EUR", card=CARD)
    terms, p_approve, p_model = Merchant(margin_bps=2_000), [p for _, p, _ in known], [p for _, _, p in known]
    considered = consider(payment, routes=routes, requested=None, allowed=Allowed())
    asked = Asked(payment, considered, terms, Allowed(), History(), AT_US)
    predicted = Predicted(np.array(p_approve), np.array(p_model) if is_corrected else None, np.array(p_model) if is_corrected else None)
    seen = outlook(asked, predicted, planned=None, model=OPEN_DOOR)
    costs = [cost_of(payment, candidate=one.candidate, route=one.route) for one in considered]
    worths = [amount_minor * (2_000 - cost.approval_bps) / 10_000 - cost.approval_minor for cost in costs]
    next_minor = max(0.0, *(worth - cost.attempt_minor for worth, cost in zip(worths, costs, strict=True)))
    follows = [p * next_minor for p in seen.p_recovered or ()]
    alone = expected_values_minor(p_approve, amount_minor=amount_minor, terms=terms, costs=costs)
    by_model = expected_values_minor(p_model, amount_minor=amount_minor, terms=terms, costs=costs)
    assert (seen.p_approve, seen.alone) == (p_approve, alone)
    assert seen.values == [one + (1.0 - p) * then for one, p, then in zip(alone, p_approve, follows, strict=True)]
    if is_corrected:
        assert (seen.p_model, seen.by_model) == (
            p_model,
            [one + (1.0 - p) * then for one, p, then in zip(by_model, p_model, follows, strict=True)],
        )
        assert seen.spread == [p * abs(worth - then) for p, worth, then in zip(p_model, worths, follows, strict=True)]
    else:
        assert (seen.p_model, seen.by_model, seen.spread) == (None, None, None)


def test_the_last_attempt_that_a_network_allows_has_nothing_after_it() -> None:
    made = _decided(p_approve=(0.80, 0.83), model=OPEN_DOOR, allowed=Allowed(attempts_left=1))
    assert made.ranking[0].p_recovered is None
    assert made.chosen is not None
    assert made.chosen.authentication == "three_ds"


def test_after_a_demand_for_authentication_only_what_authenticates_is_sent() -> None:
    made = _decided(p_approve=(0.6,), model=None, history=_refused("1A"))
    assert made.chosen is not None
    assert made.chosen.authentication == "three_ds"
    assert made.ranking[1].reasons == ("authentication_required",)


def test_a_renewal_that_is_asked_for_authentication_goes_back_to_its_customer() -> None:
    made = _decided(p_approve=(), model=None, initiator="merchant", history=_refused("1A"))
    assert (made.action, made.reason.code) == ("stop", "nothing_eligible")


LATER = RetryModel(retry=AdditiveLogit(intercept=-3.0, weights={"delay>=36h&funds": 3.0}))


def test_a_renewal_without_funds_waits_and_says_why() -> None:
    made = _decided(p_approve=(0.3,), model=LATER, initiator="merchant", history=_refused("51"))
    assert (made.action, made.reason.code) == ("wait", "worth_waiting")
    assert made.wait_until_us is not None
    assert made.wait_until_us >= AT_US + 35 * HOUR_US
    assert "After 51, p 0.500" in made.reason.detail


def test_a_renewal_whose_time_has_come_is_attempted_at_the_level_that_the_delay_gives() -> None:
    made = _decided(p_approve=(0.9,), model=LATER, initiator="merchant", history=_refused("51", hours_ago=40.0))
    assert made.action == "attempt"
    assert made.ranking[0].p_approve == pytest.approx(0.5)


def test_a_shopper_at_hand_is_never_sent_away_to_wait() -> None:
    made = _decided(p_approve=(0.3, 0.2), model=LATER, history=_refused("51"))
    assert made.action == "attempt"


def test_candidates_that_were_just_declined_come_back_with_the_plan() -> None:
    declined = Allowed(declined=frozenset((Candidate("acq_a", "none", "pan"),)))
    made = _decided(p_approve=(), model=LATER, initiator="merchant", history=_refused("51"), allowed=declined)
    assert (made.action, made.reason.code) == ("wait", "worth_waiting")
    assert _decided(p_approve=(), model=None, initiator="merchant", history=_refused("51"), allowed=declined).action == "stop"


def test_a_pause_that_the_network_asks_for_moves_the_plan_and_a_worthless_wait_is_a_stop() -> None:
    paused = Allowed(not_before_us=AT_US + 60 * HOUR_US)
    made = _decided(p_approve=(0.3,), model=LATER, initiator="merchant", history=_refused("51"), allowed=paused)
    assert made.wait_until_us is not None
    assert made.wait_until_us >= AT_US + 60 * HOUR_US
    hopeless = RetryModel(retry=AdditiveLogit(intercept=-3.0, weights={}))
    dear = Merchant(margin_bps=2_000, retry_price_minor=50.0)
    made = _decided(p_approve=(0.3,), model=hopeless, initiator="merchant", history=_refused("51"), allowed=paused, terms=dear)
    assert (made.action, made.reason.code) == ("stop", "not_worth_waiting")


def test_quiet_hours_hold_back_the_merchants_payments_and_not_the_shoppers() -> None:
    terms = Merchant(margin_bps=2_000, quiet_hours=(12, 15))  # 12:00 UTC is 13:00 in Germany.
    made = _decided(p_approve=(0.9,), model=None, initiator="merchant", terms=terms)
    assert (made.action, made.reason.code, made.wait_until_us) == ("wait", "quiet_hours", AT_US + 2 * HOUR_US)
    assert _decided(p_approve=(0.9, 0.8), model=None, terms=terms).action == "attempt"


def test_the_plan_ends_at_the_deadline() -> None:
    soon = datetime(2026, 3, 2, 12, tzinfo=UTC)
    payment = Payment(
        payment_id="pay_1", merchant_id="mer_1", amount_minor=1_000, currency="EUR", card=CARD, initiator="merchant", deadline_at=soon
    )
    considered = consider(payment, routes=ROUTES, requested=None, allowed=Allowed())
    made = decide(
        payment,
        considered=considered,
        predicted=Predicted(np.array([0.3])),
        terms=Merchant(margin_bps=2_000),
        allowed=Allowed(),
        history=_refused("51"),
        fallback_order=(),
        draw=0.5,
        at_us=AT_US,
        retry_model=LATER,
    )
    assert made.wait_until_us is None or made.wait_until_us <= to_us(soon)


UPDATING = (Route(id="acq_a", credentials=("pan", "updated_pan"), cost=RouteCost(update_minor=10.0)),)
EXPIRED = rows_by_key()["visa/response_code/54"]
NEW_DATA = rows_by_key()["mastercard/merchant_advice_code/01//79"]
RENEWS = RetryModel(retry=AdditiveLogit(intercept=-3.0, weights={"after=54": -1.0, "changed=updated_pan&card": 4.5}))


def test_an_expired_card_is_sent_with_the_number_that_the_updater_gives_and_the_merchant_is_told() -> None:
    allowed = Allowed(stale={"pan": (AT_US + 24 * HOUR_US, EXPIRED)})
    made = _decided(p_approve=(0.6,), model=RENEWS, initiator="merchant", history=_refused("54"), allowed=allowed, routes=UPDATING)
    assert made.action == "attempt"
    assert made.chosen is not None
    assert made.chosen.credential == "updated_pan"
    assert "with the number that the account updater gives instead of the card number on file" in made.reason.detail
    first = made.ranking[0]
    assert first.p_approve == pytest.approx(1.0 / (1.0 + np.exp(-0.5)))
    assert made.ranking[1].reasons == ("credential_stale",)


def test_an_updater_that_costs_more_than_it_brings_is_not_asked() -> None:
    dear = (msgspec.structs.replace(UPDATING[0], cost=RouteCost(update_minor=190.0)),)
    made = _decided(p_approve=(0.3, 0.6), model=RENEWS, initiator="merchant", history=_refused("54"), routes=dear)
    assert made.chosen is None or made.chosen.credential == "pan"


def test_a_lack_of_funds_asks_no_updater() -> None:
    made = _decided(p_approve=(0.3, 0.6), model=LATER, initiator="merchant", history=_refused("51"), routes=UPDATING)
    assert (made.action, "account updater" in made.reason.detail) == ("wait", False)


def test_old_data_without_newer_ones_end_a_renewal_in_words_that_say_what_to_do() -> None:
    allowed = Allowed(stale={"pan": (AT_US + 30 * 24 * HOUR_US, NEW_DATA)})
    made = _decided(p_approve=(), model=RENEWS, initiator="merchant", history=_refused("79"), allowed=allowed)
    assert (made.action, made.reason.code) == ("stop", "credential_must_change")
    assert "Update the card, or ask for another" in made.reason.detail


def test_without_a_retry_model_newer_data_are_still_tried_and_old_ones_wait_a_day() -> None:
    allowed = Allowed(stale={"pan": (AT_US + 24 * HOUR_US, EXPIRED)})
    made = _decided(p_approve=(0.6,), model=None, initiator="merchant", history=_refused("54"), allowed=allowed, routes=UPDATING)
    assert made.chosen is not None
    assert made.chosen.credential == "updated_pan"
    waits = _decided(p_approve=(), model=None, initiator="merchant", history=_refused("54"), allowed=allowed)
    assert (waits.action, waits.wait_until_us) == ("wait", AT_US + 24 * HOUR_US)

"""The decision: actions, reasons in their order of precedence, and rankings."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import numpy as np
import pytest

from honour.networks.codes import rows_by_key
from honour.networks.retry_limit import Allowed
from honour.policy.decide import Decided, decide
from honour.policy.eligible import consider
from honour.policy.outlook import History, Predicted
from honour.policy.value import expected_value_minor
from honour.records.instant import from_us
from honour.records.payment import Card, Payment
from honour.records.route import Candidate, Merchant, Route, RouteCost

AT_US = 1_772_366_400_000_000
TERMS = Merchant(margin_bps=2500, exploration_budget_minor=0.0)
ROUTES = (
    Route(id="acq_a", currencies=("EUR",), cost=RouteCost(attempt_minor=10)),
    Route(id="acq_b", currencies=("EUR",), authentications=("none", "three_ds")),
    Route(id="acq_us", currencies=("USD",)),
)
PAYMENT = Payment(
    payment_id="pay_1", merchant_id="mer_1", amount_minor=1000, currency="EUR", card=Card(card_id="crd_1", bin="411111", network="visa")
)


def decided(
    payment: Payment = PAYMENT,
    *,
    p_approve: tuple[float, ...] | None = (0.9, 0.8, 0.7),
    terms: Merchant = TERMS,
    allowed: Allowed | None = None,
    history: History | None = None,
    draw: float = 0.5,
    routes: tuple[Route, ...] = ROUTES,
    fallback_order: tuple[str, ...] = (),
) -> Decided:
    allowed = allowed or Allowed()
    considered = consider(payment, routes=routes, requested=None, allowed=allowed)
    return decide(
        payment,
        considered=considered,
        predicted=None if p_approve is None else Predicted(np.array(p_approve[: sum(one.eligible for one in considered)])),
        terms=terms,
        allowed=allowed,
        history=history or History(),
        fallback_order=fallback_order,
        draw=draw,
        at_us=AT_US,
    )


def test_the_candidate_worth_most_is_attempted_and_every_candidate_is_ranked() -> None:
    made = decided()
    assert (made.action, made.chosen and made.chosen.route, made.reason.code) == ("attempt", "acq_a", "highest_expected_value")
    assert [(one.route, one.authentication) for one in made.ranking] == [
        ("acq_a", "none"),
        ("acq_b", "none"),
        ("acq_b", "three_ds"),
        ("acq_us", "none"),
    ]
    assert made.ranking[0].expected_value_minor == pytest.approx(0.9 * 250 - 10)
    assert made.ranking[3].reasons == ("currency_not_supported",)


def test_a_dearer_route_loses_when_its_price_outweighs_its_probability() -> None:
    dear = (msgspec.structs.replace(ROUTES[0], cost=RouteCost(attempt_minor=60)), *ROUTES[1:])
    assert decided(routes=dear).chosen == decided(routes=dear).chosen
    chosen = decided(routes=dear).chosen
    assert chosen is not None
    assert chosen.route == "acq_b"


@pytest.mark.parametrize(
    ("code", "payment", "allowed", "history"),
    [
        ("already_approved", PAYMENT, Allowed(attempts_left=0), History(n_answered=1, approved=True, first_us=AT_US)),
        ("network_never_retry", PAYMENT, Allowed(0, None, "visa.never_retry.41", rows_by_key()["visa/response_code/41"]), History()),
        ("network_retry_limit", PAYMENT, Allowed(attempts_left=0, rule="visa.reattempt_limit"), History()),
        ("deadline_over", msgspec.structs.replace(PAYMENT, deadline_at=from_us(AT_US) - timedelta(hours=1)), Allowed(), History()),
        ("horizon_over", PAYMENT, Allowed(), History(n_answered=1, first_us=AT_US - 15 * 86_400_000_000)),
        ("too_soon", PAYMENT, Allowed(not_before_us=AT_US + 1, pause=rows_by_key()["/response_code/51"]), History()),
        ("nothing_eligible", msgspec.structs.replace(PAYMENT, currency="GBP"), Allowed(), History()),
    ],
)
def test_a_payment_stops_for_the_first_reason_that_holds(code: str, payment: Payment, allowed: Allowed, history: History) -> None:
    made = decided(payment, allowed=allowed, history=history)
    assert (made.action, made.chosen, made.reason.code) == ("stop", None, code)
    assert len(made.ranking) == 4


def test_a_payment_that_would_lose_money_on_every_route_stops() -> None:
    made = decided(terms=Merchant(margin_bps=1), routes=(msgspec.structs.replace(ROUTES[0], cost=RouteCost(attempt_minor=60)),))
    assert made.reason.code == "not_worth_attempting"
    assert "acq_a, would lose 59.9" in made.reason.detail


def test_a_subscription_waits_where_a_shopper_would_stop() -> None:
    allowed = Allowed(not_before_us=AT_US + 3_600_000_000, pause=rows_by_key()["/response_code/51"])
    made = decided(msgspec.structs.replace(PAYMENT, initiator="merchant"), allowed=allowed, history=History(n_answered=1, first_us=AT_US))
    assert (made.action, made.wait_until_us) == ("wait", AT_US + 3_600_000_000)
    late = msgspec.structs.replace(PAYMENT, initiator="merchant", deadline_at=from_us(AT_US + 60_000_000))
    assert decided(late, allowed=allowed).action == "stop"


def test_exploration_names_what_it_costs() -> None:
    made = decided(terms=msgspec.structs.replace(TERMS, exploration_budget_minor=10.0), draw=0.999999)
    assert made.reason.code == "exploration"
    assert "less than acq_a" in made.reason.detail
    assert sum(one.propensity for one in made.ranking) == pytest.approx(1.0, abs=1e-12)


def test_without_a_model_the_static_order_decides_and_tried_routes_come_last() -> None:
    assert decided(p_approve=None).chosen == decided(p_approve=None, fallback_order=("acq_a",)).chosen
    chosen = decided(p_approve=None, fallback_order=("acq_b", "acq_a")).chosen
    assert chosen is not None
    assert (chosen.route, chosen.propensity) == ("acq_b", 1.0)
    after = decided(
        p_approve=None, fallback_order=("acq_b", "acq_a"), history=History(n_answered=1, first_us=AT_US, routes_tried=("acq_b",))
    )
    assert after.chosen is not None
    assert after.chosen.route == "acq_a"


def test_a_candidate_that_was_just_declined_is_not_sent_again() -> None:
    made = decided(p_approve=(0.8, 0.7), allowed=Allowed(declined=frozenset({Candidate("acq_a", "none", "pan")})))
    assert made.chosen is not None
    assert made.chosen.route == "acq_b"
    assert made.ranking[2].reasons == ("just_declined",)


def test_the_same_inputs_and_draw_give_the_same_bytes() -> None:
    terms = msgspec.structs.replace(TERMS, exploration_budget_minor=5.0)
    assert len({msgspec.json.encode(decided(terms=terms, draw=0.97)) for _ in range(3)}) == 1


def test_expected_value_counts_the_costs_of_both_answers() -> None:
    cost = RouteCost(attempt_minor=1, approval_minor=2, approval_bps=100, decline_minor=4)
    assert expected_value_minor(0.5, amount_minor=1000, terms=TERMS, cost=cost) == pytest.approx(0.5 * (250 - 2 - 10) - 1 - 0.5 * 4)

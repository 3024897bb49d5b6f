"""What an attempt costs follows the form in which it is sent and the border that it crosses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from honour.policy.value import cost_of, expected_value_minor, p_break_even, rise_break_even
from honour.records.payment import Card, Payment
from honour.records.route import Authentication, Candidate, Merchant, Route, RouteCost

ROUTE = Route(id="acq_1", country="DE", cost=RouteCost(attempt_minor=5, approval_bps=100, three_ds_minor=7, cross_border_bps=50))


def _cost(authentication: Authentication, issuer_country: str | None) -> RouteCost:
    card = Card(card_id="crd_1", bin="411111", network="visa", issuer_country=issuer_country)
    payment = Payment(payment_id="pay_1", merchant_id="mer_1", amount_minor=10_000, currency="EUR", card=card)
    return cost_of(payment, candidate=Candidate("acq_1", authentication, "pan"), route=ROUTE)


@pytest.mark.parametrize(
    ("authentication", "country", "attempt_minor", "approval_bps"),
    [("none", "DE", 5, 100), ("three_ds", "DE", 12, 100), ("none", "BR", 5, 150), ("three_ds", "BR", 12, 150), ("none", None, 5, 100)],
)
def test_authentication_and_borders_add_their_fees(
    authentication: Authentication, country: str | None, attempt_minor: float, approval_bps: float
) -> None:
    cost = _cost(authentication, country)
    assert (cost.attempt_minor, cost.approval_bps) == (attempt_minor, approval_bps)


def test_the_account_updater_costs_what_it_is_asked_for() -> None:
    route = Route(id="acq_1", credentials=("pan", "updated_pan"), cost=RouteCost(attempt_minor=5, update_minor=8))
    card = Card(card_id="crd_1", bin="411111", network="visa")
    payment = Payment(payment_id="pay_1", merchant_id="mer_1", amount_minor=10_000, currency="EUR", card=card)
    forms = (Candidate("acq_1", "none", "pan"), Candidate("acq_1", "none", "updated_pan"))
    assert [cost_of(payment, candidate=candidate, route=route).attempt_minor for candidate in forms] == [5, 13]


def test_the_value_of_an_attempt_is_its_closed_form() -> None:
    value = expected_value_minor(0.5, amount_minor=10_000, terms=Merchant(margin_bps=2_000), cost=_cost("three_ds", "BR"))
    assert value == pytest.approx(0.5 * (2_000 - 150) - 12)


FEES = st.floats(0.0, 500.0)


@given(amount=st.integers(1, 100_000), margin=st.integers(0, 10_000), fees=st.tuples(FEES, FEES, FEES), bps=st.floats(0.0, 900.0))
def test_above_the_break_even_an_attempt_is_worth_its_costs_and_below_it_is_not(
    amount: int, margin: int, fees: tuple[float, float, float], bps: float
) -> None:
    cost = RouteCost(attempt_minor=fees[0], approval_minor=fees[1], decline_minor=fees[2], approval_bps=bps)
    terms = Merchant(margin_bps=margin)
    threshold = p_break_even(amount_minor=amount, terms=terms, cost=cost)
    for p in (0.0, threshold - 1e-6, threshold + 1e-6, 1.0):
        if 0.0 <= p <= 1.0 and p != threshold:
            worth = expected_value_minor(p, amount_minor=amount, terms=terms, cost=cost)
            assert (worth > 1e-9) <= (p > threshold)
            assert (worth < -1e-9) <= (p < threshold or threshold == 1.0)


def test_what_raises_the_probability_by_the_break_even_earns_just_what_it_costs() -> None:
    cost, terms = RouteCost(attempt_minor=3.0, approval_bps=150.0, decline_minor=4.0), Merchant(margin_bps=2_000)
    rise = rise_break_even(25.0, amount_minor=9_900, terms=terms, cost=cost)
    plain, raised = (expected_value_minor(p, amount_minor=9_900, terms=terms, cost=cost) for p in (0.5, 0.5 + rise))
    assert raised - plain == pytest.approx(25.0)

"""What an attempt costs follows the form in which it is sent and the border that it crosses."""

from __future__ import annotations

import pytest

from honour.policy.value import cost_of, expected_value_minor
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


def test_the_value_of_an_attempt_is_its_closed_form() -> None:
    value = expected_value_minor(0.5, amount_minor=10_000, terms=Merchant(margin_bps=2_000), cost=_cost("three_ds", "BR"))
    assert value == pytest.approx(0.5 * (2_000 - 150) - 12)

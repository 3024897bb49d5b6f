"""What an attempt is worth before its answer is known, in minor units of the payment's currency."""

from __future__ import annotations

from collections.abc import Sequence

from honour.records.payment import Payment
from honour.records.route import Candidate, Merchant, Route, RouteCost


def expected_value_minor(p_approve: float, *, amount_minor: int, terms: Merchant, cost: RouteCost) -> float:
    """Expected profit of one attempt: p x (margin - costs of approval) - cost of attempting - (1 - p) x cost of a decline.

    p_approve     calibrated P(issuer approves | payment, candidate), in [0, 1]
    amount_minor  amount of the payment

    >>> terms = Merchant(margin_bps=2500)
    >>> expected_value_minor(0.9, amount_minor=1000, terms=terms, cost=RouteCost(attempt_minor=12))
    213.0
    """
    margin = _earned_minor(amount_minor, terms=terms, cost=cost)
    return p_approve * margin - cost.attempt_minor - (1.0 - p_approve) * cost.decline_minor


def p_break_even(*, amount_minor: int, terms: Merchant, cost: RouteCost) -> float:
    """The probability of approval from which on an attempt is worth its costs: where `expected_value_minor` is 0.

    (attempt + decline) / (margin + decline), margin with the costs of approval taken off; 1 where no attempt is worth it.

    >>> p_break_even(amount_minor=1000, terms=Merchant(margin_bps=2500), cost=RouteCost(attempt_minor=20, decline_minor=5))
    0.09803921568627451
    """
    stake = stake_minor(amount_minor, terms=terms, cost=cost)
    return min(1.0, (cost.attempt_minor + cost.decline_minor) / stake) if stake > 0.0 else 1.0


def rise_break_even(cost_minor: float, *, amount_minor: int, terms: Merchant, cost: RouteCost) -> float:
    """How much an authentication, or anything else that costs `cost_minor` more, must raise the probability of approval to be worth it.

    >>> rise_break_even(10.0, amount_minor=1000, terms=Merchant(margin_bps=2500), cost=RouteCost())
    0.04
    """
    stake = stake_minor(amount_minor, terms=terms, cost=cost)
    return min(1.0, cost_minor / stake) if stake > 0.0 else 1.0


def stake_minor(amount_minor: int, *, terms: Merchant, cost: RouteCost) -> float:
    """What an approval is worth more than a decline, in minor units: what an error of 1 in the probability costs. May be negative."""
    return _earned_minor(amount_minor, terms=terms, cost=cost) + cost.decline_minor


def _earned_minor(amount_minor: int, *, terms: Merchant, cost: RouteCost) -> float:
    """What an approval leaves, before what attempting costs."""
    return amount_minor * terms.margin_bps / 10_000 - cost.approval_minor - amount_minor * cost.approval_bps / 10_000


def cost_of(payment: Payment, *, candidate: Candidate, route: Route) -> RouteCost:
    """What one attempt of `payment` in the form of `candidate` costs: 3-D Secure, account updater and border are part of the plain fees.

    A border is crossed when the card's country is known and is not the route's.
    """
    cost = route.cost
    form_minor = cost.three_ds_minor if candidate.authentication == "three_ds" else 0.0
    form_minor += cost.update_minor if candidate.credential == "updated_pan" else 0.0
    country = payment.card.issuer_country
    crosses = cost.cross_border_bps > 0.0 and country is not None and country != route.country
    if form_minor == 0.0 and not crosses:
        return cost
    return RouteCost(
        attempt_minor=cost.attempt_minor + form_minor,
        approval_minor=cost.approval_minor,
        approval_bps=cost.approval_bps + (cost.cross_border_bps if crosses else 0.0),
        decline_minor=cost.decline_minor,
    )


def expected_values_minor(p_approve: Sequence[float], *, amount_minor: int, terms: Merchant, costs: Sequence[RouteCost]) -> list[float]:
    """`expected_value_minor` of several candidates of one payment: (n,) probabilities to (n,) minor units.

    Candidates are few: plain floats are faster than arrays.
    """
    earned = amount_minor * terms.margin_bps / 10_000
    return [
        p * (earned - cost.approval_minor - amount_minor * cost.approval_bps / 10_000) - cost.attempt_minor - (1.0 - p) * cost.decline_minor
        for p, cost in zip(p_approve, costs, strict=True)
    ]

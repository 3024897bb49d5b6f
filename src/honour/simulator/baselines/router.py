"""The open peer's success-rate router (juspay/decision-engine), as its documentation describes it."""

from __future__ import annotations

from collections import deque

from honour.records.attempt import Status
from honour.records.payment import Payment
from honour.records.route import Candidate, Route
from honour.simulator.acquirer import cost_minor
from honour.simulator.baselines.rule import Asked, Choice, RuledPolicy, next_in
from honour.simulator.draw import Draws
from honour.simulator.world import World


def success_rate_router(
    world: World,
    *,
    seed: int = 0,
    window: int = 125,
    hedging: float = 0.05,
    threshold: float = 0.2,
    by_country: bool = False,
    weighs_cost: bool = False,
) -> RuledPolicy:
    """The route with most approvals among its last `window` answers.

    Per merchant and funding, and with `by_country` per network and issuer country too. A new window counts as all approved.
    With probability `hedging` another route goes first. A second score per route shrinks by 5 % with each attempt that is
    not approved and grows by 5 % with each that is; below `threshold` the route goes behind the others. With `weighs_cost` the
    first score is multiplied with the margin left after cost, as its cost-aware step does.
    """
    answers: dict[tuple[str | None, ...], deque[bool]] = {}
    health: dict[str, float] = {}
    draws = Draws(seed, purpose="success_rate_router")

    def key(payment: Payment, route: str) -> tuple[str | None, ...]:
        card = payment.card
        finer = (card.network, card.issuer_country) if by_country else ()
        return (route, payment.merchant_id, card.funding, *finer)

    def worth(payment: Payment, route: Route) -> float:
        seen = answers.get(key(payment, route.id))
        rate = 1.0 if seen is None else sum(seen) / window
        if not weighs_cost:
            return rate
        margin = payment.amount_minor * world.merchants[payment.merchant_id].margin_bps / 10_000
        return rate * (margin - cost_minor(route, payment=payment, authentication="none", approved=True))

    def rule(asked: Asked) -> Choice:
        payment, trail = asked.payment, asked.trail
        order = sorted(asked.able, key=lambda route: (health.get(route.id, 1.0) < threshold, -worth(payment, route)))
        u = draws.of(f"{payment.payment_id}/{len(trail.tried)}")
        if len(order) > 1 and not trail.tried and u[0] < hedging:
            order.insert(0, order.pop(1 + int(u[1] * (len(order) - 1))))
        choice = next_in(asked, order=order)
        if trail.tried or len(order) < 2:
            return choice
        return choice._replace(propensity=1.0 - hedging if u[0] >= hedging else hedging / (len(order) - 1))

    def learn(payment: Payment, candidate: Candidate, status: Status) -> None:
        approved = status == "approved"
        seen = answers.setdefault(key(payment, candidate.route), deque([True] * window, maxlen=window))
        seen.append(approved)
        health[candidate.route] = min(1.0, health.get(candidate.route, 1.0) * (1.05 if approved else 0.95))

    return RuledPolicy(rule, routes=world.routes, learn=learn)

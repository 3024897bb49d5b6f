"""Routers that learn from answers alone: a bandit for each network and issuer country, its arms the routes."""

from __future__ import annotations

from collections.abc import Callable

from honour.records.attempt import Status
from honour.records.payment import Payment
from honour.records.route import Candidate
from honour.simulator.acquirer import cost_minor
from honour.simulator.bandit import Bandit, DiscountedThompson, GlrKlUcb
from honour.simulator.baselines.rule import Asked, Choice, RuledPolicy, next_in
from honour.simulator.world import World

MakeBandit = Callable[[int, int], Bandit]
"""A bandit from its number of arms and a number of its own, for its draws."""


def thompson_router(world: World, *, discount: float = 0.995) -> RuledPolicy:
    """Discounted Thompson sampling."""
    return _router(world, make=lambda n_arms, cell: DiscountedThompson(n_arms, discount=discount, seed=world.seed * 1_000 + cell))


def glr_router(world: World) -> RuledPolicy:
    """klUCB that starts afresh when a likelihood ratio test finds a change."""
    cells = 20
    return _router(world, make=lambda n_arms, _: GlrKlUcb(n_arms, horizon=max(100, world.scenario.n_payments // cells)))


def _router(world: World, *, make: MakeBandit) -> RuledPolicy:
    places = {acquirer.id: place for place, acquirer in enumerate(world.acquirers)}
    cells: dict[tuple[str, str | None], Bandit] = {}

    def bandit_of(payment: Payment) -> Bandit:
        key = (payment.card.network, payment.card.issuer_country)
        if key not in cells:
            cells[key] = make(len(places), len(cells))
        return cells[key]

    def rule(asked: Asked) -> Choice:
        payment = asked.payment
        scores = bandit_of(payment).scores()
        margin = payment.amount_minor * world.merchants[payment.merchant_id].margin_bps / 10_000

        def worth(route_id: str, cost: float) -> float:
            score = float(scores[places[route_id]])
            return score if score == float("inf") else score * (margin - cost)

        order = sorted(asked.able, key=lambda r: -worth(r.id, cost_minor(r, payment=payment, authentication="none", approved=True)))
        return next_in(asked, order=order)

    def learn(payment: Payment, candidate: Candidate, status: Status) -> None:
        bandit_of(payment).update(places[candidate.route], reward=float(status == "approved"))

    return RuledPolicy(rule, routes=world.routes, learn=learn)

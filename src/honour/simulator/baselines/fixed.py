"""What merchants do without a model: one order of routes, the cheapest first, the local one first, or any."""

from __future__ import annotations

from honour.records.route import Route
from honour.simulator.acquirer import cost_minor
from honour.simulator.baselines.rule import ATTEMPTS_MAX, STOP, Asked, Choice, RuledPolicy, next_in, plain_form, waits_in_vain
from honour.simulator.draw import Draws
from honour.simulator.land import distance
from honour.simulator.world import World

DAY_US = 86_400_000_000
RENEWAL_DAYS = (1, 3, 5, 7)
"""Days after the first attempt on which merchants try a refused renewal again."""


def fixed_route(world: World, *, route: str) -> RuledPolicy:
    """`route` first wherever it carries the payment, then the routes in the order of the settings."""
    return RuledPolicy(lambda asked: next_in(asked, order=sorted(asked.routes, key=lambda other: other.id != route)), routes=world.routes)


def cheapest_first(world: World) -> RuledPolicy:
    """The route on which an approval costs least, then the next cheapest."""
    return RuledPolicy(lambda asked: next_in(asked, order=_by_cost(asked)), routes=world.routes)


def static_rules(world: World, *, days: tuple[float, ...] = RENEWAL_DAYS) -> RuledPolicy:
    """A merchant's rules: an acquirer in the card's country first, then the cheapest; renewals again on fixed days.

    days  after the first attempt, for payments that the merchant started
    """

    def rule(asked: Asked) -> Choice:
        order = sorted(_by_cost(asked), key=lambda route: distance(route.country or "", asked.payment.card.issuer_country or ""))
        if asked.payment.initiator == "customer":
            return next_in(asked, order=order)
        wait = _renewal_wait(asked, days=days)
        if wait is not None:
            return wait
        able = [route for route in order if route in asked.able]
        return Choice(plain_form(asked.payment, route=able[0], trail=asked.trail)) if able else STOP

    return RuledPolicy(rule, routes=world.routes, attempts_max=max(ATTEMPTS_MAX, len(days) + 1))


def random_route(world: World, *, seed: int = 0) -> RuledPolicy:
    """Any route that carries the payment, all equally likely, in the form of a merchant's rules."""
    draws = Draws(seed, purpose="random_route")

    def rule(asked: Asked) -> Choice:
        payment, trail, routes = asked.payment, asked.trail, asked.able
        if waits_in_vain(trail) or not routes:
            return STOP
        route = routes[int(draws.of(f"{payment.payment_id}/{len(trail.tried)}")[0] * len(routes))]
        return Choice(plain_form(payment, route=route, trail=trail), 1.0 / len(routes))

    return RuledPolicy(rule, routes=world.routes)


def volume_split(world: World, *, seed: int = 0, favourite_share: float = 0.5, plain_share: float = 0.8) -> RuledPolicy:
    """How merchants with several acquirers split their volume, with propensities that are exact: the history to learn from.

    favourite_share  of payments that go to the local, cheapest route; the others to any that carries them, it among them
    plain_share      of attempts in the form of the merchant's rules; the others in any form that the route has
    Renewals that were refused are attempted again after 1, 3, 5 and 7 days.
    """
    draws = Draws(seed, purpose="volume_split")

    def rule(asked: Asked) -> Choice:
        payment, n_before = asked.payment, len(asked.trail.tried)
        wait = _renewal_wait(asked, days=RENEWAL_DAYS)
        if wait is not None:
            return wait
        routes = sorted(
            asked.able, key=lambda route: (distance(route.country or "", payment.card.issuer_country or ""), _price(asked, route))
        )
        if not routes or (payment.initiator == "customer" and waits_in_vain(asked.trail)):
            return STOP
        u = draws.of(f"{payment.payment_id}/{n_before}")
        route = routes[0] if u[3] < favourite_share else routes[int(u[0] * len(routes))]
        plain = plain_form(payment, route=route, trail=asked.trail)
        forms = [candidate for candidate in world.candidates(payment, at_us=asked.at_us) if candidate.route == route.id]
        chosen = plain if u[1] < plain_share else forms[int(u[2] * len(forms))]
        p_route = (route == routes[0]) * favourite_share + (1.0 - favourite_share) / len(routes)
        return Choice(chosen, p_route * ((chosen == plain) * plain_share + (1.0 - plain_share) / len(forms)))

    return RuledPolicy(rule, routes=world.routes, attempts_max=len(RENEWAL_DAYS) + 1)


def _renewal_wait(asked: Asked, *, days: tuple[float, ...]) -> Choice | None:
    """For a payment that the merchant started: wait until its next day, or stop after the last; None to attempt now."""
    payment, n_before = asked.payment, len(asked.trail.tried)
    if payment.initiator == "customer" or payment.created_at is None:
        return STOP if n_before >= ATTEMPTS_MAX else None
    if n_before > len(days):
        return STOP
    due_us = round(payment.created_at.timestamp() * 1e6) + (round(days[n_before - 1] * DAY_US) if n_before else 0)
    return Choice(None, wait_until_us=due_us) if asked.at_us < due_us else None


def _price(asked: Asked, route: Route) -> float:
    return cost_minor(route, payment=asked.payment, authentication="none", approved=True)


def _by_cost(asked: Asked) -> list[Route]:
    return sorted(asked.routes, key=lambda route: _price(asked, route))

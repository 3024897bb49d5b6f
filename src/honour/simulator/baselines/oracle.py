"""The oracle: an upper mark, not a policy. It knows the world."""

from __future__ import annotations

from collections.abc import Sequence

from honour.records.payment import Payment
from honour.records.route import Candidate
from honour.simulator.acquirer import cost_minor
from honour.simulator.baselines.rule import STOP, Asked, Choice, RuledPolicy
from honour.simulator.world import World

DAY_US = 86_400_000_000
HORIZON_DAYS = 14
ATTEMPTS_MAX = 8


def oracle(world: World) -> RuledPolicy:
    """The best true expected value, knowing all that is hidden except the luck of each attempt.

    Looks one attempt ahead, and for payments that a merchant started fourteen days; it sees funds before asking.
    """
    return RuledPolicy(_Truth(world).rule, routes=world.routes, attempts_max=ATTEMPTS_MAX)


class _Truth:
    def __init__(self, world: World) -> None:
        self._world = world

    def rule(self, asked: Asked) -> Choice:
        """The best candidate now, or a later day that is better, or stop."""
        payment, at_us, trail = asked.payment, asked.at_us, asked.trail
        options = self._world.candidates(payment, at_us=at_us)
        n_before = len(trail.tried)
        untried = [candidate for candidate in options if candidate not in trail.tried]
        value, best = self._best(payment, options=untried, at_us=at_us, earlier=n_before)
        if payment.initiator == "merchant":
            # The same attempt meets new luck on another day, so those made before count again.
            for days in range(1, HORIZON_DAYS):
                until_us = at_us + days * DAY_US
                later, _ = self._best(payment, options=options, at_us=until_us, earlier=n_before)
                if later > value * 1.02 and later > 0.0:
                    value, best = later, Choice(None, wait_until_us=until_us)
        return best if value > 0.0 else STOP

    def _best(self, payment: Payment, *, options: Sequence[Candidate], at_us: int, earlier: int) -> tuple[float, Choice]:
        """Highest value over options when the best of the others may follow, and its candidate."""
        now = [self._value(payment, candidate=candidate, at_us=at_us, earlier=earlier) for candidate in options]
        if not now or max(value for value, _ in now) <= 0.0:
            return 0.0, STOP
        then = [self._value(payment, candidate=candidate, at_us=at_us, earlier=earlier + 1)[0] for candidate in options]
        order = sorted(range(len(options)), key=then.__getitem__, reverse=True)
        totals = []
        for index, (value, p_goes_on) in enumerate(now):
            follower = next((then[other] for other in order if other != index), 0.0)
            totals.append(value + p_goes_on * max(0.0, follower))
        top = max(range(len(options)), key=totals.__getitem__)
        return totals[top], Choice(options[top])

    def _value(self, payment: Payment, *, candidate: Candidate, at_us: int, earlier: int) -> tuple[float, float]:
        """Expected profit of one attempt, minor units, and the chance that it is declined and the shopper still there."""
        world = self._world
        p, p_left = 1.0, 0.0
        for stop in world.stops(payment, candidate=candidate, at_us=at_us, earlier=earlier):
            p_left += p * stop.share if stop.cause == "authentication" else 0.0
            p *= 1.0 - stop.share
        approved, declined = (
            cost_minor(
                world.conditions.fees(candidate.route, at_us),
                payment=payment,
                authentication=candidate.authentication,
                approved=outcome,
                credential=candidate.credential,
            )
            for outcome in (True, False)
        )
        return p * (margin_minor(world, payment) - approved) - (1.0 - p) * declined, 1.0 - p - p_left


def margin_minor(world: World, payment: Payment) -> float:
    """What an approval earns before costs, minor units."""
    return payment.amount_minor * world.merchants[payment.merchant_id].margin_bps / 10_000

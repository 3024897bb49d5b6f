"""Policies to play against: what merchants do without Honour, the open peer's router, and the oracle as the upper mark."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

from honour.records.attempt import Outcome, Status
from honour.records.decision import ChosenAttempt, Decision, DecisionRequest, Reason, RetryAllowance
from honour.records.instant import from_us, to_us
from honour.records.payment import Payment
from honour.records.route import Candidate, Route
from honour.simulator.acquirer import carries, cost_minor
from honour.simulator.draw import Draws
from honour.simulator.issuer import EUROPE
from honour.simulator.play import FORBIDDEN_ADVICE, FORBIDDEN_AGAIN
from honour.simulator.world import World

DAY_US = 86_400_000_000
ATTEMPTS_MAX = 3
"""Attempts of one payment that the simple policies make while the shopper waits."""
THREE_DS_FROM = {"EUR": 3_000, "GBP": 2_500}
"""Amounts above which European law asks for authentication of a customer's payment; RTS Article 16."""
ASKS_FOR_AUTHENTICATION = frozenset(("1A", "65"))
NOT_NOW = frozenset(("51", "54", "61"))
"""Response codes after which another attempt within minutes is pointless on every route."""


class Trail(NamedTuple):
    """What has happened to one payment so far: candidates attempted, and what came back last."""

    tried: tuple[Candidate, ...] = ()
    last: Outcome | None = None


class Choice(NamedTuple):
    """A candidate and the probability with which it was chosen, or none: wait until an instant, or stop."""

    candidate: Candidate | None
    propensity: float = 1.0
    wait_until_us: int | None = None


STOP = Choice(None)
Rule = Callable[[Payment, int, Trail], Choice]
"""What to do with a payment at an instant, given its trail."""
Learn = Callable[[Payment, Candidate, Status], None]
"""Takes in what came of an attempt."""


class RuledPolicy:
    """A rule on the stage: keeps the trail of every open payment and never attempts what a network has forbidden."""

    def __init__(self, rule: Rule, *, learn: Learn | None = None, attempts_max: int = ATTEMPTS_MAX) -> None:
        self._rule = rule
        self._learn = learn
        self._attempts_max = attempts_max
        self._trails: dict[str, Trail] = {}
        self._pending: dict[str, tuple[Payment, Candidate]] = {}

    def decide(self, request: DecisionRequest) -> Decision:
        """Attempt what the rule chooses, wait, or stop."""
        payment = request.payment
        trail = self._trails.get(payment.payment_id, Trail())
        at_us = to_us(request.at) if request.at is not None else 0
        ended = len(trail.tried) >= self._attempts_max or _is_forbidden(payment, last=trail.last)
        choice = STOP if ended else self._rule(payment, at_us, trail)
        if choice.candidate is not None:
            self._pending[payment.payment_id] = (payment, choice.candidate)
        elif choice.wait_until_us is None:
            self._trails.pop(payment.payment_id, None)
        return _decision(payment, number=len(trail.tried) + 1, choice=choice)

    def report(self, outcome: Outcome) -> None:
        """Take in what came back."""
        payment_id = outcome.decision_id.rpartition("/")[0]
        payment, candidate = self._pending.pop(payment_id)
        if self._learn is not None:
            self._learn(payment, candidate, outcome.status)
        if outcome.status in ("approved", "abandoned"):
            self._trails.pop(payment_id, None)
        else:
            trail = self._trails.get(payment_id, Trail())
            self._trails[payment_id] = Trail(tried=(*trail.tried, candidate), last=outcome)


def fixed_route(world: World, *, route: str) -> RuledPolicy:
    """`route` first wherever it carries the payment, then the routes in the order of the settings."""
    others = [other for other in world.routes if other.id != route]
    first = [only for only in world.routes if only.id == route]
    return RuledPolicy(lambda payment, _, trail: _next_in(payment, order=first + others, trail=trail))


def cheapest_first(world: World) -> RuledPolicy:
    """The route on which an approval costs least, then the next cheapest."""

    def rule(payment: Payment, _: int, trail: Trail) -> Choice:
        order = sorted(world.routes, key=lambda route: cost_minor(route, amount_minor=payment.amount_minor, approved=True))
        return _next_in(payment, order=order, trail=trail)

    return RuledPolicy(rule)


def random_route(world: World, *, seed: int = 0, plain_share: float = 1.0) -> RuledPolicy:
    """Any route that carries the payment, all equally likely, with propensities that are exact.

    plain_share  share in the form a merchant's rules would choose; the others take any form that the route has
    """
    draws = Draws(seed, purpose="random_route")

    def rule(payment: Payment, _: int, trail: Trail) -> Choice:
        if _waits_in_vain(trail):
            return STOP
        u = draws.of(f"{payment.payment_id}/{len(trail.tried)}")
        routes = [route for route in world.routes if carries(route, payment=payment)]
        if not routes:
            return STOP
        route = routes[int(u[0] * len(routes))]
        plain = plain_form(payment, route=route, trail=trail)
        forms = [candidate for candidate in world.candidates(payment) if candidate.route == route.id]
        chosen = plain if u[1] < plain_share else forms[int(u[2] * len(forms))]
        return Choice(chosen, ((chosen == plain) * plain_share + (1.0 - plain_share) / len(forms)) / len(routes))

    return RuledPolicy(rule)


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
    """The open peer's router (juspay/decision-engine): the route with most approvals among its last `window` answers.

    Per merchant and funding, and with `by_country` per network and issuer country too. A new window counts as all approved.
    With probability `hedging` another route goes first. A second score per route shrinks by 5 % with each attempt that is
    not approved and grows by 5 % with each that is; below `threshold` the route goes behind the others. With `weighs_cost` the
    first score is multiplied with the margin left after cost, as its cost-aware step does.
    """
    answers: dict[tuple[str | None, ...], deque[bool]] = {}
    health = dict.fromkeys((route.id for route in world.routes), 1.0)
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
        return rate * (margin - cost_minor(route, amount_minor=payment.amount_minor, approved=True))

    def rule(payment: Payment, _: int, trail: Trail) -> Choice:
        able = [route for route in world.routes if carries(route, payment=payment)]
        order = sorted(able, key=lambda route: (health[route.id] < threshold, -worth(payment, route)))
        u = draws.of(f"{payment.payment_id}/{len(trail.tried)}")
        if len(order) > 1 and not trail.tried and u[0] < hedging:
            order.insert(0, order.pop(1 + int(u[1] * (len(order) - 1))))
        choice = _next_in(payment, order=order, trail=trail)
        head = choice.candidate is not None and choice.candidate.route == order[0].id and u[0] >= hedging
        return (
            choice if trail.tried or len(order) < 2 else choice._replace(propensity=1.0 - hedging if head else hedging / (len(order) - 1))
        )

    def learn(payment: Payment, candidate: Candidate, status: Status) -> None:
        approved = status == "approved"
        seen = answers.setdefault(key(payment, candidate.route), deque([True] * window, maxlen=window))
        seen.append(approved)
        health[candidate.route] = min(1.0, health[candidate.route] * (1.05 if approved else 0.95))

    return RuledPolicy(rule, learn=learn)


def oracle(world: World) -> RuledPolicy:
    """The best true expected value, knowing all that is hidden except the luck of each attempt: an upper mark, not a policy.

    Looks one attempt ahead, and for payments that a merchant started fourteen days; it sees funds before asking.
    """
    return RuledPolicy(_Oracle(world).rule, attempts_max=8)


def plain_form(payment: Payment, *, route: Route, trail: Trail) -> Candidate:
    """The form that a merchant's own rules choose: a token where there is one, authentication where law or issuer ask for it."""
    token = payment.card.network_token and "network_token" in route.credentials
    above = payment.amount_minor > THREE_DS_FROM.get(payment.currency, payment.amount_minor)
    asked = trail.last is not None and trail.last.response_code in ASKS_FOR_AUTHENTICATION
    needs = payment.initiator == "customer" and ((above and route.country in EUROPE) or asked)
    return Candidate(route.id, "three_ds" if needs else "none", "network_token" if token else "pan")


class _Oracle:
    """Knows the world."""

    def __init__(self, world: World) -> None:
        self._world = world

    def rule(self, payment: Payment, at_us: int, trail: Trail) -> Choice:
        """The best candidate now, or a later day that is better, or stop."""
        options = self._world.candidates(payment)
        n_before = len(trail.tried)
        untried = [candidate for candidate in options if candidate not in trail.tried]
        value, best = self._best(payment, options=untried, at_us=at_us, earlier=n_before)
        if payment.initiator == "merchant":
            # The same attempt meets new luck on another day, so those made before count again.
            for days in range(1, 14):
                until_us = at_us + days * DAY_US
                later, _ = self._best(payment, options=options, at_us=until_us, earlier=n_before)
                if later > value * 1.02 and later > 0.0:
                    value, best = later, Choice(None, wait_until_us=until_us)
        return best if value > 0.0 else STOP

    def _best(self, payment: Payment, *, options: Sequence[Candidate], at_us: int, earlier: int) -> tuple[float, Choice]:
        """Highest value over options when the best of the others may follow, and its candidate."""
        now = [self._value(payment, candidate=candidate, at_us=at_us, earlier=earlier) for candidate in options]
        if not now:
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
        route = world.route(candidate.route)
        margin = payment.amount_minor * world.merchants[payment.merchant_id].margin_bps / 10_000
        approved = margin - cost_minor(route, amount_minor=payment.amount_minor, approved=True)
        declined = -cost_minor(route, amount_minor=payment.amount_minor, approved=False)
        return p * approved + (1.0 - p) * declined, 1.0 - p - p_left


def _next_in(payment: Payment, *, order: Sequence[Route], trail: Trail) -> Choice:
    """The first route of `order` that carries the payment and was not tried; the same again with authentication if that was asked for."""
    if _waits_in_vain(trail):
        return STOP
    tried = {candidate.route for candidate in trail.tried}
    if trail.tried and trail.tried[-1].authentication == "none" and payment.initiator == "customer":
        asked = trail.last is not None and trail.last.response_code in ASKS_FOR_AUTHENTICATION
        tried -= {trail.tried[-1].route} if asked else set()
        order = sorted(order, key=lambda route: asked and route.id != trail.tried[-1].route)
    for route in order:
        if route.id not in tried and carries(route, payment=payment):
            return Choice(plain_form(payment, route=route, trail=trail))
    return STOP


def _waits_in_vain(trail: Trail) -> bool:
    return trail.last is not None and trail.last.response_code in NOT_NOW


def _is_forbidden(payment: Payment, *, last: Outcome | None) -> bool:
    if last is None or last.status != "declined":
        return False
    network = payment.card.network
    return last.response_code in FORBIDDEN_AGAIN.get(network, ()) or (
        network == "mastercard" and last.merchant_advice_code in FORBIDDEN_ADVICE
    )


def _decision(payment: Payment, *, number: int, choice: Choice) -> Decision:
    candidate = choice.candidate
    waits = choice.wait_until_us is not None
    return Decision(
        decision_id=f"{payment.payment_id}/{number}",
        payment_id=payment.payment_id,
        attempt_number=number,
        action="attempt" if candidate is not None else "wait" if waits else "stop",
        attempt=None
        if candidate is None
        else ChosenAttempt(
            route=candidate.route, authentication=candidate.authentication, credential=candidate.credential, propensity=choice.propensity
        ),
        wait_until=None if choice.wait_until_us is None else from_us(choice.wait_until_us),
        reason=REASON,
        ranking=(),
        retry=NO_ALLOWANCE,
        experiment=None,
        stage="live",
        bundle=None,
        elapsed_us=0,
    )


REASON = Reason(code="rule", detail="A simple policy of the simulator.")
NO_ALLOWANCE = RetryAllowance(attempts_left=None, window_ends_at=None, rule=None)

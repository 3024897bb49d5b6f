"""A rule of a few lines as a policy on the stage: it keeps the trail of open payments and what networks forbid."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from honour.records.attempt import Dispute, Outcome, Status
from honour.records.decision import ChosenAttempt, Decision, DecisionRequest, Reason, RetryAllowance
from honour.records.instant import from_us, to_us
from honour.records.payment import Payment
from honour.records.route import Candidate, Route
from honour.simulator.acquirer import carries
from honour.simulator.audit import MONTH_US, is_dead, is_forbidden
from honour.simulator.land import EUROPE

ATTEMPTS_MAX = 3
"""Attempts of one payment that the simple policies make while the shopper waits."""
THREE_DS_FROM = {"EUR": 3_000, "GBP": 2_500, "PLN": 13_000}
"""Amounts above which European law asks for authentication of a customer's payment; RTS Article 16."""
ASKS_FOR_AUTHENTICATION = frozenset(("1A", "65"))
NOT_NOW = frozenset(("51", "54", "61", "79"))
"""Response codes after which another attempt within minutes is pointless on every route."""
REASON = Reason(code="rule", detail="A simple policy of the simulator.")
NO_ALLOWANCE = RetryAllowance(attempts_left=None, window_ends_at=None, rule=None)


class Trail(NamedTuple):
    """What has happened to one payment so far: candidates attempted, and what came back last."""

    tried: tuple[Candidate, ...] = ()
    last: Outcome | None = None


class Asked(NamedTuple):
    """A question to a rule: a payment at an instant, with its trail and the routes there are."""

    payment: Payment
    at_us: int
    trail: Trail
    routes: tuple[Route, ...]

    @property
    def able(self) -> list[Route]:
        """Routes that carry the payment."""
        return [route for route in self.routes if carries(route, payment=self.payment)]


class Choice(NamedTuple):
    """A candidate and the probability with which it was chosen, or none: wait until an instant, or stop."""

    candidate: Candidate | None
    propensity: float = 1.0
    wait_until_us: int | None = None


STOP = Choice(None)
Rule = Callable[[Asked], Choice]
"""What to do with a payment."""
Learn = Callable[[Payment, Candidate, Status], None]
"""Takes in what came of an attempt."""


class RuledPolicy:
    """A rule on the stage; it never attempts what a network has forbidden for the payment or its card."""

    def __init__(self, rule: Rule, *, routes: tuple[Route, ...], learn: Learn | None = None, attempts_max: int = ATTEMPTS_MAX) -> None:
        self._rule = rule
        self._routes = routes
        self._learn = learn
        self._attempts_max = attempts_max
        self._trails: dict[str, Trail] = {}
        self._pending: dict[str, tuple[Payment, Candidate]] = {}
        self._dead_us: dict[tuple[str, str], int] = {}

    def take_routes(self, routes: tuple[Route, ...]) -> None:
        """These are the routes from here on."""
        self._routes = routes

    def dispute(self, dispute: Dispute) -> None:
        """Simple policies learn nothing from disputes."""

    def decide(self, request: DecisionRequest) -> Decision:
        """Attempt what the rule chooses, wait, or stop."""
        payment = request.payment
        trail = self._trails.get(payment.payment_id, Trail())
        at_us = to_us(request.at) if request.at is not None else 0
        ended = len(trail.tried) >= self._attempts_max or self._is_forbidden(payment, last=trail.last, at_us=at_us)
        choice = STOP if ended else self._rule(Asked(payment, at_us, trail, self._routes))
        if choice.candidate is not None:
            self._pending[payment.payment_id] = (payment, choice.candidate)
        elif choice.wait_until_us is None:
            self._trails.pop(payment.payment_id, None)
        return _decision(payment, number=len(trail.tried) + 1, choice=choice)

    def report(self, outcome: Outcome) -> None:
        """Take in what came back; the same again changes nothing."""
        payment_id = outcome.decision_id.rpartition("/")[0]
        if payment_id not in self._pending:
            return
        payment, candidate = self._pending.pop(payment_id)
        if self._learn is not None:
            self._learn(payment, candidate, outcome.status)
        if outcome.status == "declined" and is_dead(payment, response_code=outcome.response_code, advice=outcome.merchant_advice_code):
            self._dead_us[payment.card.card_id, payment.merchant_id] = to_us(outcome.at) if outcome.at is not None else 0
        if outcome.status in ("approved", "abandoned"):
            self._trails.pop(payment_id, None)
        else:
            trail = self._trails.get(payment_id, Trail())
            self._trails[payment_id] = Trail(tried=(*trail.tried, candidate), last=outcome)

    def _is_forbidden(self, payment: Payment, *, last: Outcome | None, at_us: int) -> bool:
        if self._dead_us.get((payment.card.card_id, payment.merchant_id), -MONTH_US) > at_us - MONTH_US:
            return True
        return (
            last is not None
            and last.status == "declined"
            and is_forbidden(payment, response_code=last.response_code, advice=last.merchant_advice_code)
        )


def plain_form(payment: Payment, *, route: Route, trail: Trail) -> Candidate:
    """The form that a merchant's own rules choose: a token where there is one, authentication where law or issuer ask for it."""
    token = payment.card.network_token and "network_token" in route.credentials
    above = payment.amount_minor > THREE_DS_FROM.get(payment.currency, payment.amount_minor)
    asked = trail.last is not None and _code(trail.last) in ASKS_FOR_AUTHENTICATION
    needs = payment.initiator == "customer" and ((above and route.country in EUROPE) or asked)
    return Candidate(route.id, "three_ds" if needs else "none", "network_token" if token else "pan")


def next_in(asked: Asked, *, order: Sequence[Route]) -> Choice:
    """The first route of `order` that carries the payment and was not tried; the same again with authentication if that was asked for."""
    payment, trail = asked.payment, asked.trail
    if waits_in_vain(trail):
        return STOP
    tried = {candidate.route for candidate in trail.tried}
    if trail.tried and trail.tried[-1].authentication != "three_ds" and payment.initiator == "customer":
        demanded = trail.last is not None and _code(trail.last) in ASKS_FOR_AUTHENTICATION
        tried -= {trail.tried[-1].route} if demanded else set()
        order = sorted(order, key=lambda route: demanded and route.id != trail.tried[-1].route)
    for route in order:
        if route.id not in tried and carries(route, payment=payment):
            return Choice(plain_form(payment, route=route, trail=trail))
    return STOP


def waits_in_vain(trail: Trail) -> bool:
    """Whether another attempt now is pointless on every route."""
    return trail.last is not None and _code(trail.last) in NOT_NOW


def _code(outcome: Outcome) -> str | None:
    return outcome.response_code


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

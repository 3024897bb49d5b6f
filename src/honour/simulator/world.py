"""The world: payments as a merchant sees them, and for any attempt the one answer that it would get.

Answers come from causes (funds, judgement of the issuer, velocity, authentication, technical and card life), of which the wire
tells a part. An answer depends on the seed, the payment, the candidate, the instant and how many attempts came before,
and on nothing else that was asked: two policies that make the same attempt get the same answer.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from honour.errors import BadInput
from honour.records.attempt import AuthenticationResult, Status
from honour.records.instant import from_us
from honour.records.payment import Payment
from honour.records.route import Candidate, Merchant, Route
from honour.simulator import shop, told
from honour.simulator.acquirer import Acquirer, Liking, candidates, carries, cost_minor, has_form, make_acquirers
from honour.simulator.cause import Situation, Stop, Truth, p_frictionless, stops
from honour.simulator.condition import Conditions
from honour.simulator.draw import Draws, Uniforms, between, normal
from honour.simulator.issuer import make_issuers
from honour.simulator.land import LANDS, USD_PER_UNIT
from honour.simulator.market import HOUR_US, Market
from honour.simulator.scenario import DAY_US, Scenario
from honour.simulator.shopper import Cardholder, Fortune

GRUDGE_SPREAD = 0.35
"""Spread of what issuers make of merchants, in logit."""


class Answer(NamedTuple):
    """What came back for one attempt, as the wire tells it.

    latency_ms  from sending to answer, a challenge included
    cost_minor  by the route's own terms at that instant
    """

    status: Status
    response_code: str | None
    merchant_advice_code: str | None
    authentication_result: AuthenticationResult | None
    latency_ms: float
    cost_minor: float


class World:
    """Issuers, acquirers and shoppers of one seed, living through one scenario.

    seed    who they are and what they think of one another
    stream  what happens to happen: payments, luck and incidents; other streams of a seed are other weeks of the same world
    """

    def __init__(self, scenario: Scenario, *, seed: int = 1, stream: int = 0) -> None:
        self.scenario = scenario
        self.seed = seed
        self.stream = stream
        self.issuers = make_issuers(seed)
        self.acquirers = make_acquirers()
        self.merchants: dict[str, Merchant] = shop.merchants()
        self._acquirer_of = {acquirer.id: acquirer for acquirer in self.acquirers}
        self._liking = Liking(seed, issuers=self.issuers, acquirers=self.acquirers)
        self._luck, self._chance, grudge = (Draws(seed, purpose=purpose) for purpose in (f"{stream}/luck", f"{stream}/incident", "grudge"))
        self.conditions = Conditions(scenario, acquirers=self.acquirers, issuers=self.issuers, chance=self._chance)
        self._market = Market(scenario, seed=seed, stream=stream, issuers=self.issuers)
        self._fortune = Fortune(Draws(seed, purpose=f"{stream}/funds"))
        self._purchases = lru_cache(maxsize=65_536)(self._draw_purchases)
        self._grudge = lru_cache(maxsize=8_192)(lambda issuer, shop_id: GRUDGE_SPREAD * normal(grudge.of(f"{issuer}/{shop_id}")[0]))
        self._found = lru_cache(maxsize=131_072)(self._stops)

    @property
    def routes(self) -> tuple[Route, ...]:
        """The routes at the start of the scenario."""
        return self.routes_at(self.scenario.start_us)

    def routes_at(self, at_us: int) -> tuple[Route, ...]:
        """The routes as the settings say them at an instant: those that are open, with their fees then."""
        return self.conditions.routes_at(at_us)

    def payments(self) -> Iterator[Payment]:
        """Every payment of the scenario in the order of time."""
        for number in range(self.scenario.n_payments):
            yield self._market.payment(number)

    def payment(self, number: int) -> Payment:
        """Payment `number` (from 0) of the scenario."""
        return self._market.payment(number)

    def candidates(self, payment: Payment, *, at_us: int | None = None) -> tuple[Candidate, ...]:
        """Every attempt that some open route carries, in the order of the routes; at the start of the scenario unless said."""
        found = candidates(payment, routes=self.routes if at_us is None else self.routes_at(at_us))
        return tuple(each for each in found if self._may_claim(each, payment))

    def route(self, route_id: str) -> Route:
        """The route of this id, with its first fees."""
        return self._acquirer_of[route_id].route

    def acquirer(self, route_id: str) -> Acquirer:
        """The acquirer behind a route."""
        return self._acquirer_of[route_id]

    def holder(self, payment: Payment) -> Cardholder:
        """Who pays."""
        return self._market.holder(payment)

    def answer(self, payment: Payment, *, candidate: Candidate, at_us: int, earlier: int = 0) -> Answer:
        """The one answer to this attempt.

        at_us    when it is sent; within one hour the same attempt meets the same luck
        earlier  attempts already made of this payment
        """
        u = self._luck.of(_luck_key(payment, candidate=candidate, at_us=at_us))
        found = self.stops(payment, candidate=candidate, at_us=at_us, earlier=earlier)
        return self._tell(payment, candidate=candidate, stop=_stopped_by(found, uniform=u[0]), uniforms=u, at_us=at_us)

    def p_approve(self, payment: Payment, *, candidate: Candidate, at_us: int, earlier: int = 0) -> float:
        """True chance that this attempt is approved, given all that lies hidden except the luck of the attempt itself."""
        return math.prod(1.0 - stop.share for stop in self.stops(payment, candidate=candidate, at_us=at_us, earlier=earlier))

    def cause(self, payment: Payment, *, candidate: Candidate, at_us: int, earlier: int = 0) -> told.Cause | None:
        """Why this attempt is not approved; None when it is."""
        u = self._luck.of(_luck_key(payment, candidate=candidate, at_us=at_us))
        stop = _stopped_by(self.stops(payment, candidate=candidate, at_us=at_us, earlier=earlier), uniform=u[0])
        return None if stop is None else stop.cause

    def truth(self, payment: Payment) -> Truth:
        """What nobody outside sees of a payment."""
        return self._market.truth(payment.payment_id)

    def patience_s(self, payment: Payment) -> float:
        """Seconds from its creation for which a payment may still be attempted."""
        return 14 * 86_400.0 if payment.initiator == "merchant" else self.truth(payment).patience_s

    def usd_per_minor(self, payment: Payment) -> float:
        """US cents in one minor unit of the payment's currency, at the world's fixed rates."""
        return USD_PER_UNIT[payment.currency]

    def stops(self, payment: Payment, *, candidate: Candidate, at_us: int, earlier: int = 0) -> tuple[Stop, ...]:
        """What may stop this attempt, in the order in which it would meet it, with everything known but luck.

        Conditions are those of the minute of `at_us`.
        """
        if candidate.route not in self._acquirer_of:
            raise BadInput(f"candidate: route {candidate.route!r} is not in this world. Routes: {', '.join(self._acquirer_of)}.")
        self._market.holder(payment)
        return self._found(_Asked(payment, candidate, at_us // 60_000_000, earlier))

    def _stops(self, asked: _Asked) -> tuple[Stop, ...]:
        payment, candidate, at_us = asked.payment, asked.candidate, asked.minute * 60_000_000
        acquirer = self._acquirer_of[candidate.route]
        if not self._takes(acquirer, payment=payment, candidate=candidate, at_us=at_us):
            return (Stop("unsupported", 1.0),)
        return tuple(stops(self._situation(asked, acquirer=acquirer, at_us=at_us)))

    def situation(self, payment: Payment, *, candidate: Candidate, at_us: int, earlier: int = 0) -> Situation:
        """Everything that bears on an attempt which some route carries."""
        asked = _Asked(payment, candidate, at_us // 60_000_000, earlier)
        return self._situation(asked, acquirer=self._acquirer_of[candidate.route], at_us=at_us)

    def _situation(self, asked: _Asked, *, acquirer: Acquirer, at_us: int) -> Situation:
        payment, candidate = asked.payment, asked.candidate
        holder = self._market.holder(payment)
        local_us = at_us + LANDS[holder.issuer.country].utc_offset_h * HOUR_US
        day, hour = local_us // DAY_US, local_us // HOUR_US % 24
        now = self.conditions.now(at_us, acquirer=acquirer, holder=holder, payment=payment, local_hour=hour)
        fortune = self._fortune.of(payment.card.card_id, day)
        return Situation(
            payment=payment,
            candidate=candidate,
            acquirer=acquirer,
            holder=holder,
            truth=self._market.truth(payment.payment_id),
            liking=self._liking.of(holder.issuer, acquirer),
            grudge=self._grudge(holder.issuer.id, payment.merchant_id),
            suspicion=now.suspicion,
            short=holder.is_short(payment.amount_minor, day=day, initiator=payment.initiator, z=fortune),
            purchases=self._purchases(payment.card.card_id, day),
            route_down=now.route_down,
            degraded=now.degraded,
            issuer_down=now.issuer_down,
            sca=now.sca,
            day=day,
            hour=hour,
            earlier=asked.earlier,
        )

    def _takes(self, acquirer: Acquirer, *, payment: Payment, candidate: Candidate, at_us: int) -> bool:
        """Whether the route is open and carries the payment in the form of `candidate`."""
        route = self.conditions.route_at(acquirer, at_us)
        return (
            route is not None
            and carries(route, payment=payment)
            and candidate.credential in route.credentials
            and has_form(payment, candidate.credential)
            and candidate.authentication in route.authentications
            and (candidate.authentication == "none" or payment.initiator == "customer")
            and self._may_claim(candidate, payment)
        )

    def _may_claim(self, candidate: Candidate, payment: Payment) -> bool:
        """Whether the law lets the acquirer claim what the candidate claims."""
        acquirer = self._acquirer_of[candidate.route]
        return acquirer.may_claim(candidate.authentication, amount_minor=payment.amount_minor, currency=payment.currency)

    def _tell(self, payment: Payment, *, candidate: Candidate, stop: Stop | None, uniforms: Uniforms, at_us: int) -> Answer:
        """What the wire says of an attempt that `stop` stopped, or nothing did."""
        acquirer, issuer = self._acquirer_of[candidate.route], self._market.holder(payment).issuer
        network = payment.card.network
        route = self.conditions.route_at(acquirer, at_us) or acquirer.route
        cost = cost_minor(
            route, payment=payment, authentication=candidate.authentication, approved=stop is None, credential=candidate.credential
        )
        latency_ms = acquirer.works.latency_ms * math.exp(0.35 * normal(uniforms[1]))
        if stop is not None and stop.cause == "unsupported":
            return Answer("failed", None, None, None, 20.0, cost)
        if stop is not None and stop.cause == "route":
            return Answer("failed", None, None, None, round(between(uniforms[1], 4_000, 15_000)), cost)
        if stop is not None and stop.cause == "authentication":
            return Answer("abandoned", None, None, "abandoned", round(between(uniforms[1], 20_000, 180_000)), cost)
        result: AuthenticationResult | None = None
        if candidate.authentication == "three_ds":
            situation = self._situation(_Asked(payment, candidate, at_us // 60_000_000, 0), acquirer=acquirer, at_us=at_us)
            result = "frictionless" if uniforms[2] < p_frictionless(situation) else "authenticated"
            latency_ms += 1_500 if result == "frictionless" else between(uniforms[3], 12_000, 45_000)
        if stop is None:
            return Answer("approved", "00", None, result, round(latency_ms), cost)
        code = told.told_code(
            stop.cause,
            issuer=issuer,
            network=network,
            detail=stop.detail,
            uniforms=(uniforms[4], uniforms[5]),
            on=from_us(at_us).date(),
        )
        advice = told.advice_for(code, issuer=issuer, network=network, uniform=uniforms[6])
        renames = self.conditions.renames(acquirer.id, at_us)
        said = told.passed_on(code, candour=acquirer.works.candour, renames=renames, uniform=uniforms[7])
        return Answer("declined", said, advice if said.endswith(code) else None, result, round(latency_ms), cost)

    def _draw_purchases(self, card_id: str, day: int) -> int:
        """Purchases of a card elsewhere on one day: geometric with mean 1, so that a few cards run into their issuer's limit."""
        return int(math.log(self._chance.of(f"purchases/{card_id}/{day}")[0]) / math.log(0.5))


class _Asked:
    """An attempt as a key: equal when payment, candidate, minute and number of earlier attempts are."""

    __slots__ = ("_key", "candidate", "earlier", "minute", "payment")

    def __init__(self, payment: Payment, candidate: Candidate, minute: int, earlier: int) -> None:
        self.payment, self.candidate, self.minute, self.earlier = payment, candidate, minute, earlier
        self._key = (payment.payment_id, payment.card.card_id, candidate, minute, earlier)

    def __hash__(self) -> int:
        return hash(self._key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Asked) and self._key == other._key


def _luck_key(payment: Payment, *, candidate: Candidate, at_us: int) -> str:
    return f"{payment.payment_id}/{candidate.route}/{candidate.authentication}/{candidate.credential}/{at_us // HOUR_US}"


def _stopped_by(found: tuple[Stop, ...], *, uniform: float) -> Stop | None:
    """The stop that this luck meets. Approval lies at the low end, so that a small change of chances changes few answers."""
    p = math.prod(1.0 - stop.share for stop in found)
    if uniform < p:
        return None
    rest = (uniform - p) / (1.0 - p)
    reached = 1.0
    for stop in found:
        rest -= reached * stop.share / (1.0 - p)
        if rest <= 0.0:
            return stop
        reached *= 1.0 - stop.share
    return max(found, key=lambda stop: stop.share)

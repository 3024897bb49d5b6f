"""The world: payments as a merchant sees them, and for any attempt the one answer that it would get.

Answers come from causes (funds, judgement of the issuer, authentication, technical and card life), of which the wire
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
from honour.records.payment import Payment
from honour.records.route import Candidate, Merchant, Route
from honour.simulator.acquirer import INCIDENT_US, Liking, candidates, carries, cost_minor, make_acquirers
from honour.simulator.cause import Situation, Stop, stops
from honour.simulator.draw import Draws, Uniforms, between, normal
from honour.simulator.issuer import LANDS, advice_for, make_issuers, told_code
from honour.simulator.market import HOUR_US, Market, merchants
from honour.simulator.scenario import DAY_US, Scenario

USD_PER_UNIT = {land.currency: land.usd_per_unit for land in LANDS.values()}


class Answer(NamedTuple):
    """What came back for one attempt, as the wire tells it.

    latency_ms  from sending to answer, a challenge included
    cost_minor  by the route's own terms
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
        self.routes: tuple[Route, ...] = tuple(acquirer.route for acquirer in self.acquirers)
        self.merchants: dict[str, Merchant] = merchants()
        self._acquirer_of = {acquirer.route.id: acquirer for acquirer in self.acquirers}
        self._liking = Liking(seed, issuers=self.issuers, acquirers=self.acquirers)
        self._market = Market(scenario, seed=seed, stream=stream, issuers=self.issuers)
        self._events = {route.id: tuple(event for event in scenario.events if event.route == route.id) for route in self.routes}
        for event in scenario.events:
            if event.route not in self._acquirer_of:
                raise BadInput(
                    f"scenario {scenario.name!r}: route {event.route!r} of its events is not in this world. "
                    f"Routes: {', '.join(self._acquirer_of)}."
                )
        self._luck, self._funds, self._incidents = (Draws(seed, purpose=f"{stream}/{purpose}") for purpose in ("luck", "funds", "incident"))
        self._is_incident = lru_cache(maxsize=65_536)(self._draw_incident)
        self._fortune = lru_cache(maxsize=4_096)(self._draw_fortune)

    def payments(self) -> Iterator[Payment]:
        """Every payment of the scenario in the order of time."""
        for number in range(self.scenario.n_payments):
            yield self.payment(number)

    def payment(self, number: int) -> Payment:
        """Payment `number` (from 0) of the scenario."""
        return self._market.payment(number)

    def candidates(self, payment: Payment) -> tuple[Candidate, ...]:
        """Every attempt that some route of the world carries, in the order of the routes."""
        return tuple(candidates(payment, routes=self.routes))

    def route(self, route_id: str) -> Route:
        """The route of this id."""
        return self._acquirer_of[route_id].route

    def answer(self, payment: Payment, *, candidate: Candidate, at_us: int, earlier: int = 0) -> Answer:
        """The one answer to this attempt.

        at_us    when it is sent; within one hour the same attempt meets the same luck
        earlier  attempts already made of this payment
        """
        key = f"{payment.payment_id}/{candidate.route}/{candidate.authentication}/{candidate.credential}/{at_us // HOUR_US}"
        u = self._luck.of(key)
        found = self.stops(payment, candidate=candidate, at_us=at_us, earlier=earlier)
        return self._tell(payment, candidate=candidate, stop=_stopped_by(found, uniform=u[0]), uniforms=u)

    def p_approve(self, payment: Payment, *, candidate: Candidate, at_us: int, earlier: int = 0) -> float:
        """True chance that this attempt is approved, given all that lies hidden except the luck of the attempt itself."""
        return math.prod(1.0 - stop.share for stop in self.stops(payment, candidate=candidate, at_us=at_us, earlier=earlier))

    def patience_s(self, payment: Payment) -> float:
        """Seconds from its creation for which a payment may still be attempted."""
        return 14 * 86_400.0 if payment.initiator == "merchant" else self._market.truth(payment.payment_id).patience_s

    def usd_per_minor(self, payment: Payment) -> float:
        """US cents in one minor unit of the payment's currency, at the world's fixed rates."""
        return USD_PER_UNIT[payment.currency]

    def stops(self, payment: Payment, *, candidate: Candidate, at_us: int, earlier: int = 0) -> list[Stop]:
        """What may stop this attempt, in the order in which it would meet it, with everything known but luck."""
        acquirer = self._acquirer_of.get(candidate.route)
        if acquirer is None:
            raise BadInput(f"candidate: route {candidate.route!r} is not in this world. Routes: {', '.join(self._acquirer_of)}.")
        if not _takes(acquirer.route, payment=payment, candidate=candidate):
            return [Stop("unsupported", 1.0)]
        holder = self._market.holder(payment)
        local_us = at_us + LANDS[holder.issuer.country].utc_offset_h * HOUR_US
        day, hour = local_us // DAY_US, local_us // HOUR_US % 24
        since = (at_us - self.scenario.start_us) / DAY_US
        shares = {"outage": 0.0, "degradation": 0.0}
        for event in self._events[candidate.route]:
            shares[event.kind] = max(shares[event.kind], event.share_at(since))
        situation = Situation(
            payment=payment,
            candidate=candidate,
            acquirer=acquirer,
            holder=holder,
            truth=self._market.truth(payment.payment_id),
            liking=self._liking.of(holder.issuer, acquirer),
            short=holder.is_short(payment.amount_minor, day=day, initiator=payment.initiator, z=self._fortune(payment.card.card_id, day)),
            incident=self._is_incident(candidate.route, at_us // INCIDENT_US),
            out=shares["outage"],
            worse=shares["degradation"],
            day=day,
            hour=hour,
            earlier=earlier,
        )
        return stops(situation)

    def _tell(self, payment: Payment, *, candidate: Candidate, stop: Stop | None, uniforms: Uniforms) -> Answer:
        """What the wire says of an attempt that `stop` stopped, or nothing did."""
        issuer = self._market.holder(payment).issuer
        acquirer = self._acquirer_of[candidate.route]
        network = payment.card.network
        cost = cost_minor(acquirer.route, amount_minor=payment.amount_minor, approved=stop is None)
        latency_ms = acquirer.latency_ms * math.exp(0.35 * normal(uniforms[1]))
        if stop is not None and stop.cause == "unsupported":
            return Answer("failed", None, None, None, 20.0, cost)
        if stop is not None and stop.cause == "route":
            return Answer("failed", None, None, None, round(between(uniforms[1], 4_000, 15_000)), cost)
        if stop is not None and stop.cause == "authentication":
            return Answer("abandoned", None, None, "abandoned", round(between(uniforms[1], 20_000, 180_000)), cost)
        result: AuthenticationResult | None = None
        if candidate.authentication == "three_ds":
            result = "frictionless" if uniforms[2] < issuer.frictionless else "authenticated"
            latency_ms += 1_500 if result == "frictionless" else between(uniforms[3], 12_000, 45_000)
        if stop is None:
            return Answer("approved", "00", None, result, round(latency_ms), cost)
        code = told_code(stop.cause, issuer=issuer, network=network, detail=stop.detail, uniforms=(uniforms[4], uniforms[5]))
        advice = advice_for(code, issuer=issuer, network=network, uniform=uniforms[6])
        return Answer("declined", code, advice, result, round(latency_ms), cost)

    def _draw_incident(self, route: str, half_hour: int) -> bool:
        # Two half hours in a row more often than by chance: an incident begun goes on with chance a half.
        rate = self._acquirer_of[route].incident_rate
        begun, before = self._incidents.of(f"{route}/{half_hour}"), self._incidents.of(f"{route}/{half_hour - 1}")
        return begun[0] < rate or (before[0] < rate and before[1] < 0.5)

    def _draw_fortune(self, card_id: str, day: int) -> float:
        return normal(self._funds.of(f"{card_id}/{day}")[0])


def _takes(route: Route, *, payment: Payment, candidate: Candidate) -> bool:
    """Whether the route carries the payment in the form of `candidate`."""
    return (
        carries(route, payment=payment)
        and candidate.credential in route.credentials
        and (candidate.credential != "network_token" or payment.card.network_token)
        and candidate.authentication in route.authentications
        and (candidate.authentication == "none" or payment.initiator == "customer")
    )


def _stopped_by(found: list[Stop], *, uniform: float) -> Stop | None:
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

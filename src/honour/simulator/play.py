"""Playing a policy in a world: payments in the order of time, answers that arrive late, shoppers who lose patience.

The policy sees what the wire carries: it is asked with a DecisionRequest, answers with a Decision, hears Outcomes and Disputes,
and is told of routes as settings would.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import NamedTuple, Protocol

from honour.errors import LogContractBroken
from honour.records.attempt import Attempt, Dispute, Outcome
from honour.records.decision import Decision, DecisionRequest
from honour.records.event import AttemptReported
from honour.records.instant import from_us, to_us
from honour.records.payment import Payment
from honour.records.route import Candidate, Route
from honour.simulator.audit import Audit
from honour.simulator.draw import Draws
from honour.simulator.world import Answer, World

ATTEMPTS_MAX = 20
"""Attempts of one payment after which the stage asks no more, so that a policy that never stops cannot hold it up."""


class Policy(Protocol):
    """Whoever decides: Honour behind its wire, or a rule of a few lines."""

    def decide(self, request: DecisionRequest) -> Decision:
        """What should happen next to this payment."""

    def report(self, outcome: Outcome) -> object:
        """What came back for an earlier decision."""

    def dispute(self, dispute: Dispute) -> object:
        """A payment was disputed."""

    def take_routes(self, routes: tuple[Route, ...]) -> object:
        """These are the routes from here on, with their fees."""


class Attempted(NamedTuple):
    """One attempt with its answer, at the instant at which the answer arrived.

    number       of the payment in the play, from 0
    n_before     attempts of the same payment before this one
    propensity   with which the policy says that it chose this candidate
    decided_ms   what the policy says that deciding took
    heard_us     when the merchant's systems heard of it; None for never
    """

    payment: Payment
    number: int
    n_before: int
    candidate: Candidate
    propensity: float
    decided_ms: float
    at_us: int
    arrived_us: int
    heard_us: int | None
    heard_twice: bool
    answer: Answer
    broken_rule: str | None


def history(world: World, *, policy: Policy, step: Callable[[int], None] | None = None) -> Iterator[AttemptReported]:
    """Attempts as they would be reported to Honour, in the order in which they are heard of; lost ones never are."""
    for made in attempts_of(world, policy=policy, step=step):
        if made.heard_us is None:
            continue
        yield AttemptReported(
            attempt=Attempt(
                attempt_id=f"att_{made.payment.payment_id.removeprefix('pay_')}_{made.n_before + 1}",
                payment=made.payment,
                route=made.candidate.route,
                attempted_at=from_us(made.at_us),
                status=made.answer.status,
                authentication=made.candidate.authentication,
                credential=made.candidate.credential,
                response_code=made.answer.response_code,
                merchant_advice_code=made.answer.merchant_advice_code,
                authentication_result=made.answer.authentication_result,
                happened_at=from_us(made.arrived_us),
                latency_ms=made.answer.latency_ms,
                cost_minor=round(made.answer.cost_minor, 4),
            )
        )


def attempts_of(world: World, *, policy: Policy, step: Callable[[int], None] | None = None) -> Iterator[Attempted]:
    """Every attempt of a play in the order in which it is heard of, each reported to the policy then.

    A payment is asked about again as soon as its answer is heard, or when the policy said to wait until, as long as the
    shopper (or the merchant that started it) goes on trying; leaving a challenge, a stop or an answer that is lost ends it.
    """
    stage = _Stage(world, policy)
    coming = world.payments()
    following = next(coming, None)
    number = 0
    while following is not None or stage.waiting:
        if following is not None and (not stage.waiting or _created_us(following) <= stage.waiting[0].at_us):
            created_us = _created_us(following)
            stage.tell_routes(created_us)
            ends_us = created_us + round(world.patience_s(following) * 1e6)
            stage.ask(_Open(payment=following, number=number, ends_us=ends_us), at_us=created_us)
            number += 1
            following = next(coming, None)
            if step is not None and number % 500 == 0:
                step(number)
            continue
        due = heappop(stage.waiting)
        stage.tell_routes(due.at_us)
        match due.what:
            case Dispute():
                policy.dispute(due.what)
            case Outcome():
                policy.report(due.what)
            case _Open():
                made = stage.hear(due.what)
                if made is not None:
                    yield made
                    if made.heard_us is None or made.answer.status in ("approved", "abandoned"):
                        continue
                if due.what.n_attempts < ATTEMPTS_MAX:
                    stage.ask(due.what, at_us=due.at_us)


@dataclass(slots=True)
class _Open:
    """A payment that is neither paid nor given up; `pending` is its attempt under way and the decision that chose it."""

    payment: Payment
    number: int
    ends_us: int
    n_attempts: int = 0
    pending: tuple[Attempted, str] | None = None


@dataclass(order=True, slots=True)
class _Due:
    """Something that happens at an instant, in the order in which it was put down among those of one instant."""

    at_us: int
    order: int
    what: _Open | Outcome | Dispute = field(compare=False)


class _Stage:
    """What is under way in a play."""

    def __init__(self, world: World, policy: Policy) -> None:
        self.world, self.policy = world, policy
        self.waiting: list[_Due] = []
        self._order = 0
        self._audit = Audit()
        self._changes = list(world.conditions.changes_us())
        self._lateness = Draws(world.seed, purpose=f"{world.stream}/reporting")

    def tell_routes(self, at_us: int) -> None:
        """Tell the policy of routes that opened or changed their fees up to an instant."""
        if self._changes and self._changes[0] <= at_us:
            while self._changes and self._changes[0] <= at_us:
                changed_us = self._changes.pop(0)
            self.policy.take_routes(self.world.routes_at(changed_us))

    def ask(self, open_: _Open, *, at_us: int) -> None:
        """Ask the policy, send what it says, and put down when to come back to this payment, if ever."""
        if at_us > open_.ends_us:
            return
        decision = self.policy.decide(DecisionRequest(payment=open_.payment, at=from_us(at_us)))
        if decision.action == "stop":
            return
        if decision.action == "wait":
            until_us = _until_us(decision, at_us=at_us)
            if until_us <= open_.ends_us:
                self._put(until_us, open_)
            return
        made = self._attempt(open_, decision=decision, at_us=at_us)
        open_.pending = (made, decision.decision_id)
        self._put(made.heard_us or made.arrived_us, open_)

    def hear(self, open_: _Open) -> Attempted | None:
        """The answer of the attempt under way, reported to the policy unless it was lost; None when the payment only waited."""
        if open_.pending is None:
            return None
        (made, decision_id), open_.pending = open_.pending, None
        open_.n_attempts += 1
        answer = made.answer
        self._audit.settle(
            made.payment,
            status=answer.status,
            response_code=answer.response_code,
            advice=answer.merchant_advice_code,
            at_us=made.arrived_us,
        )
        if made.heard_us is not None:
            outcome = _outcome(made, decision_id=decision_id, heard_us=made.heard_us)
            self.policy.report(outcome)
            if made.heard_twice:
                self._put(made.heard_us + 1_000_000, outcome)
        truth = self.world.truth(made.payment)
        if answer.status == "approved" and truth.fraud:
            dispute = Dispute(
                dispute_id=f"dis_{made.payment.payment_id}",
                payment_id=made.payment.payment_id,
                kind="fraud_report",
                happened_at=from_us(truth.disputed_us),
            )
            self._put(truth.disputed_us, dispute)
        return made

    def _attempt(self, open_: _Open, *, decision: Decision, at_us: int) -> Attempted:
        chosen = decision.attempt
        if chosen is None:
            raise LogContractBroken(
                f"decision {decision.decision_id}: action is attempt, attempt is null; name the route, authentication and credential."
            )
        candidate = Candidate(chosen.route, chosen.authentication, chosen.credential)
        answer = self.world.answer(open_.payment, candidate=candidate, at_us=at_us, earlier=open_.n_attempts)
        arrived_us = at_us + round(answer.latency_ms * 1_000)
        heard_us, twice = self._heard(open_, arrived_us=arrived_us)
        return Attempted(
            payment=open_.payment,
            number=open_.number,
            n_before=open_.n_attempts,
            candidate=candidate,
            propensity=chosen.propensity,
            decided_ms=decision.elapsed_us / 1_000.0,
            at_us=at_us,
            arrived_us=arrived_us,
            heard_us=heard_us,
            heard_twice=twice,
            answer=answer,
            broken_rule=self._audit.broken_rule(open_.payment, at_us=at_us),
        )

    def _heard(self, open_: _Open, *, arrived_us: int) -> tuple[int | None, bool]:
        reporting = self.world.conditions.reporting(arrived_us)
        if reporting is None:
            return arrived_us, False
        u = self._lateness.of(f"{open_.payment.payment_id}/{open_.n_attempts}")
        if u[0] < reporting.lost:
            return None, False
        return arrived_us + round(-reporting.delay_s * 1e6 * math.log(u[1])), u[2] < reporting.duplicated

    def _put(self, at_us: int, what: _Open | Outcome | Dispute) -> None:
        self._order += 1
        heappush(self.waiting, _Due(at_us, self._order, what))


def _until_us(decision: Decision, *, at_us: int) -> int:
    until_us = to_us(decision.wait_until) if decision.wait_until is not None else at_us
    if until_us <= at_us:
        raise LogContractBroken(
            f"decision {decision.decision_id}: wait_until is {decision.wait_until}, not after {from_us(at_us)}, when it was asked; "
            "a policy that waits must name a later instant."
        )
    return until_us


def _outcome(made: Attempted, *, decision_id: str, heard_us: int) -> Outcome:
    return Outcome(
        decision_id=decision_id,
        status=made.answer.status,
        response_code=made.answer.response_code,
        merchant_advice_code=made.answer.merchant_advice_code,
        authentication_result=made.answer.authentication_result,
        happened_at=from_us(made.arrived_us),
        latency_ms=made.answer.latency_ms,
        cost_minor=made.answer.cost_minor,
        at=from_us(heard_us),
    )


def _created_us(payment: Payment) -> int:
    assert payment.created_at is not None, "payments of a world have an instant"
    return to_us(payment.created_at)

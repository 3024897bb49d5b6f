"""Playing a policy in a world: payments in the order of time, answers that arrive late, shoppers who lose patience.

The policy sees what the wire carries: it is asked with a DecisionRequest, answers with a Decision and hears Outcomes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from honour.errors import LogContractBroken
from honour.records.attempt import Attempt, Outcome
from honour.records.decision import Decision, DecisionRequest
from honour.records.event import AttemptReported
from honour.records.instant import from_us, to_us
from honour.records.payment import Payment
from honour.records.route import Candidate
from honour.simulator.world import Answer, World

ATTEMPTS_MAX = 20
"""Attempts of one payment after which the stage asks no more, so that a policy that never stops cannot hold it up."""
FORBIDDEN_AGAIN = {
    "visa": frozenset(("04", "07", "12", "14", "15", "41", "43", "46", "57", "R0", "R1", "R3")),
    "elo": frozenset(("12", "13", "14", "19", "23", "30", "41", "43", "54", "56", "57", "58", "63", "64", "76", "77", "82", "83")),
}
"""Response codes after which the network forbids another attempt: Visa category 1, Elo's irreversible list."""
FORBIDDEN_ADVICE = frozenset(("03", "21"))
"""Mastercard merchant advice codes after which another attempt is charged."""

Floats = npt.NDArray[np.float64]


class Policy(Protocol):
    """Whoever decides: Honour behind its wire, or a rule of a few lines."""

    def decide(self, request: DecisionRequest) -> Decision:
        """What should happen next to this payment."""

    def report(self, outcome: Outcome) -> object:
        """What came back for an earlier decision."""


class Attempted(NamedTuple):
    """One attempt with its answer, at the instant at which the answer arrived.

    number       of the payment in the play, from 0
    n_before     attempts of the same payment before this one
    propensity   with which the policy says that it chose this candidate
    """

    payment: Payment
    number: int
    n_before: int
    candidate: Candidate
    propensity: float
    at_us: int
    arrived_us: int
    answer: Answer
    breaks_rule: bool


@dataclass(frozen=True, slots=True)
class Played:
    """What a policy earned, payment by payment in the order of the world, so that policies can be compared in pairs.

    approved          (n,) whether some attempt was approved
    attempts          (n,) attempts made
    approved_attempts (n,) 0 or 1
    cost_minor        (n,) cost of all attempts, US cents at the world's fixed rates
    net_margin_minor  (n,) margin of the sale if approved, less cost, US cents
    rule_violations   attempts on a payment to which the network had forbidden another
    """

    approved: npt.NDArray[np.bool_]
    attempts: npt.NDArray[np.int64]
    cost_minor: Floats
    net_margin_minor: Floats
    rule_violations: int

    def figures(self) -> dict[str, float]:
        """Means over the play: rates in [0, 1], money in US cents."""
        n_attempts = int(self.attempts.sum())
        n_approved = int(self.approved.sum())
        return {
            "payment_approval_rate": n_approved / len(self.approved),
            "attempt_approval_rate": n_approved / n_attempts if n_attempts else 0.0,
            "net_margin_minor": float(self.net_margin_minor.mean()),
            "cost_per_approval_minor": float(self.cost_minor.sum()) / n_approved if n_approved else float("nan"),
            "attempts_per_payment": n_attempts / len(self.approved),
            "rule_violations": float(self.rule_violations),
        }


def play(world: World, *, policy: Policy, step: Callable[[int], None] | None = None) -> Played:
    """What `policy` earns in `world`; `step` is called with the number of payments begun, now and then."""
    n = world.scenario.n_payments
    approved = np.zeros(n, dtype=np.bool_)
    attempts = np.zeros(n, dtype=np.int64)
    cost = np.zeros(n)
    margin = np.zeros(n)
    violations = 0
    for made in attempts_of(world, policy=policy, step=step):
        rate = world.usd_per_minor(made.payment)
        attempts[made.number] += 1
        cost[made.number] += made.answer.cost_minor * rate
        violations += made.breaks_rule
        if made.answer.status == "approved":
            approved[made.number] = True
            margin[made.number] = made.payment.amount_minor * world.merchants[made.payment.merchant_id].margin_bps / 10_000 * rate
    return Played(approved=approved, attempts=attempts, cost_minor=cost, net_margin_minor=margin - cost, rule_violations=violations)


def history(world: World, *, policy: Policy, step: Callable[[int], None] | None = None) -> Iterator[AttemptReported]:
    """Attempts as they would be reported to Honour, in the order in which their answers arrive."""
    for made in attempts_of(world, policy=policy, step=step):
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
    """Every attempt of a play in the order in which answers arrive, each reported to the policy as it arrives.

    A payment is asked about again as soon as its answer is in, or when the policy said to wait until, as long as the
    shopper (or the merchant that started it) goes on trying; leaving a challenge, or a stop, ends it.
    """
    coming = world.payments()
    following = next(coming, None)
    number = 0
    waiting: list[tuple[int, int, _Open]] = []
    while following is not None or waiting:
        if following is not None and (not waiting or _created_us(following) <= waiting[0][0]):
            open_ = _Open(payment=following, number=number, ends_us=_created_us(following) + round(world.patience_s(following) * 1e6))
            at_us = _created_us(following)
            number += 1
            following = next(coming, None)
            if step is not None and number % 500 == 0:
                step(number)
        else:
            at_us, _, open_ = heappop(waiting)
            if open_.pending is not None:
                made, decision_id = open_.pending
                policy.report(_outcome(made, decision_id=decision_id))
                open_.settle(made)
                yield made
                if made.answer.status in ("approved", "abandoned") or open_.n_attempts >= ATTEMPTS_MAX:
                    continue
        next_us = _ask(open_, world=world, policy=policy, at_us=at_us) if at_us <= open_.ends_us else None
        if next_us is not None:
            heappush(waiting, (next_us, open_.number, open_))


@dataclass(slots=True)
class _Open:
    """A payment that is neither paid nor given up."""

    payment: Payment
    number: int
    ends_us: int
    n_attempts: int = 0
    forbidden: bool = False
    pending: tuple[Attempted, str] | None = None

    def settle(self, made: Attempted) -> None:
        """Take in the answer of the attempt that was pending."""
        self.pending = None
        self.n_attempts += 1
        network, answer = self.payment.card.network, made.answer
        self.forbidden |= answer.status == "declined" and (
            answer.response_code in FORBIDDEN_AGAIN.get(network, ())
            or (network == "mastercard" and answer.merchant_advice_code in FORBIDDEN_ADVICE)
        )


def _ask(open_: _Open, *, world: World, policy: Policy, at_us: int) -> int | None:
    """Ask the policy, send what it says; the instant at which to come back to this payment, None when it is over."""
    decision = policy.decide(DecisionRequest(payment=open_.payment, at=from_us(at_us)))
    if decision.action == "stop":
        return None
    if decision.action == "wait":
        until_us = to_us(decision.wait_until) if decision.wait_until is not None else at_us
        if until_us <= at_us:
            raise LogContractBroken(
                f"decision {decision.decision_id}: wait_until is {decision.wait_until}, not after {from_us(at_us)}, when it was asked; "
                "a policy that waits must name a later instant."
            )
        return until_us if until_us <= open_.ends_us else None
    chosen = decision.attempt
    if chosen is None:
        raise LogContractBroken(
            f"decision {decision.decision_id}: action is attempt, attempt is null; name the route, authentication and credential."
        )
    candidate = Candidate(chosen.route, chosen.authentication, chosen.credential)
    answer = world.answer(open_.payment, candidate=candidate, at_us=at_us, earlier=open_.n_attempts)
    arrived_us = at_us + round(answer.latency_ms * 1_000)
    made = Attempted(
        open_.payment, open_.number, open_.n_attempts, candidate, chosen.propensity, at_us, arrived_us, answer, open_.forbidden
    )
    open_.pending = (made, decision.decision_id)
    return arrived_us


def _outcome(made: Attempted, *, decision_id: str) -> Outcome:
    arrived = from_us(made.arrived_us)
    return Outcome(
        decision_id=decision_id,
        status=made.answer.status,
        response_code=made.answer.response_code,
        merchant_advice_code=made.answer.merchant_advice_code,
        authentication_result=made.answer.authentication_result,
        happened_at=arrived,
        latency_ms=made.answer.latency_ms,
        cost_minor=made.answer.cost_minor,
        at=arrived,
    )


def _created_us(payment: Payment) -> int:
    assert payment.created_at is not None, "payments of a world have an instant"
    return to_us(payment.created_at)

"""What a policy earned in a world, payment by payment."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from honour.simulator.acquirer import cost_minor
from honour.simulator.audit import penalty_cents
from honour.simulator.play import Attempted, Policy, attempts_of
from honour.simulator.world import World

Floats = npt.NDArray[np.float64]
DISPUTE_CENTS = 1_500.0
"""Handling of one chargeback, US cents; ours, as prices differ by contract."""


@dataclass(frozen=True, slots=True)
class Played:
    """What a policy earned, payment by payment in the order of the world, so that policies can be compared in pairs.

    approved          (n,) whether some attempt was approved
    attempts          (n,) attempts made
    cost_minor        (n,) cost of all attempts, penalties of networks included, US cents at the world's fixed rates
    net_margin_minor  (n,) margin of the sale if approved, less cost, US cents
    expected_margin_minor  (n,) the same with each attempt's true chance in place of its answer: as much on average, with less luck in it
    fraud_loss_minor  (n,) amount and handling of disputes that the merchant bears: a guardrail, not part of the margin
    decided_ms        (n_decisions to attempt,) what the policy says that deciding took
    first_approved    (n,) whether the first attempt was approved
    renewal           (n,) whether the merchant started it
    created_us        (n,) instants at which the payments began
    broken_rules      attempts that a network's rules forbid, by rule
    """

    approved: npt.NDArray[np.bool_]
    attempts: npt.NDArray[np.int64]
    cost_minor: Floats
    net_margin_minor: Floats
    expected_margin_minor: Floats
    fraud_loss_minor: Floats
    decided_ms: Floats
    first_approved: npt.NDArray[np.bool_]
    renewal: npt.NDArray[np.bool_]
    created_us: npt.NDArray[np.int64]
    broken_rules: dict[str, int]

    @staticmethod
    def joined(parts: Sequence[Played]) -> Played:
        """Plays of one policy, one after another."""
        names = [field.name for field in fields(Played) if field.name != "broken_rules"]
        broken: Counter[str] = Counter()
        for part in parts:
            broken.update(part.broken_rules)
        return Played(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names}, broken_rules=dict(broken))

    @property
    def rule_violations(self) -> int:
        """Attempts that a network's rules forbid."""
        return sum(self.broken_rules.values())

    def figures(self) -> dict[str, float]:
        """Means over the play: rates in [0, 1], money in US cents, latency in milliseconds.

        retries_per_renewal_recovered  retries of refused renewals, over those that were approved in the end
        """
        n_attempts, n_approved = int(self.attempts.sum()), int(self.approved.sum())
        failed_first = ~self.first_approved & (self.attempts > 0)
        refused = failed_first & self.renewal
        n_recovered = int(self.approved[refused].sum())
        return {
            "payment_approval_rate": n_approved / len(self.approved),
            "attempt_approval_rate": n_approved / n_attempts if n_attempts else 0.0,
            "net_margin_minor": float(self.net_margin_minor.mean()),
            "expected_margin_minor": float(self.expected_margin_minor.mean()),
            "cost_per_approval_minor": float(self.cost_minor.sum()) / n_approved if n_approved else float("nan"),
            "attempts_per_payment": n_attempts / len(self.approved),
            "recovery_rate": float(self.approved[failed_first].mean()) if failed_first.any() else float("nan"),
            "renewal_recovery_rate": n_recovered / int(refused.sum()) if refused.any() else float("nan"),
            "retries_per_renewal_recovered": float((self.attempts[refused] - 1).sum()) / n_recovered if n_recovered else float("nan"),
            "fraud_loss_minor": float(self.fraud_loss_minor.mean()),
            "decision_ms": float(np.median(self.decided_ms)) if len(self.decided_ms) else 0.0,
            "rule_violations": float(self.rule_violations),
        }


def play(world: World, *, policy: Policy, step: Callable[[int], None] | None = None) -> Played:
    """What `policy` earns in `world`; `step` is called with the number of payments begun, now and then."""
    n = world.scenario.n_payments
    approved, first = np.zeros(n, dtype=np.bool_), np.zeros(n, dtype=np.bool_)
    attempts = np.zeros(n, dtype=np.int64)
    renewal = np.array([world.payment(number).initiator == "merchant" for number in range(n)], dtype=np.bool_)
    cost, margin, expected, fraud = np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n)
    decided: list[float] = []
    broken: Counter[str] = Counter()
    for made in attempts_of(world, policy=policy, step=step):
        payment, number = made.payment, made.number
        rate = world.usd_per_minor(payment)
        attempts[number] += 1
        cost[number] += made.answer.cost_minor * rate
        expected[number] += expected_minor(world, made) * rate
        decided.append(made.decided_ms)
        if made.broken_rule is not None:
            broken[made.broken_rule] += 1
            card = payment.card
            abroad = card.issuer_country != world.route(made.candidate.route).country
            penalty = penalty_cents(card.network, country=card.issuer_country, abroad=abroad)
            cost[number] += penalty
            expected[number] -= penalty
        if made.answer.status == "approved":
            approved[number] = True
            first[number] = made.n_before == 0
            margin[number] = payment.amount_minor * world.merchants[payment.merchant_id].margin_bps / 10_000 * rate
            if world.truth(payment).fraud and made.answer.authentication_result is None:
                fraud[number] = payment.amount_minor * rate + DISPUTE_CENTS
    return Played(
        approved=approved,
        attempts=attempts,
        cost_minor=cost,
        net_margin_minor=margin - cost,
        expected_margin_minor=expected,
        fraud_loss_minor=fraud,
        decided_ms=np.array(decided),
        first_approved=first,
        renewal=renewal,
        created_us=np.array([_instant_us(world, number) for number in range(n)], dtype=np.int64),
        broken_rules=dict(broken),
    )


def expected_minor(world: World, made: Attempted) -> float:
    """Expected profit of an attempt that was made, by its true chance, minor units: what it earned on average over its luck."""
    payment, candidate = made.payment, made.candidate
    p = world.p_approve(payment, candidate=candidate, at_us=made.at_us, earlier=made.n_before)
    fees = world.conditions.fees(candidate.route, made.at_us)
    approved, refused = (
        cost_minor(fees, payment=payment, authentication=candidate.authentication, approved=outcome, credential=candidate.credential)
        for outcome in (True, False)
    )
    return p * (payment.amount_minor * world.merchants[payment.merchant_id].margin_bps / 10_000 - approved) - (1.0 - p) * refused


def _instant_us(world: World, number: int) -> int:
    created = world.payment(number).created_at
    return 0 if created is None else round(created.timestamp() * 1e6)

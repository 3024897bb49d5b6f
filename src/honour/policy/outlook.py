"""What an attempt is worth with what may follow it: a cascade while the shopper is there, a plan of retries for the merchant's own."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache, cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from honour.approval.followed import expit
from honour.approval.retry_model import HOUR_US, Before, RetryModel
from honour.networks.codes import CodeRow
from honour.networks.retry_limit import Allowed
from honour.policy.eligible import Candidates, Considered
from honour.policy.plan import Form, Plan, Worth, plan, problem, quiet_until_us
from honour.policy.value import cost_of, expected_values_minor
from honour.records.instant import to_us
from honour.records.payment import Payment
from honour.records.route import Candidate, CredentialForm, Merchant, RouteCost

DAY_US = 86_400_000_000
_LOGIT_MAX = 15.0
_NOTHING = np.empty(0)
_PASSING = frozenset(("just_declined", "credential_stale"))
"""Reasons that time takes away."""


class History(NamedTuple):
    """What happened to the payment before.

    n_answered     attempts with a final answer
    approved       one of them was approved
    first_us       instant of the first, or None
    routes_tried   routes that answered, oldest first
    last_status    of the last answer, its response code, the instant at which it arrived, and the credential form that it came to
    """

    n_answered: int = 0
    approved: bool = False
    first_us: int | None = None
    routes_tried: tuple[str, ...] = ()
    last_status: str | None = None
    last_response_code: str | None = None
    last_us: int | None = None
    last_credential: CredentialForm | None = None

    @property
    def before(self) -> Before:
        """What the retry model asks of it."""
        return Before(self.n_answered + 1, self.last_status, self.last_response_code, self.last_credential)


class Asked:
    """One question to the policy: the payment, every candidate, and what holds for them."""

    def __init__(
        self, payment: Payment, considered: Sequence[Considered], terms: Merchant, allowed: Allowed, history: History, at_us: int
    ) -> None:
        self.considered = considered if isinstance(considered, Candidates) else Candidates(considered)
        self.payment, self.terms, self.allowed, self.history, self.at_us = payment, terms, allowed, history, at_us
        self.eligible = self.considered.eligible

    @property
    def until_us(self) -> int:
        """The last instant at which the payment may be attempted: horizon or deadline."""
        ends_us = (self.history.first_us or self.at_us) + self.terms.retry_horizon_days * DAY_US
        deadline = self.payment.deadline_at
        return ends_us if deadline is None else min(ends_us, to_us(deadline))

    @cached_property
    def sendable(self) -> list[Considered]:
        """Candidates that may be attempted now, or once some time has passed."""
        return [one for one in self.considered if set(one.reasons) <= _PASSING]

    @property
    def not_before_us(self) -> int:
        """Nothing may be sent before, in whatever form."""
        if not self.allowed.stale:
            return self._paused_us
        return min((self.from_us(one.candidate.credential) for one in self.sendable), default=self._paused_us)

    def from_us(self, credential: CredentialForm) -> int:
        """This form may not be sent before: the network's pause, the merchant's own between retries, and data that are old."""
        until_us, _ = self.allowed.stale.get(credential, (0, None))
        return max(self._paused_us, until_us)

    @cached_property
    def stale(self) -> CodeRow | None:
        """The answer that holds back every form there is, because the data in it are old; None when some form is open."""
        if not self.sendable or any(one.candidate.credential not in self.allowed.stale for one in self.sendable):
            return None
        return min(self.allowed.stale.values(), key=lambda until_and_why: until_and_why[0])[1]

    @property
    def _paused_us(self) -> int:
        history, paused_us = self.history, self.allowed.not_before_us or 0
        if self.payment.initiator != "merchant" or history.last_status != "declined" or history.last_us is None:
            return paused_us
        return max(paused_us, history.last_us + int(self.terms.retry_pause_hours * HOUR_US))


class Predicted(NamedTuple):
    """What is thought of the eligible candidates, in their order, (n,) each.

    p_approve  calibrated chance of approval
    p_model    the same by the trained model alone
    sd         standard deviation of what is not known of p_approve; None when nothing says
    why        says why a candidate is thought to be in trouble, or None
    follows    what to add to the log-odds that a refusal of each is followed by an approval; None when nothing says
    """

    p_approve: NDArray[np.float64]
    p_model: NDArray[np.float64] | None = None
    sd: NDArray[np.float64] | None = None
    why: Callable[[Candidate], str | None] | None = None
    follows: tuple[float, ...] | None = None


class Outlook(NamedTuple):
    """Eligible candidates, in their order, (n,) each. They are few: plain floats are faster than arrays.

    p_approve    chance of approval now
    p_recovered  chance that a later attempt is approved if this one is not; None where nothing is known of it
    alone        expected profit of the attempt, minor units
    values       the same with what may follow
    spread       standard deviation of the values; None when nothing says
    by_model     values as the trained model alone would give them; None when nothing corrected it
    """

    p_approve: list[float]
    p_recovered: list[float] | None
    alone: list[float]
    values: list[float]
    p_model: list[float] | None = None
    spread: list[float] | None = None
    by_model: list[float] | None = None


def later_of(asked: Asked, *, model: RetryModel | None) -> Plan | None:
    """The plan for a payment of the merchant's that was refused before; None for every other, and without a model."""
    history, payment = asked.history, asked.payment
    if model is None or model.retry is None or payment.initiator != "merchant" or history.last_us is None:
        return None
    forms = forms_of(asked)
    if not forms:
        return None
    posed = problem(
        payment,
        model=model,
        before=history.before,
        refused_us=history.last_us,
        at_us=asked.at_us,
        forms=forms,
        until_us=asked.until_us,
        attempts_left=asked.allowed.attempts_left,
        terms=asked.terms,
    )
    return plan(posed, retry_price_minor=asked.terms.retry_price_minor)


def forms_of(asked: Asked) -> list[Form]:
    """The credential forms that can still be sent, each at the price of its cheapest candidate."""
    cheapest: dict[CredentialForm, Worth] = {}
    for one in asked.sendable:
        cost = cost_of(asked.payment, candidate=one.candidate, route=one.route)
        worth = Worth(_approval_minor(asked.payment, asked.terms, cost), cost.attempt_minor, cost.decline_minor)
        known = cheapest.get(one.candidate.credential)
        if known is None or _left(worth) > _left(known):
            cheapest[one.candidate.credential] = worth
    return [Form(credential, asked.from_us(credential), worth) for credential, worth in cheapest.items()]


def _left(worth: Worth) -> float:
    return worth.approval_minor - worth.attempt_minor - worth.refusal_minor


def outlook(asked: Asked, predicted: Predicted, *, planned: Plan | None, model: RetryModel | None) -> Outlook:
    """Values of the eligible candidates with what may follow a refusal.

    A planned retry takes its level from the retry model, which knows the delay, and the differences between candidates from the
    approval model.
    """
    payment, terms = asked.payment, asked.terms
    if planned is not None:
        return _as_planned(asked, predicted.p_approve.tolist(), planned)
    p_recovered = None
    if model is not None and model.recovery is not None and asked.allowed.attempts_left != 1:
        p_recovered = model.p_recovered(payment, asked.considered.attempts, before=asked.history.before)
        if predicted.follows is not None:
            p_recovered = _shifted(p_recovered, predicted.follows)
    told = np.empty((4, len(asked.eligible)))
    _kernel().valued(
        predicted.p_approve,
        _NOTHING if predicted.p_model is None else predicted.p_model,
        _NOTHING if predicted.sd is None else predicted.sd,
        _NOTHING if p_recovered is None else np.array(p_recovered),
        asked.considered.costs(payment),
        float(payment.amount_minor),
        float(terms.margin_bps),
        told,
    )
    alone, values, by_model, spread = told.tolist()
    p_model = None if predicted.p_model is None else predicted.p_model.tolist()
    return Outlook(
        predicted.p_approve.tolist(),
        p_recovered,
        alone,
        values,
        p_model,
        spread if predicted.sd is not None else None,
        by_model if p_model is not None else None,
    )


def _shifted(p: list[float], log_odds: Sequence[float]) -> list[float]:
    """Probabilities moved by log-odds; a few pairs of both recur, those of a form of authentication."""
    moved: dict[tuple[float, float], float] = {}
    for pair in zip(p, log_odds, strict=True):
        if pair not in moved:
            moved[pair] = expit(_logit(pair[0]) + pair[1])
    return [moved[pair] for pair in zip(p, log_odds, strict=True)]


def _as_planned(asked: Asked, p_approve: list[float], planned: Plan) -> Outlook:
    now = [planned.now[one.candidate.credential] for one in asked.eligible]
    p_approve = _at_level(p_approve, asked.eligible, planned=planned)
    costs = [cost_of(asked.payment, candidate=one.candidate, route=one.route) for one in asked.eligible]
    alone = expected_values_minor(p_approve, amount_minor=asked.payment.amount_minor, terms=asked.terms, costs=costs)
    return Outlook(p_approve, None, alone, _with(alone, p_approve, [each.then_minor for each in now]))


def _with(alone: list[float], p_approve: list[float], follows: list[float]) -> list[float]:
    """Values of attempts with what follows where they are refused."""
    return [value + (1.0 - p) * follow for value, p, follow in zip(alone, p_approve, follows, strict=True)]


def quiet_until(asked: Asked) -> int | None:
    """End of the merchant's quiet hours, when it is one of them and the merchant started the payment."""
    if asked.payment.initiator != "merchant":
        return None
    return quiet_until_us(asked.payment.card.issuer_country, at_us=asked.at_us, quiet_hours=asked.terms.quiet_hours)


def _approval_minor(payment: Payment, terms: Merchant, cost: RouteCost) -> float:
    """What an approval earns, its own fees paid."""
    return payment.amount_minor * (terms.margin_bps - cost.approval_bps) / 10_000 - cost.approval_minor


def _at_level(p_approve: list[float], eligible: Sequence[Considered], *, planned: Plan) -> list[float]:
    """The same differences of log-odds within each credential form, with the highest at what the plan says of that form."""
    logits = [_logit(p) for p in p_approve]
    highest: dict[CredentialForm, float] = {}
    for one, logit in zip(eligible, logits, strict=True):
        highest[one.candidate.credential] = max(logit, highest.get(one.candidate.credential, -math.inf))
    level = {credential: _logit(planned.now[credential].p) - logit for credential, logit in highest.items()}
    return [1.0 / (1.0 + math.exp(-(logit + level[one.candidate.credential]))) for one, logit in zip(eligible, logits, strict=True)]


def _logit(p: float) -> float:
    p = min(max(p, 1e-6), 1.0 - 1e-6)
    return min(_LOGIT_MAX, max(-_LOGIT_MAX, math.log(p / (1.0 - p))))


@cache
def _kernel() -> Any:
    from honour.policy import kernel  # Half a second, which only those pay who decide.

    return kernel

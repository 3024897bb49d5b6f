"""Decisions: what is asked before each attempt, and what is answered."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from honour.records.instant import Instant
from honour.records.payment import Identifier, Payment
from honour.records.route import Authentication, CredentialForm

Action = Literal["attempt", "wait", "stop"]
Stage = Literal["live", "canary", "fallback"]


class DecisionRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of POST /v1/decisions. `routes` restricts the choice; `at` gives the event time of a replay."""

    payment: Payment
    routes: Annotated[tuple[Identifier, ...], msgspec.Meta(min_length=1, max_length=256)] | None = None
    at: Instant | None = None


class ChosenAttempt(msgspec.Struct, frozen=True, kw_only=True):
    """The attempt to send now, and the probability with which it was chosen."""

    route: str
    authentication: Authentication
    credential: CredentialForm
    propensity: float


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """Why this action: a code for machines and a sentence for people."""

    code: str
    detail: str


class RankedCandidate(msgspec.Struct, frozen=True, kw_only=True):
    """One candidate as the policy saw it. Numbers are null when the candidate was not eligible or not scored.

    p_approve             calibrated P(issuer approves | payment, candidate), in [0, 1]
    p_model               the same by the trained model alone, before answers of the last minutes and days corrected it
    p_recovered           P(a later attempt of this payment is approved | this one is not); null where nothing was learned of it
    expected_value_minor  expected profit of attempting it now, minor units, what may follow a refusal included
    propensity            probability with which the policy would choose it; sums to 1 over eligible candidates
    reasons               why it is not eligible, in order of precedence; empty when it is
    """

    route: str
    authentication: Authentication
    credential: CredentialForm
    eligible: bool
    p_approve: float | None = None
    p_model: float | None = None
    p_recovered: float | None = None
    expected_value_minor: float | None = None
    propensity: float = 0.0
    reasons: tuple[str, ...] = ()


class RetryAllowance(msgspec.Struct, frozen=True, kw_only=True):
    """What the network's rules still allow for this card at this merchant, the present attempt included."""

    attempts_left: int | None
    window_ends_at: Instant | None
    rule: str | None


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of POST /v1/decisions."""

    decision_id: str
    payment_id: str
    attempt_number: int
    action: Action
    attempt: ChosenAttempt | None
    wait_until: Instant | None
    reason: Reason
    ranking: tuple[RankedCandidate, ...]
    retry: RetryAllowance
    experiment: str | None
    stage: Stage
    bundle: str | None
    elapsed_us: int

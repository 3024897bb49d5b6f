"""Events: what the log keeps. Everything else in Honour is a fold of them."""

from __future__ import annotations

import msgspec

from honour.records.attempt import Attempt, Dispute, Outcome
from honour.records.decision import Action, ChosenAttempt, Decision, RankedCandidate, Reason
from honour.records.instant import Instant
from honour.records.payment import Payment
from honour.records.release import ReleaseChanged
from honour.records.settings import Settings

FeatureValue = float | str | None
"""A raw feature: a number, a category, or None for not known."""


class ServedFeatures(msgspec.Struct, frozen=True, kw_only=True):
    """Feature values as a decision saw them, before encoding.

    schema      content hash of the feature catalogue that made them
    payment     values that are the same for every candidate, in catalogue order
    candidates  for each eligible candidate its own values in catalogue order; route, authentication and credential are among them
    """

    schema: str
    payment: tuple[FeatureValue, ...]
    candidates: tuple[tuple[FeatureValue, ...], ...]


class DecisionMade(msgspec.Struct, frozen=True, kw_only=True, tag="decision", omit_defaults=True):
    """A decision with all it was made from: same payment, features, draw and bundle give the same decision.

    decided_us  instant as of which it was made (`at` of the request, or the server's clock), microseconds
    replayed    the caller gave `at`: outcomes of this decision arrive on the caller's timeline too
    draw        uniform number in [0, 1) that picked the candidate
    log_away    the shared log was away: it was made on what one server knew
    canary      bundle that this payment fell to while it was a canary, whether or not it could score; None: the live one
    """

    payment: Payment
    decision: Decision
    decided_us: int
    draw: float
    routes: tuple[str, ...] | None = None
    replayed: bool = False
    log_away: bool = False
    features: ServedFeatures | None = None
    canary: str | None = None


class OutcomeReported(msgspec.Struct, frozen=True, kw_only=True, tag="outcome", omit_defaults=True):
    """An outcome, and the payment that its decision belongs to."""

    payment_id: str
    outcome: Outcome


class AttemptReported(msgspec.Struct, frozen=True, kw_only=True, tag="attempt", omit_defaults=True):
    """An attempt that Honour did not choose, with its outcome."""

    attempt: Attempt


class DisputeReported(msgspec.Struct, frozen=True, kw_only=True, tag="dispute", omit_defaults=True):
    """A chargeback or fraud report."""

    dispute: Dispute


class SettingsTaken(msgspec.Struct, frozen=True, kw_only=True, tag="settings", omit_defaults=True):
    """The settings in force from here on, as validated.

    by  who changed them, as far as this can be told: the owner of honour.toml; `at`: when they were taken
    """

    settings: Settings
    by: str | None = None
    at: Instant | None = None


class ShadowDecided(msgspec.Struct, frozen=True, kw_only=True, tag="shadow", omit_defaults=True):
    """What a bundle in shadow would have done in place of a decision; nobody obeyed it.

    ranking  candidates that were eligible
    took_us  microseconds that it needed
    """

    payment_id: str
    decision_id: str
    bundle: str
    action: Action
    attempt: ChosenAttempt | None
    wait_until: Instant | None
    reason: Reason
    ranking: tuple[RankedCandidate, ...]
    took_us: int


Event = DecisionMade | OutcomeReported | AttemptReported | DisputeReported | SettingsTaken | ReleaseChanged | ShadowDecided


class LoggedEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event in its place in the log.

    seq         position, 1, 2, 3, ...: the order in which Honour learned things
    arrived_us  arrival time in microseconds; never decreases along `seq`
    """

    seq: int
    arrived_us: int
    event: Event


def payment_id_of(event: Event) -> str | None:
    """The payment an event belongs to, or None for settings and releases."""
    match event:
        case DecisionMade():
            return event.payment.payment_id
        case OutcomeReported() | ShadowDecided():
            return event.payment_id
        case AttemptReported():
            return event.attempt.payment.payment_id
        case DisputeReported():
            return event.dispute.payment_id
        case SettingsTaken() | ReleaseChanged():
            return None


def key_of(event: Event) -> str | None:
    """Idempotency key: the log holds at most one event with it. None for settings and releases, which may repeat.

    An outcome `unknown` has a key of its own, so that a later report may settle it.
    """
    match event:
        case DecisionMade():
            return f"decision:{event.decision.decision_id}"
        case OutcomeReported():
            suffix = ":unknown" if event.outcome.status == "unknown" else ""
            return f"outcome:{event.outcome.decision_id}{suffix}"
        case AttemptReported():
            suffix = ":unknown" if event.attempt.status == "unknown" else ""
            return f"attempt:{event.attempt.attempt_id}{suffix}"
        case DisputeReported():
            return f"dispute:{event.dispute.dispute_id}"
        case ShadowDecided():
            return f"shadow:{event.decision_id}:{event.bundle}"
        case SettingsTaken() | ReleaseChanged():
            return None

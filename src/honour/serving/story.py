"""What GET answers, as records."""

from __future__ import annotations

from datetime import datetime

import msgspec

from honour.features.catalogue import CANDIDATE_FEATURES, PAYMENT_FEATURES, SCHEMA_ID
from honour.records.event import DecisionMade, Event, FeatureValue, LoggedEvent
from honour.records.instant import from_us


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of GET /healthz and /readyz, with the bundle that decides."""

    status: str
    bundle: str | None = None


class Saw(msgspec.Struct, frozen=True, kw_only=True):
    """What a decision saw, by name of feature: of the payment, and of each candidate that was eligible."""

    payment: dict[str, FeatureValue]
    candidates: tuple[dict[str, FeatureValue], ...]


class StoryEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One event of a payment's story; of a decision, `saw` is what it was made from."""

    seq: int
    arrived_at: datetime
    event: Event
    saw: Saw | None = None


class Story(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of GET /v1/payments/{payment_id}: everything the log holds of it, oldest first."""

    payment_id: str
    approved: bool
    attempts_answered: int
    awaiting_outcome_of: str | None
    events: tuple[StoryEvent, ...]


def told(logged: LoggedEvent) -> StoryEvent:
    """One event as the story tells it."""
    event, saw = logged.event, None
    if isinstance(event, DecisionMade) and event.features is not None:
        if event.features.schema == SCHEMA_ID:
            saw = Saw(
                payment=_named(PAYMENT_FEATURES, event.features.payment),
                candidates=tuple(_named(CANDIDATE_FEATURES, values) for values in event.features.candidates),
            )
        event = msgspec.structs.replace(event, features=None)
    return StoryEvent(seq=logged.seq, arrived_at=from_us(logged.arrived_us), event=event, saw=saw)


def _named(features: tuple[object, ...], values: tuple[FeatureValue, ...]) -> dict[str, FeatureValue]:
    return {str(getattr(feature, "name", "")): value for feature, value in zip(features, values, strict=True)}

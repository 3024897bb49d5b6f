"""What GET answers, as records."""

from __future__ import annotations

from datetime import datetime

import msgspec

from honour.records.event import Event


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of GET /healthz and /readyz, with the bundle that decides."""

    status: str
    bundle: str | None = None


class StoryEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One event of a payment's story; of decisions, without the feature values."""

    seq: int
    arrived_at: datetime
    event: Event


class Story(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of GET /v1/payments/{payment_id}: everything the log holds of it, oldest first."""

    payment_id: str
    approved: bool
    attempts_answered: int
    awaiting_outcome_of: str | None
    events: tuple[StoryEvent, ...]

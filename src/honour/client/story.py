"""The story of a payment as a caller reads it."""

from __future__ import annotations

from typing import Any

import msgspec

from honour.records.instant import Instant


class PaymentEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One event: `event["type"]` says of which kind. `saw` of a decision is what it was made from."""

    seq: int
    arrived_at: Instant
    event: dict[str, Any]
    saw: dict[str, Any] | None = None


class PaymentStory(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the log holds of one payment, oldest first."""

    payment_id: str
    approved: bool
    attempts_answered: int
    awaiting_outcome_of: str | None
    events: tuple[PaymentEvent, ...]

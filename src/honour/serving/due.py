"""Retries that are due, as GET /v1/payments and the webhook tell them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime

import msgspec

from honour.errors import BadInput
from honour.outcomes.due import DueRetries, Place
from honour.outcomes.due import DueRetry as Waiting
from honour.records.instant import from_us, to_us

LISTED = 100
LISTED_MAX = 1_000
QUERY = {"due_before": "instant, RFC 3339", "limit": f"1 to {LISTED_MAX}", "after": "`next` of the page before"}
_LETTERS = str.maketrans("0123456789", "ghijklmnop")
_DIGITS = str.maketrans("ghijklmnop", "0123456789")


class DueRetry(msgspec.Struct, frozen=True, kw_only=True):
    """A payment to ask about again with POST /v1/decisions from `due_at` on; `decision_id` is the decision to wait."""

    payment_id: str
    merchant_id: str
    due_at: datetime
    attempt_number: int
    decision_id: str
    reason: str


class DueList(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of GET /v1/payments?due_before=: the earliest first. `next` is given as `after` for more; null at the end."""

    due: tuple[DueRetry, ...]
    next: str | None


def told(one: Waiting) -> DueRetry:
    """One retry as callers see it."""
    return DueRetry(
        payment_id=one.payment_id,
        merchant_id=one.merchant_id,
        due_at=from_us(one.due_us),
        attempt_number=one.attempt_number,
        decision_id=one.decision_id,
        reason=one.reason,
    )


def listed(due: DueRetries, *, before_us: int, after: Place | None, n_max: int, merchants: Collection[str] | None = None) -> DueList:
    """One page of what is due before an instant; of these merchants, or of every one."""
    found = due.before(before_us, after=after, n_max=n_max + 1, merchants=merchants)
    more = len(found) > n_max
    return DueList(due=tuple(told(one) for one in found[:n_max]), next=_written(found[n_max - 1].place) if more else None)


def answered(due: DueRetries, query: Mapping[str, str], *, now_us: int, merchants: Collection[str] | None = None) -> DueList:
    """The page that a query asks for; without `due_before`, what is due now."""
    for name in query:
        if name not in QUERY:
            raise BadInput(f"no parameter {name!r}; allowed: {', '.join(QUERY)}.", path="query")
    limit = query.get("limit", str(LISTED))
    if not limit.isdecimal() or not 1 <= int(limit) <= LISTED_MAX:
        raise BadInput(f"a number from 1 to {LISTED_MAX} is expected.", path="limit")
    before_us = now_us if (text := query.get("due_before")) is None else _instant_us(text)
    after = _read(query["after"]) if "after" in query else None
    return listed(due, before_us=before_us, after=after, n_max=int(limit), merchants=merchants)


def _instant_us(text: str) -> int:
    try:
        at = msgspec.convert(text.replace(" ", "+"), datetime)  # A plus sign in a query stands for a space.
    except msgspec.ValidationError:
        at = None
    if at is None or at.tzinfo is None:
        raise BadInput("an instant with its zone is expected, such as 2026-03-01T12:00:00Z.", path="due_before")
    return to_us(at)


def _written(place: Place) -> str:
    """Without digits: an instant in microseconds can look like a card number."""
    return f"{str(place[0]).translate(_LETTERS)}.{place[1]}"


def _read(text: str) -> Place:
    instant, dot, payment_id = text.partition(".")
    if not dot or not instant or set(instant) - set("ghijklmnop"):
        raise BadInput("give `next` of the page before.", path="after")
    return int(instant.translate(_DIGITS)), payment_id

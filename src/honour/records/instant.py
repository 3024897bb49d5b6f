"""Instants: RFC 3339 in UTC on the wire, integer microseconds since 1970 inside."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Annotated

import msgspec

Instant = Annotated[datetime, msgspec.Meta(tz=True)]
"""A point in time with its zone; one without a zone is refused."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_us(instant: datetime) -> int:
    """Microseconds since 1970-01-01T00:00Z, exact.

    >>> to_us(datetime(2026, 3, 1, 12, tzinfo=UTC))
    1772366400000000
    """
    return (instant - EPOCH) // _MICROSECOND


def from_us(at_us: int) -> datetime:
    """The UTC instant `at_us` microseconds after 1970-01-01T00:00Z.

    >>> from_us(1772366400000000).isoformat()
    '2026-03-01T12:00:00+00:00'
    """
    return EPOCH + timedelta(microseconds=at_us)


def date_of(day: int) -> date:
    """The day that is so many days after 1970-01-01.

    >>> date_of(20513).isoformat()
    '2026-03-01'
    """
    return EPOCH.date() + timedelta(days=day)

"""An answer as features count it, and what is read out of it: the same online and offline."""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple, get_args

from honour.networks.codes import DeclineReason, read_answer
from honour.records.attempt import Status

LATENCY_MS_MAX = 86_400_000
"""Longer latencies count as a day."""

ONLY: Final = tuple(dict.fromkeys(("approved", "declined", "failed", "abandoned", *get_args(DeclineReason))))
"""What a feature may count apart: a status, or the reason of a decline."""


def only_field(only: str) -> str:
    """The field of an answer that `only` names a value of: a status is no reason, also where a reason has the same name."""
    return "status" if only in get_args(Status) else "reason"


SUMS: Final = ("approved", "declined", "failed", "abandoned", "amount_minor", "latency_ms", "latency_known")
"""What may be added up over answers: whole numbers, so that sums are exact in any order."""


class Answer(NamedTuple):
    """The final answer of one attempt.

    reason      why it was declined, by its response code; None unless it was
    latency_ms  whole milliseconds; None when not known
    """

    arrived_us: int
    status: str
    response_code: str | None
    reason: str | None
    route: str
    authentication: str
    amount_minor: int
    latency_ms: int | None

    def sums(self) -> tuple[int, ...]:
        """Its part of each of `SUMS`."""
        status, latency_ms = self.status, self.latency_ms
        return (
            int(status == "approved"),
            int(status == "declined"),
            int(status == "failed"),
            int(status == "abandoned"),
            self.amount_minor,
            latency_ms or 0,
            int(latency_ms is not None),
        )


def whole_ms(latency_ms: float | None) -> int | None:
    """Latency as it is counted: whole milliseconds, rounded down.

    >>> whole_ms(12.9), whole_ms(None)
    (12, None)
    """
    return None if latency_ms is None else int(min(latency_ms, LATENCY_MS_MAX))


@lru_cache(maxsize=65_536)
def reason_of(
    status: Status | str, *, network: str, issuer_country: str | None, merchant_country: str | None, response_code: str | None
) -> str | None:
    """Why the issuer declined, by the tables of the networks; None when it did not.

    >>> reason_of("declined", network="visa", issuer_country="BR", merchant_country=None, response_code="51")
    'insufficient_funds'
    """
    if status != "declined":
        return None
    rows = read_answer(network, countries=(issuer_country, merchant_country), response_code=response_code, merchant_advice_code=None).code
    return (rows[0].decline_reason if rows else "") or "unknown"

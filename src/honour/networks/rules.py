"""Limits, fees, Brazil's standard codes and electronic commerce indicators, read once and checked."""

from __future__ import annotations

from functools import cache
from typing import Literal

from honour.networks.table import Sourced, read
from honour.records.attempt import AuthenticationResult


class RetryLimit(Sourced, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Most attempts that are not approved within a window, the first one counted.

    region           issuer or merchant country it holds for; empty is everywhere
    approval_resets  an approval starts the count anew
    readings         what counts together, in words apart by spaces: `card` (of one merchant, always), `+amount`, `+initiator`,
                     or `none` for no limit. The strict reading takes the one that leaves least, the lenient the one that leaves most.
    """

    rule: str
    network: str
    region: str
    attempts_max: int
    window_s: int
    approval_resets: bool
    readings: str
    effective_until: str


class AttemptFee(Sourced, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a network charges for one attempt that breaks a rule, minor units of `currency`.

    region    country, EUROPE, AP (Asia-Pacific) or LAC (Latin America and the Caribbean); empty is everywhere
    crossing  domestic or cross_border; empty is both
    after     limit: over a limit; never: after an answer that forbids it; stop_payment: after the cardholder's stop order;
              advice: for an advice that came; verification: of a zero-amount authorization
    """

    network: str
    region: str
    crossing: Literal["", "domestic", "cross_border"]
    after: Literal["limit", "never", "stop_payment", "advice", "verification"]
    amount_minor: float
    currency: str
    meaning: str
    effective_until: str


class BrazilCode(Sourced, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How Brazil's standard (ABECS Normativo 21) types a network's code. One code may stand for several reasons.

    kind  irreversible: never again unless a field of the request changes
    """

    network: str
    code: str
    reason: str
    kind: Literal["reversible", "irreversible"]


class Eci(Sourced, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An electronic commerce indicator: what it says of the authentication, and whether the issuer bears fraud.

    authentication_result  empty where no document says
    """

    network: str
    eci: str
    authentication_result: Literal[AuthenticationResult, ""]
    liability_shift: bool
    meaning: str


@cache
def retry_limits() -> dict[str, tuple[RetryLimit, ...]]:
    """The limits by network."""
    limits: dict[str, tuple[RetryLimit, ...]] = {}
    for limit in read("retry_limits.csv", kind=RetryLimit):
        limits[limit.network] = (*limits.get(limit.network, ()), limit)
    return limits


@cache
def attempt_fees() -> tuple[AttemptFee, ...]:
    """Every fee."""
    return tuple(read("attempt_fees.csv", kind=AttemptFee))


@cache
def brazil_codes() -> tuple[BrazilCode, ...]:
    """Every cell of the standard's table."""
    return tuple(read("brazil_codes.csv", kind=BrazilCode))


@cache
def eci_rows() -> tuple[Eci, ...]:
    """Every indicator."""
    return tuple(read("eci.csv", kind=Eci))

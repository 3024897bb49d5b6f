"""What an answer means: response codes and merchant advice codes, with decline reason, Visa decline category and retryability.

A row of the card's own network comes before a general one of ISO 8583. Of rows for a region and rows for everywhere all hold, so
that the stricter decides (Brazil's standard beside the network's rule). A code that no row knows is `unknown`: it counts towards
every limit, the same candidate is held back for a day as after any decline, nothing else follows, and it is counted.
"""

from __future__ import annotations

from functools import cache, cached_property, lru_cache
from typing import Literal, NamedTuple

from honour.networks.region import Countries, holds_in
from honour.networks.table import Reading, Sourced, read

Signal = Literal["response_code", "merchant_advice_code"]
DeclineReason = Literal[
    "approved",
    "authentication_required",
    "card_expired",
    "card_invalid",
    "generic",
    "insufficient_funds",
    "invalid_request",
    "issuer_unavailable",
    "legal",
    "limit_exceeded",
    "lost_or_stolen",
    "merchant_account",
    "not_permitted",
    "pin",
    "restricted",
    "security_code",
    "stop_payment",
    "suspected_fraud",
    "technical",
    "wrong_function",
    "unknown",
]
Kind = Literal["never", "not_before", "after_change", "free", "unknown"]
Change = Literal["", "amount", "authentication", "card", "function", "reconciliation", "request", "route", "shopper"]


class Retryability(NamedTuple):
    """May it be attempted again, when, after which change.

    scope   of a never: with this card, or for this payment; empty for the rest
    wait_s  seconds before which this payment is not attempted; 0 for none
    change  what must change first; empty when nothing must
    """

    kind: Kind
    scope: str = ""
    wait_s: int = 0
    change: Change = ""


class CodeRow(Sourced, frozen=True, kw_only=True, forbid_unknown_fields=True, dict=True):
    """One code of one network in one region; an empty network is every network that has no row of its own.

    with_code       response code that an advice must come with; empty is any
    lenient         retryability in the lenient reading of a disputed row; empty is the same, with `lenient_wait_s`
    """

    network: str
    code: str
    region: str
    meaning: str
    decline_reason: Literal[DeclineReason, ""]
    decline_category: Literal["", "1", "2", "3", "4"]
    retryability: Kind
    scope: Literal["", "card", "payment"]
    wait_s: int
    change: Change
    with_code: str
    effective_until: str
    lenient: Literal[Kind, ""]
    lenient_wait_s: int

    @cached_property
    def signal(self) -> Signal:
        """What carries the code: only response codes have a decline reason."""
        return "response_code" if self.decline_reason else "merchant_advice_code"

    @cached_property
    def key(self) -> str:
        """Names the row: network, signal, code, region, and the response code that it comes with."""
        return "/".join((self.network, self.signal, self.code, self.region, self.with_code)).rstrip("/")

    @cached_property
    def rule(self) -> str:
        """Name of the rule, such as visa.never_retry.41."""
        kind = "advice" if self.signal == "merchant_advice_code" else ""
        does = "never" if self.retryability == "never" else "wait" if self.wait_s else "answer"
        name = {"advicenever": "advice_never", "never": "never_retry"}.get(kind + does, f"{kind}_{does}".lstrip("_"))
        region = f".{self.region.lower()}" if self.region else ""
        return f"{self.network or 'any'}.{name}.{self.code}{region}"

    @cached_property
    def is_stale_data(self) -> bool:
        """It says that the card's data on file are old: the same data are not sent again, newer ones may be."""
        return self.retryability == "after_change" and self.change == "card" and (self.wait_s > 0 or self.signal == "merchant_advice_code")

    def spares_update(self, reading: Reading) -> bool:
        """Whether its never leaves the number that the account updater gives; in the lenient reading, of a card's lifecycle only.

        Documents disagree: networks' category 1 knows no exception, Brazil's standard says "unless a field of the request changes", and
        one acquirer counts by card and expiry, another all numbers of an account together (docs/networks.md).
        """
        lifecycle = self.decline_reason in ("card_invalid", "card_expired")
        return reading == "lenient" and self.retryability == "never" and self.scope == "card" and lifecycle

    def says(self, reading: Reading) -> Retryability:
        """Its retryability in one reading; both are the same unless it is disputed and has a lenient one."""
        if reading == "lenient" and self.lenient:
            return Retryability(self.lenient, "", self.lenient_wait_s, self.change)
        return Retryability(self.retryability, self.scope, self.wait_s, self.change)


@cache
def code_rows() -> tuple[CodeRow, ...]:
    """Every row of both tables."""
    return (*read("response_codes.csv", kind=CodeRow), *read("advice_codes.csv", kind=CodeRow))


@cache
def rows_by_key() -> dict[str, CodeRow]:
    """Every row by its name."""
    return {row.key: row for row in code_rows()}


class Read(NamedTuple):
    """What an answer says: the rows of its advice, then those of its response code; each empty when the table has none."""

    advice: tuple[CodeRow, ...]
    code: tuple[CodeRow, ...]


@lru_cache(maxsize=8192)
def read_answer(network: str, *, countries: Countries, response_code: str | None, merchant_advice_code: str | None) -> Read:
    """The rows that hold for an answer.

    countries  of the issuer and of the merchant
    """
    advice = _rows(network, "merchant_advice_code", merchant_advice_code, countries)
    if specific := [row for row in advice if row.with_code]:
        advice = [row for row in specific if row.with_code == response_code] or [row for row in advice if not row.with_code]
    return Read(tuple(advice), tuple(_rows(network, "response_code", response_code, countries)))


def retryability_of(rows: tuple[CodeRow, ...], *, reading: Reading) -> Retryability:
    """The strictest of what the rows say: never, the longest wait, a change, free; a region's own row before one for everywhere.

    >>> rows = read_answer("visa", countries=("DE", None), response_code="41", merchant_advice_code=None).code
    >>> retryability_of(rows, reading="strict")
    Retryability(kind='never', scope='card', wait_s=0, change='')
    """
    order: tuple[Kind, ...] = ("unknown", "free", "after_change", "not_before", "never")
    said = [(row.says(reading), row.region) for row in rows]
    best = max(said, key=lambda one: (order.index(one[0].kind), one[0].wait_s, one[1]), default=(Retryability("unknown"), ""))
    return best[0]


@cache
def _by_code() -> dict[tuple[str, Signal, str], list[CodeRow]]:
    found: dict[tuple[str, Signal, str], list[CodeRow]] = {}
    for row in code_rows():
        found.setdefault((row.network, row.signal, row.code), []).append(row)
    return found


def _rows(network: str, signal: Signal, code: str | None, countries: Countries) -> list[CodeRow]:
    for asked in (network, ""):
        rows = [row for row in _by_code().get((asked, signal, code or ""), ()) if holds_in(row.region, countries)]
        if rows:
            return rows
    return []

"""The tables of network rules, read once and checked: one row, one fact, one source, one date.

Documents contradict each other; a row marked `disputed` is applied in its strict reading.
An empty `effective_from` means that no document we read gives the date; `seen_on` is when the compilation was read, not the document.
"""

from __future__ import annotations

import csv
from functools import cache
from importlib import resources
from typing import Literal, NamedTuple, TypeVar

import msgspec

from honour.errors import LogContractBroken

Row = TypeVar("Row")
Signal = Literal["response_code", "merchant_advice_code"]


class RetryLimit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Most attempts of one card at one merchant within a window, the first one counted.

    region           issuer or merchant country it holds for; empty is everywhere
    approval_resets  an approval starts the count anew
    """

    rule: str
    network: str
    region: str
    attempts_max: int
    window_s: int
    approval_resets: bool
    source: str
    seen_on: str
    effective_from: str
    disputed: bool


class NeverRetry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An answer after which nothing more may be tried at this merchant: with this card, or for this payment.

    scope  card: the card is dead or forbidden; payment: what was asked is, and another payment may be tried
    """

    network: str
    signal: Signal
    code: str
    scope: Literal["card", "payment"]
    meaning: str
    region: str
    source: str
    seen_on: str
    effective_from: str
    disputed: bool

    @property
    def rule(self) -> str:
        """Name of the rule, such as visa.never_retry.41."""
        kind = "never_retry" if self.signal == "response_code" else "advice_never"
        return f"{self.network}.{kind}.{self.code}"


class RetryPause(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An answer after which the same payment must wait `pause_s`; an empty network is every network."""

    network: str
    signal: Signal
    code: str
    pause_s: int
    meaning: str
    source: str
    seen_on: str
    effective_from: str
    disputed: bool


class Rules(NamedTuple):
    """All rules, found by network, and by network, signal and code."""

    limits: dict[str, tuple[RetryLimit, ...]]
    never: dict[tuple[str, Signal, str], NeverRetry]
    pauses: dict[tuple[str, Signal, str], RetryPause]


@cache
def rules() -> Rules:
    """The rules that ship with Honour."""
    limits: dict[str, tuple[RetryLimit, ...]] = {}
    for limit in _read("retry_limits.csv", kind=RetryLimit):
        limits[limit.network] = (*limits.get(limit.network, ()), limit)
    never = {(row.network, row.signal, row.code): row for row in _read("never_retry.csv", kind=NeverRetry)}
    pauses = {(row.network, row.signal, row.code): row for row in _read("retry_pauses.csv", kind=RetryPause)}
    return Rules(limits, never, pauses)


def _read(name: str, *, kind: type[Row]) -> list[Row]:
    text = resources.files("honour.networks").joinpath("tables", name).read_text(encoding="utf-8")
    rows = list(csv.DictReader(text.splitlines()))
    try:
        return [msgspec.convert(row, kind, strict=False) for row in rows]
    except msgspec.ValidationError as error:
        raise LogContractBroken(f"networks/tables/{name}: {error}. Restore the table that ships with Honour.") from None

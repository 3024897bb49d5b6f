"""Reading the tables that ship with Honour: one row, one fact, one source; what documents contradict is marked `disputed`.

`seen_on` is the day on which the row was last held against a document that it names, empty where that was not written down; an empty
`effective_from` means that no document gives the day. A row that is disputed is applied in the
reading that the merchant's terms choose (`disputed_rules`); strict is the default.
"""

from __future__ import annotations

import csv
import hashlib
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from typing import Literal, TypeVar

import msgspec

from honour.errors import LogContractBroken

Row = TypeVar("Row")
Reading = Literal["strict", "lenient"]
FILES = ("response_codes.csv", "advice_codes.csv", "retry_limits.csv", "attempt_fees.csv", "brazil_codes.csv", "eci.csv")


class Sourced(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every row says of itself. effective_from, effective_until: days, `until` not included; empty is not known, or no end."""

    source: str
    seen_on: str
    effective_from: str
    disputed: bool


def read(name: str, *, kind: type[Row]) -> list[Row]:
    """The rows of one table, each checked."""
    try:
        return [msgspec.convert(row, kind, strict=False) for row in csv.DictReader(_text(name).splitlines())]
    except msgspec.ValidationError as error:
        raise LogContractBroken(f"networks/tables/{name}: {error}. Restore the table that ships with Honour.") from None


def day_us(day: str, *, otherwise: int) -> int:
    """A day as microseconds since 1970, UTC; `otherwise` for an empty one.

    >>> day_us("1970-01-02", otherwise=0)
    86400000000
    """
    return int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()) * 1_000_000 if day else otherwise


@cache
def tables_id() -> str:
    """Names the content of the tables: a state that was folded under others is folded again."""
    return hashlib.sha256("\x1f".join(map(_text, FILES)).encode()).hexdigest()[:12]


def _text(name: str) -> str:
    return resources.files("honour.networks").joinpath("tables", name).read_text(encoding="utf-8")

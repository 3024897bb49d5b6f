"""Tables that stand beside the events for the feature SQL: UTC offsets, paydays and holidays, reasons of declines.

What they say comes from packages and the networks' tables; which rows are needed, from the events, whatever engine holds them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from honour.features.answer import reason_of
from honour.features.calendar import days_since_payday, is_holiday
from honour.features.dialect import Dialect
from honour.features.local_time import offsets_of, zone_names
from honour.features.sql import REASON_COLUMNS, by_clock, needs_calendar, needs_reasons
from honour.features.view import Catalogue

Fetch = Callable[[str], Sequence[Any]]
"""Runs a query and returns its rows."""


class Given(NamedTuple):
    """A small table. types: text or integer by column"""

    name: str
    types: dict[str, str]
    rows: list[tuple[Any, ...]]


def given_tables(catalogue: Catalogue, *, fetch: Fetch, dialect: Dialect) -> Iterator[Given]:
    """The tables that a catalogue needs for the `answers` and the `spine` that are there."""
    yield _local_offsets(fetch, answers=by_clock(catalogue))
    if needs_calendar(catalogue):
        yield _local_days(fetch, dialect)
    if needs_reasons(catalogue):
        yield _reasons(fetch)


def _reasons(fetch: Fetch) -> Given:
    """Why the issuer declined, for every way in which the answers say it."""
    kinds = fetch(f"SELECT DISTINCT {', '.join(REASON_COLUMNS)} FROM answers WHERE status = 'declined'")
    rows = [
        (*kind, reason_of(status, network=network or "", issuer_country=issuer, merchant_country=merchant, response_code=code))
        for kind in kinds
        for status, network, issuer, merchant, code in (kind,)
    ]
    return Given("reasons", dict.fromkeys((*REASON_COLUMNS, "reason"), "text"), rows)


def _local_days(fetch: Fetch, dialect: Dialect) -> Given:
    """Paydays and holidays of every country and day of the spine; a local day is at most one off that of UTC."""
    asked = fetch(dialect.text("SELECT DISTINCT shopper_country, at_us // 86400000000 FROM spine"))
    days = sorted({(country, day + off) for country, day in asked for off in (-1, 0, 1)}, key=lambda one: (one[0] or "", one[1]))
    rows = [(country, day, days_since_payday(country, day), int(is_holiday(country, day))) for country, day in days]
    return Given("local_day", {"country": "text", "day": "integer", "days_since_payday": "integer", "is_holiday": "integer"}, rows)


def _local_offsets(fetch: Fetch, *, answers: bool) -> Given:
    """UTC offsets of the countries of the shoppers, of the spine and of the answers."""
    zones = zone_names()
    shoppers = "SELECT shopper_country FROM spine" + (" UNION SELECT shopper_country FROM answers" if answers else "")
    found = [row[0] for row in fetch(f"SELECT DISTINCT shopper_country FROM ({shoppers})")]
    countries = sorted(country for country in found if country in zones)
    offsets = [(country, *pair) for country in countries for pair in zip(*offsets_of(country), strict=True)]
    return Given("local_offset", {"country": "text", "from_us": "integer", "offset_us": "integer"}, offsets)

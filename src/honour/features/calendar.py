"""Local paydays and holidays: when money arrives on accounts, and when offices rest.

Paydays: `paydays.csv`, with source. Public holidays: the `holidays` package. A country without a row has no payday that we know.
"""

from __future__ import annotations

import csv
from bisect import bisect_right
from datetime import date, timedelta
from functools import cache, lru_cache
from importlib.resources import files
from typing import Literal

import holidays
import msgspec

from honour.errors import LogContractBroken

EPOCH_DAY = date(1970, 1, 1)
SATURDAY = 5


class Payday(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When salaries are paid in a country.

    rule  day: day `n` of the month; business_day: the `n`th day of the month that is neither weekend nor public holiday (n 1 to 20);
          last_business_day: the last such day
    sure  A several sources, B one, C sources conflict, K not confirmed
    """

    country: str
    rule: Literal["day", "business_day", "last_business_day"]
    n: int | None
    source: str
    sure: str


@cache
def paydays_of(country: str | None) -> tuple[Payday, ...]:
    """The rows of one country; empty when none is known."""
    return tuple(payday for payday in _table() if payday.country == country)


@lru_cache(maxsize=65_536)
def days_since_payday(country: str | None, day: int) -> int | None:
    """Whole days from the last payday up to `day` (days since 1970, local), 0 on payday itself; None when no payday is known.

    >>> days_since_payday("US", (date(2026, 3, 17) - EPOCH_DAY).days)
    2
    """
    today = EPOCH_DAY + timedelta(days=day)
    known = [*_of_month(country, *_month_before(today)), *_of_month(country, today.year, today.month)]
    at = bisect_right(known, today)
    return (today - known[at - 1]).days if at else None


@lru_cache(maxsize=65_536)
def is_holiday(country: str | None, day: int) -> bool:
    """Whether `day` (days since 1970, local) is a public holiday of the country; False where none are known.

    >>> is_holiday("BR", (date(2026, 9, 7) - EPOCH_DAY).days)
    True
    """
    return _is_holiday(country, EPOCH_DAY + timedelta(days=day))


@cache
def _table() -> tuple[Payday, ...]:
    text = files("honour.features").joinpath("paydays.csv").read_text(encoding="utf-8")
    rows = [{**row, "n": row["n"] or None} for row in csv.DictReader(text.splitlines())]
    try:
        return tuple(msgspec.convert(row, Payday, strict=False) for row in rows)
    except msgspec.ValidationError as error:
        raise LogContractBroken(f"features/paydays.csv: {error}. Restore the table that ships with Honour.") from None


@lru_cache(maxsize=4_096)
def _of_month(country: str | None, year: int, month: int) -> tuple[date, ...]:
    """Paydays of one month, in order."""
    found = []
    for payday in paydays_of(country):
        if payday.rule == "day":
            found.append(date(year, month, payday.n or 1))
        else:
            days = _business_days(country, year, month)
            found.append(days[-1] if payday.rule == "last_business_day" else days[min(payday.n or 1, len(days)) - 1])
    return tuple(sorted(found))


def _business_days(country: str | None, year: int, month: int) -> list[date]:
    first = date(year, month, 1)
    days = (first + timedelta(days=at) for at in range(31))
    return [day for day in days if day.month == month and day.weekday() < SATURDAY and not _is_holiday(country, day)]


def _is_holiday(country: str | None, day: date) -> bool:
    known = _holidays(country, day.year)
    return known is not None and day in known


@lru_cache(maxsize=1_024)
def _holidays(country: str | None, year: int) -> holidays.HolidayBase | None:
    try:
        return holidays.country_holidays(country, years=year) if country else None
    except NotImplementedError:
        return None


def _month_before(day: date) -> tuple[int, int]:
    before = day.replace(day=1) - timedelta(days=1)
    return before.year, before.month

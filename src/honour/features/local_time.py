"""Local time of the shopper, as a pure function of country and instant.

A country has one zone here: its line in `zone.tab` of the tzdata package, or, where it has several, the zone in which most
of its people live (`_MANY_ZONES`). Offsets come from the tzdata package and never from the machine, so that a server and a
training run agree. Between 1990 and 2060; outside, the offset at the nearer end holds.
"""

from __future__ import annotations

from bisect import bisect_right
from datetime import UTC, date, datetime, timedelta
from functools import cache, lru_cache
from importlib.resources import files
from typing import NamedTuple
from zoneinfo import ZoneInfo

from honour.records.instant import from_us, to_us

DAY_US = 86_400_000_000
HOUR_US = 3_600_000_000
BEFORE_ALL = -(2**62)
"""An instant before every other."""

# The zone with most inhabitants, else the capital's: UN World Urbanization Prospects 2018 for the cities named.
_MANY_ZONES = {
    "AQ": "Antarctica/McMurdo",
    "AR": "America/Argentina/Buenos_Aires",
    "AU": "Australia/Sydney",
    "BR": "America/Sao_Paulo",
    "CA": "America/Toronto",
    "CD": "Africa/Kinshasa",
    "CL": "America/Santiago",
    "CN": "Asia/Shanghai",
    "CY": "Asia/Nicosia",
    "DE": "Europe/Berlin",
    "EC": "America/Guayaquil",
    "ES": "Europe/Madrid",
    "FM": "Pacific/Pohnpei",
    "GL": "America/Nuuk",
    "ID": "Asia/Jakarta",
    "KI": "Pacific/Tarawa",
    "KZ": "Asia/Almaty",
    "MH": "Pacific/Majuro",
    "MN": "Asia/Ulaanbaatar",
    "MX": "America/Mexico_City",
    "MY": "Asia/Kuala_Lumpur",
    "NZ": "Pacific/Auckland",
    "PF": "Pacific/Tahiti",
    "PG": "Pacific/Port_Moresby",
    "PS": "Asia/Gaza",
    "PT": "Europe/Lisbon",
    "RU": "Europe/Moscow",
    "UA": "Europe/Kyiv",
    "UM": "Pacific/Wake",
    "US": "America/New_York",
    "UZ": "Asia/Tashkent",
}

_FIRST = datetime(1990, 1, 1, tzinfo=UTC)
_END = datetime(2060, 1, 1, tzinfo=UTC)
# No zone changes its offset twice within a week in these years; the closest pair is Morocco's month of Ramadan.
_STEP = timedelta(days=7)


class Offsets(NamedTuple):
    """UTC offsets of a zone: `offset_us[i]` holds from `from_us[i]` until the next; the first holds from before all."""

    from_us: tuple[int, ...]
    offset_us: tuple[int, ...]


class LocalTime(NamedTuple):
    """Hour 0 to 23, weekday 0 (Monday) to 6 (Sunday), day of month 1 to 31, day since 1970-01-01."""

    hour: int
    weekday: int
    day_of_month: int
    day: int


@lru_cache(maxsize=1_024)
def month_number(day: int) -> int:
    """Months from January 1970 to the month of a day since 1970-01-01."""
    of = date.fromordinal(day + 719_163)
    return 12 * (of.year - 1970) + of.month - 1


def local_time(country: str | None, *, at_us: int) -> LocalTime:
    """What the clock and calendar of `country` show; UTC when the country is None or has no zone.

    >>> local_time("BR", at_us=to_us(datetime(2026, 3, 1, 1, 30, tzinfo=UTC)))
    LocalTime(hour=22, weekday=5, day_of_month=28, day=20512)
    """
    since_us, offset_us = offsets_of(country)
    local_us = at_us + offset_us[bisect_right(since_us, at_us) - 1]
    days = local_us // DAY_US
    # 1970-01-01 was a Thursday and has the ordinal 719163.
    return LocalTime(local_us % DAY_US // HOUR_US, (days + 3) % 7, date.fromordinal(days + 719_163).day, days)


@cache
def offsets_of(country: str | None) -> Offsets:
    """Every UTC offset of the zone of `country`, 1990 to 2060."""
    name = zone_names().get(country) if country else None
    if name is None:
        return Offsets((BEFORE_ALL,), (0,))
    zone = _zone(name)
    since_us, offset_us = [BEFORE_ALL], [_offset_us(zone, _FIRST)]
    left = _FIRST
    while left < _END:
        right = left + _STEP
        if _offset_us(zone, right) != offset_us[-1]:
            change = _change_between(zone, left, right)
            since_us.append(to_us(change))
            offset_us.append(_offset_us(zone, change))
        left = right
    return Offsets(tuple(since_us), tuple(offset_us))


@cache
def zone_names() -> dict[str, str]:
    """The zone of each country by ISO 3166-1 alpha-2 code."""
    zones: dict[str, str] = {}
    for line in (files("tzdata") / "zoneinfo" / "zone.tab").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            country, _, zone = line.split("\t")[:3]
            zones.setdefault(country, zone)
    return zones | _MANY_ZONES


def _zone(name: str) -> ZoneInfo:
    with (files("tzdata") / "zoneinfo").joinpath(*name.split("/")).open("rb") as file:
        return ZoneInfo.from_file(file, key=name)


def _offset_us(zone: ZoneInfo, at: datetime) -> int:
    offset = at.astimezone(zone).utcoffset()
    assert offset is not None
    return offset // timedelta(microseconds=1)


def _change_between(zone: ZoneInfo, left: datetime, right: datetime) -> datetime:
    """First instant with another offset than at `left`, to the second; `right` has another."""
    before = _offset_us(zone, left)
    low, high = to_us(left) // 1_000_000, to_us(right) // 1_000_000
    while high - low > 1:
        middle = (low + high) // 2
        if _offset_us(zone, from_us(middle * 1_000_000)) == before:
            low = middle
        else:
            high = middle
    return from_us(high * 1_000_000)

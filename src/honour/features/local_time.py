"""Local time of the shopper, as a pure function of country and instant.

A country has one zone here: its line in `zone.tab` of the tzdata package, or, where it has several, the zone in which most
of its people live (`_MANY_ZONES`). Offsets come from the tzdata package and never from the machine, so that a server and a
training run agree. Between 1990 and 2060; outside, the offset at the nearer end holds.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import cache, lru_cache
from importlib.resources import files
from itertools import pairwise
from typing import NamedTuple
from zoneinfo import ZoneInfo

from honour.records.instant import to_us

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

_FIRST_S, _END_S = (to_us(datetime(year, 1, 1, tzinfo=UTC)) // 1_000_000 for year in (1990, 2060))
# No zone changes its offset twice within a week in these years; the closest pair is Morocco's month of Ramadan.
_WEEK_S = 7 * 86_400
_N_WEEKS = -((_FIRST_S - _END_S) // _WEEK_S)


class Offsets(NamedTuple):
    """UTC offsets of a zone: `offset_us[i]` holds from `from_us[i]` until the next; the first holds from before all."""

    from_us: tuple[int, ...]
    offset_us: tuple[int, ...]


class _Week(NamedTuple):
    """UTC offset until `change_us`, and from then on; both are the same where it does not change."""

    change_us: int
    before_us: int
    after_us: int


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
    local_us = at_us + offset_us(country, at_us=at_us)
    days = local_us // DAY_US
    # 1970-01-01 was a Thursday and has the ordinal 719163.
    return LocalTime(local_us % DAY_US // HOUR_US, (days + 3) % 7, date.fromordinal(days + 719_163).day, days)


def offset_us(country: str | None, *, at_us: int) -> int:
    """UTC offset of the zone of `country` at an instant."""
    week = _week(country, (at_us // 1_000_000 - _FIRST_S) // _WEEK_S)
    return week.before_us if at_us < week.change_us else week.after_us


@cache
def offsets_of(country: str | None) -> Offsets:
    """Every UTC offset of the zone of `country`, 1990 to 2060."""
    zone = _zone_of(country)
    if zone is None:
        return Offsets((BEFORE_ALL,), (0,))
    of_week = [_offset_us(zone, _FIRST_S + number * _WEEK_S) for number in range(_N_WEEKS + 1)]
    changes = [_change_s(zone, number) for number, (before, after) in enumerate(pairwise(of_week)) if before != after]
    return Offsets((BEFORE_ALL, *(at_s * 1_000_000 for at_s in changes)), (of_week[0], *(_offset_us(zone, at_s) for at_s in changes)))


@lru_cache(maxsize=65_536)
def _week(country: str | None, number: int) -> _Week:
    """One week of them, counted from 1990 on: a payment asks about no more, and finding all takes milliseconds."""
    zone = _zone_of(country)
    if zone is None:
        return _Week(BEFORE_ALL, 0, 0)
    began_s = _FIRST_S + min(max(number, 0), _N_WEEKS) * _WEEK_S
    before_us = _offset_us(zone, began_s)
    if not 0 <= number < _N_WEEKS or _offset_us(zone, began_s + _WEEK_S) == before_us:
        return _Week(BEFORE_ALL, before_us, before_us)
    change_s = _change_s(zone, number)
    return _Week(change_s * 1_000_000, before_us, _offset_us(zone, change_s))


@cache
def zone_names() -> dict[str, str]:
    """The zone of each country by ISO 3166-1 alpha-2 code."""
    zones: dict[str, str] = {}
    for line in (files("tzdata") / "zoneinfo" / "zone.tab").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            country, _, zone = line.split("\t")[:3]
            zones.setdefault(country, zone)
    return zones | _MANY_ZONES


@cache
def _zone_of(country: str | None) -> ZoneInfo | None:
    name = zone_names().get(country) if country else None
    if name is None:
        return None
    with (files("tzdata") / "zoneinfo").joinpath(*name.split("/")).open("rb") as file:
        return ZoneInfo.from_file(file, key=name)


def _offset_us(zone: ZoneInfo, at_s: int) -> int:
    offset = datetime.fromtimestamp(at_s, zone).utcoffset()
    assert offset is not None
    return offset // timedelta(microseconds=1)


def _change_s(zone: ZoneInfo, number: int) -> int:
    """The first second of a week with another offset than its beginning has; its end has another."""
    low = _FIRST_S + number * _WEEK_S
    high, before = low + _WEEK_S, _offset_us(zone, low)
    while high - low > 1:
        middle = (low + high) // 2
        if _offset_us(zone, middle) == before:
            low = middle
        else:
            high = middle
    return high

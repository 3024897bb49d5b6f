"""Local time of the shopper: one zone per country, the same on every machine."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime
from importlib.resources import files
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from honour.features import local_time as module
from honour.features.local_time import local_time, offsets_of, zone_names
from honour.records.instant import to_us


def at(*parts: int) -> int:
    return to_us(datetime(*parts, tzinfo=UTC))  # type: ignore[arg-type, misc]  # year, month, day, ...


@pytest.mark.parametrize(
    ("country", "at_us", "expected"),
    [
        ("BR", at(2026, 3, 1, 1, 30), (22, 5, 28)),  # Saturday 28 February, 22:30
        ("US", at(2026, 3, 8, 6, 59, 59), (1, 6, 8)),  # the last second of winter time in New York
        ("US", at(2026, 3, 8, 7), (3, 6, 8)),  # clocks jump from 2 to 3
        ("IN", at(2026, 1, 1, 18, 29), (23, 3, 1)),  # half-hour zone, one minute before midnight
        ("IN", at(2026, 1, 1, 18, 30), (0, 4, 2)),
        (None, at(2026, 3, 2, 5), (5, 0, 2)),
        ("XX", at(2026, 3, 2, 5), (5, 0, 2)),
    ],
)
def test_clock_and_calendar_are_those_of_the_country(country: str | None, at_us: int, expected: tuple[int, int, int]) -> None:
    shown = local_time(country, at_us=at_us)
    assert shown[:3] == expected
    assert date.fromordinal(date(1970, 1, 1).toordinal() + shown.day).day == expected[2]


def test_every_country_of_several_zones_has_one_chosen_on_purpose() -> None:
    lines = (files("tzdata") / "zoneinfo" / "zone.tab").read_text(encoding="utf-8").splitlines()
    zones = Counter(line.split("\t")[0] for line in lines if line and not line.startswith("#"))
    assert {country for country, n in zones.items() if n > 1} == set(module._MANY_ZONES)


@given(st.sampled_from(sorted(zone_names())), st.integers(at(1990, 1, 1), at(2059, 12, 31)))
def test_offsets_found_by_search_are_those_of_the_zone(country: str, at_us: int) -> None:
    since_us, offset_us = offsets_of(country)
    held = next(offset for since, offset in zip(reversed(since_us), reversed(offset_us), strict=True) if since <= at_us)
    with (files("tzdata") / "zoneinfo").joinpath(*zone_names()[country].split("/")).open("rb") as file:
        zone = ZoneInfo.from_file(file)
    moment = datetime.fromtimestamp(at_us // 1_000_000, zone)
    assert held == moment.utcoffset().total_seconds() * 1e6  # type: ignore[union-attr]  # a zoned instant has an offset

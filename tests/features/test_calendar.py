"""Paydays and holidays of the countries that the table knows."""

from __future__ import annotations

from datetime import date

import pytest

from honour.features.calendar import EPOCH_DAY, days_since_payday, is_holiday, paydays_of


def _day(text: str) -> int:
    return (date.fromisoformat(text) - EPOCH_DAY).days


@pytest.mark.parametrize(
    ("country", "day", "since"),
    [
        ("BR", "2026-03-06", 0),  # Fifth business day of March 2026.
        ("BR", "2026-03-05", 27),  # The one before was 6 February.
        ("BR", "2026-01-08", 0),  # New Year is no business day.
        ("US", "2026-03-01", 0),
        ("US", "2026-03-14", 13),
        ("GB", "2026-05-29", 0),  # The last day of the month is a Sunday.
        ("DE", "2026-03-02", 3),
        ("XX", "2026-03-02", None),
        (None, "2026-03-02", None),
    ],
)
def test_days_since_payday(country: str | None, day: str, since: int | None) -> None:
    assert days_since_payday(country, _day(day)) == since


def test_holidays_come_from_the_maintained_library_and_unknown_countries_have_none() -> None:
    assert is_holiday("DE", _day("2026-10-03"))
    assert not is_holiday("DE", _day("2026-10-05"))
    assert not is_holiday("XX", _day("2026-10-03"))


def test_every_row_says_how_sure_it_is() -> None:
    rows = [payday for country in ("BR", "US", "GB", "DE") for payday in paydays_of(country)]
    assert rows
    assert all(payday.source and payday.sure in "ABCK" for payday in rows)

"""The quality report says what a person would want to know before trusting a file."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec

from honour.features.quality import Found, QualityReport, quality_of, quality_text
from honour.records.attempt import Attempt
from honour.records.payment import Card, Payment

START = datetime(2026, 3, 1, tzinfo=UTC)
CARD = Card(card_id="crd_1", bin="411111", network="visa", funding="debit")


def attempt(minutes: float, *, payment_id: str | None = None, amount_minor: int = 100, **changes: Any) -> Attempt:
    payment = Payment(payment_id=payment_id or f"pay_{minutes}", merchant_id="mer_1", amount_minor=amount_minor, currency="EUR", card=CARD)
    told = {"attempt_id": f"att_{minutes}", "route": "acq_1", "status": "declined", **changes}
    return Attempt(payment=payment, attempted_at=START + timedelta(minutes=minutes), **told)


def report(*attempts: Attempt, found: Found | None = None) -> QualityReport:
    return quality_of(attempts, found=found or Found(n_rows=len(attempts)))


def test_of_nothing_the_report_says_nothing() -> None:
    nothing = report()
    assert (nothing.n_accepted, nothing.first_at, nothing.longest_gap, nothing.attempt_approval_rate, nothing.missing) == (
        0,
        None,
        None,
        None,
        {},
    )
    assert quality_text(nothing) == "0 rows read, 0 usable."


def test_refused_rows_are_counted_by_reason_the_most_frequent_first_with_the_first_few_rows() -> None:
    found = Found(n_rows=12)
    found.refuse("no instant", row="2")
    for row in range(3, 12):
        found.refuse("no amount", row=str(row), by_mapping=True)
    assert [(rows.reason, rows.n, rows.first_rows) for rows in report(found=found).refused] == [
        ("no amount", 9, ("3", "4", "5", "6", "7")),
        ("no instant", 1, ("2",)),
    ]
    assert "left out 9: no amount (rows 3, 4, 5, 6, 7, ...)" in quality_text(report(found=found))


def test_rows_alike_but_for_their_id_are_counted() -> None:
    found = Found(n_rows=3)
    for content in (1, 2, 1):
        found.see(content)
    assert report(attempt(0), attempt(1), attempt(2), found=found).identical_rows == 1


def test_payments_are_counted_by_their_attempts_and_attempts_after_an_approval_are_odd() -> None:
    sent = [
        attempt(0, payment_id="p"),
        attempt(1, payment_id="p", status="approved"),
        attempt(2, payment_id="p"),
        attempt(3, status="failed"),
    ]
    found = report(*sent)
    assert (found.n_payments, found.attempts_per_payment, found.attempts_after_approval) == (2, {"1": 1, "3": 1}, 1)
    assert (found.attempt_approval_rate, found.payment_approval_rate) == (0.25, 0.5)


def test_rates_are_of_attempts_with_an_answer() -> None:
    found = report(attempt(0, status="approved"), attempt(1, status="unknown"), attempt(2, route="acq_2"))
    assert found.attempt_approval_rate == 0.5
    assert [(route.route, route.n, route.attempt_approval_rate) for route in found.routes] == [("acq_1", 1, 1.0), ("acq_2", 1, 0.0)]


def test_days_are_counted_and_those_without_an_attempt_named() -> None:
    found = report(attempt(0), attempt(1), attempt(3 * 1440))
    assert [(day.day.day, day.n) for day in found.attempts_per_day] == [(1, 2), (4, 1)]
    assert found.days_without == (date(2026, 3, 2), date(2026, 3, 3))


def test_the_longest_gap_is_named_with_its_start() -> None:
    found = report(attempt(0), attempt(30), attempt(150), attempt(160))
    assert found.longest_gap is not None
    assert (found.longest_gap.hours, found.longest_gap.from_at) == (2.0, START + timedelta(minutes=30))


def test_an_hour_without_attempts_is_told_by_day_and_not_by_night() -> None:
    minutes = [day * 1440 + hour * 60 + minute for day in range(10) for hour in range(8, 20) for minute in range(0, 60, 6)]
    silent = [4 * 1440 + 13 * 60 + minute for minute in range(60)]
    found = report(*(attempt(at) for at in sorted(set(minutes) - set(silent))))
    assert (found.silent_hours.n, found.silent_hours.first_at) == (1, (datetime(2026, 3, 5, 13, tzinfo=UTC),))
    assert "1 hours without an attempt at a time of day that usually has some: 2026-03-05 13:00" in quality_text(found)


def test_what_no_attempt_knows_is_said() -> None:
    found = report(attempt(0, response_code="05"), attempt(1, amount_minor=0))
    assert (found.missing["response_code"], found.missing["card.funding"], found.missing["card.issuer"]) == (0.5, 0.0, 1.0)
    assert found.zero_amounts == 1
    assert "Not known for any attempt: card.issuer," in quality_text(found)


def test_empty_cells_are_shares_of_all_rows() -> None:
    found = report(attempt(0), found=Found(n_rows=4, empty_cells={"note": 3, "id": 0}))
    assert found.empty_cells == {"note": 0.75}
    assert "Empty cells: note 75.0%." in quality_text(found)


def test_the_report_goes_through_json() -> None:
    found = report(attempt(0), attempt(90, status="approved"))
    assert msgspec.json.decode(msgspec.json.encode(found), type=QualityReport) == found

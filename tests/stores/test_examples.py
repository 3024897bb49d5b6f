"""The example mappings on the public files they are made for."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from honour.records.attempt import Attempt
from honour.records.event import AttemptReported, key_of
from honour.records.instant import from_us
from honour.stores.memory import MemoryLog
from honour.stores.tabular import Imported, read_attempts

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
pytestmark = pytest.mark.slow


def attempts_of(found: Imported) -> list[Attempt]:
    return [event.attempt for event, _ in found.events if isinstance(event, AttemptReported)]


@pytest.fixture(scope="module")
def web_shop(shared_data: Path) -> Imported:
    return read_attempts([shared_data / "psp_routing/attempts.csv"], EXAMPLES / "psp_routing/mapping.toml", with_fees=True)


@pytest.fixture(scope="module")
def acceptance(shared_data: Path) -> Imported:
    return read_attempts([shared_data / "globepay/acceptance.csv"], EXAMPLES / "globepay/mapping.toml", with_fees=True)


def test_every_attempt_of_the_web_shop_is_there_and_a_fifth_is_approved(web_shop: Imported) -> None:
    quality = web_shop.quality
    assert (quality.n_rows, quality.n_accepted, quality.refused) == (39_488, 39_488, ())
    assert quality.attempt_approval_rate == pytest.approx(0.2029, abs=1e-3)
    assert {route.route: round(route.attempt_approval_rate, 2) for route in quality.routes} == {
        "Goldcard": 0.39,
        "Moneycard": 0.22,
        "Simplecard": 0.16,
        "UK_Card": 0.2,
    }


def test_chaining_makes_21097_payments_of_the_web_shop(web_shop: Imported) -> None:
    assert web_shop.quality.n_payments == 21_097
    assert max(Counter(attempt.payment.payment_id for attempt in attempts_of(web_shop)).values()) == 10


def test_the_fees_of_the_web_shop_are_in_cents(web_shop: Imported) -> None:
    assert {route.id: (route.cost.approval_minor, route.cost.decline_minor) for route in web_shop.routes} == {
        "Goldcard": (1000, 500),
        "Moneycard": (500, 200),
        "Simplecard": (100, 50),
        "UK_Card": (300, 100),
    }


def test_later_rows_alone_are_the_same_events_as_in_the_whole_file(web_shop: Imported, shared_data: Path, tmp_path: Path) -> None:
    lines = (shared_data / "psp_routing/attempts.csv").read_text(encoding="utf-8").splitlines(keepends=True)
    (tmp_path / "later.csv").write_text("".join((lines[0], *lines[30_000:])), encoding="utf-8")
    later = read_attempts([tmp_path / "later.csv"], EXAMPLES / "psp_routing/mapping.toml").events
    cut = [event for event, _ in web_shop.events[29_999:]]
    differ = [one for one, (other, _) in zip(cut, later, strict=True) if one != other]
    assert len(differ) < 10  # Of the chains that the cut went through.


def test_events_come_in_order_with_keys_of_their_own_and_a_second_import_adds_nothing(web_shop: Imported) -> None:
    log = MemoryLog()
    assert [arrived_us for _, arrived_us in web_shop.events] == sorted(arrived_us for _, arrived_us in web_shop.events)
    assert log.append_many(web_shop.events) == len({key_of(event) for event, _ in web_shop.events}) == 39_488
    assert log.append_many(web_shop.events) == 0


def test_local_midnight_of_the_web_shop_is_23_utc(web_shop: Imported) -> None:
    assert from_us(web_shop.events[0][1]).isoformat() == "2018-12-31T23:01:11+00:00"


def test_the_acceptance_report_has_one_negative_amount_and_five_currencies(acceptance: Imported) -> None:
    assert [(refused.reason, refused.n) for refused in acceptance.quality.refused] == [("payment.amount_minor is below 0", 1)]
    assert acceptance.quality.n_payments == acceptance.quality.n_accepted == 5_429
    assert acceptance.routes[0].currencies == ("CAD", "EUR", "GBP", "MXN", "USD")


def test_the_acceptance_report_keeps_what_its_own_columns_say(acceptance: Imported) -> None:
    first = next(attempt for attempt in attempts_of(acceptance) if attempt.payment.currency == "MXN")
    assert first.payment.card.network == "other"
    assert first.payment.attributes == {"cvv_provided": False, "units_per_usd": pytest.approx(25.1, abs=0.1)}


def test_chargebacks_of_the_acceptance_report_are_disputes_of_approved_payments(acceptance: Imported) -> None:
    assert (acceptance.quality.n_disputes, acceptance.quality.unmatched_disputes) == (222, 1)

"""The judge of network rules: limits to the attempt, dead cards for a month, fees as published."""

from __future__ import annotations

import msgspec
import pytest

from honour.records.payment import Network, Payment
from honour.simulator import scenario
from honour.simulator.audit import DAY_US, MONTH_US, Audit, penalty_cents
from honour.simulator.world import World

PAYMENT = World(scenario.load("calm").sized(200), seed=1).payment(0)


def _of(network: Network, *, number: int = 0, country: str = "DE") -> Payment:
    card = msgspec.structs.replace(PAYMENT.card, network=network, issuer_country=country)
    return msgspec.structs.replace(PAYMENT, payment_id=f"pay_{number}", card=card)


@pytest.mark.parametrize(
    ("network", "country", "allowed"), [("visa", "DE", 20), ("mastercard", "DE", 10), ("mastercard", "BR", 7), ("elo", "BR", 15)]
)
def test_one_decline_more_than_allowed_breaks_the_rule(network: Network, country: str, allowed: int) -> None:
    audit = Audit()
    for number in range(allowed):
        assert not audit.broken_rule(_of(network, number=number, country=country), at_us=number)
        audit.settle(_of(network, number=number, country=country), status="declined", response_code="05", advice=None, at_us=number)
    assert audit.broken_rule(_of(network, number=99, country=country), at_us=allowed)


def test_mastercards_window_of_a_day_slides_and_its_month_does_not_forget() -> None:
    audit = Audit()
    for number in range(10):
        audit.settle(_of("mastercard", number=number), status="declined", response_code="05", advice=None, at_us=number)
    assert audit.broken_rule(_of("mastercard", number=10), at_us=DAY_US - 1)
    assert not audit.broken_rule(_of("mastercard", number=10), at_us=DAY_US)
    for day in range(1, 4):
        for number in range(9):
            audit.settle(_of("mastercard", number=number), status="declined", response_code="05", advice=None, at_us=day * DAY_US)
    assert audit.broken_rule(_of("mastercard", number=10), at_us=10 * DAY_US)


def test_an_approval_starts_visas_count_again() -> None:
    audit = Audit()
    for number in range(20):
        audit.settle(_of("visa", number=number), status="declined", response_code="05", advice=None, at_us=number)
    audit.settle(_of("visa", number=20), status="approved", response_code="00", advice=None, at_us=21)
    assert not audit.broken_rule(_of("visa", number=21), at_us=22)


@pytest.mark.parametrize(("network", "code", "advice"), [("visa", "41", None), ("mastercard", "83", "03"), ("elo", "14", None)])
def test_a_dead_card_stays_dead_for_a_month_at_this_merchant(network: Network, code: str, advice: str | None) -> None:
    audit = Audit()
    audit.settle(_of(network), status="declined", response_code=code, advice=advice, at_us=0)
    assert audit.broken_rule(_of(network, number=1), at_us=MONTH_US - 1)
    assert not audit.broken_rule(_of(network, number=1), at_us=MONTH_US)


def test_a_forbidden_payment_stays_forbidden_while_the_card_lives() -> None:
    audit = Audit()
    audit.settle(_of("visa"), status="declined", response_code="57", advice=None, at_us=0)
    assert audit.broken_rule(_of("visa"), at_us=DAY_US)
    assert not audit.broken_rule(_of("visa", number=1), at_us=DAY_US)


def test_fees_are_those_that_networks_publish() -> None:
    assert penalty_cents("visa", country="DE", abroad=False) == 10.0
    assert penalty_cents("visa", country="DE", abroad=True) == 25.0
    assert penalty_cents("mastercard", country="BR", abroad=False) == 36.0
    assert penalty_cents("amex", country="US", abroad=False) == 0.0

"""Every kind of event does to the world what its file says, and leaves the rest alone."""

from __future__ import annotations

from collections import Counter

import pytest

from honour.records.instant import to_us
from honour.records.payment import Payment
from honour.simulator import scenario
from honour.simulator.event import BinMigration, CardTesting, Degradation, Event, FeeChange, NewRoute, Peak, RenamedCodes, ScaEnforcement
from honour.simulator.issuer import make_issuers
from honour.simulator.land import EUROPE
from honour.simulator.scenario import DAY_US, Scenario
from honour.simulator.world import World


def _with(*events: Event, days: float = 2.0, payments: int = 2_000) -> World:
    calm = scenario.load("calm")
    return World(
        Scenario(
            name="test",
            description="",
            start=calm.start,
            days=days,
            payments_per_day=payments / days,
            events=events,
            recurring_share=calm.recurring_share,
        ),
        seed=4,
    )


def _created_us(payment: Payment) -> int:
    assert payment.created_at is not None
    return to_us(payment.created_at)


def _day(world: World, payment: Payment) -> float:
    return (_created_us(payment) - world.scenario.start_us) / DAY_US


def test_a_new_route_is_not_there_before_its_day() -> None:
    world = _with(NewRoute(route="acq_gb_1", from_day=1.0))
    before, after = (world.routes_at(world.scenario.start_us + int(day * DAY_US)) for day in (0.99, 1.01))
    assert {route.id for route in after} - {route.id for route in before} == {"acq_gb_1"}
    assert world.conditions.changes_us() == (world.scenario.start_us + DAY_US,)


def test_a_fee_change_times_every_fee_of_its_route_and_no_other() -> None:
    world = _with(FeeChange(route="acq_us_3", from_day=1.0, factor=2.0))
    before, after = ({route.id: route.cost for route in world.routes_at(world.scenario.start_us + int(day * DAY_US))} for day in (0.5, 1.5))
    assert {name for name in before if before[name] != after[name]} == {"acq_us_3"}
    assert after["acq_us_3"].approval_bps == 2.0 * before["acq_us_3"].approval_bps


def test_a_migration_changes_leading_digits_and_nothing_else_of_a_card() -> None:
    issuer = next(issuer.id for issuer in make_issuers(4) if issuer.country == "BR")
    plain, moved = _with(), _with(BinMigration(issuer=issuer, from_day=1.0))
    changed = 0
    for was, now in zip(plain.payments(), moved.payments(), strict=True):
        if was.card.issuer == issuer and _day(moved, was) >= 1.0:
            changed += 1
            assert was.card.bin != now.card.bin
            assert (was.card.card_id, was.card.network, was.card.funding) == (now.card.card_id, now.card.network, now.card.funding)
        else:
            assert was == now
    assert changed > 5


def test_before_enforcement_europe_asks_for_authentication_as_often_as_the_file_says() -> None:
    free, strict = _with(ScaEnforcement(from_day=9.0, before=0.0)), _with()
    for payment in strict.payments():
        for candidate in strict.candidates(payment):
            if candidate.authentication == "none" and payment.card.issuer_country in EUROPE:
                found = {stop.cause for stop in free.stops(payment, candidate=candidate, at_us=_created_us(payment)) if stop.share > 0.0}
                assert "sca" not in found
    assert any(
        stop.cause == "sca" and stop.share > 0.0
        for payment in strict.payments()
        for candidate in strict.candidates(payment)
        for stop in strict.stops(payment, candidate=candidate, at_us=_created_us(payment))
    )


def test_a_peak_brings_its_factor_of_payments() -> None:
    world = _with(Peak(factor=3.0, from_day=1.0), payments=4_000)
    plain = _with(payments=4_000)
    shares = [sum(_day(each, payment) >= 1.0 for payment in each.payments()) / 4_000 for each in (plain, world)]
    odds = [share / (1.0 - share) for share in shares]
    assert odds[1] / odds[0] == pytest.approx(3.0, rel=0.1)


def test_thieves_try_small_amounts_at_their_merchant_and_issuers_grow_suspicious() -> None:
    attack = CardTesting(merchant="mer_market", from_day=1.0, factor=4.0)
    world, plain = _with(attack), _with()
    at_shop = [
        Counter(payment.merchant_id == "mer_market" for payment in each.payments() if _day(each, payment) >= 1.0) for each in (plain, world)
    ]
    assert at_shop[1][True] > 2.5 * at_shop[0][True]
    testing = [payment for payment in world.payments() if world.truth(payment).fraud and _day(world, payment) >= 1.0]
    small = [payment for payment in testing if payment.merchant_id == "mer_market"]
    assert len(small) > 0.8 * len(testing)
    assert all(_day(world, payment) >= 1.0 for payment in small if world.patience_s(payment) == 1.0)


def test_an_acquirer_that_renames_codes_sends_names_of_its_own_from_its_day() -> None:
    world = _with(RenamedCodes(route="acq_gb_1", from_day=1.0))
    codes: dict[bool, set[str]] = {False: set(), True: set()}
    for payment in world.payments():
        for candidate in world.candidates(payment):
            answer = world.answer(payment, candidate=candidate, at_us=_created_us(payment))
            if answer.status == "declined" and candidate.route == "acq_gb_1":
                codes[_day(world, payment) >= 1.0].add(str(answer.response_code))
    assert codes[True]
    assert all(code.startswith("D") for code in codes[True])
    assert not any(code.startswith("D") for code in codes[False])


def test_a_degradation_that_recovers_is_worst_in_the_middle() -> None:
    event = Degradation(route="acq_gb_1", share=0.6, from_day=1.0, to_day=3.0, recovers=True)
    assert [round(event.share_at(day), 6) for day in (0.9, 1.0, 2.0, 2.5, 3.0)] == [0.0, 0.0, 0.6, 0.3, 0.0]


def test_renewals_are_billed_on_the_day_of_the_month_that_their_card_has() -> None:
    world = _with(days=28.0, payments=6_000)
    days: dict[str, set[int]] = {}
    for payment in world.payments():
        if payment.initiator == "merchant" and payment.created_at is not None:
            days.setdefault(payment.card.card_id, set()).add(min(28, payment.created_at.day))
    assert len(days) > 100
    assert all(len(each) == 1 for each in days.values())

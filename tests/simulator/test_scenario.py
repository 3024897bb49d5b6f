"""Scenarios are read from files, and a wrong one says what is wrong."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import msgspec
import pytest

from honour.errors import BadInput
from honour.simulator import scenario
from honour.simulator.event import CardTesting, Degradation, IssuerDown, NewRoute, Outage
from honour.simulator.world import World


@pytest.mark.parametrize("name", scenario.names())
def test_every_scenario_that_comes_along_fits_the_world(name: str) -> None:
    loaded = scenario.load(name)
    assert loaded.name == name
    World(loaded)


def test_a_degradation_grows_from_nothing_and_is_over_at_once() -> None:
    event = Degradation(route="acq_us_1", from_day=2.0, to_day=4.0, share=0.4)
    assert [event.share_at(day) for day in (1.9, 2.0, 3.0, 4.0)] == [0.0, 0.0, 0.2, 0.0]
    recovers = Degradation(route="acq_us_1", from_day=2.0, to_day=4.0, share=0.4, recovers=True)
    assert [recovers.share_at(day) for day in (2.0, 2.5, 3.0, 3.5)] == [0.0, 0.2, 0.4, 0.2]


def test_a_scenario_can_be_made_smaller_or_moved() -> None:
    calm = scenario.load("calm")
    assert calm.sized(123).n_payments == 123
    assert calm.lasting(7).n_payments == 21_000
    assert calm.starting(date(2026, 4, 1)).start_us - calm.start_us == 30 * scenario.DAY_US


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_world_may_consist_of_the_subscription_merchant_alone_or_have_none(share: float) -> None:
    world = World(msgspec.structs.replace(scenario.load("payday").sized(200), recurring_share=share), seed=3)
    payments = list(world.payments())
    assert {payment.merchant_id == "mer_subscription" for payment in payments} == {share == 1.0}
    assert any(payment.initiator == "merchant" for payment in payments) == (share == 1.0)


def test_an_unknown_scenario_names_those_there_are() -> None:
    with pytest.raises(BadInput, match="calm, card_testing"):
        scenario.load("storm")


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("payments_per_hour = 3", "payments_per_hour"),
        ('[[events]]\nkind = "outage"\nroute = "acq_us_1"\nfrom_day = 2\nto_day = 1\nshare = 0.5', "it must end later"),
        ('[[events]]\nkind = "strike"\nroute = "acq_us_1"\nfrom_day = 1\nto_day = 2\nshare = 0.5', "strike"),
    ],
)
def test_a_wrong_file_says_what_is_wrong(tmp_path: Path, line: str, says: str) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(f'name = "mine"\nstart = 2026-03-02\ndays = 2\npayments_per_day = 10\n{line}\n', encoding="utf-8")
    with pytest.raises(BadInput, match=says):
        scenario.load(file)


def test_an_event_of_a_route_that_is_not_there_is_refused() -> None:
    event = Outage(route="acq_mars", from_day=0, to_day=1)
    with pytest.raises(BadInput, match="acq_mars"):
        World(scenario.Scenario(name="mine", start=date(2026, 1, 1), days=1, payments_per_day=5, events=(event,)))


def test_scenarios_joined_by_a_plus_happen_together_for_as_long_as_the_longer_lasts() -> None:
    both = scenario.load("outage+mixed")
    assert both.days == 5
    assert both.events == scenario.load("outage").events + scenario.load("mixed").events
    with pytest.raises(BadInput, match="storm"):
        scenario.load("outage+storm")


def test_before_a_scenario_nothing_is_broken_and_a_new_route_is_not_there() -> None:
    before = scenario.load("mixed").before(10)
    assert before.end_us == scenario.load("mixed").start_us
    assert {type(event) for event in before.events} == {NewRoute}
    assert "acq_us_3" not in {route.id for route in World(before).routes}


@pytest.mark.parametrize(("kind", "name"), [("issuer", "issuer_xx_1"), ("merchant", "mer_none")])
def test_an_event_of_an_issuer_or_merchant_that_is_not_there_is_refused(kind: str, name: str) -> None:
    event = IssuerDown(issuer=name, from_day=0) if kind == "issuer" else CardTesting(merchant=name, from_day=0, factor=2)
    with pytest.raises(BadInput, match=name):
        World(scenario.Scenario(name="mine", start=date(2026, 1, 1), days=1, payments_per_day=5, events=(event,)))

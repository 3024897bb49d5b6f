"""Funds follow salary and spending, in the way that their closed form says."""

from __future__ import annotations

import math

import pytest

from honour.records.payment import Initiator
from honour.simulator.draw import Draws
from honour.simulator.issuer import make_issuers
from honour.simulator.shopper import FUNDS_MEMORY, Fortune, Population, days_since_payday


@pytest.mark.parametrize("initiator", ["customer", "merchant"])
def test_the_share_of_short_days_is_the_closed_form_and_clears_after_payday(initiator: Initiator) -> None:
    people = Population(1, issuers=make_issuers(1), first_day=20_514)
    luck = Fortune(Draws(99, purpose="funds"))
    short, expected, variance = 0, 0.0, 0.0
    carried = (1.0 + FUNDS_MEMORY) / (1.0 - FUNDS_MEMORY)  # Days of one card are correlated: variances add up to more.
    by_day: dict[str, list[float]] = {"payday": [], "eve": []}
    for number in range(400):
        holder = people.of(f"crd_br_{number}")
        amount_minor = round(0.2 * holder.salary)
        for day in range(20_514, 20_544):
            p = holder.p_short(amount_minor, day=day, initiator=initiator)
            short += holder.is_short(amount_minor, day=day, initiator=initiator, z=luck.of(str(number), day))
            expected += p
            variance += p * (1.0 - p)
        if holder.payday == 0:  # Paid on the country's payday: the 6th of April 2026 is day 20,549.
            by_day["eve"].append(holder.p_short(amount_minor, day=20_548, initiator=initiator))
            by_day["payday"].append(holder.p_short(amount_minor, day=20_549, initiator=initiator))
    assert abs(short - expected) < 4.0 * math.sqrt(variance * carried)
    assert sum(by_day["payday"]) < 0.6 * sum(by_day["eve"])


def test_a_card_that_is_not_of_the_world_has_no_holder() -> None:
    people = Population(1, issuers=make_issuers(1), first_day=20_514)
    for card_id in ("crd_br_5000", "crd_xx_1", "card", "crd_br_-1"):
        with pytest.raises(KeyError):
            people.of(card_id)


def test_the_last_payday_may_lie_in_the_month_before() -> None:
    assert days_since_payday(20_514, paydays=(28,)) == 2  # 2 March 2026, paid on 28 February.


def test_the_luck_of_a_card_is_standard_normal_and_remembers_from_day_to_day() -> None:
    luck = Fortune(Draws(7, purpose="funds"))
    values = [[luck.of(f"card_{card}", day) for day in range(40)] for card in range(400)]
    flat = [z for days in values for z in days]
    assert abs(sum(flat) / len(flat)) < 0.05
    assert abs(sum(z * z for z in flat) / len(flat) - 1.0) < 0.05
    for lag in (1, 3):
        together = [days[at] * days[at + lag] for days in values for at in range(40 - lag)]
        assert abs(sum(together) / len(together) - FUNDS_MEMORY**lag) < 0.05

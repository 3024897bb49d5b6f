"""The rate that is asked alone is the feature of the same name, whatever was answered before."""

from __future__ import annotations

import random

import pytest

from honour.features.catalogue import CATALOGUE
from honour.features.online import FeatureState
from honour.features.segment_rate import ANSWERS_MIN, SEGMENT_RATE, segment_rates
from honour.records.attempt import Status
from honour.records.payment import Card, Payment
from honour.records.route import Candidate

STATUSES: tuple[Status, ...] = ("approved", "declined", "failed")
HOUR_US = 3_600_000_000
CANDIDATES = [Candidate(route, authentication, "pan") for route in ("acq_1", "acq_2", "acq_3") for authentication in ("none", "three_ds")]


def _payment(dice: random.Random) -> Payment:
    card = Card(card_id=f"crd_{dice.randrange(40)}", bin="411111", network=dice.choice(("visa", "mastercard", "amex")))
    return Payment(payment_id=f"pay_{dice.randrange(10**6)}", merchant_id="mer_1", amount_minor=1_000, currency="EUR", card=card)


@pytest.mark.parametrize("seed", range(5))
def test_it_is_the_feature_of_the_same_name_at_every_instant(seed: int) -> None:
    dice, state, now_us = random.Random(seed), FeatureState(), 1_772_366_400_000_000
    place = CATALOGUE.candidate.index(next(one for one in CATALOGUE.candidate if one.name == SEGMENT_RATE))
    n_compared = 0
    for number in range(1_500):
        now_us += dice.randrange(HOUR_US)
        status = dice.choice(STATUSES)
        state.update(_payment(dice), dice.choice(CANDIDATES[:4]), status=status, response_code=None, arrived_us=now_us)
        if number % 50 == 0:
            asked, at_us = _payment(dice), now_us + dice.randrange(40 * HOUR_US)
            alone = segment_rates(state, asked, CANDIDATES, at_us=at_us)
            served = state.as_of(asked, CANDIDATES, at_us=at_us)
            if alone is not None:
                n_compared += 1
                assert alone.tolist() == pytest.approx([values[place] for values in served.candidates])
    assert n_compared > 10


def test_with_too_few_answers_there_is_no_rate() -> None:
    dice, state = random.Random(1), FeatureState()
    for number in range(ANSWERS_MIN):
        assert segment_rates(state, _payment(dice), CANDIDATES, at_us=HOUR_US) is None
        state.update(_payment(dice), CANDIDATES[0], status="approved", response_code=None, arrived_us=number)
    assert segment_rates(state, _payment(dice), CANDIDATES, at_us=HOUR_US) is not None

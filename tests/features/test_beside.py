"""Entities side by side: arrays that were filled long ago say what arrays made just now say."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from honour.features.beside import PLACES_MAX
from honour.features.catalogue import CATALOGUE
from honour.features.online import FeatureState
from honour.records.payment import Card, Payment
from honour.records.route import Candidate

HOUR_US = 3_600_000_000
START_US = 1_772_323_200_000_000


def payment(luck: random.Random) -> Payment:
    """One of a few."""
    issuer, number = luck.choice(["iss_1", "iss_2", None]), luck.randrange(411111, 411119)
    card = Card(card_id=f"crd_{luck.randrange(5)}", bin=str(number), network="visa" if number % 2 else "mastercard", issuer=issuer)
    return Payment(
        payment_id=f"pay_{luck.randrange(20)}", merchant_id=f"mer_{luck.randrange(3)}", amount_minor=1_000, currency="EUR", card=card
    )


def candidates_of(routes: Sequence[str]) -> tuple[Candidate, ...]:
    """Two on each route."""
    return tuple(Candidate(route, authentication, "pan") for route in routes for authentication in ("none", "three_ds"))


@pytest.mark.parametrize("entities_max", [1_000_000, 6])
def test_what_was_filled_before_is_what_would_be_filled_now(entities_max: int) -> None:
    luck, state, now_us = random.Random(entities_max), FeatureState(entities_max=entities_max), START_US
    asked = [candidates_of([f"acq_{number}" for number in range(first, last)]) for first, last in ((0, 4), (2, 6), (0, 8), (7, 8))]
    for step in range(1_500):
        now_us += luck.choice([0, 1_000_000, HOUR_US // 10, HOUR_US, 200 * HOUR_US if step % 50 == 0 else 0])
        paid, candidates = payment(luck), luck.choice(asked)
        if step % 3:
            candidate = luck.choice(luck.choice(asked))
            status = luck.choice(("approved", "declined", "failed"))
            state.update(paid, candidate, status=status, response_code=None, arrived_us=now_us)  # type: ignore[arg-type]  # one of them
        elif step % 30:
            state.as_of(paid, candidates, at_us=now_us)
        else:
            anew = FeatureState.from_bytes(state.to_bytes(), entities_max=entities_max)
            told = anew.as_of(paid, candidates, at_us=now_us)
            assert told == state.as_of(paid, candidates, at_us=now_us) == state.as_of(paid, list(candidates), at_us=now_us)


def test_more_routes_than_an_array_has_rows_are_numbered_anew() -> None:
    state, paid, place = FeatureState(), payment(random.Random(1)), CATALOGUE.names.index("route_answers_1h") - len(CATALOGUE.payment)
    routes = [f"acq_{number}" for number in range(2 * PLACES_MAX)]
    for number, route in enumerate(routes):
        for _ in range(number % 3):
            state.update(paid, Candidate(route, "none", "pan"), status="approved", response_code=None, arrived_us=START_US)
    for first in range(0, len(routes), PLACES_MAX // 4):
        served = state.as_of(paid, candidates_of(routes[first : first + PLACES_MAX // 2]), at_us=START_US)
        assert [values[place] for values in served.candidates[::2]] == [
            number % 3 for number in range(first, min(len(routes), first + PLACES_MAX // 2))
        ]

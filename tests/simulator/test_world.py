"""The world answers every attempt once and for all, and tells the wire only what the wire would carry."""

from __future__ import annotations

import re
from itertools import islice

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from honour.errors import BadInput
from honour.records.instant import to_us
from honour.records.payment import Payment
from honour.records.route import Candidate
from honour.simulator import scenario
from honour.simulator.condition import UPDATE_MINOR
from honour.simulator.world import World

CALM = scenario.load("calm").sized(600)
WORLD = World(CALM, seed=3)


def _created_us(payment: Payment) -> int:
    assert payment.created_at is not None
    return to_us(payment.created_at)


def test_payments_come_in_the_order_of_time_within_the_scenario_and_survive_the_wire() -> None:
    payments = list(WORLD.payments())
    instants = [_created_us(payment) for payment in payments]
    assert len(payments) == 600
    assert instants == sorted(instants)
    assert CALM.start_us <= instants[0] < instants[-1] < CALM.end_us
    assert msgspec.json.decode(msgspec.json.encode(payments), type=list[Payment]) == payments


def test_other_seeds_and_other_streams_make_other_payments() -> None:
    first = [list(islice(World(CALM, seed=seed, stream=stream).payments(), 20)) for seed, stream in ((1, 0), (2, 0), (1, 1))]
    assert len({payment.payment_id for payments in first for payment in payments}) == 60
    assert first[0][0].amount_minor != first[1][0].amount_minor or first[0][0].card != first[1][0].card


def test_streams_of_a_seed_share_their_cards() -> None:
    here = {payment.card.card_id: payment.card for payment in World(CALM.sized(3_000), seed=1, stream=0).payments()}
    there = {payment.card.card_id: payment.card for payment in World(CALM.sized(3_000), seed=1, stream=1).payments()}
    shared = here.keys() & there.keys()
    assert shared
    assert all(here[card_id] == there[card_id] for card_id in shared)


@given(
    number=st.integers(0, 599), later_s=st.integers(0, 86_400), earlier=st.integers(0, 3), noise=st.lists(st.integers(0, 599), max_size=5)
)
def test_an_attempt_has_one_answer_whatever_else_was_asked_in_between(number: int, later_s: int, earlier: int, noise: list[int]) -> None:
    payment = WORLD.payment(number)
    at_us = _created_us(payment) + later_s * 1_000_000
    fresh = World(CALM, seed=3)
    for other in noise:
        asked = fresh.payment(other)
        fresh.answer(asked, candidate=fresh.candidates(asked)[0], at_us=at_us)
    for candidate in WORLD.candidates(payment):
        answer = WORLD.answer(payment, candidate=candidate, at_us=at_us, earlier=earlier)
        assert answer == fresh.answer(payment, candidate=candidate, at_us=at_us, earlier=earlier)


@given(number=st.integers(0, 599), earlier=st.integers(0, 3))
def test_answers_keep_the_words_of_the_wire(number: int, earlier: int) -> None:
    payment = WORLD.payment(number)
    for candidate in WORLD.candidates(payment):
        answer = WORLD.answer(payment, candidate=candidate, at_us=_created_us(payment), earlier=earlier)
        p = WORLD.p_approve(payment, candidate=candidate, at_us=_created_us(payment), earlier=earlier)
        assert 0.0 <= p <= 1.0
        assert answer.cost_minor >= 0.0
        assert answer.latency_ms > 0.0
        match answer.status:
            case "approved":
                assert p > 0.0
                assert answer.response_code == "00"
            case "declined":
                assert p < 1.0
                assert answer.response_code is not None
                assert re.fullmatch("[0-9A-Z]{2}", answer.response_code)
            case "failed" | "abandoned":
                assert answer.response_code is None
            case other:
                pytest.fail(f"unexpected status {other}")
        assert answer.merchant_advice_code is None or payment.card.network == "mastercard"


def test_a_repeated_attempt_in_the_same_hour_is_declined_again_and_tiredness_never_helps() -> None:
    for payment in WORLD.payments():
        candidate = WORLD.candidates(payment)[0]
        at_us = _created_us(payment)
        chances = [WORLD.p_approve(payment, candidate=candidate, at_us=at_us, earlier=earlier) for earlier in range(3)]
        assert chances == sorted(chances, reverse=True)
        if WORLD.answer(payment, candidate=candidate, at_us=at_us).status != "approved":
            assert WORLD.answer(payment, candidate=candidate, at_us=at_us, earlier=1).status != "approved"


def test_what_a_route_does_not_carry_never_reaches_an_issuer() -> None:
    payment = next(payment for payment in WORLD.payments() if payment.currency == "USD")
    answer = WORLD.answer(payment, candidate=Candidate("acq_br_1", "none", "pan"), at_us=_created_us(payment))
    assert (answer.status, answer.response_code) == ("failed", None)
    assert WORLD.p_approve(payment, candidate=Candidate("acq_br_1", "none", "pan"), at_us=_created_us(payment)) == 0.0


def test_a_payment_that_the_merchant_starts_cannot_be_authenticated() -> None:
    payment = next(payment for payment in WORLD.payments() if payment.initiator == "merchant")
    assert {candidate.authentication for candidate in WORLD.candidates(payment)} == {"none"}


def test_an_unknown_route_or_card_is_refused_by_name() -> None:
    payment = WORLD.payment(0)
    with pytest.raises(BadInput, match="acq_mars"):
        WORLD.answer(payment, candidate=Candidate("acq_mars", "none", "pan"), at_us=_created_us(payment))
    foreign = msgspec.structs.replace(payment, card=msgspec.structs.replace(payment.card, card_id="crd_1"))
    with pytest.raises(BadInput, match="not a card of this world"):
        WORLD.answer(foreign, candidate=WORLD.candidates(payment)[0], at_us=_created_us(payment))


def test_an_outage_stops_its_route_while_it_lasts_and_no_other() -> None:
    broken = World(scenario.load("outage").sized(600), seed=3)
    event = broken.scenario.events[0]
    during_us = broken.scenario.start_us + round((event.from_day + 0.1) * scenario.DAY_US)
    after_us = broken.scenario.start_us + round((event.to_day + 0.1) * scenario.DAY_US)
    payment = next(payment for payment in broken.payments() if payment.currency == "USD" and payment.card.network == "visa")

    def route_share(route: str, at_us: int) -> float:
        return broken.stops(payment, candidate=Candidate(route, "none", "pan"), at_us=at_us)[0].share

    assert route_share(event.route, during_us) >= event.share
    assert route_share(event.route, after_us) < 0.5
    assert route_share("acq_us_3", during_us) < 0.5


def test_bins_are_prefixes_and_every_range_has_its_own() -> None:
    bins = [digits for issuer in WORLD.issuers for span in issuer.ranges for digits in (span.bin, span.moved_bin)]
    assert len(WORLD.issuers) == 160
    assert len(set(bins)) == len(bins)
    assert {len(digits) for digits in bins} == {8}


def test_the_account_updater_renews_cards_that_expired_where_their_issuer_takes_part_and_costs_its_price() -> None:
    world = World(scenario.load("expiring_cards").sized(1_500), seed=3)
    expired = [
        payment
        for payment in world.payments()
        if payment.initiator == "merchant" and _created_us(payment) // scenario.DAY_US >= world.holder(payment).expires_day
    ]
    assert len(expired) > 30
    for payment in expired:
        route = next(each.route for each in world.candidates(payment))
        shares = {}
        for form in ("pan", "updated_pan"):
            candidate = Candidate(route, "none", form)
            assert candidate in world.candidates(payment)
            found = world.stops(payment, candidate=candidate, at_us=_created_us(payment))
            shares[form] = sum(stop.share for stop in found if stop.detail == "expired")
        if not shares["pan"]:
            continue  # Closed before it expired.
        assert shares["updated_pan"] == (0.05 if world.holder(payment).renewed else shares["pan"])
        number, updated = (
            world.answer(payment, candidate=Candidate(route, "none", form), at_us=_created_us(payment)) for form in ("pan", "updated_pan")
        )
        if number.status == updated.status:
            assert updated.cost_minor == pytest.approx(number.cost_minor + UPDATE_MINOR)
    assert 0.4 < sum(world.holder(payment).renewed for payment in expired) / len(expired) < 0.9


def test_only_renewals_ask_the_account_updater_and_only_where_the_scenario_has_one() -> None:
    world = World(scenario.load("expiring_cards").sized(300), seed=3)
    asked = {payment.initiator for payment in world.payments() for each in world.candidates(payment) if each.credential == "updated_pan"}
    assert asked == {"merchant"}
    plain = World(scenario.load("payday").sized(100), seed=3)
    assert not any(each.credential == "updated_pan" for payment in plain.payments() for each in plain.candidates(payment))

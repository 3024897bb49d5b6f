"""Network rules: tables with sources, windows that are exact, answers that forbid or ask for time."""

from __future__ import annotations

from datetime import date
from typing import get_args

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from honour.networks.retry_limit import Allowed, RetryCounter
from honour.networks.rules import rules
from honour.records.payment import Card, Network, Payment
from honour.records.route import Candidate

DAY_US = 86_400_000_000
START_US = 1_772_366_400_000_000
SENT = Candidate("acq_a", "none", "pan")


def payment(payment_id: str = "pay_1", *, network: Network = "visa", country: str = "DE") -> Payment:
    card = Card(card_id="crd_1", bin="411111", network=network, issuer_country=country)
    return Payment(payment_id=payment_id, merchant_id="mer_1", amount_minor=100, currency="EUR", card=card)


def counted(
    answers: list[tuple[int, str]], *, about: Payment, code: str | None = None, advice: str | None = None, of: str = "pay_1"
) -> RetryCounter:
    counter = RetryCounter()
    for at_us, status in answers:
        asked = msgspec.structs.replace(about, payment_id=of)
        counter.update(
            asked,
            candidate=SENT,
            status=status,  # type: ignore[arg-type]  # statuses of the tests
            response_code=code,
            merchant_advice_code=advice,
            arrived_us=at_us,
        )
    return counter


def test_every_row_says_where_it_comes_from_and_names_a_network_once() -> None:
    rows = [*(limit for limits in rules().limits.values() for limit in limits), *rules().never.values(), *rules().pauses.values()]
    assert len(rows) > 50
    for row in rows:
        assert len(row.source) > 10
        assert row.seen_on >= "2026"
        assert row.network in (*get_args(Network), "")
        assert row.effective_from == "" or date.fromisoformat(row.effective_from) <= date.fromisoformat(row.seen_on)


@given(
    st.lists(st.tuples(st.integers(0, 60 * 24), st.sampled_from(["approved", "declined", "failed"])), max_size=60), st.integers(0, 62 * 24)
)
def test_windows_of_visa_are_exact_and_an_approval_starts_them_anew(answers: list[tuple[int, str]], now_h: int) -> None:
    timeline = [(START_US + hour * 3_600_000_000, status) for hour, status in sorted(answers) if hour <= now_h]
    now_us = START_US + now_h * 3_600_000_000
    approved_us = max((at for at, status in timeline if status == "approved"), default=0)
    n = sum(
        status != "approved" and at > now_us - 30 * DAY_US and not at < approved_us and _after_last_approval(timeline, index)
        for index, (at, status) in enumerate(timeline)
    )
    allowed = counted(timeline, about=payment()).allowed(payment("pay_2"), at_us=now_us)
    assert allowed.attempts_left is not None
    # Declines in the very hour of an approval count as before it: the table resets them.
    same_hour = sum(status != "approved" and at == approved_us for at, status in timeline)
    assert max(0, 20 - n) <= allowed.attempts_left <= max(0, 20 - n) + same_hour


def _after_last_approval(timeline: list[tuple[int, str]], index: int) -> bool:
    return all(status != "approved" for _, status in timeline[index + 1 :])


def test_brazil_has_the_stricter_day_of_mastercard() -> None:
    seven = [(START_US + at, "declined") for at in range(7)]
    abroad, brazil = payment(network="mastercard"), payment(network="mastercard", country="BR")
    assert counted(seven, about=abroad).allowed(abroad, at_us=START_US + 10).attempts_left == 3
    limited = counted(seven, about=brazil).allowed(brazil, at_us=START_US + 10)
    assert (limited.attempts_left, limited.blocked, limited.rule) == (0, True, "mastercard.excess_24h_brazil")
    assert counted(seven, about=brazil).allowed(brazil, at_us=START_US + DAY_US + 7).attempts_left == 7


def test_a_lost_card_is_dead_at_this_merchant_whatever_is_left_of_the_limit() -> None:
    dead = counted([(START_US, "declined")], about=payment(), code="41").allowed(payment("pay_2"), at_us=START_US + DAY_US)
    assert dead.blocked
    assert dead.rule == "visa.never_retry.41"


def test_an_answer_about_the_payment_leaves_other_payments_of_the_card_alone() -> None:
    counter = counted([(START_US, "declined")], about=payment(), code="57")
    assert counter.allowed(payment("pay_1"), at_us=START_US + 1).blocked
    assert not counter.allowed(payment("pay_2"), at_us=START_US + 1).blocked


def test_advice_to_come_back_in_two_days_holds_this_payment_for_two_days() -> None:
    about = payment(network="mastercard")
    counter = counted([(START_US, "declined")], about=about, code="51", advice="26")
    assert counter.allowed(about, at_us=START_US + 1).not_before_us == START_US + 2 * DAY_US
    assert counter.allowed(about, at_us=START_US + 2 * DAY_US).not_before_us is None
    assert counter.allowed(payment("pay_2", network="mastercard"), at_us=START_US + 1).not_before_us is None


def test_the_same_candidate_is_held_back_for_a_day_after_its_decline_but_not_after_a_failure() -> None:
    assert counted([(START_US, "declined")], about=payment()).allowed(payment(), at_us=START_US + 1).declined == {SENT}
    assert counted([(START_US, "failed")], about=payment()).allowed(payment(), at_us=START_US + 1).declined == frozenset()
    assert counted([(START_US, "declined")], about=payment()).allowed(payment(), at_us=START_US + DAY_US).declined == frozenset()


def test_a_network_without_published_limits_sets_none() -> None:
    assert RetryCounter().allowed(payment(network="jcb"), at_us=START_US) == Allowed()


@given(
    st.lists(st.tuples(st.integers(0, 80), st.sampled_from(["approved", "declined"]), st.sampled_from(["41", "51", None])), max_size=30),
    st.integers(0, 30),
)
def test_forgetting_in_between_leaves_the_same_bytes(answers: list[tuple[int, str, str | None]], cut: int) -> None:
    whole, halved = RetryCounter(), RetryCounter()
    for index, (day, status, code) in enumerate(sorted(answers, key=lambda answer: answer[0])):
        if index == cut:
            halved = RetryCounter.from_bytes(halved.to_bytes())
        for counter in (whole, halved):
            counter.update(
                payment(f"pay_{index % 3}"),
                candidate=SENT,
                status=status,  # type: ignore[arg-type]  # statuses of the tests
                response_code=code,
                merchant_advice_code=None,
                arrived_us=START_US + day * DAY_US,
            )
    assert whole.to_bytes() == halved.to_bytes()

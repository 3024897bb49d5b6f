"""Network limits: windows that are exact, attempts without an answer that count, answers that forbid or ask for time."""

from __future__ import annotations

from typing import Literal, NamedTuple

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from honour.networks.retry_limit import REMEMBERED_US, Allowed, RetryCounter
from honour.networks.rules import retry_limits
from honour.records.attempt import Status
from honour.records.payment import Card, Initiator, Network, Payment
from honour.records.route import Candidate

HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US
START_US = 1_772_366_400_000_000
SENT = Candidate("acq_a", "none", "pan")
Event = Literal["reserve", "approved", "declined", "failed", "abandoned", "own_declined", "own_unknown"]
EVENTS: tuple[Event, ...] = ("reserve", "approved", "declined", "failed", "abandoned", "own_declined", "own_unknown")


def payment(
    payment_id: str = "pay_1", *, network: Network = "visa", country: str = "DE", amount: int = 100, initiator: Initiator = "customer"
) -> Payment:
    card = Card(card_id="crd_1", bin="411111", network=network, issuer_country=country)
    return Payment(payment_id=payment_id, merchant_id="mer_1", amount_minor=amount, currency="EUR", card=card, initiator=initiator)


def answer(
    counter: RetryCounter,
    about: Payment,
    *,
    at_us: int,
    status: Status = "declined",
    code: str | None = None,
    advice: str | None = None,
    attempt: str | None = None,
) -> None:
    counter.update(about, candidate=SENT, status=status, response_code=code, merchant_advice_code=advice, arrived_us=at_us, attempt=attempt)


def counted(
    instants: list[int], *, about: Payment, status: Status = "declined", code: str | None = None, advice: str | None = None
) -> RetryCounter:
    counter = RetryCounter()
    for at_us in instants:
        answer(counter, about, at_us=at_us, status=status, code=code, advice=advice)
    return counter


class Step(NamedTuple):
    """Something that happens `after_h` hours after the step before; an answer settles the attempt that waits longest."""

    after_h: int
    event: Event
    amount: int
    initiator: Initiator


STEPS = st.lists(
    st.builds(Step, st.integers(0, 90), st.sampled_from(EVENTS), st.sampled_from([100, 200]), st.sampled_from(["customer", "merchant"])),
    max_size=70,
)


class Ledger:
    """The same facts as a plain list that is read anew for every question: nothing to get wrong but the question."""

    def __init__(self) -> None:
        self.counts: list[tuple[str, int, Payment, str]] = []
        """Attempt, since when, payment, and what it is: reserved, refused, or approved (since it was sent)."""

    def settle(self, attempt: str | None, *, at_us: int, about: Payment, status: Status) -> None:
        sent = [one for one in self.counts if one[0] == attempt and one[3] == "reserved"]
        self.counts = [one for one in self.counts if one not in sent]
        if status == "approved":
            self.counts.append(("", sent[0][1], about, "approved"))
        elif status != "abandoned":
            self.counts.append(("", at_us, about, "refused"))

    def left(self, about: Payment, *, at_us: int) -> int | None:
        """By every limit and every way of counting, the fewest."""
        left = []
        for limit in retry_limits().get(about.card.network, ()):
            if limit.effective_until or limit.region not in ("", about.card.issuer_country):
                continue
            for words in limit.readings.split():
                same = [
                    one
                    for one in self.counts
                    if ("+amount" not in words or one[2].amount_minor == about.amount_minor)
                    and ("+initiator" not in words or one[2].initiator == about.initiator)
                ]
                approved = [(index, one[1]) for index, one in enumerate(same) if one[3] == "approved" and limit.approval_resets]
                n = sum(
                    one[1] > at_us - limit.window_s * 1_000_000
                    and (
                        one[3] == "reserved"
                        or (one[3] == "refused" and not any(index < later and one[1] <= sent_us for later, sent_us in approved))
                    )
                    for index, one in enumerate(same)
                )
                left.append(max(0, limit.attempts_max - n))
        return min(left, default=None)


def play(steps: list[Step], *, network: Network, country: str, restart_every: int = 0) -> tuple[RetryCounter, Ledger, int]:
    """Steps through the counter and the ledger alike."""
    counter, ledger, now_us, waiting = RetryCounter(), Ledger(), START_US, list[tuple[str, Payment]]()
    for index, step in enumerate(steps):
        now_us += step.after_h * HOUR_US
        about = payment(f"pay_{index}", network=network, country=country, amount=step.amount, initiator=step.initiator)
        if step.event in ("reserve", "own_unknown"):
            waiting.append((f"attempt_{index}", about))
            counter.reserve(about, attempt=f"attempt_{index}", arrived_us=now_us)
            ledger.counts.append((f"attempt_{index}", now_us, about, "reserved"))
        elif step.event == "own_declined":
            answer(counter, about, at_us=now_us)
            ledger.settle(None, at_us=now_us, about=about, status="declined")
        elif waiting:
            attempt, sent = waiting.pop(0)
            answer(counter, sent, at_us=now_us, status=step.event, attempt=attempt)
            ledger.settle(attempt, at_us=now_us, about=sent, status=step.event)
        if restart_every and index % restart_every == 0:
            counter = RetryCounter.from_bytes(counter.to_bytes())
    return counter, ledger, now_us


@settings(max_examples=200)
@given(STEPS, st.sampled_from(["visa", "mastercard", "elo"]), st.sampled_from(["DE", "BR"]), st.integers(0, 40 * 24))
def test_what_is_left_is_what_a_count_of_the_whole_past_gives(steps: list[Step], network: Network, country: str, later_h: int) -> None:
    counter, ledger, now_us = play(steps, network=network, country=country)
    for at_us in (now_us, now_us + later_h * HOUR_US):
        for amount in (100, 200):
            for initiator in ("customer", "merchant"):
                asked = payment("pay_new", network=network, country=country, amount=amount, initiator=initiator)
                assert counter.allowed(asked, at_us=at_us).attempts_left == ledger.left(asked, at_us=at_us)


@settings(max_examples=100)
@given(STEPS, st.sampled_from(["visa", "mastercard", "elo", "jcb"]), st.integers(1, 9))
def test_restarts_at_any_point_leave_the_same_bytes(steps: list[Step], network: Network, restart_every: int) -> None:
    whole, _, _ = play(steps, network=network, country="BR")
    restarted, _, _ = play(steps, network=network, country="BR", restart_every=restart_every)
    assert whole.to_bytes() == restarted.to_bytes()


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(st.integers(0, 40), st.sampled_from(["declined", "failed", "late", "approved"]), st.sampled_from([100, 200])),
        min_size=40,
        max_size=160,
    ),
    st.sampled_from(["visa", "mastercard"]),
)
def test_a_merchant_who_tries_whenever_it_may_never_breaks_a_limit(moves: list[tuple[int, str, int]], network: Network) -> None:
    counter, sent, waiting, now_us = RetryCounter(), list[tuple[int, int]](), list[tuple[str, Payment]](), START_US
    for index, (after_h, what, amount) in enumerate(moves):
        now_us += after_h * HOUR_US // 8
        about = payment(f"pay_{index}", network=network, amount=amount)
        if not counter.allowed(about, at_us=now_us).blocked:
            sent.append((now_us, amount))
            counter.reserve(about, attempt=f"attempt_{index}", arrived_us=now_us)
            waiting.append((f"attempt_{index}", about))
        if what != "late" and waiting:
            attempt, told = waiting.pop()
            answer(counter, told, at_us=now_us, status=what, attempt=attempt)  # type: ignore[arg-type]  # statuses of the moves
            if what == "approved":
                sent = [one for one in sent if one[1] != told.amount_minor] if network == "visa" else sent
        for limit in retry_limits()[network]:
            if limit.effective_until or limit.region:
                continue
            for counted_amount in (100, 200):  # What a network counts together: attempts of one amount, by its own key.
                since_us = now_us - limit.window_s * 1_000_000
                same = [at for at, one in sent if at > since_us and (one == counted_amount or limit.window_s == 86_400)]
                assert len(same) <= limit.attempts_max + _approved(moves[: index + 1], network=network)


def _approved(moves: list[tuple[int, str, int]], *, network: Network) -> int:
    """Attempts that were approved break no limit on refusals."""
    return 0 if network == "visa" else sum(what == "approved" for _, what, _ in moves)


def test_of_two_attempts_that_race_for_the_last_one_the_second_is_refused() -> None:
    counter = counted([START_US + at for at in range(19)], about=payment())
    assert counter.allowed(payment("pay_a"), at_us=START_US + 20).attempts_left == 1
    counter.reserve(payment("pay_a"), attempt="decision:a", arrived_us=START_US + 20)
    assert counter.allowed(payment("pay_b"), at_us=START_US + 20).blocked


@pytest.mark.parametrize(("status", "left"), [("abandoned", 1), ("declined", 0), ("failed", 0), ("approved", 20)])
def test_an_outcome_gives_a_reservation_back_only_when_nothing_was_sent_or_all_is_well(status: Status, left: int) -> None:
    counter = counted([START_US + at for at in range(19)], about=payment())
    counter.reserve(payment("pay_a"), attempt="decision:a", arrived_us=START_US + 20)
    answer(counter, payment("pay_a"), at_us=START_US + 21, status=status, attempt="decision:a")
    assert counter.allowed(payment("pay_b"), at_us=START_US + 22).attempts_left == left


def test_an_attempt_that_is_never_answered_counts_until_it_leaves_the_window() -> None:
    counter = RetryCounter()
    counter.reserve(payment(), attempt="decision:a", arrived_us=START_US)
    assert counter.allowed(payment("pay_2"), at_us=START_US + 30 * DAY_US - 1).attempts_left == 19
    assert counter.allowed(payment("pay_2"), at_us=START_US + 30 * DAY_US).attempts_left == 20


def test_the_window_ends_when_one_more_attempt_is_left_than_now() -> None:
    counter = counted([START_US + hour * HOUR_US for hour in range(23)], about=payment())
    allowed = counter.allowed(payment(), at_us=START_US + DAY_US)
    assert (allowed.attempts_left, allowed.window_ends_us) == (0, START_US + 3 * HOUR_US + 30 * DAY_US)
    assert counter.allowed(payment(), at_us=START_US + 3 * HOUR_US + 30 * DAY_US).attempts_left == 1


def test_before_visa_raised_its_limit_the_old_one_holds() -> None:
    may_2025_us = 1_746_100_800_000_000
    counter = counted([may_2025_us + at for at in range(14)], about=payment())
    assert counter.allowed(payment(), at_us=may_2025_us + 20).attempts_left == 1


def test_the_lenient_reading_counts_amounts_apart_where_documents_differ() -> None:
    counter = counted([START_US + at for at in range(20)], about=payment(amount=100))
    assert counter.allowed(payment(amount=200), at_us=START_US + 30).blocked
    assert counter.allowed(payment(amount=200), at_us=START_US + 30, reading="lenient").attempts_left == 20
    assert counter.allowed(payment(amount=100), at_us=START_US + 30, reading="lenient").blocked


def test_an_approval_of_another_amount_gives_nothing_back_under_the_strict_reading() -> None:
    counter = counted([START_US + at for at in range(20)], about=payment(amount=100))
    answer(counter, payment("pay_2", amount=200), at_us=START_US + 30, status="approved")
    assert counter.allowed(payment(amount=100), at_us=START_US + 40).blocked


def test_brazil_has_the_stricter_day_of_mastercard() -> None:
    seven = [START_US + at for at in range(7)]
    abroad, brazil = payment(network="mastercard"), payment(network="mastercard", country="BR")
    assert counted(seven, about=abroad).allowed(abroad, at_us=START_US + 10).attempts_left == 3
    limited = counted(seven, about=brazil).allowed(brazil, at_us=START_US + 10)
    assert (limited.attempts_left, limited.blocked, limited.rule) == (0, True, "mastercard.excess_24h_brazil")
    assert counted(seven, about=brazil).allowed(brazil, at_us=START_US + DAY_US + 7).attempts_left == 7


def test_a_lost_card_is_dead_at_this_merchant_whatever_is_left_of_the_limit() -> None:
    dead = counted([START_US], about=payment(), code="41").allowed(payment("pay_2"), at_us=START_US + DAY_US)
    assert dead.blocked
    assert dead.rule == "visa.never_retry.41"


def test_an_answer_about_the_payment_leaves_other_payments_of_the_card_alone() -> None:
    counter = counted([START_US], about=payment(), code="57")
    assert counter.allowed(payment("pay_1"), at_us=START_US + 1).blocked
    assert not counter.allowed(payment("pay_2"), at_us=START_US + 1).blocked


def test_a_disputed_stop_is_kept_unless_the_merchant_reads_leniently() -> None:
    about = payment(network="mastercard")
    counter = counted([START_US], about=about, code="05", advice="40")
    assert counter.allowed(about, at_us=START_US + 1).rule == "mastercard.advice_never.40"
    assert not counter.allowed(about, at_us=START_US + 1, reading="lenient").blocked


def test_in_brazil_the_stricter_of_network_and_national_standard_decides() -> None:
    brazil, abroad = payment(country="BR"), payment()
    assert counted([START_US], about=brazil, code="19").allowed(brazil, at_us=START_US + 1).rule == "visa.never_retry.19.br"
    assert not counted([START_US], about=abroad, code="19").allowed(abroad, at_us=START_US + 1).blocked


def test_advice_to_come_back_in_two_days_holds_this_payment_for_two_days() -> None:
    about = payment(network="mastercard")
    counter = counted([START_US], about=about, code="51", advice="26")
    assert counter.allowed(about, at_us=START_US + 1).not_before_us == START_US + 2 * DAY_US
    assert counter.allowed(about, at_us=START_US + 2 * DAY_US).not_before_us is None
    assert counter.allowed(payment("pay_2", network="mastercard"), at_us=START_US + 1).not_before_us is None


def test_the_same_candidate_is_held_back_for_a_day_after_its_decline_but_not_after_a_failure() -> None:
    assert counted([START_US], about=payment()).allowed(payment(), at_us=START_US + 1).declined == {SENT}
    assert counted([START_US], about=payment(), status="failed").allowed(payment(), at_us=START_US + 1).declined == frozenset()
    assert counted([START_US], about=payment()).allowed(payment(), at_us=START_US + DAY_US).declined == frozenset()


def test_a_network_without_published_limits_sets_none() -> None:
    assert counted([START_US], about=payment("pay_2", network="jcb")).allowed(payment(network="jcb"), at_us=START_US) == Allowed()


def test_a_code_that_no_table_knows_counts_and_is_counted_by_name() -> None:
    counter = counted([START_US], about=payment(), code="D51")
    assert counter.unknown == {("visa", "response_code", "D51"): 1}
    assert counter.allowed(payment("pay_2"), at_us=START_US + 1).attempts_left == 19
    assert RetryCounter.from_bytes(counter.to_bytes()).unknown == counter.unknown


def test_made_up_codes_do_not_fill_memory() -> None:
    counter = RetryCounter()
    for number in range(1_000):
        answer(counter, payment(), at_us=START_US + number, code=f"X{number}")
    assert len(counter.unknown) == 257
    assert sum(counter.unknown.values()) == 1_000


def test_a_card_that_is_refused_ten_thousand_times_takes_no_more_room_than_its_limit() -> None:
    counter = counted([START_US + at for at in range(10_000)], about=payment())
    assert counter.allowed(payment(), at_us=START_US + 10_000).blocked
    assert len(counter.to_bytes()) < 2_000


def test_no_limit_looks_further_back_than_is_remembered() -> None:
    assert max(limit.window_s * 1_000_000 for limits in retry_limits().values() for limit in limits) <= REMEMBERED_US


def test_cards_of_a_month_ago_are_forgotten_in_memory_too() -> None:
    counter = RetryCounter()
    for number in range(200):
        about = msgspec.structs.replace(payment(), merchant_id=f"mer_{number}")
        answer(counter, about, at_us=START_US + number * DAY_US)
    assert len(counter._cards) <= 33

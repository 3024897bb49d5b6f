"""Retries that wait: listed when due, gone with the next decision, the same after any restart."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from honour.outcomes.due import OVERDUE_US, DueRetries
from honour.records.attempt import Attempt, Outcome, Status
from honour.records.decision import Decision, Reason, RetryAllowance
from honour.records.event import AttemptReported, DecisionMade, Event, LoggedEvent, OutcomeReported
from honour.records.instant import from_us
from honour.records.payment import Card, Payment

START_US = 1_772_366_400_000_000
HOUR_US = 3_600_000_000


def payment(payment_id: str) -> Payment:
    card = Card(card_id="crd_1", bin="411111", network="visa")
    return Payment(payment_id=payment_id, merchant_id="mer_1", amount_minor=100, currency="EUR", card=card)


def decided(payment_id: str, *, at_us: int, wait_h: int | None) -> LoggedEvent:
    """A decision to wait that many hours, or to stop."""
    decision = Decision(
        decision_id=f"dec_{payment_id}_{at_us}",
        payment_id=payment_id,
        attempt_number=2,
        action="stop" if wait_h is None else "wait",
        attempt=None,
        wait_until=None if wait_h is None else from_us(at_us) + timedelta(hours=wait_h),
        reason=Reason(code="worth_waiting", detail=""),
        ranking=(),
        retry=RetryAllowance(attempts_left=3, window_ends_at=None, rule=None),
        experiment=None,
        stage="live",
        bundle=None,
        elapsed_us=1,
    )
    return logged(DecisionMade(payment=payment(payment_id), decision=decision, decided_us=at_us, draw=0.5), at_us=at_us)


def logged(event: Event, *, at_us: int) -> LoggedEvent:
    return LoggedEvent(seq=1, arrived_us=at_us, event=event)


def folded(*events: LoggedEvent) -> DueRetries:
    due = DueRetries()
    for event in events:
        due.apply(event)
    return due


def names(due: DueRetries, *, before_us: int) -> list[str]:
    return [one.payment_id for one in due.before(before_us, n_max=100)]


def test_what_is_due_is_listed_earliest_first_and_what_is_not_is_not() -> None:
    due = folded(*(decided(f"pay_{wait_h}", at_us=START_US, wait_h=wait_h) for wait_h in (5, 1, 9)))
    assert names(due, before_us=START_US + 6 * HOUR_US) == ["pay_1", "pay_5"]
    assert due.n_before(START_US + 5 * HOUR_US) == 1  # Before, not at.


def test_the_next_decision_takes_the_place_of_the_one_before() -> None:
    due = folded(decided("pay_1", at_us=START_US, wait_h=1), decided("pay_1", at_us=START_US + HOUR_US, wait_h=2))
    assert names(due, before_us=START_US + 2 * HOUR_US) == []
    assert names(due, before_us=START_US + 4 * HOUR_US) == ["pay_1"]
    due.apply(decided("pay_1", at_us=START_US + 3 * HOUR_US, wait_h=None))
    assert len(due) == 0


def test_an_approval_from_elsewhere_ends_the_wait_and_a_refusal_does_not() -> None:
    due = folded(decided("pay_1", at_us=START_US, wait_h=1), decided("pay_2", at_us=START_US, wait_h=1))
    due.apply(logged(AttemptReported(attempt=_own("pay_1", "declined")), at_us=START_US + 1))
    due.apply(logged(OutcomeReported(payment_id="pay_2", outcome=Outcome(decision_id="dec_2", status="approved")), at_us=START_US + 2))
    assert names(due, before_us=START_US + 2 * HOUR_US) == ["pay_1"]
    due.apply(logged(AttemptReported(attempt=_own("pay_1", "approved")), at_us=START_US + 3))
    assert len(due) == 0


def test_a_list_goes_on_behind_the_last_one_even_when_that_one_is_gone() -> None:
    due = folded(*(decided(f"pay_{number}", at_us=START_US, wait_h=number // 2) for number in range(10)))
    first = due.before(START_US + 9 * HOUR_US, n_max=4)
    due.apply(decided(first[-1].payment_id, at_us=START_US, wait_h=None))
    rest = due.before(START_US + 9 * HOUR_US, after=first[-1].place, n_max=100)
    assert [one.payment_id for one in (*first, *rest)] == [f"pay_{number}" for number in range(10)]


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 90 * 24), st.one_of(st.none(), st.integers(0, 60 * 24))), max_size=40))
def test_restarts_leave_the_same_bytes_and_nothing_stays_for_ever(steps: list[tuple[int, int, int | None]]) -> None:
    whole, restarted, now_us = DueRetries(), DueRetries(), START_US
    for number, after_h, wait_h in steps:
        now_us += after_h * HOUR_US
        for due in (whole, restarted):
            due.apply(decided(f"pay_{number}", at_us=now_us, wait_h=wait_h))
        restarted = DueRetries.from_bytes(restarted.to_bytes())
    assert whole.to_bytes() == restarted.to_bytes()
    assert all(one.due_us >= now_us - OVERDUE_US for one in whole.before(now_us + 10**15, n_max=100))


def _own(payment_id: str, status: Status) -> Attempt:
    return Attempt(
        attempt_id=f"own_{payment_id}_{status}", payment=payment(payment_id), route="acq_1", attempted_at=from_us(START_US), status=status
    )

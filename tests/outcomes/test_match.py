"""The payment book: which report belongs to which decision, for how long, and what it says of a payment."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from honour.errors import Contradiction, UnknownReference
from honour.outcomes.match import REMEMBERED_US, PaymentBook
from honour.records.attempt import Attempt, Dispute, Outcome
from honour.records.decision import ChosenAttempt, Decision, Reason, RetryAllowance
from honour.records.event import AttemptReported, DecisionMade, DisputeReported, Event, LoggedEvent, OutcomeReported
from honour.records.instant import from_us
from honour.records.payment import Card, Payment

DAY_US = 86_400_000_000


class Book:
    """A payment book, and the log that it is folded from."""

    def __init__(self) -> None:
        self.book, self.logged = PaymentBook(), list[LoggedEvent]()

    def take(self, event: Event, *, arrived_us: int = 0) -> None:
        """One event more."""
        self.logged.append(LoggedEvent(seq=len(self.logged) + 1, arrived_us=arrived_us, event=event))
        self.book.apply(self.logged[-1])

    def restarts(self) -> Iterator[PaymentBook]:
        """The book as every restart would have it: from each snapshot, with the rest of the log."""
        for cut in range(len(self.logged) + 1):
            before = PaymentBook()
            for one in self.logged[:cut]:
                before.apply(one)
            book = PaymentBook.from_bytes(before.to_bytes())
            for one in self.logged[cut:]:
                book.apply(one)
            yield book


def test_a_decision_is_pending_until_its_final_outcome() -> None:
    told = Book()
    told.take(_decision("dec_1"))
    assert told.book.awaited("pay_1") == "dec_1"
    told.take(_outcome("dec_1", "unknown"))
    assert told.book.awaited("pay_1") == "dec_1"
    assert told.book.history("pay_1").n_answered == 0
    told.take(_outcome("dec_1", "declined"))
    assert told.book.awaited("pay_1") is None
    assert told.book.history("pay_1").routes_tried == ("acq_1",)


def test_a_stop_waits_for_nothing() -> None:
    told = Book()
    told.take(_decision("dec_1", is_stop=True))
    assert told.book.awaited("pay_1") is None
    with pytest.raises(UnknownReference, match="dec_1"):
        told.book.standing(Outcome(decision_id="dec_1", status="approved"))


def test_an_answer_of_an_older_decision_counts_and_leaves_the_newer_pending() -> None:
    told = Book()
    told.take(_decision("dec_1"))
    told.take(_attempt("att_1", "declined"))
    told.take(_decision("dec_2"))
    told.take(_outcome("dec_1", "approved"))
    assert told.book.awaited("pay_1") == "dec_2"
    assert told.book.history("pay_1").approved


def test_the_first_attempt_is_the_earliest_that_was_sent_whenever_its_answer_came() -> None:
    told = Book()
    told.take(_decision("dec_1", decided_us=5 * DAY_US), arrived_us=5 * DAY_US)
    told.take(_outcome("dec_1", "declined"), arrived_us=6 * DAY_US)
    told.take(_attempt("att_1", "declined", attempted_us=2 * DAY_US), arrived_us=7 * DAY_US)
    assert told.book.history("pay_1").first_us == 2 * DAY_US


def test_the_first_final_outcome_stands() -> None:
    told = Book()
    told.take(_decision("dec_1"))
    told.take(_outcome("dec_1", "declined"))
    assert told.book.standing(Outcome(decision_id="dec_1", status="declined", latency_ms=3.0)) == Outcome(
        decision_id="dec_1", status="declined"
    )
    assert told.book.standing(Outcome(decision_id="dec_1", status="unknown")) == Outcome(decision_id="dec_1", status="declined")
    with pytest.raises(Contradiction, match="is declined; approved contradicts it"):
        told.book.standing(Outcome(decision_id="dec_1", status="approved"))


@pytest.mark.parametrize("days_us", [REMEMBERED_US, REMEMBERED_US + 1])
def test_a_payment_is_forgotten_by_the_clock_of_the_log_whatever_was_restarted_meanwhile(days_us: int) -> None:
    told = Book()
    told.take(_decision("dec_1"))
    told.take(_attempt("att_1", "declined"))
    told.take(DisputeReported(dispute=Dispute(dispute_id="dsp_1", payment_id="pay_1")))
    for n in range(5):
        told.take(_decision(f"dec_other_{n}", payment_id=f"pay_other_{n}"), arrived_us=n)
    told.take(_decision("dec_late", payment_id="pay_late"), arrived_us=days_us)
    is_known = days_us == REMEMBERED_US
    assert {book.to_bytes() for book in told.restarts()} == {told.book.to_bytes()}
    for book in (told.book, *told.restarts()):
        assert ("pay_1" in book) is is_known
        assert (book.attempt_stands(_attempt("att_1", "declined").attempt) is None) is not is_known
        assert (book.dispute_stands(Dispute(dispute_id="dsp_1", payment_id="pay_1")) is None) is not is_known
        if not is_known:
            with pytest.raises(UnknownReference):
                book.opened("dec_1")
            assert book.history("pay_1").n_answered == 0


def test_a_forgotten_payment_that_comes_back_starts_anew_and_old_reports_do_not_reach_it() -> None:
    told = Book()
    told.take(_decision("dec_1"))
    told.take(_decision("dec_other", payment_id="pay_other"), arrived_us=REMEMBERED_US + 1)
    told.take(_decision("dec_2"), arrived_us=REMEMBERED_US + 2)
    for book in (told.book, *told.restarts()):
        assert book.awaited("pay_1") == "dec_2"
        with pytest.raises(UnknownReference):
            book.opened("dec_1")


def test_a_pending_decision_holds_amount_currency_and_card() -> None:
    told = Book()
    told.take(_decision("dec_1"))
    assert told.book.pending(_payment(channel="web")) is not None
    for changed in ({"amount_minor": 2}, {"currency": "USD"}, {"card": Card(card_id="crd_2", bin="411111", network="visa")}):
        with pytest.raises(Contradiction, match="dec_1"):
            told.book.pending(_payment(**changed))
    with pytest.raises(Contradiction, match="another merchant"):
        told.book.pending(_payment(merchant_id="mer_2"))


def _payment(payment_id: str = "pay_1", **changed: Any) -> Payment:
    card = Card(card_id="crd_1", bin="411111", network="visa")
    told: dict[str, Any] = {"merchant_id": "mer_1", "amount_minor": 100, "currency": "EUR", "card": card, **changed}
    return Payment(payment_id=payment_id, **told)


def _decision(decision_id: str, *, payment_id: str = "pay_1", is_stop: bool = False, decided_us: int = 0) -> DecisionMade:
    chosen = None if is_stop else ChosenAttempt(route="acq_1", authentication="none", credential="pan", propensity=1.0)
    decision = Decision(
        decision_id=decision_id,
        payment_id=payment_id,
        attempt_number=1,
        action="stop" if is_stop else "attempt",
        attempt=chosen,
        wait_until=None,
        reason=Reason(code="test", detail="test"),
        ranking=(),
        retry=RetryAllowance(attempts_left=None, window_ends_at=None, rule=None),
        experiment=None,
        stage="live",
        bundle=None,
        elapsed_us=1,
    )
    return DecisionMade(payment=_payment(payment_id), decision=decision, decided_us=decided_us, draw=0.5)


def _outcome(decision_id: str, status: Any) -> OutcomeReported:
    return OutcomeReported(payment_id="pay_1", outcome=Outcome(decision_id=decision_id, status=status))


def _attempt(attempt_id: str, status: Any, *, attempted_us: int = 0) -> AttemptReported:
    return AttemptReported(
        attempt=Attempt(attempt_id=attempt_id, payment=_payment(), route="acq_1", attempted_at=from_us(attempted_us), status=status)
    )

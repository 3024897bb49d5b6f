"""Events that a server took, held against expectations as they come: the same as a batch says, and what only a server knows."""

from __future__ import annotations

from typing import Any

import pytest

from honour.features.expectation import Expected
from honour.features.live import MINUTE_US, Live, LiveFigure
from honour.records.attempt import Attempt, Outcome
from honour.records.event import AttemptReported, Event, LoggedEvent, OutcomeReported
from honour.records.expectation import Expectation
from honour.records.instant import from_us
from honour.records.payment import Card, Payment

DAY_US = 86_400_000_000
START_US = 20_000 * DAY_US


def sent(at: int, **more: Any) -> AttemptReported:
    card = Card(card_id="crd", bin=more.pop("bin", "411111"), network="visa")
    payment = Payment(payment_id=f"p{at}", merchant_id="m", amount_minor=100, currency="EUR", card=card)
    told = {"status": "approved", "route": "a", "attempted_at": from_us(START_US), **more}
    return AttemptReported(attempt=Attempt(attempt_id=f"a{at}", payment=payment, **told))


class Log:
    """Events, numbered as they come."""

    def __init__(self, *expectations: Expectation, start_seq: int = 0) -> None:
        self.live = Live(Expected(expectations, frozenset({"a"})), start_seq=start_seq)
        self.seq = 0

    def take(self, event: Event, *, at_us: int) -> None:
        self.seq += 1
        self.live.take(LoggedEvent(seq=self.seq, arrived_us=at_us, event=event))

    def figure(self, *, now_us: int) -> LiveFigure:
        (figure,) = self.live.figures(now_us=now_us).figures
        return figure


def test_events_that_break_an_expectation_are_counted_from_the_start_of_the_server_on() -> None:
    log = Log(Expectation(name="routes", kind="referential", column="route", known="routes", share_max=0.01), start_seq=2)
    for at, route in enumerate(["b", "b", "a", "b", "a"]):
        log.take(sent(at, route=route), at_us=START_US + at)
    figure = log.figure(now_us=START_US)
    assert (figure.n_broken, figure.figure, figure.holds) == (1, 0.6, False)
    assert log.live.figures(now_us=START_US).n_checked == 3


def test_an_outcome_is_held_against_what_is_expected_of_answers_alone() -> None:
    log = Log(Expectation(name="codes", kind="nulls", column="response_code"))
    log.take(OutcomeReported(payment_id="p", outcome=Outcome(decision_id="d", status="declined")), at_us=START_US)
    figures = log.live.figures(now_us=START_US)
    assert figures.figures[0].n_broken == 1
    assert figures.per_minute == 0


def test_a_bin_that_no_day_before_had_is_counted_as_unknown() -> None:
    log = Log(Expectation(name="bins", kind="referential", column="bin", known="earlier", n_min=4))
    for day in range(4):
        for at in range(4):
            log.take(sent(at, bin="522222" if (day, at) == (3, 0) else "411111"), at_us=START_US + day * DAY_US + at)
    figure = log.figure(now_us=START_US + 3 * DAY_US)
    assert (figure.figure, figure.holds) == (0.25, False)


def test_silence_is_seen_by_the_age_of_the_newest_event_and_by_attempts_a_minute() -> None:
    log = Log(Expectation(name="newest", kind="freshness", hours_max=1))
    for minute in range(2 * 1_440):
        for _ in range(2):
            log.take(sent(minute), at_us=START_US + minute * MINUTE_US)
    now_us = START_US + 2 * DAY_US + MINUTE_US
    busy, silent = log.live.figures(now_us=now_us), log.live.figures(now_us=now_us + 2 * 3_600_000_000)
    assert (busy.per_minute, busy.usual_per_minute) == (0, pytest.approx(2.0))
    assert [figures.figures[0].holds for figures in (busy, silent)] == [True, False]


def test_nothing_is_usual_before_there_was_a_day() -> None:
    log = Log(Expectation(name="volume", kind="volume"))
    log.take(sent(1), at_us=START_US)
    figures = log.live.figures(now_us=START_US + MINUTE_US)
    assert (figures.per_minute, figures.usual_per_minute) == (1, None)
    assert figures.figures[0].holds is None

"""Attempts on their way: a route that hangs is left before its first failure is told, and nobody is blamed for what says nothing."""

from __future__ import annotations

import random
from heapq import heappop, heappush
from typing import NamedTuple

import numpy as np
import pytest

from honour.approval.fast_layer import FastLayer
from honour.approval.in_flight import GIVEN_UP_US, PENDING_MAX, SECOND_US, InFlight
from honour.records.attempt import Status
from honour.records.payment import Card, Payment
from honour.records.route import Candidate

START_US = 1_772_366_400_000_000
LATER_US = START_US + 3_600 * SECOND_US
ROUTES = [Candidate(f"acq_{number}", "none", "pan") for number in range(3)]
PAYMENT = Payment(
    payment_id="pay_1",
    merchant_id="mer_1",
    amount_minor=1_000,
    currency="EUR",
    card=Card(card_id="crd_1", bin="411111", network="visa", issuer="iss_1", issuer_country="DE", funding="debit"),
)


class _Told(NamedTuple):
    at_us: int
    name: str
    candidate: Candidate
    status: Status


class Traffic:
    """Twenty attempts a second, on routes in turn; each is answered after a second or so, and told then."""

    def __init__(self, seed: int) -> None:
        self.layer, self.luck = FastLayer(), np.random.default_rng(seed)
        self.now_us, self.n, self.waiting = START_US, 0, list[_Told]()
        self.slower = self.lost = 0.0
        self.hangs_s: dict[str, float] = {}

    def go(self, seconds: float, *, routes: list[Candidate] = ROUTES) -> None:
        """Some seconds of it."""
        end_us = self.now_us + round(seconds * SECOND_US)
        while self.now_us < end_us:
            self.now_us += SECOND_US // 20
            while self.waiting and self.waiting[0].at_us <= self.now_us:
                self._tell(heappop(self.waiting))
            self._send(routes[self.n % len(routes)])

    def p(self) -> list[float]:
        """Corrected chance of each route."""
        p_model = np.full(len(ROUTES), 0.85)
        return [float(p) for p in self.layer.correct(PAYMENT, ROUTES, p_model=p_model, at_us=self.now_us).p_approve]

    def _send(self, candidate: Candidate) -> None:
        self.n += 1
        name = f"dec_{self.n}"
        self.layer.sent(name, candidate, at_us=self.now_us)
        hangs_s = self.hangs_s.get(candidate.route)
        took_s = float(np.exp(0.35 * self.luck.standard_normal())) * (1.0 + self.slower) if hangs_s is None else hangs_s
        status: Status = "failed" if hangs_s is not None else "approved" if self.luck.random() < 0.85 else "declined"
        if self.luck.random() >= self.lost:
            heappush(self.waiting, _Told(self.now_us + round(took_s * SECOND_US), name, candidate, status))

    def _tell(self, told: _Told) -> None:
        self.layer.answered(told.name, status=told.status, at_us=told.at_us)
        self.layer.update(PAYMENT, told.candidate, p_model=0.85, status=told.status, response_code="05", arrived_us=told.at_us)


def test_a_route_that_hangs_is_left_long_before_its_first_failure_is_told() -> None:
    traffic = Traffic(1)
    traffic.go(60)
    traffic.hangs_s["acq_0"] = 60.0
    traffic.go(15)
    p = traffic.p()
    assert p[0] < 0.05
    assert min(p[1:]) > 0.75
    trouble = traffic.layer.troubles(at_us=traffic.now_us)[0]
    assert (trouble.kind, trouble.name) == ("route", "acq_0")
    assert "acq_0 is in trouble" in str(traffic.layer.why(PAYMENT, ROUTES[0], at_us=traffic.now_us))


def test_once_it_answers_again_it_is_trusted_again() -> None:
    traffic = Traffic(2)
    traffic.go(60)
    traffic.hangs_s["acq_0"] = 30.0
    traffic.go(20)
    assert traffic.p()[0] < 0.05
    traffic.hangs_s.clear()
    traffic.go(40)  # The last failures are told, and after them approvals.
    assert min(traffic.p()) > 0.75


def test_when_reports_stop_altogether_nobody_is_blamed() -> None:
    traffic = Traffic(3)
    traffic.go(60)
    traffic.lost = 1.0
    traffic.go(600)
    assert min(traffic.p()) > 0.75
    assert traffic.layer.troubles(at_us=traffic.now_us) == []


def test_a_route_without_another_one_beside_it_is_not_held_to_be_late() -> None:
    traffic = Traffic(4)
    traffic.go(60, routes=ROUTES[:1])
    traffic.hangs_s["acq_0"] = 60.0
    traffic.go(30, routes=ROUTES[:1])
    assert traffic.p()[0] > 0.75


@pytest.mark.parametrize(("slower", "lost"), [(0.0, 0.0), (0.0, 0.02), (1.5, 0.0)])
def test_slow_answers_and_a_few_that_are_lost_raise_no_alarm(slower: float, lost: float) -> None:
    for seed in range(5):
        traffic = Traffic(10 + seed)
        traffic.go(60)
        traffic.slower, traffic.lost = slower, lost
        for _ in range(20):
            traffic.go(6)
            assert min(traffic.p()) > 0.7


def test_authentication_takes_as_long_as_the_shopper_does() -> None:
    flight = InFlight()
    flight.sent("dec_1", Candidate("acq_0", "three_ds", "pan"), at_us=START_US)
    assert flight.pending("acq_0", at_us=LATER_US) == 0
    flight.answered("dec_1", status="approved", at_us=START_US + SECOND_US)  # Nothing is known of it, and nothing breaks.


def test_attempts_on_their_way_take_from_the_uncertainty() -> None:
    layer = FastLayer()
    sd = [layer.correct(PAYMENT, ROUTES, p_model=np.full(3, 0.85), at_us=START_US).sd]
    for n in range(200):
        layer.sent(f"dec_{n}", ROUTES[0], at_us=START_US)
    sd += [layer.correct(PAYMENT, ROUTES, p_model=np.full(3, 0.85), at_us=at_us).sd for at_us in (START_US, START_US + SECOND_US)]
    assert sd[1][0] == sd[0][0]  # As if they had been decided together.
    assert sd[2][0] < sd[0][0]
    assert sd[2][1] == sd[0][1]


def test_what_waits_is_bounded_and_what_nobody_waits_for_is_forgotten() -> None:
    flight = InFlight()
    for n in range(PENDING_MAX + 10):
        flight.sent(f"dec_{n}", ROUTES[0], at_us=START_US)
    assert flight.pending("acq_0", at_us=LATER_US) == PENDING_MAX
    flight.sent("dec_last", ROUTES[0], at_us=START_US + GIVEN_UP_US + 1)
    assert flight.pending("acq_0", at_us=LATER_US) == 1
    flight.answered("dec_0", status="approved", at_us=START_US + GIVEN_UP_US + 2)
    assert flight.pending("acq_0", at_us=LATER_US) == 1


def test_an_unknown_answer_is_none() -> None:
    flight = InFlight()
    flight.sent("dec_1", ROUTES[0], at_us=START_US)
    flight.answered("dec_1", status="unknown", at_us=START_US + SECOND_US)
    assert flight.pending("acq_0", at_us=LATER_US) == 1


def test_a_layer_that_was_written_goes_on_as_if_it_had_not_been() -> None:
    whole, cut = Traffic(7), Traffic(7)
    for traffic in (whole, cut):
        traffic.go(60)
        traffic.hangs_s["acq_1"] = 60.0
        traffic.go(3)
    cut.layer = FastLayer.from_bytes(cut.layer.to_bytes())
    for traffic in (whole, cut):
        traffic.go(12)
    assert cut.p() == whole.p()
    assert cut.layer.to_bytes() == whole.layer.to_bytes()


def test_what_is_late_is_the_same_by_what_was_noted_on_the_way_and_by_a_look_at_every_route() -> None:
    luck, flights, now_us, n_late = random.Random(3), InFlight(), START_US, 0
    waiting: list[tuple[str, str]] = []
    for number in range(1_500):
        now_us += luck.randrange(2 * SECOND_US)
        route = f"acq_{luck.randrange(3)}"
        flights.sent(f"dec_{number}", Candidate(route, "none", "pan"), at_us=now_us)
        waiting.append((f"dec_{number}", route))
        hanging = f"acq_{number // 100 % 4}"  # None of the three a quarter of the time.
        for one in [one for one in waiting if one[1] != hanging][: luck.randrange(4)]:
            flights.answered(one[0], status="approved", at_us=now_us)
            waiting.remove(one)
        fresh = InFlight.from_plain(flights.to_plain())
        late = [flights.overdue(name) for name in ("acq_0", "acq_1", "acq_2")]
        assert late == [fresh.overdue(name) for name in ("acq_0", "acq_1", "acq_2")]
        n_late += sum(late)
    assert n_late > 0

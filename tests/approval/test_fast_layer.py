"""The fast layer believes an outage in a handful of answers, blames what broke, finds recoveries, and leaves a right model alone."""

from __future__ import annotations

import math

import numpy as np
import pytest

from honour.approval.fast_layer import FastLayer
from honour.records.attempt import Status
from honour.records.payment import Card, Network, Payment
from honour.records.route import Candidate

START_US = 1_772_366_400_000_000
SECOND_US = 1_000_000
HOUR_US = 3_600 * SECOND_US
ROUTES = [Candidate(f"acq_{number}", "none", "pan") for number in range(4)]


def _payment(issuer: int, *, network: Network = "visa") -> Payment:
    card = Card(card_id="crd_1", bin="411111", network=network, issuer=f"iss_{issuer}", issuer_country="DE", funding="debit")
    return Payment(payment_id="pay_1", merchant_id="mer_1", amount_minor=1_000, currency="EUR", card=card)


class World:
    """Attempts on four routes for forty issuers, one every ten seconds, with a true chance each."""

    def __init__(self, seed: int) -> None:
        self.layer = FastLayer()
        self.luck = np.random.default_rng(seed)
        self.now_us = START_US

    def go(
        self,
        n: int,
        *,
        p: float = 0.85,
        p_model: float = 0.85,
        status: Status | None = None,
        code: str = "05",
        route: int | None = None,
        issuer: int | None = None,
    ) -> None:
        """`n` attempts, approved with chance `p` or answered with `status`."""
        for _ in range(n):
            self.now_us += 10 * SECOND_US
            payment = _payment(int(self.luck.integers(40)) if issuer is None else issuer)
            candidate = ROUTES[int(self.luck.integers(4)) if route is None else route]
            answer: Status = status or ("approved" if self.luck.random() < p else "declined")
            self.layer.update(payment, candidate, p_model=p_model, status=answer, response_code=code, arrived_us=self.now_us)

    def p(self, *, route: int = 0, issuer: int = 39, p_model: float = 0.85, later_us: int = 0) -> float:
        """Corrected chance."""
        at_us = self.now_us + later_us
        return float(self.layer.correct(_payment(issuer), [ROUTES[route]], p_model=np.array([p_model]), at_us=at_us).p_approve[0])


def test_without_evidence_the_model_stands() -> None:
    assert World(1).p() == pytest.approx(0.85, rel=0.01)


@pytest.mark.parametrize(("status", "n"), [("failed", 5), ("declined", 8)])
def test_a_full_outage_is_believed_within_a_handful_of_answers_and_only_there(status: Status, n: int) -> None:
    world = World(1)
    world.go(2_000)
    world.go(n, status=status, route=0)
    assert world.p(route=0) < 0.1
    assert world.p(route=1) > 0.75
    worst = world.layer.troubles(at_us=world.now_us)[0]
    assert (worst.kind, worst.name) == ("route", "acq_0")
    assert "acq_0 is in trouble" in str(world.layer.why(_payment(3), ROUTES[0], at_us=world.now_us))
    assert world.layer.why(_payment(3), ROUTES[1], at_us=world.now_us) is None


def test_when_attempts_fail_across_routes_the_issuer_is_to_blame_and_others_are_left_alone() -> None:
    world = World(2)
    world.go(2_000)
    world.go(6, status="declined", code="91", issuer=7)
    assert [(each.kind, each.name) for each in world.layer.troubles(at_us=world.now_us)] == [("issuer", "iss_7")]
    assert all(world.p(route=route, issuer=7) < 0.1 for route in range(4))
    assert all(world.p(route=route, issuer=8) > 0.75 for route in range(4))


def test_an_outage_of_one_network_spares_the_others() -> None:
    world = World(3)
    world.go(1_000)
    for n in range(12):
        world.now_us += 10 * SECOND_US
        payment = _payment(n, network="mastercard")
        world.layer.update(payment, ROUTES[0], p_model=0.85, status="failed", response_code=None, arrived_us=world.now_us)
        world.go(3, route=0)  # Visa goes on.
    corrected = [
        float(world.layer.correct(_payment(30, network=network), ROUTES[:1], p_model=np.array([0.85]), at_us=world.now_us).p_approve[0])
        for network in ("mastercard", "visa")
    ]
    assert corrected[0] < 0.15
    assert corrected[1] > 0.7


def test_recovery_is_believed_after_a_few_approvals_and_evidence_of_an_outage_grows_old() -> None:
    world = World(4)
    world.go(1_000)
    world.go(60, status="failed", route=0)
    assert world.p() < 0.05
    assert world.p(later_us=6 * HOUR_US) > 0.75
    world.go(4, status="approved", route=0)
    assert world.p() > 0.75


def test_a_model_that_is_right_is_left_alone_whatever_the_mix_of_traffic() -> None:
    """Good cards, then bad ones, each as good as the model says."""
    shifts = []
    for seed in range(10):
        world = World(seed)
        world.go(1_500, p=0.9, p_model=0.9)
        world.go(1_500, p=0.6, p_model=0.6)
        shifts.append(world.p(p_model=0.8) - 0.8)
        assert world.layer.troubles(at_us=world.now_us) == []
    assert abs(float(np.mean(shifts))) < 0.02
    assert max(abs(shift) for shift in shifts) < 0.08


@pytest.mark.truth
def test_a_model_that_is_wrong_is_corrected_and_the_uncertainty_holds_the_truth_as_often_as_it_says() -> None:
    inside, errors = 0, []
    for seed in range(60):
        world = World(seed)
        world.go(1_200, p=0.78, p_model=0.85)
        found = world.layer.correct(_payment(39), ROUTES[:1], p_model=np.array([0.85]), at_us=world.now_us)
        errors.append(float(found.p_approve[0]) - 0.78)
        inside += abs(errors[-1]) < 1.96 * float(found.sd[0])
    assert abs(float(np.mean(errors))) < 0.02
    assert inside >= 54


@pytest.mark.truth
def test_calm_worlds_raise_almost_no_alarm() -> None:
    alarms = 0
    for seed in range(40):
        world = World(seed)
        for _ in range(20):
            world.go(100)
            alarms += len(world.layer.troubles(at_us=world.now_us)) > 0
    assert alarms <= 16  # 2 % of the times it was looked at.


def test_a_degradation_is_seen_as_such() -> None:
    world = World(5)
    world.go(1_000)
    world.go(80, p=0.42, route=0)
    assert world.p() == pytest.approx(0.42, abs=0.17)


def test_answers_that_are_no_answers_change_nothing_and_late_ones_do_not_turn_time_back() -> None:
    world = World(6)
    world.go(50)
    before = world.layer.to_bytes()
    world.layer.update(_payment(1), ROUTES[0], p_model=0.8, status="unknown", response_code=None, arrived_us=world.now_us)
    assert world.layer.to_bytes() == before
    p_before = world.p(route=3)
    world.layer.update(_payment(1), ROUTES[0], p_model=0.8, status="approved", response_code=None, arrived_us=world.now_us - HOUR_US)
    assert world.p(route=3) == pytest.approx(p_before, abs=0.02)


def test_a_snapshot_goes_on_as_if_nothing_had_been_and_memory_is_bounded() -> None:
    whole, cut = World(7), World(7)
    for world in (whole, cut):
        world.go(300)
    cut.layer = FastLayer.from_bytes(cut.layer.to_bytes())
    for world in (whole, cut):
        world.go(300)
    assert cut.layer.to_bytes() == whole.layer.to_bytes()
    small = World(8)
    small.layer = FastLayer(nodes_max=50)
    small.go(2_000)
    assert len(small.layer) == 50
    assert math.isfinite(small.p())
    assert FastLayer.from_bytes(small.layer.to_bytes(), nodes_max=50).to_bytes() == small.layer.to_bytes()


def test_nodes_that_are_remembered_for_payments_alike_are_those_that_a_fresh_look_finds() -> None:
    world, alike = World(9), tuple(ROUTES)
    world.layer = FastLayer(nodes_max=60)  # Nodes come and go.
    p_model = np.array([0.8] * len(ROUTES))
    for _ in range(300):
        world.go(1)
        payment = _payment(int(world.luck.integers(40)))
        remembered = world.layer.correct(payment, alike, p_model=p_model, at_us=world.now_us)
        fresh = world.layer.correct(payment, list(ROUTES), p_model=p_model, at_us=world.now_us)
        assert (remembered.p_approve == fresh.p_approve).all()
        assert (remembered.sd == fresh.sd).all()

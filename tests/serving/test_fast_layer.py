"""The engine leaves a route that broke, says so, comes back, and the same log gives the same decisions."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import msgspec
import numpy as np
import pytest

from honour.outcomes.state import State
from honour.records.attempt import Outcome, Status
from honour.records.decision import Decision, DecisionRequest
from honour.records.event import ServedFeatures
from honour.records.instant import from_us
from honour.records.payment import Card, Payment
from honour.records.route import Merchant, Route
from honour.records.settings import PolicySettings, Settings
from honour.serving.hot_path import Engine
from honour.serving.metrics import Metrics
from honour.stores.memory import MemoryLog

START_US = 1_772_366_400_000_000
SETTINGS = Settings(
    merchants={"default": Merchant(margin_bps=2_500, exploration_budget_minor=2.0)},
    routes=tuple(Route(id=f"acq_{number}") for number in range(3)),
)


class Constant:
    """A model that finds the first route best, whatever happens."""

    def predict_many(self, served: ServedFeatures) -> np.ndarray:
        return np.array([0.90, 0.85, 0.80])[: len(served.candidates)]


class Play:
    """Payments at five a second; attempts on a `broken` route fail, what is sent to one that `hangs` is never told of."""

    def __init__(self, settings: Settings = SETTINGS) -> None:
        self.log = MemoryLog()
        self.engine = Engine(settings, log=self.log, state=State(), model=Constant(), clock_us=lambda: self.now_us)
        self.now_us, self.number = START_US, 0
        self.luck = np.random.default_rng(1)

    def go(self, n: int, *, broken: str = "", hangs: str = "") -> list[Decision]:
        made = []
        for _ in range(n):
            self.now_us += 200_000
            self.number += 1
            card = Card(card_id=f"crd_{self.number}", bin="411111", network="visa", issuer=f"iss_{self.number % 30}", issuer_country="DE")
            payment = Payment(payment_id=f"pay_{self.number}", merchant_id="mer_1", amount_minor=10_000, currency="EUR", card=card)
            at = from_us(self.now_us)
            decision = self.engine.decide(DecisionRequest(payment=payment, at=at)).answer
            assert decision.attempt is not None
            made.append(decision)
            p = {"acq_0": 0.90, "acq_1": 0.85, "acq_2": 0.80}[decision.attempt.route]
            status: Status = "failed" if decision.attempt.route == broken else "approved" if self.luck.random() < p else "declined"
            code = "05" if status == "declined" else None
            later = at + timedelta(seconds=1)
            if decision.attempt.route == hangs:
                continue
            self.engine.report_outcome(Outcome(decision_id=decision.decision_id, status=status, response_code=code, at=later))
        return made


def _routes(decisions: list[Decision]) -> Counter[str]:
    return Counter(decision.attempt.route for decision in decisions if decision.attempt is not None)


def test_a_broken_route_is_left_within_thirty_failures_and_found_again_within_ten_minutes() -> None:
    play = Play()
    assert _routes(play.go(1_500))["acq_0"] > 1_200
    during = play.go(3_000, broken="acq_0")
    assert _routes(during[200:])["acq_0"] < 60
    assert _routes(during)["acq_0"] < 90
    avoided = next(decision for decision in during if decision.reason.code == "trouble_avoided")
    assert "route acq_0 is in trouble" in avoided.reason.detail
    after = play.go(3_000)  # Ten minutes.
    assert _routes(after[-300:])["acq_0"] > 200


def test_a_route_that_hangs_is_left_before_anything_is_told_of_it() -> None:
    play = Play()
    play.go(1_500)
    during = play.go(600, hangs="acq_0")
    assert _routes(during)["acq_0"] < 60
    avoided = next(decision for decision in during if decision.reason.code == "trouble_avoided")
    assert "route acq_0 is in trouble" in avoided.reason.detail


def test_the_price_of_exploring_stays_within_the_budget() -> None:
    play = Play()
    lost = []
    for decision in play.go(2_000):
        values = [(each.expected_value_minor or 0.0, each.propensity) for each in decision.ranking]
        best = max(value for value, _ in values)
        lost.append(sum(propensity * (best - value) for value, propensity in values))
    assert max(lost) <= 2.0 + 1e-6


def test_critical_payments_are_never_explored() -> None:
    terms = Merchant(margin_bps=2_500, exploration_budget_minor=2.0, critical_from_minor=10_000)
    play = Play(msgspec.structs.replace(SETTINGS, merchants={"default": terms}))
    assert all(decision.attempt is not None and decision.attempt.propensity == 1.0 for decision in play.go(200))


def test_folding_the_log_again_gives_the_same_state_and_the_layer_can_be_switched_off() -> None:
    play = Play()
    play.go(400, broken="acq_0")
    again = State()
    for logged in play.log.read():
        again.apply(logged)
    assert again.to_bytes() == play.engine.state.to_bytes()
    assert len(again.fast) > 0
    off = Play(msgspec.structs.replace(SETTINGS, policy=PolicySettings(fast_layer=False)))
    assert _routes(off.go(200, broken="acq_0"))["acq_0"] > 150
    assert off.go(1)[0].ranking[0].p_model is None


@pytest.mark.parametrize("part", ["p_model", "p_approve"])
def test_a_decision_says_what_the_model_and_the_correction_gave(part: str) -> None:
    assert all(isinstance(getattr(each, part), float) for each in Play().go(1)[0].ranking)


def test_trouble_is_told_to_operations() -> None:
    play = Play()
    play.go(300)
    assert "honour_trouble{" not in Metrics(play.engine).text().decode()
    play.go(200, broken="acq_0")
    assert 'honour_trouble{kind="route",name="acq_0"}' in Metrics(play.engine).text().decode()

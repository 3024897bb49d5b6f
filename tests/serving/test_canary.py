"""A canary decides for its share of the payments, for each of them all its life, and says so."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import numpy as np
from numpy.typing import NDArray
from shop import Clock, Fixed, engine, payment

from honour.outcomes.state import State
from honour.records.attempt import Outcome
from honour.records.decision import Decision, DecisionRequest
from honour.records.event import ServedFeatures
from honour.records.payment import Payment
from honour.records.release import ReleaseAction, ReleaseChanged
from honour.release.guardrail import Guarded, guarded
from honour.serving.decider import Decider, place_of
from honour.serving.hot_path import Engine
from honour.serving.recovery import restore
from honour.serving.score import Model, Scorer

LIVE, NEW = "bdl_test", "sha256:" + "b" * 64


def test_it_decides_for_its_share_and_the_decision_says_so() -> None:
    shop = _shop()
    told = [_decide(shop, number) for number in range(600)]
    canary = [one for one in told if one.stage == "canary"]
    assert 0.25 < len(canary) / len(told) < 0.35
    assert {one.bundle for one in canary} == {NEW}
    assert {(one.stage, one.bundle) for one in told if one.stage != "canary"} == {("live", LIVE)}


def test_a_payment_stays_where_it_fell_through_its_retries_a_larger_share_and_a_restart() -> None:
    shop = _shop()
    first = {number: _decide(shop, number).stage for number in range(200)}
    for number in first:
        _answer(shop, number, "declined")
    shop.take_release(_change("canary", share=0.9))
    again = Engine(shop.settings, log=shop.log, state=restore(shop.log), model=Fixed(), bundle_id=LIVE, clock_us=Clock())
    again.canary = shop.canary
    assert {number: _decide(again, number).stage for number in first} == first
    fresh = [_decide(again, number).stage for number in range(1_000, 1_200)]
    assert 0.8 < fresh.count("canary") / 200 < 1.0


def test_payments_that_began_before_it_are_not_its_own() -> None:
    shop = engine(model=Fixed())
    for number in range(100):
        _decide(shop, number)
        _answer(shop, number, "declined")
    _begin(shop, share=1.0)
    assert {_decide(shop, number).stage for number in range(100)} == {"live"}
    assert _decide(shop, 1_000).stage == "canary"


def test_a_canary_that_raises_answers_from_rates_and_its_guardrail_breaks() -> None:
    class Broken:
        def predict_many(self, served: ServedFeatures) -> NDArray[np.float64]:
            raise ValueError(len(served.candidates))

    shop = _shop(Broken())
    told = [_decide(shop, number) for number in range(100)]
    assert {one.stage for one in told} == {"live", "fallback"}
    assert [one.name for one in _guardrails(shop) if one.is_broken] == ["fallback"]


def test_a_canary_whose_payments_are_approved_less_often_breaks_its_guardrail_and_an_equal_one_does_not() -> None:
    for share_approved, broken in ((0.9, []), (0.2, ["approval"])):
        shop = _shop()
        for number in range(400):
            stage = _decide(shop, number).stage
            p = share_approved if stage == "canary" else 0.9
            _answer(shop, number, "approved" if (number * 7) % 100 < 100 * p else "declined")
        assert [one.name for one in _guardrails(shop) if one.is_broken and one.name == "approval"] == broken


def test_shares_are_dealt_evenly_and_anew_for_each_canary() -> None:
    places = np.array([[place_of(f"pay_{number}", salt="s", bundle_id=bundle) for number in range(4_000)] for bundle in ("a", "b")])
    for one in places:
        assert np.abs(np.sort(one) - (np.arange(4_000) + 0.5) / 4_000).max() < 1.63 / np.sqrt(4_000)  # Kolmogorov and Smirnov, 1 %.
    assert abs(np.corrcoef(places)[0, 1]) < 0.06


def test_the_counts_of_guardrails_are_the_same_after_a_restart() -> None:
    shop = _shop()
    for number in range(50):
        _decide(shop, number)
        _answer(shop, number, "approved")
    assert restore(shop.log).to_bytes() == shop.state.to_bytes()
    assert State.from_bytes(shop.state.to_bytes()).to_bytes() == shop.state.to_bytes()


def _shop(model: Model | None = None) -> Engine:
    """An engine with a canary for three tenths of the payments."""
    shop = engine(model=Fixed())
    _begin(shop, share=0.3, model=model)
    return shop


def _begin(shop: Engine, *, share: float, model: Model | None = None) -> None:
    shop.take_release(ReleaseChanged(action="promote", bundle=LIVE, by="somebody", why="", at=datetime.now(tz=UTC)))
    shop.take_release(_change("canary", share=share))
    ticks = iter(range(0, 10**12, 1_000))
    shop.canary = Decider(NEW, model or Fixed(), None, scorer=Scorer(lambda: next(ticks)))


def _change(action: ReleaseAction, *, share: float) -> ReleaseChanged:
    return ReleaseChanged(action=action, bundle=NEW, by="somebody", why="", at=datetime.now(tz=UTC), share=share)


def _decide(shop: Engine, number: int) -> Decision:
    card = {"card_id": f"crd_{number}", "bin": "411111", "network": "visa"}
    return shop.decide(DecisionRequest(payment=msgspec.convert(payment(f"pay_{number}", card=card), Payment))).answer


def _answer(shop: Engine, number: int, status: str) -> None:
    decision_id = shop.state.book.awaited(f"pay_{number}")
    assert decision_id is not None
    shop.report_outcome(msgspec.convert({"decision_id": decision_id, "status": status}, Outcome))


def _guardrails(shop: Engine) -> tuple[Guarded, ...]:
    watched = guarded(shop.state.stages, limits=shop.settings.release, now_us=0)
    assert watched is not None
    assert watched[0] == NEW
    return watched[1]

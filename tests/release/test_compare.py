"""What a bundle in shadow says, and how it is held against what was decided."""

from __future__ import annotations

import random
from io import BytesIO
from pathlib import Path
from typing import Any

import msgspec
import pytest
from release_kit import MakeBundle, change, engine_on
from shop import payment

from honour.approval.calibration import Platt
from honour.records.attempt import Outcome
from honour.records.decision import DecisionRequest
from honour.records.event import ShadowDecided
from honour.records.payment import Payment
from honour.release.bundle import Bundle
from honour.release.compare import Comparison, compare
from honour.release.store import BundleStore
from honour.serving.challenger import answer, would_have
from honour.serving.decider import Seen
from honour.serving.frames import Begin, answer_in, framed
from honour.serving.hot_path import Engine
from honour.serving.shadow import ask_about


def test_the_same_bundle_in_shadow_says_what_was_decided_to_the_last_digit(tmp_path: Path, bundle: MakeBundle) -> None:
    folder, bundle_id = bundle(1)
    engine, _ = engine_on(tmp_path, folder)
    _shadowed(engine, BundleStore(tmp_path).load(bundle_id), n=60)
    for made, said in _pairs(engine):
        decision = made.decision
        assert said.attempt is not None
        assert (said.action, said.attempt.route, said.reason) == (decision.action, decision.attempt.route, decision.reason)
        assert said.attempt.propensity == pytest.approx(decision.attempt.propensity, abs=1e-9)
        # What the fast layer did is told as a shift of the log-odds: exact but for the last digits.
        assert [one.p_approve for one in said.ranking] == pytest.approx(
            [one.p_approve for one in decision.ranking if one.eligible], abs=1e-9
        )
    told = _compared(engine, bundle_id)
    assert told.agreement is not None
    assert (told.n_decisions, told.n_answered, told.agreement.value) == (60, 60, 1.0)
    assert told.log_loss_gain is not None
    assert told.log_loss_gain.value == pytest.approx(0.0, abs=1e-9)


def test_a_bundle_whose_probabilities_hold_better_is_seen_to_be_better(tmp_path: Path, bundle: MakeBundle) -> None:
    """Approval is at 0.5; the one that decides says 0.9, the one in shadow 0.5; the fast layer is left out."""
    (sure, _), (right, right_id) = (
        bundle(1, calibrator=Platt(slope=0.0, intercept=2.2)),
        bundle(2, calibrator=Platt(slope=0.0, intercept=0.0)),
    )
    engine, _ = engine_on(tmp_path, sure)
    engine.settings = msgspec.structs.replace(engine.settings, policy=msgspec.structs.replace(engine.settings.policy, fast_layer=False))
    store = BundleStore(tmp_path)
    store.install(right)
    _shadowed(engine, store.load(right_id), n=300)
    told = _compared(engine, right_id)
    assert told.log_loss_gain is not None
    assert told.log_loss_gain.low > 0.2
    assert told.decider is not None
    assert told.challenger is not None
    assert told.decider.calibration_error.low > 0.3 > told.challenger.calibration_error.high


def test_too_few_answers_say_nothing(tmp_path: Path, bundle: MakeBundle) -> None:
    folder, bundle_id = bundle(1)
    engine, _ = engine_on(tmp_path, folder)
    _shadowed(engine, BundleStore(tmp_path).load(bundle_id), n=10)
    told = _compared(engine, bundle_id)
    assert (told.decider, told.challenger, told.log_loss_gain, told.gain) == (None, None, None, None)
    assert told.why_no_gain == "10 answered decisions; at least 30 are needed"


def test_the_process_of_a_challenger_answers_each_question_with_what_it_would_have_done(tmp_path: Path, bundle: MakeBundle) -> None:
    folder, bundle_id = bundle(1)
    engine, _ = engine_on(tmp_path, folder)
    seen: list[Seen] = []
    engine.watch = seen.append
    _pay(engine, n=3, dice=random.Random(1))
    asked = [ask_about(one) for one in seen]
    told, out = BytesIO(b"".join(map(framed, asked))), BytesIO()
    answer(Begin(engine.settings, str(tmp_path), bundle_id), told, out)
    buffer = bytearray(out.getvalue())
    answers = [answer_in(buffer) for _ in range(4)]
    assert [getattr(one, "decision_id", None) for one in answers] == [None, *(one.decision_id for one in asked)]
    assert all(isinstance(one, ShadowDecided) for one in answers[1:])


def _shadowed(engine: Engine, challenger: Bundle, *, n: int) -> None:
    """Payments, and what a challenger says of each."""
    engine.take_release(change("shadow", challenger.bundle_id))
    seen: list[Seen] = []
    engine.watch = seen.append
    _pay(engine, n=n, dice=random.Random(7))
    for one in seen:
        engine.take_shadow(would_have(ask_about(one), bundle=challenger, settings=engine.settings))


def _pay(engine: Engine, *, n: int, dice: random.Random) -> None:
    for number in range(n):
        card = {"card_id": f"crd_{number}", "bin": "411111", "network": "visa"}
        asked = msgspec.convert(payment(f"pay_{number}", card=card), Payment)
        decision = engine.decide(DecisionRequest(payment=asked)).answer
        engine.report_outcome(Outcome(decision_id=decision.decision_id, status=dice.choice(["approved", "declined"])))


def _compared(engine: Engine, bundle_id: str) -> Comparison:
    return compare(engine.log.read(), bundle=bundle_id, settings=engine.settings)


def _pairs(engine: Engine) -> list[tuple[Any, ShadowDecided]]:
    events = [logged.event for logged in engine.log.read()]
    made = {one.decision.decision_id: one for one in events if hasattr(one, "decision")}
    return [(made[one.decision_id], one) for one in events if isinstance(one, ShadowDecided)]

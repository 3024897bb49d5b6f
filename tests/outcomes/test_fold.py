"""The state as a fold: any sequence of questions and reports leaves a log that says the same state again, to the byte."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from honour.errors import BadInput, Contradiction, UnknownReference
from honour.outcomes.match import REMEMBERED_US
from honour.outcomes.state import State
from honour.outcomes.windows import Windows
from honour.records.attempt import Attempt, Dispute, Outcome
from honour.records.decision import DecisionRequest
from honour.records.event import LoggedEvent
from honour.records.instant import from_us
from honour.records.route import Merchant, Route
from honour.records.settings import Settings
from honour.serving.hot_path import Engine
from honour.stores.memory import MemoryLog

START_US = 1_772_366_400_000_000
HOUR_US = 3_600_000_000
SETTINGS = Settings(routes=(Route(id="one"), Route(id="two")), merchants={"default": Merchant(retry_horizon_days=120)})
STATUSES = ("approved", "declined", "failed", "abandoned", "unknown")

_steps = st.lists(
    st.tuples(
        st.sampled_from(("ask", "ask", "outcome", "outcome", "attempt", "dispute", "settings")),
        st.integers(0, 3),  # which payment
        st.sampled_from(STATUSES),
        st.sampled_from((0, 0, 1, 30, 24 * 40, 24 * 125)),  # hours that pass before
        st.integers(0, 40),  # which of the decisions so far, or the number of a report
    ),
    max_size=40,
)


@given(_steps, st.integers(0, 40))
@settings(max_examples=60)
def test_any_sequence_of_questions_and_reports_is_the_same_state_when_the_log_is_replayed(steps: list[Any], cut: int) -> None:
    engine = _played(steps, restart_at=None)
    logged = list(engine.log.read())
    whole = engine.state.to_bytes()
    assert _folded(State(), logged).to_bytes() == whole
    at = min(cut, len(logged))
    from_snapshot = State.from_bytes(_folded(State(), logged[:at]).to_bytes())
    assert _folded(from_snapshot, logged[at:]).to_bytes() == whole
    windows = Windows()
    for one in logged:
        windows.apply(one)
    assert windows.features.to_bytes() == engine.state.features.to_bytes()


@given(_steps, st.integers(0, 40))
@settings(max_examples=30)
def test_a_restart_in_between_changes_no_decision(steps: list[Any], restart_at: int) -> None:
    straight, restarted = _played(steps, restart_at=None), _played(steps, restart_at=restart_at)
    assert list(restarted.log.read()) == list(straight.log.read())
    assert restarted.state.to_bytes() == straight.state.to_bytes()


def test_a_payment_is_forgotten_when_its_time_is_over_and_not_when_memory_is_tidied() -> None:
    steps = [("ask", 0, "approved", 0, 0), ("outcome", 0, "approved", 0, 0), ("ask", 1, "approved", REMEMBERED_US // HOUR_US + 1, 0)]
    engine = _played(steps, restart_at=None)
    assert "pay_0" not in engine.state.book
    assert "pay_1" in engine.state.book
    assert engine.decide(_request(0, at_us=engine.log.last_arrived_us)).answer.action == "attempt"


def _played(steps: list[Any], *, restart_at: int | None) -> Engine:
    now = [START_US]
    engine = Engine(SETTINGS, log=MemoryLog(), state=State(), clock_us=lambda: now[0], timer_ns=lambda: 0)
    decided: list[str] = []
    for number, (kind, which, status, hours, of) in enumerate(steps):
        now[0] += hours * HOUR_US + 1
        if number == restart_at:
            engine.resume(State.from_bytes(engine.state.to_bytes()))
        try:
            if kind == "ask":
                decided.append(engine.decide(_request(which, at_us=now[0])).answer.decision_id)
            elif kind == "outcome":
                decision_id = decided[of % len(decided)] if decided else "dec_nobody"
                engine.report_outcome(Outcome(decision_id=decision_id, status=status))
            elif kind == "attempt":
                engine.report_attempt(_attempt(which, status=status, number=of, at_us=now[0]))
            elif kind == "dispute":
                engine.report_dispute(Dispute(dispute_id=f"dsp_{of}", payment_id=f"pay_{which}"))
            else:
                engine.take_settings(SETTINGS)
        except (Contradiction, UnknownReference, BadInput):
            continue
    return engine


def _folded(state: State, events: list[LoggedEvent]) -> State:
    for logged in events:
        state.apply(logged)
    return state


def _payment(which: int) -> dict[str, Any]:
    card = {"card_id": f"crd_{which % 2}", "bin": "411111", "network": ("visa", "elo")[which % 2]}
    return {"payment_id": f"pay_{which}", "merchant_id": "mer_1", "amount_minor": 1_000, "currency": "BRL", "card": card}


def _request(which: int, *, at_us: int) -> DecisionRequest:
    at = from_us(at_us).isoformat() if which % 2 else None
    return msgspec.convert({"payment": _payment(which), "at": at}, DecisionRequest)


def _attempt(which: int, *, status: str, number: int, at_us: int) -> Attempt:
    told = {"attempt_id": f"att_{number}", "payment": _payment(which), "route": "one", "attempted_at": from_us(at_us).isoformat()}
    return msgspec.convert(told | {"status": status, "response_code": "14" if number % 5 == 0 else None}, Attempt)

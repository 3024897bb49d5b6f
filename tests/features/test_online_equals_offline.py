"""One declaration, two executions: what the online fold serves is what the SQL recomputes, over random streams."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import isclose
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from honour.errors import LogContractBroken
from honour.features.catalogue import CATALOGUE
from honour.features.offline import decision_rows, training_set
from honour.features.online import FeatureState
from honour.features.parity import compare
from honour.records.attempt import Attempt, Outcome
from honour.records.decision import ChosenAttempt, Decision, RankedCandidate, Reason, RetryAllowance
from honour.records.event import AttemptReported, DecisionMade, Event, LoggedEvent, OutcomeReported, ServedFeatures
from honour.records.instant import from_us, to_us
from honour.records.payment import Card, Customer, Payment
from honour.records.route import Candidate

SECOND = 1_000_000
MINUTE, HOUR, DAY = 60 * SECOND, 3_600 * SECOND, 86_400 * SECOND
START_US = 1_772_323_200 * SECOND  # Sunday 2026-03-01 00:00 UTC: a boundary of every tile, a week before New York changes its clocks.
CARD = Card(card_id="crd_1", bin="411111", network="visa")
CANDIDATES = [
    Candidate("acq_1", "none", "pan"),
    Candidate("acq_1", "three_ds", "pan"),
    Candidate("acq_2", "none", "network_token"),
    Candidate("acq_3", "none", "pan"),
]
# Up to, onto and just past the edges of tiles and windows.
EDGES = [5 * MINUTE, 55 * MINUTE, HOUR, DAY - 5 * MINUTE, DAY - HOUR, DAY, 7 * DAY - HOUR, 29 * DAY, 30 * DAY]
PASSING = [0, 1, SECOND, *EDGES, HOUR - 1, DAY - 1, 30 * DAY - 1]
STATUSES = ["approved", "declined", "failed", "abandoned", "unknown"]


@dataclass
class World:
    """A log under construction with the state that a server would hold."""

    now_us: int = START_US
    log: list[LoggedEvent] = field(default_factory=list)
    state: FeatureState = field(default_factory=FeatureState)
    waiting: list[DecisionMade] = field(default_factory=list)

    def append(self, event: Event) -> None:
        self.log.append(LoggedEvent(seq=len(self.log) + 1, arrived_us=self.now_us, event=event))

    def decide(self, payment: Payment, candidates: list[Candidate], *, logs_features: bool = True) -> None:
        features = self.state.as_of(payment, candidates, at_us=self.now_us)
        ranking = tuple(
            RankedCandidate(route=c.route, authentication=c.authentication, credential=c.credential, eligible=True) for c in candidates
        )
        chosen = candidates[-1]
        decision = Decision(
            decision_id=f"dec_{len(self.log)}",
            payment_id=payment.payment_id,
            attempt_number=1,
            action="attempt",
            attempt=ChosenAttempt(route=chosen.route, authentication=chosen.authentication, credential=chosen.credential, propensity=0.5),
            wait_until=None,
            reason=Reason(code="highest_expected_value", detail=""),
            ranking=ranking,
            retry=RetryAllowance(attempts_left=None, window_ends_at=None, rule=None),
            experiment=None,
            stage="live",
            bundle=None,
            elapsed_us=1,
        )
        made = DecisionMade(
            payment=payment, decision=decision, decided_us=self.now_us, draw=0.5, features=features if logs_features else None
        )
        self.append(made)
        self.waiting.append(made)

    def answer(self, made: DecisionMade, *, status: Any, response_code: str | None) -> None:
        outcome = Outcome(decision_id=made.decision.decision_id, status=status, response_code=response_code)
        self.append(OutcomeReported(payment_id=made.payment.payment_id, outcome=outcome))
        fold(self.state, self.log[-1], decisions={made.decision.decision_id: made})
        if status != "unknown":
            self.waiting.remove(made)

    def attempt(self, payment: Payment, candidate: Candidate, *, attempted_us: int, status: Any, response_code: str | None) -> None:
        attempt = Attempt(
            attempt_id=f"att_{len(self.log)}",
            payment=payment,
            route=candidate.route,
            authentication=candidate.authentication,
            credential=candidate.credential,
            attempted_at=from_us(attempted_us),
            status=status,
            response_code=response_code,
        )
        self.append(AttemptReported(attempt=attempt))
        fold(self.state, self.log[-1], decisions={})


def fold(state: FeatureState, logged: LoggedEvent, *, decisions: dict[str, DecisionMade]) -> None:
    match logged.event:
        case OutcomeReported(outcome=outcome):
            made = decisions[outcome.decision_id]
            chosen = made.decision.attempt
            assert chosen is not None
            candidate = Candidate(chosen.route, chosen.authentication, chosen.credential)
            state.update(made.payment, candidate, status=outcome.status, response_code=outcome.response_code, arrived_us=logged.arrived_us)
        case AttemptReported(attempt=a):
            candidate = Candidate(a.route, a.authentication, a.credential)
            state.update(a.payment, candidate, status=a.status, response_code=a.response_code, arrived_us=logged.arrived_us)
        case _:
            pass


def a_payment(draw: Any) -> Payment:
    number = draw(st.integers(0, 4))
    issuer_country = draw(st.sampled_from(["BR", "US", None]))
    return Payment(
        payment_id=f"pay_{number}",
        merchant_id=draw(st.sampled_from(["mer_1", "mer_2"])),
        amount_minor=draw(st.sampled_from([0, 1, 999, 10**12])),
        currency=draw(st.sampled_from(["BRL", "USD"])),
        card=Card(
            card_id=f"crd_{number % 3}",
            bin=draw(st.sampled_from(["411111", "555555"])),
            network=draw(st.sampled_from(["visa", "mastercard"])),
            funding=draw(st.sampled_from(["credit", None])),
            issuer=draw(st.sampled_from(["itau", "", None])),
            issuer_country=issuer_country,
            network_token=draw(st.booleans()),
        ),
        mcc=draw(st.sampled_from(["5732", None])),
        risk_score=draw(st.sampled_from([None, 0.25])),
        customer=draw(st.sampled_from([None, Customer(country="MA"), Customer(country=None)])),
    )


@st.composite
def worlds(draw: Any) -> World:
    """Decisions, outcomes late and out of order, attempts and restarts, over few payments, cards, routes and merchants."""
    world = World()
    code = st.sampled_from(["00", "05", "51", None])
    for kind in draw(st.lists(st.sampled_from(["decide", "decide", "answer", "answer", "attempt", "restart"]), min_size=1, max_size=24)):
        world.now_us += draw(st.sampled_from(PASSING))
        match kind:
            case "decide":
                world.decide(a_payment(draw), draw(st.lists(st.sampled_from(CANDIDATES), min_size=1, max_size=3, unique=True)))
            case "answer" if world.waiting:
                world.answer(draw(st.sampled_from(world.waiting)), status=draw(st.sampled_from(STATUSES)), response_code=draw(code))
            case "attempt":
                attempted_us = world.now_us - draw(st.sampled_from([*PASSING, -SECOND]))
                candidate = draw(st.sampled_from(CANDIDATES))
                world.attempt(
                    a_payment(draw), candidate, attempted_us=attempted_us, status=draw(st.sampled_from(STATUSES)), response_code=draw(code)
                )
            case "restart":
                world.state = FeatureState.from_bytes(world.state.to_bytes())
            case _:
                pass
    return world


def assert_same(served: dict[str, Any], computed: dict[str, Any]) -> None:
    differing = {
        name: (served[name], computed[name])
        for name in CATALOGUE.names
        if not (
            served[name] == computed[name]
            or (isinstance(served[name], float) and computed[name] is not None and isclose(served[name], computed[name], rel_tol=1e-9))
        )
    }
    assert not differing, "(served, recomputed)"


def by_name(served: ServedFeatures, at: int) -> dict[str, Any]:
    return dict(zip(CATALOGUE.names, (*served.payment, *served.candidates[at]), strict=True))


@settings(max_examples=60)
@given(worlds())
def test_what_every_decision_was_served_is_what_the_log_gives_again(world: World) -> None:
    served = {made.decision.decision_id: made.features for logged in world.log if isinstance(made := logged.event, DecisionMade)}
    rows = decision_rows(world.log).to_pylist()
    assert len(rows) == sum(len(features.candidates) for features in served.values() if features)
    for row in rows:
        features = served[row["decision_id"]]
        assert features is not None
        assert_same(by_name(features, row["candidate_at"]), row)
    assert compare(world.log).agrees


@settings(max_examples=40)
@given(worlds())
def test_a_training_row_holds_what_a_replay_up_to_its_instant_would_have_served(world: World) -> None:
    decisions = {made.decision.decision_id: made for logged in world.log if isinstance(made := logged.event, DecisionMade)}
    answered = [
        logged
        for logged in world.log
        if (isinstance(logged.event, AttemptReported) and logged.event.attempt.status != "unknown")
        or (isinstance(logged.event, OutcomeReported) and logged.event.outcome.status != "unknown")
    ]
    rows = training_set(world.log).to_pylist()
    assert [row["row_id"] for row in rows] == list(range(len(answered)))
    for row, logged in zip(rows, answered, strict=True):
        match logged.event:
            case AttemptReported(attempt=attempt):
                assert (row["source"], row["propensity"]) == ("attempt", None)
                payment, seq, at_us, status = attempt.payment, logged.seq, to_us(attempt.attempted_at), attempt.status
                candidate = Candidate(attempt.route, attempt.authentication, attempt.credential)
            case OutcomeReported(outcome=outcome):
                assert (row["source"], row["propensity"]) == ("decision", 0.5)
                made = decisions[outcome.decision_id]
                seq = next(other.seq for other in world.log if other.event is made)
                payment, at_us, status, chosen = made.payment, made.decided_us, outcome.status, made.decision.ranking[-1]
                candidate = Candidate(chosen.route, chosen.authentication, chosen.credential)
        state = FeatureState()
        for earlier in world.log[: seq - 1]:
            if earlier.arrived_us <= at_us:
                fold(state, earlier, decisions=decisions)
        assert_same(by_name(state.as_of(payment, [candidate], at_us=at_us), 0), row)
        assert (row["approved"], row["at_us"], row["payment_id"]) == (int(status == "approved"), at_us, payment.payment_id)


@settings(max_examples=40)
@given(worlds())
def test_a_state_that_was_restored_in_between_has_the_bytes_of_a_full_replay(world: World) -> None:
    decisions = {made.decision.decision_id: made for logged in world.log if isinstance(made := logged.event, DecisionMade)}
    replayed = FeatureState()
    for logged in world.log:
        fold(replayed, logged, decisions=decisions)
    assert world.state.to_bytes() == replayed.to_bytes()


def test_parity_counts_each_way_in_which_a_served_feature_can_be_wrong() -> None:
    world = World()
    payment = Payment(payment_id="pay_1", merchant_id="mer_1", amount_minor=100, currency="BRL", card=CARD)
    for answers in range(4):
        world.decide(payment, CANDIDATES[:2])
        if answers < 2:
            world.answer(world.waiting[0], status="declined", response_code="05")
    assert compare(world.log).agrees
    wrong = {1: ("route_answers_1h", 7), 2: ("payment_last_status", None), 0: ("payment_last_status", "declined")}
    decisions = [at for at, logged in enumerate(world.log) if isinstance(logged.event, DecisionMade)]
    for number, (name, value) in wrong.items():
        world.log[decisions[number]] = served_otherwise(world.log[decisions[number]], name=name, value=value)
    found = {parity.feature: parity for parity in compare(world.log).features}
    assert (found["route_answers_1h"].mismatch, found["route_answers_1h"].n) == (2, 8)
    assert (found["payment_last_status"].missing, found["payment_last_status"].extra, found["payment_last_status"].n) == (1, 1, 4)
    assert sum(parity.mismatch + parity.missing + parity.extra for parity in found.values()) == 4


def test_decisions_that_logged_no_features_are_counted_and_not_compared() -> None:
    world = World()
    payment = Payment(payment_id="pay_1", merchant_id="mer_1", amount_minor=100, currency="BRL", card=CARD)
    world.decide(payment, CANDIDATES, logs_features=False)
    for _ in range(4):
        world.decide(payment, CANDIDATES)
    parity = compare(world.log)
    assert (parity.decisions, parity.candidates, parity.skipped, parity.agrees) == (4, 16, 1, True)
    assert compare(world.log, every=2).decisions == 2


def test_an_outcome_whose_decision_is_not_in_the_log_is_refused() -> None:
    world = World()
    world.append(OutcomeReported(payment_id="pay_1", outcome=Outcome(decision_id="dec_gone", status="approved")))
    with pytest.raises(LogContractBroken, match="dec_gone"):
        training_set(world.log)


def test_an_empty_log_gives_an_empty_training_set_with_every_column() -> None:
    table = training_set([])
    assert table.num_rows == 0
    assert {"approved", "propensity", "source", *CATALOGUE.names} <= set(table.column_names)


def served_otherwise(logged: LoggedEvent, *, name: str, value: Any) -> LoggedEvent:
    made = logged.event
    assert isinstance(made, DecisionMade)
    assert made.features is not None
    rows = [{**by_name(made.features, at), name: value} for at in range(len(made.features.candidates))]
    split = len(CATALOGUE.payment)
    features = ServedFeatures(
        schema=made.features.schema,
        payment=tuple(list(rows[0].values())[:split]),
        candidates=tuple(tuple(list(row.values())[split:]) for row in rows),
    )
    return replace(logged, event=replace(made, features=features))

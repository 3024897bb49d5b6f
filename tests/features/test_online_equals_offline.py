"""One declaration, two executions: what the online fold serves is what the SQL recomputes, over random streams."""

from __future__ import annotations

from math import isclose
from typing import Any

from feature_streams import EVERY_AGGREGATION, World, by_name, fold, worlds
from hypothesis import given, settings

from honour.features.catalogue import CATALOGUE, LIBRARY
from honour.features.offline import decision_rows, training_set
from honour.features.online import FeatureState
from honour.features.parity import compare
from honour.records.event import AttemptReported, DecisionMade, OutcomeReported
from honour.records.instant import to_us
from honour.records.route import Candidate


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


@settings(max_examples=15)
@given(worlds(EVERY_AGGREGATION, n_max=60))
def test_every_aggregation_is_the_same_number_online_and_in_sql(world: World) -> None:
    parity = compare(world.log, catalogue=EVERY_AGGREGATION)
    assert [found for found in parity.features if found.mismatch or found.missing or found.extra] == []


@settings(max_examples=3)
@given(worlds(LIBRARY, n_max=80))
def test_every_feature_of_the_shelf_is_the_same_number_online_and_in_sql(world: World) -> None:
    parity = compare(world.log, catalogue=LIBRARY)
    assert [found for found in parity.features if found.mismatch or found.missing or found.extra] == []


@settings(max_examples=15)
@given(worlds(EVERY_AGGREGATION, n_max=60))
def test_every_aggregation_restored_in_between_has_the_bytes_of_a_full_replay(world: World) -> None:
    decisions = {made.decision.decision_id: made for logged in world.log if isinstance(made := logged.event, DecisionMade)}
    replayed = FeatureState(EVERY_AGGREGATION)
    for logged in world.log:
        fold(replayed, logged, decisions=decisions)
    assert world.state.to_bytes() == replayed.to_bytes()


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

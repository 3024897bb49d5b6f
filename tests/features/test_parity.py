"""Parity: served features against recomputed ones, and logs that cannot be read."""

from __future__ import annotations

from typing import Any

import pytest
from feature_streams import CANDIDATES, CARD, World, by_name
from msgspec.structs import replace

from honour.errors import LogContractBroken
from honour.features.catalogue import CATALOGUE
from honour.features.offline import training_set
from honour.features.parity import compare
from honour.records.attempt import Outcome
from honour.records.event import DecisionMade, LoggedEvent, OutcomeReported, ServedFeatures
from honour.records.payment import Payment


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

"""What is multiplied by money was fitted without class weights: scores of a weighted model are no probabilities."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from honour.approval.calibration import expit
from honour.approval.interval import figures
from honour.learning.calibrate import choose_calibrator
from honour.learning.dataset import Rows, rows_of
from honour.learning.fit import Recipe, fit, fit_encoder
from honour.learning.kinds.boosted_lightgbm import LightGBMModel
from honour.learning.kinds.named import available, kind_named, told_by_catalogue
from honour.policy.value import expected_value_minor
from honour.records.gates import GateSettings
from honour.records.route import Merchant, RouteCost

STEPS = {"forest": 4, "tabm": 6, "sequence": 6}


@pytest.fixture(scope="module")
def rare(make_table: Callable[..., pa.Table]) -> tuple[Rows, Rows]:
    """Attempts of which one in ten is approved, to fit and to judge."""
    rows = rows_of(make_table(12_000, seed=5))
    keep = (rows.approved == 0.0) | (np.random.default_rng(0).random(len(rows)) < 0.15)
    rows = rows.where(keep)
    first = np.arange(len(rows)) < len(rows) // 2
    return rows.where(first), rows.where(~first)


def _weighted(early: Rows) -> Any:
    """A model as libraries make it when told to balance the classes."""
    rate = early.approved.mean()
    encoder = fit_encoder(early.columns, approved=early.approved)
    weight = np.where(early.approved == 1.0, 0.5 / rate, 0.5 / (1.0 - rate))
    model = LightGBMModel(n_steps=12).fit(early.encoded(encoder), early.approved, sample_weight=weight)
    return lambda rows: expit(model.decision_function(rows.encoded(encoder)))


@pytest.mark.slow
@pytest.mark.parametrize("name", available())
def test_every_kind_says_as_many_approvals_as_there_are(rare: tuple[Rows, Rows], name: str) -> None:
    early, late = rare
    kind = kind_named(name)
    told = told_by_catalogue(seed=1, n_threads=1)
    n_steps = min(STEPS.get(name, 15), kind.steps_max)
    model, encoder = fit(early, recipe=Recipe(kind, kind.configurations[0]), n_steps=n_steps, told=told)
    p = expit(model.decision_function(late.encoded(encoder)))
    assert late.approved.mean() < 0.12
    assert abs(p.mean() - late.approved.mean()) < 0.015


def test_the_gate_on_calibration_stops_the_scores_of_a_class_weighted_model(rare: tuple[Rows, Rows]) -> None:
    early, late = rare
    score = _weighted(early)(late)
    found = figures(score, late.approved, payments=late.payments, seed=0, n_draws=50)
    assert found["calibration_error"].low > GateSettings().calibration_error_max


def test_money_multiplied_by_a_class_weighted_score_sends_what_loses_until_it_is_calibrated(rare: tuple[Rows, Rows]) -> None:
    """Value as it comes: each attempt sent when its expected value is above 0 earns 20 when approved, and costs 6."""
    early, late = rare
    terms, cost = Merchant(margin_bps=10_000), RouteCost(attempt_minor=6.0)
    score_of = _weighted(early)
    choice = choose_calibrator(score_of(late)[::2], y=late.approved[::2], payments=late.payments[::2], at_us=late.at_us[::2], seed=1)

    def earned(p: Any) -> float:
        sent = np.array([expected_value_minor(float(one), amount_minor=20, terms=terms, cost=cost) > 0.0 for one in p])
        return float((sent * (20.0 * late.approved[1::2] - 6.0)).sum())

    score = score_of(late)[1::2]
    assert earned(score) < earned(choice.calibrator.apply(score))

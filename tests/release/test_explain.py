"""Reasons for what a bundle says add up, whatever kind of model it holds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from honour.approval.calibration import logit
from honour.approval.card import TrainedModel
from honour.features.catalogue import CANDIDATE_FEATURES, FEATURES, PAYMENT_FEATURES, SCHEMA_ID
from honour.records.event import ServedFeatures
from honour.release.bundle import load_bundle, write_bundle
from honour.release.explain import N_ORDERS, background_of, contributions, dependence, explain


@pytest.fixture
def folder(trained: TrainedModel, tmp_path: Path) -> Path:
    write_bundle(tmp_path / "bundle", trained=trained)
    return tmp_path / "bundle"


def _on(route: str) -> ServedFeatures:
    candidate = tuple(route if feature.name == "route" else None for feature in CANDIDATE_FEATURES)
    return ServedFeatures(schema=SCHEMA_ID, payment=(None,) * len(PAYMENT_FEATURES), candidates=(candidate,))


def test_contributions_sum_to_the_log_odds_less_those_of_the_attempts_they_are_held_against(folder: Path) -> None:
    model, background = load_bundle(folder).model, background_of(folder)
    row = background[3].copy()
    row[0] = 2.0
    found = contributions(model, row, background=background)
    against = logit(model.predict_matrix(background[: N_ORDERS // 2])).mean()
    assert found.sum() == pytest.approx(float(logit(model.predict_matrix(row[None, :]))[0]) - against, abs=1e-6)


def test_the_reason_is_the_route_where_the_route_is_what_counts(folder: Path) -> None:
    good, bad = (explain(folder, _on(route), candidate=0) for route in ("acq_1", "acq_2"))
    assert good.p_approve > bad.p_approve
    assert (good.reasons[0].feature, bad.reasons[0].feature) == ("route", "route")
    assert good.reasons[0].log_odds > 0 > bad.reasons[0].log_odds
    assert "route is acq_1" in good.reasons[0].words
    assert "raises the odds" in good.reasons[0].words


def test_approval_moves_with_the_route(folder: Path) -> None:
    moved = {one.value: one.p_approve for one in dependence(folder, "route")}
    assert moved["acq_1"] > moved["acq_2"]


def test_a_number_is_asked_at_its_quantiles(folder: Path) -> None:
    number = next(feature.name for feature in FEATURES if feature.kind == "number")
    asked = [float(one.value) for one in dependence(folder, number)]
    assert asked == sorted(asked)
    assert len(np.unique(asked)) == 11

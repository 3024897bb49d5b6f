"""Kinds side by side: the front, and the fastest that is as good as the best."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from honour.learning.dataset import hold_out, rows_of
from honour.release.trade_off import Comparison, compare

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def found() -> Comparison:
    place = Path(__file__).parents[1] / "learning" / "conftest.py"
    spec = importlib.util.spec_from_file_location("made_tables", place)
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    sys.modules["made_tables"] = made
    spec.loader.exec_module(made)
    table = made.synthetic_table(1_500)
    rows = rows_of(table)
    held = hold_out(rows, days=8)
    return compare(
        table,
        early=rows.where(held.early),
        late=rows.where(held.late),
        kinds=("logistic", "lightgbm"),
        together=(("lightgbm", "logistic"), ("lightgbm", "tabm")),
        value=lambda _: None,
        price_per_hour=0.04,
        seed=1,
        n_threads=1,
        step=lambda *_: None,
    )


def test_every_kind_and_the_ensemble_are_judged_on_the_same_later_attempts(found: Comparison) -> None:
    assert {one.name for one in found.kinds} == {"logistic", "lightgbm", "lightgbm + logistic"}
    assert {one.metrics["log_loss"].n for one in found.kinds} == {found.n_late}
    assert [one.metrics["log_loss"].value for one in found.kinds] == sorted(one.metrics["log_loss"].value for one in found.kinds)
    assert found.kinds[0].behind.value == 0.0


def test_an_ensemble_costs_what_its_members_cost_together(found: Comparison) -> None:
    by_name = {one.name: one for one in found.kinds}
    both, members = by_name["lightgbm + logistic"], (by_name["lightgbm"], by_name["logistic"])
    assert both.bytes == sum(one.bytes for one in members)
    assert both.cpu_s == pytest.approx(sum(one.cpu_s for one in members))


def test_the_best_is_on_the_front_and_what_is_beaten_in_both_is_not(found: Comparison) -> None:
    points = {one.name: (one.metrics["log_loss"].value, one.latency[1].p50_ms) for one in found.kinds}
    for one in found.kinds:
        mine = np.array(points[one.name])
        beaten = any(np.all(np.array(other) <= mine) and np.any(np.array(other) < mine) for other in points.values())
        assert one.on_front == (not beaten)
    assert found.kinds[0].on_front
    assert found.recommended in points

"""Curves of precision and recall, and where the policy stands on them."""

from __future__ import annotations

import numpy as np
import pytest

from honour.learning.dataset import Rows
from honour.pipeline.picture import precision_recall_picture
from honour.policy.value import p_break_even
from honour.records.route import Merchant, Route, RouteCost
from honour.records.settings import Settings
from honour.release.operating import pr_curves

COST = RouteCost(attempt_minor=10.0, three_ds_minor=30.0)
SETTINGS = Settings(routes=(Route(id="acq_1", cost=COST),), merchants={"mer_1": Merchant(margin_bps=1_000)})


def _rows(n: int, *, seed: int = 0) -> tuple[Rows, np.ndarray]:
    draw = np.random.default_rng(seed)
    p = draw.random(n)
    columns = {
        "amount_minor": np.where(np.arange(n) % 2 == 0, 1_000.0, 200.0),
        "merchant_id": np.full(n, "mer_1", dtype=object),
        "route": np.full(n, "acq_1", dtype=object),
        "authentication": np.where(np.arange(n) % 3 == 0, "three_ds", "none").astype(object),
        "attempt_number": 1.0 + np.arange(n) % 2,
    }
    approved = (draw.random(n) < p).astype(np.float64)
    return Rows(columns, approved, np.arange(n), np.arange(n, dtype=np.int64)), p


def test_there_is_a_curve_of_all_of_retries_and_of_attempts_with_authentication() -> None:
    rows, p = _rows(900)
    assert [(one.name, one.n) for one in pr_curves(p, rows, settings=SETTINGS)] == [("all", 900), ("retry", 450), ("step-up", 300)]


def test_recall_rises_to_one_where_precision_is_the_approval_rate() -> None:
    rows, p = _rows(900)
    points = pr_curves(p, rows, settings=SETTINGS)[0].points
    assert [one.recall for one in points] == sorted(one.recall for one in points)
    assert [one.p for one in points] == sorted((one.p for one in points), reverse=True)
    assert points[-1].recall == 1.0
    assert points[-1].precision == pytest.approx(rows.approved.mean())


def test_a_retry_stands_where_its_own_amount_and_fees_are_worth_it() -> None:
    rows, p = _rows(900)
    retry = pr_curves(p, rows, settings=SETTINGS)[1]
    # Retries are the odd rows, of 200; every sixth row is authenticated, for 30 more.
    plain, secured = (
        p_break_even(amount_minor=200, terms=Merchant(margin_bps=1_000), cost=RouteCost(attempt_minor=fee)) for fee in (10.0, 40.0)
    )
    assert (plain, secured) == (0.5, 1.0)
    odd = np.arange(900) % 2 == 1
    sent = odd & (p >= np.where(np.arange(900) % 3 == 0, secured, plain))
    assert retry.operating is not None
    assert retry.operating.sent.value == pytest.approx(sent.sum() / odd.sum())
    assert retry.operating.precision.value == pytest.approx(rows.approved[sent].mean())
    assert retry.operating.recall.value == pytest.approx(rows.approved[sent].sum() / rows.approved[odd].sum())


def test_too_few_attempts_of_a_sort_draw_no_curve() -> None:
    rows, p = _rows(90)
    assert [one.name for one in pr_curves(p, rows, settings=SETTINGS)] == ["all"]


def test_equal_probabilities_are_one_point() -> None:
    rows, _ = _rows(200)
    (point,) = pr_curves(np.full(200, 0.4), rows, settings=SETTINGS)[0].points
    assert (point.recall, point.precision) == (1.0, pytest.approx(rows.approved.mean()))


def test_the_picture_is_a_png_and_the_same_each_time() -> None:
    rows, p = _rows(900)
    curves = pr_curves(p, rows, settings=SETTINGS)
    first = precision_recall_picture(curves)
    assert first.startswith(b"\x89PNG")
    assert first == precision_recall_picture(curves)

"""Measures agree with closed forms and with scikit-learn, and their intervals know about payments."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as reference

from honour.approval.interval import figures, log_loss_gain, mean_figure, standard_error
from honour.approval.metric import auc, brier, calibration_error, log_loss, murphy, pr_auc, reliability_table
from honour.errors import BadInput

ROWS = st.lists(st.tuples(st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.7, 0.99, 1.0]), st.booleans()), min_size=2, max_size=60)


def _arrays(rows: list[tuple[float, bool]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([p for p, _ in rows]), np.array([float(y) for _, y in rows])


@given(ROWS)
def test_measures_agree_with_scikit_learn_ties_and_certainties_included(rows: list[tuple[float, bool]]) -> None:
    p, y = _arrays(rows)
    assert brier(p, y) == pytest.approx(reference.brier_score_loss(y, p, pos_label=1.0), abs=1e-12)
    assert log_loss(p, y) == pytest.approx(reference.log_loss(y, np.clip(p, 1e-6, 1 - 1e-6), labels=[0.0, 1.0]), rel=1e-9)
    if 0 < y.sum() < len(y):
        assert auc(p, y) == pytest.approx(reference.roc_auc_score(y, p))
        assert pr_auc(p, y) == pytest.approx(reference.average_precision_score(y, p))
    elif y.sum() == 0:
        assert auc(p, y) is None
        assert pr_auc(p, y) is None


@given(ROWS, st.integers(1, 20))
def test_the_parts_of_brier_add_up_to_brier(rows: list[tuple[float, bool]], n_bins: int) -> None:
    p, y = _arrays(rows)
    parts = murphy(p, y, n_bins=n_bins)
    assert parts.reliability - parts.resolution + parts.uncertainty + parts.within == pytest.approx(brier(p, y), abs=1e-12)


@given(ROWS)
def test_counting_a_row_twice_is_having_it_twice(rows: list[tuple[float, bool]]) -> None:
    p, y = _arrays(rows)
    weight = np.arange(len(p)) % 3 + 1.0
    twice = np.repeat(np.arange(len(p)), weight.astype(int))
    assert log_loss(p, y, weight=weight) == pytest.approx(log_loss(p[twice], y[twice]))
    assert brier(p, y, weight=weight) == pytest.approx(brier(p[twice], y[twice]))
    assert auc(p, y, weight=weight) == pytest.approx(auc(p[twice], y[twice]))
    assert pr_auc(p, y, weight=weight) == pytest.approx(pr_auc(p[twice], y[twice]))


def test_the_calibration_error_of_a_constant_is_its_distance_from_the_approval_rate() -> None:
    y = np.array([1.0, 0.0, 0.0, 0.0])
    assert calibration_error(np.full(4, 0.5), y) == pytest.approx(0.25)


def test_the_calibration_error_is_the_mean_gap_over_bins_of_equally_many_rows() -> None:
    p = np.array([0.1, 0.2, 0.3, 0.8, 0.9, 1.0])
    y = np.array([0.0, 0.0, 1.0, 1.0, 1.0, 1.0])
    gaps = [abs(0.6 - 1.0) / 6, abs(2.7 - 3.0) / 6]
    assert calibration_error(p, y, n_bins=2) == pytest.approx(sum(gaps))


def test_a_reliability_table_holds_every_row_once_in_ascending_bins() -> None:
    p = np.linspace(0.0, 1.0, 100)
    table = reliability_table(p, (p > 0.5).astype(float), n_bins=10)
    assert sum(row.n for row in table) == 100
    assert [row.p_mean for row in table] == sorted(row.p_mean for row in table)


@pytest.mark.parametrize(
    ("p", "y", "message"),
    [
        ([0.1], [0.0, 1.0], "1 probabilities and 2 answers"),
        ([], [], "at least one row"),
        ([0.1, 1.2], [0.0, 1.0], r"p\[1\] is 1.2"),
        ([float("nan")], [0.0], r"p\[0\] is nan"),
        ([0.1, 0.2], [0.0, 2.0], r"y\[1\] is 2.0"),
    ],
)
def test_what_is_no_probability_or_no_answer_is_refused(p: list[float], y: list[float], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        log_loss(np.array(p), np.array(y))


def test_an_interval_holds_its_value_and_repeats_with_its_seed() -> None:
    generator = np.random.default_rng(0)
    p = generator.uniform(0.05, 0.95, 400)
    y = (generator.uniform(size=400) < p).astype(float)
    first = figures(p, y, payments=np.arange(400), seed=3, n_draws=100)
    assert first == figures(p, y, payments=np.arange(400), seed=3, n_draws=100)
    assert set(first) == {"log_loss", "brier", "auc", "pr_auc", "calibration_error"}
    assert all(figure.low <= figure.value <= figure.high and figure.n == 400 for figure in first.values())


def test_copies_of_a_row_in_one_payment_say_no_more_than_the_row() -> None:
    rows = np.random.default_rng(0).normal(size=200)
    once = mean_figure(rows, payments=np.arange(200), seed=1)
    copied = mean_figure(np.repeat(rows, 5), payments=np.repeat(np.arange(200), 5), seed=1)
    assert (copied.low, copied.high) == pytest.approx((once.low, once.high))
    assert standard_error(np.repeat(rows, 5), payments=np.repeat(np.arange(200), 5)) == pytest.approx(rows.std() / np.sqrt(200))


def test_a_measure_that_cannot_be_said_is_left_out() -> None:
    assert set(figures(np.array([0.1, 0.2]), np.zeros(2), payments=np.arange(2), n_draws=10)) == {"log_loss", "brier", "calibration_error"}


def test_the_gain_over_itself_is_nothing() -> None:
    p, y = np.array([0.2, 0.7, 0.4]), np.array([0.0, 1.0, 1.0])
    gain = log_loss_gain(p, y, baseline=p, payments=np.arange(3), n_draws=20)
    assert (gain.value, gain.low, gain.high) == (0.0, 0.0, 0.0)

"""Exploration: exact propensities within a budget."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from honour.policy.explore import draw_for, pick, propensities

VALUES = st.lists(st.floats(-1e4, 1e4), min_size=1, max_size=20).map(np.array)


@given(VALUES, st.floats(0.001, 1e3))
def test_propensities_sum_to_one_stay_positive_and_keep_the_budget(values: np.ndarray, budget: float) -> None:
    chosen = propensities(values, budget_minor=budget)
    assert chosen.sum() == pytest.approx(1.0, abs=1e-12)
    assert (chosen > 0.0).all()
    assert float(np.sum(chosen * (values.max() - values))) <= budget * (1 + 1e-9)


@given(VALUES)
def test_without_a_budget_the_best_is_chosen_with_certainty(values: np.ndarray) -> None:
    chosen = propensities(values, budget_minor=0.0)
    assert chosen[np.argmax(values)] == 1.0
    assert chosen.sum() == 1.0


def test_a_budget_above_every_loss_explores_evenly() -> None:
    assert propensities(np.array([3.0, 2.0, 1.0]), budget_minor=100.0) == pytest.approx([1 / 3] * 3)


@given(VALUES, st.floats(0.001, 100.0), st.floats(0, 1, exclude_max=True))
def test_a_candidate_of_probability_zero_is_never_picked(values: np.ndarray, budget: float, draw: float) -> None:
    greedy = propensities(values, budget_minor=0.0)
    assert pick(greedy, draw=draw) == int(np.argmax(values))
    assert 0 <= pick(propensities(values, budget_minor=budget), draw=draw) < len(values)


@pytest.mark.truth
def test_draws_of_many_payments_follow_the_logged_propensities() -> None:
    logged = propensities(np.array([10.0, 9.0, 7.0, 2.0]), budget_minor=0.7)
    n = 100_000
    picked = np.bincount([pick(logged, draw=draw_for("salt", f"pay_{at}", 1)) for at in range(n)], minlength=4)
    chi_square = float(np.sum((picked - n * logged) ** 2 / (n * logged)))
    assert chi_square < 16.27  # 99.9 % point of chi-square with 3 degrees of freedom


def test_a_draw_depends_on_salt_payment_and_attempt_and_on_nothing_else() -> None:
    assert draw_for("a", "pay_1", 1) == draw_for("a", "pay_1", 1)
    assert len({draw_for("a", "pay_1", 1), draw_for("b", "pay_1", 1), draw_for("a", "pay_2", 1), draw_for("a", "pay_1", 2)}) == 4

"""Exploration: exact propensities within a budget."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from honour.policy.explore import draw_for, pick, propensities

VALUES = st.lists(st.floats(-1e4, 1e4), min_size=1, max_size=20)


@given(VALUES, st.floats(0.001, 1e3))
def test_propensities_sum_to_one_stay_positive_and_keep_the_budget(values: list[float], budget: float) -> None:
    chosen = np.array(propensities(values, budget_minor=budget))
    assert chosen.sum() == pytest.approx(1.0, abs=1e-12)
    assert (chosen > 0.0).all()
    assert float(np.sum(chosen * (max(values) - np.array(values)))) <= budget * (1 + 1e-9)


@given(VALUES, st.floats(0.001, 1e3), st.floats(0.0, 0.5))
def test_the_uniform_slice_is_paid_from_the_same_budget(values: list[float], budget: float, share: float) -> None:
    spread = [1.0 + at % 3 for at in range(len(values))]
    chosen = np.array(propensities(values, budget_minor=budget, spread=spread, uniform_share=share))
    gaps = max(values) - np.array(values)
    assert chosen.sum() == pytest.approx(1.0, abs=1e-12)
    assert float(np.sum(chosen * gaps)) <= budget * (1 + 1e-9)
    mean_gap = float(gaps.mean())
    kept = share if share * mean_gap <= 0.5 * budget else 0.5 * budget / mean_gap
    assert chosen.min() >= kept / len(values) * (1 - 1e-9)


def test_without_a_budget_there_is_no_uniform_slice_either() -> None:
    assert propensities([3.0, 2.0], budget_minor=0.0, uniform_share=0.5) == [1.0, 0.0]


@given(VALUES)
def test_without_a_budget_the_best_is_chosen_with_certainty(values: list[float]) -> None:
    chosen = propensities(values, budget_minor=0.0)
    assert chosen[np.argmax(values)] == 1.0
    assert sum(chosen) == 1.0


def test_a_budget_above_every_loss_explores_evenly() -> None:
    assert propensities([3.0, 2.0, 1.0], budget_minor=100.0) == pytest.approx([1 / 3] * 3)


@given(VALUES, st.floats(0.001, 100.0), st.floats(0, 1, exclude_max=True))
def test_a_candidate_of_probability_zero_is_never_picked(values: list[float], budget: float, draw: float) -> None:
    greedy = propensities(values, budget_minor=0.0)
    assert pick(greedy, draw=draw) == int(np.argmax(values))
    assert 0 <= pick(propensities(values, budget_minor=budget), draw=draw) < len(values)


@pytest.mark.truth
def test_draws_of_many_payments_follow_the_logged_propensities() -> None:
    logged = np.array(propensities([10.0, 9.0, 7.0, 2.0], budget_minor=0.7))
    n = 100_000
    picked = np.bincount([pick(logged.tolist(), draw=draw_for("salt", f"pay_{at}", 1)) for at in range(n)], minlength=4)
    chi_square = float(np.sum((picked - n * logged) ** 2 / (n * logged)))
    assert chi_square < 16.27  # 99.9 % point of chi-square with 3 degrees of freedom


@pytest.mark.truth
def test_choices_of_many_different_decisions_follow_what_was_logged_with_each() -> None:
    """100,000 decisions with values, uncertainty, budget and number of candidates of their own; by logged propensity, in 20 bins."""
    luck = np.random.default_rng(7)
    expected, variance, seen = np.zeros(20), np.zeros(20), np.zeros(20)
    for at in range(100_000):
        k = int(luck.integers(2, 9))
        values, spread = luck.normal(100.0, 20.0, k).tolist(), luck.exponential(5.0, k).tolist()
        logged = np.array(propensities(values, budget_minor=float(luck.exponential(5.0)), spread=spread, uniform_share=0.005))
        chosen = pick(logged.tolist(), draw=draw_for("salt", f"pay_{at}", 1))
        bins = np.minimum(19, (np.sqrt(logged) * 20).astype(int))  # Finer where propensities are small.
        np.add.at(expected, bins, logged)
        np.add.at(variance, bins, logged * (1.0 - logged))
        seen[bins[chosen]] += 1.0
    filled = variance > 5.0
    chi_square = float(np.sum((seen[filled] - expected[filled]) ** 2 / variance[filled]))
    assert filled.sum() >= 12
    assert chi_square < 45.31  # 99.9 % point with 20 degrees of freedom; bins are nearly independent, so this errs on the safe side.


def test_a_draw_depends_on_salt_payment_and_attempt_and_on_nothing_else() -> None:
    assert draw_for("a", "pay_1", 1) == draw_for("a", "pay_1", 1)
    assert len({draw_for("a", "pay_1", 1), draw_for("b", "pay_1", 1), draw_for("a", "pay_2", 1), draw_for("a", "pay_1", 2)}) == 4

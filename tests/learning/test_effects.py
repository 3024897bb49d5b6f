"""Effects of crossed tables against a world whose effects are known."""

from __future__ import annotations

import numpy as np
import pytest

from honour.approval.calibration import expit
from honour.learning.kinds.effects import Effects, fit_effects

N_ROUTES, N_ISSUERS, N_NOISE = 8, 60, 200
STARTS = np.cumsum([0, N_ROUTES, N_ISSUERS, N_ROUTES * N_ISSUERS, N_NOISE]).astype(np.int64)


def _world(seed: int, *, n: int, spread: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows of routes, issuers, pairs whose effect has a standard deviation of `spread`, and a table that says nothing."""
    generator = np.random.default_rng(seed)
    route, issuer = generator.integers(0, N_ROUTES, n), generator.integers(0, N_ISSUERS, n)
    pair, noise = route * N_ISSUERS + issuer, generator.integers(0, N_NOISE, n)
    of_pair = generator.normal(0.0, spread, N_ROUTES * N_ISSUERS)
    z = 0.8 + generator.normal(0.0, 0.4, N_ROUTES)[route] + generator.normal(0.0, 0.6, N_ISSUERS)[issuer] + of_pair[pair]
    index = (np.stack([route, issuer, pair, noise]) + STARTS[:-1, None]).astype(np.int32)
    return index, (generator.random(n) < expit(z)).astype(np.float64), of_pair


def _fitted(index: np.ndarray, y: np.ndarray, weight: np.ndarray) -> Effects:
    return fit_effects(Effects.none(STARTS, y=y, weight=weight), index=index, y=y, weight=weight)


def test_the_spread_of_effects_is_found_and_a_table_that_says_nothing_fades() -> None:
    found = []
    for seed in range(8):
        index, y, _ = _world(seed, n=20_000, spread=0.5)
        found.append(np.sqrt(_fitted(index, y, np.ones(len(y))).variances))
    routes, issuers, pairs, noise = np.mean(found, axis=0)
    assert routes == pytest.approx(0.4, abs=0.1)
    assert issuers == pytest.approx(0.6, abs=0.06)
    assert 0.4 < pairs < 0.52  # Forty rows a pair: a little low, as the mode in place of the mean makes it.
    assert noise < 0.15


def test_effects_are_far_nearer_to_the_truth_than_rates_of_the_rows() -> None:
    index, y, truth = _world(3, n=8_000, spread=0.3)
    effects = _fitted(index, y, np.ones(len(y)))
    found = np.mean((effects.values[STARTS[2] : STARTS[3]] - truth) ** 2)
    n, k = (np.bincount(index[2] - STARTS[2], weights=weight, minlength=len(truth)) for weight in (np.ones(len(y)), y))
    rate = (k + 0.5) / (n + 1.0)
    assert found < 0.9 * np.mean(truth**2)
    assert found < 0.25 * np.mean((np.log(rate / (1.0 - rate)) - effects.intercept - truth) ** 2)


def test_a_row_that_weighs_two_counts_as_two_rows() -> None:
    index, y, _ = _world(1, n=3_000, spread=0.4)
    twice = np.concatenate([index, index[:, :500]], axis=1)
    weight = np.ones(len(y))
    weight[:500] = 2.0
    of_rows = _fitted(twice, np.concatenate([y, y[:500]]), np.ones(3_500))
    np.testing.assert_allclose(_fitted(index, y, weight).values, of_rows.values, atol=1e-9)


def test_a_level_without_rows_has_no_effect() -> None:
    index, y, _ = _world(2, n=2_000, spread=0.4)
    away = index[1] != STARTS[1] + 7
    values = _fitted(index[:, away], y[away], np.ones(int(away.sum()))).values
    assert values[STARTS[1] + 7] == 0.0

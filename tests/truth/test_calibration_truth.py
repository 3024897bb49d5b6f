"""Over many seeds: intervals cover the truth, and choosing a calibrator does no harm."""

from __future__ import annotations

import numpy as np
import pytest

from honour.approval.calibration import expit, logit
from honour.approval.interval import figures, log_loss_gain, standard_error
from honour.approval.metric import equal_mass_bins, log_loss
from honour.learning.calibrate import choose_calibrator

pytestmark = pytest.mark.truth

N_SEEDS = 200
N_PAYMENTS = 400
ATTEMPTS = 3


def _world(seed: int, *, slope: float, n_payments: int = N_PAYMENTS) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What a model says, answers, payments. Attempts of a payment share what the model does not know."""
    generator = np.random.default_rng(seed)
    payments = np.repeat(np.arange(n_payments), ATTEMPTS)
    known = generator.normal(-0.8, 1.0, n_payments)[payments]
    hidden = generator.normal(0.0, 1.0, n_payments)[payments]
    y = (generator.random(len(payments)) < expit(known + hidden)).astype(float)
    # exp(-0.5 x 0.346 x variance) is the usual approximation of what a hidden normal does to a logit.
    said = expit(known / np.sqrt(1.0 + 0.346) * slope)
    return said, y, payments


def _binomial_floor(level: float) -> float:
    return level - 3.0 * np.sqrt(level * (1.0 - level) / N_SEEDS)


@pytest.mark.parametrize("name", ["log_loss", "brier", "auc"])
def test_intervals_that_draw_payments_cover_the_truth_as_often_as_they_say(name: str) -> None:
    said, y, payments = _world(10_000, slope=1.0, n_payments=300_000)
    truth = figures(said, y, payments=payments, n_draws=1)[name].value
    covered = 0
    for seed in range(N_SEEDS):
        said, y, payments = _world(seed, slope=1.0)
        figure = figures(said, y, payments=payments, seed=seed, n_draws=200)[name]
        covered += figure.low <= truth <= figure.high
    assert covered / N_SEEDS >= _binomial_floor(0.95)


def test_intervals_that_draw_rows_would_be_too_narrow() -> None:
    said, y, payments = _world(0, slope=1.0)
    by_payment = figures(said, y, payments=payments, n_draws=300)["log_loss"]
    by_row = figures(said, y, payments=np.arange(len(y)), n_draws=300)["log_loss"]
    assert by_payment.high - by_payment.low > 1.1 * (by_row.high - by_row.low)


@pytest.mark.parametrize("slope", [1.0, 0.6])
def test_the_interval_of_the_calibration_error_covers_the_true_one(slope: float) -> None:
    said, y, payments = _world(10_000, slope=slope, n_payments=300_000)
    bins = equal_mass_bins(said)
    truth = float(np.abs(np.bincount(bins, weights=said - y)).sum() / len(y))
    covered = 0
    for seed in range(N_SEEDS):
        said, y, payments = _world(seed, slope=slope)
        figure = figures(said, y, payments=payments, seed=seed, n_draws=200)["calibration_error"]
        covered += figure.low <= truth <= figure.high
    assert covered / N_SEEDS >= _binomial_floor(0.95)


def test_a_gain_of_nothing_is_claimed_no_more_often_than_the_interval_says() -> None:
    claimed = 0
    for seed in range(N_SEEDS):
        generator = np.random.default_rng(seed)
        payments = np.repeat(np.arange(300), 2)
        y = (generator.random(600) < 0.3).astype(float)
        noise = expit(logit(np.full(600, 0.3)) + generator.normal(0.0, 0.05, 600))
        claimed += log_loss_gain(noise, y, baseline=np.full(600, 0.3), payments=payments, seed=seed, n_draws=200).low > 0.0
    assert claimed / N_SEEDS <= 0.025 + 3.0 * np.sqrt(0.025 * 0.975 / N_SEEDS)


def test_the_standard_error_is_that_of_many_samples() -> None:
    means, said_errors = [], []
    for seed in range(400):
        generator = np.random.default_rng(seed)
        payments = np.repeat(np.arange(100), 4)
        rows = generator.normal(size=100)[payments] + generator.normal(size=400)
        means.append(rows.mean())
        said_errors.append(standard_error(rows, payments=payments))
    assert np.mean(said_errors) == pytest.approx(np.std(means), rel=0.12)


def test_choosing_a_calibrator_helps_a_distorted_model_and_harms_none() -> None:
    gains = {1.0: [], 0.5: []}
    for slope, found in gains.items():
        for seed in range(40):
            said, y, payments = _world(seed, slope=1.0 / slope, n_payments=500)
            chosen = choose_calibrator(said, y=y, payments=payments, at_us=payments, seed=seed).calibrator
            later_said, later_y, _ = _world(1_000 + seed, slope=1.0 / slope, n_payments=5_000)
            found.append(log_loss(later_said, later_y) - log_loss(chosen.apply(later_said), later_y))
    assert np.mean(gains[1.0]) > -0.0005
    assert np.mean(gains[0.5]) > 0.01
    assert np.min(gains[0.5]) > 0.0

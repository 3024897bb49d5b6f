"""Calibrators undo distortions that are known, and are left alone where there is none."""

from __future__ import annotations

import numpy as np
import pytest

from honour.approval.calibration import Platt, expit, kind_of, logit
from honour.approval.metric import log_loss
from honour.errors import CannotTrain
from honour.learning.calibrate import choose_calibrator, fit_calibrator


def _distorted(n_rows: int, *, slope: float, shift: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """True p, what a model says whose log-odds are (true - shift) / slope, and answers."""
    generator = np.random.default_rng(seed)
    true = expit(generator.normal(-0.5, 1.2, n_rows))
    return true, expit((logit(true) - shift) / slope), (generator.random(n_rows) < true).astype(float)


@pytest.mark.parametrize("kind", ["platt", "beta", "quadratic_logit", "isotonic", "venn_abers"])
def test_a_model_that_is_too_sure_and_too_low_is_put_right(kind: str) -> None:
    true, said, y = _distorted(20_000, slope=0.5, shift=0.7)
    calibrated = fit_calibrator(kind, p=said, y=y).apply(said)
    assert np.abs(calibrated - true).mean() < 0.02 < np.abs(said - true).mean()


def test_platt_finds_the_slope_and_the_shift() -> None:
    _, said, y = _distorted(50_000, slope=0.5, shift=0.7)
    found = fit_calibrator("platt", p=said, y=y)
    assert isinstance(found, Platt)
    assert found.slope == pytest.approx(0.5, abs=0.03)
    assert found.intercept == pytest.approx(0.7, abs=0.06)


def test_a_calibrated_model_is_left_alone() -> None:
    _, said, y = _distorted(4_000, slope=1.0, shift=0.0)
    choice = choose_calibrator(said, y=y, payments=np.arange(4_000), at_us=np.arange(4_000), seed=1)
    assert kind_of(choice.calibrator) == "identity"
    assert choice.gain.value == 0.0


def test_the_simplest_kind_that_undoes_the_distortion_is_chosen() -> None:
    _, said, y = _distorted(8_000, slope=0.5, shift=0.7)
    choice = choose_calibrator(said, y=y, payments=np.arange(8_000) // 2, at_us=np.arange(8_000), seed=1)
    assert kind_of(choice.calibrator) == "platt"
    assert choice.gain.low > 0.0
    assert choice.losses["platt"] < choice.losses["identity"]


@pytest.mark.parametrize("seed", range(5))
def test_the_choice_is_not_worse_than_none_on_rows_of_its_own(seed: int) -> None:
    _, said, y = _distorted(2_000, slope=1.1, shift=0.05, seed=seed)
    _, said_later, y_later = _distorted(20_000, slope=1.1, shift=0.05, seed=100 + seed)
    chosen = choose_calibrator(said, y=y, payments=np.arange(2_000), at_us=np.arange(2_000), seed=seed).calibrator
    assert log_loss(chosen.apply(said_later), y_later) <= log_loss(said_later, y_later) + 0.001


def test_an_unknown_kind_is_named_with_those_that_are_known() -> None:
    with pytest.raises(CannotTrain, match=r"'spline'.*identity, platt, beta"):
        fit_calibrator("spline", p=np.array([0.1, 0.9]), y=np.array([0.0, 1.0]))

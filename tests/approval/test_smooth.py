"""Calibration error without bins."""

from __future__ import annotations

import numpy as np
import pytest

from honour.approval.smooth import smooth_calibration_error
from honour.errors import BadInput


def test_probabilities_that_hold_have_next_to_none() -> None:
    generator = np.random.default_rng(0)
    p = generator.random(50_000)
    assert smooth_calibration_error(p, (generator.random(50_000) < p).astype(float)) < 0.015


@pytest.mark.parametrize("shift", [0.05, 0.1, 0.2])
def test_a_promise_that_is_too_high_by_so_much_is_that_far_off(shift: float) -> None:
    generator = np.random.default_rng(1)
    p = generator.uniform(0.3, 0.7, 50_000)
    y = (generator.random(50_000) < p - shift).astype(float)
    assert smooth_calibration_error(p, y) == pytest.approx(shift, abs=0.012)


def test_no_rows_are_refused() -> None:
    with pytest.raises(BadInput, match="0 probabilities"):
        smooth_calibration_error(np.empty(0), np.empty(0))

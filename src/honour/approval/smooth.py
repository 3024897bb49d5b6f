"""Smooth calibration error: how far probabilities are from what happens, without bins that somebody must choose.

Błasiok and Nakkiran 2023, "Smooth ECE", arXiv 2309.12236.
"""

from __future__ import annotations

import numpy as np

from honour.approval.metric import Floats
from honour.errors import BadInput

N_CELLS = 1_000
N_HALVINGS = 14


def smooth_calibration_error(p: Floats, y: Floats) -> float:
    """The width at which residuals y - p, smoothed over p with a reflected Gaussian of that width, are together as large as the width.

    p, y : (n,) probabilities and answers, 1 or 0

    >>> round(smooth_calibration_error(np.full(1000, 0.7), np.tile([0.0, 1.0], 500)), 2)
    0.2
    """
    if len(p) != len(y) or not len(p):
        raise BadInput(f"{len(p)} probabilities and {len(y)} answers; a measure needs one of each per row, and at least one row")
    cell = np.minimum((p * N_CELLS).astype(np.intp), N_CELLS - 1)
    residual = np.bincount(cell, weights=y - p, minlength=N_CELLS) / len(p)
    low, high = 1.0 / N_CELLS, 1.0
    for _ in range(N_HALVINGS):
        width = 0.5 * (low + high)
        low, high = (width, high) if _smoothed(residual, width=width) > width else (low, width)
    return float(0.5 * (low + high))


def _smoothed(residual: Floats, *, width: float) -> float:
    """Mass of the residuals after smoothing: what lies beyond 0 or 1 is reflected back."""
    reach = min(N_CELLS, int(np.ceil(5.0 * width * N_CELLS)))
    kernel = np.exp(-0.5 * np.square(np.arange(-reach, reach + 1) / (width * N_CELLS)))
    mirrored = np.concatenate([residual[:reach][::-1], residual, residual[-reach:][::-1]])
    return float(np.abs(np.convolve(mirrored, kernel / kernel.sum(), mode="same")[reach : reach + N_CELLS]).sum())

"""Measures with 95 % intervals, by a bootstrap that draws whole payments.

Attempts of one payment are answered alike, so that they are drawn together (cluster bootstrap, Field and Welsh 2007).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from honour.approval.metric import (
    N_BINS,
    Figure,
    Floats,
    Weights,
    auc_of,
    binned_gaps,
    equal_mass_bins,
    log_loss,
    mass_by_rank,
    pr_auc_of,
    ranks,
    row_log_loss,
)

N_DRAWS = 500
_TAILS = (2.5, 97.5)


def figures(
    p: Floats, y: Floats, *, payments: Sequence[Any] | NDArray[Any], seed: int = 0, n_draws: int = N_DRAWS, n_bins: int = N_BINS
) -> dict[str, Figure]:
    """log_loss, brier, auc, pr_auc and calibration_error, each with its interval; one that cannot be said is left out.

    payments : (n,) payment of each row
    seed     of the draws: same rows and seed, same intervals
    """
    log_loss(p, y)  # Refuses what no measure can be taken of.
    rows = _Rows(row_log_loss(p, y), np.square(p - y), ranks(p), y)
    values = _measured(rows, weight=None)
    bins = equal_mass_bins(p, n_bins=n_bins)
    gaps = binned_gaps(p, y, bins=bins)
    drawn: dict[str, list[float]] = {name: [] for name in values}
    drawn_gaps: list[Floats] = []
    for weight in _draws(payments, seed=seed, n_draws=n_draws):
        for name, value in _measured(rows, weight=weight).items():
            drawn[name].append(value)
        drawn_gaps.append(binned_gaps(p, y, bins=bins, weight=weight))
    found = {name: _figure(value, drawn[name], n=len(p)) for name, value in values.items()}
    return found | {"calibration_error": _calibration_figure(gaps, np.array(drawn_gaps), n=len(p))}


def mean_figure(rows: Floats, *, payments: Sequence[Any] | NDArray[Any], seed: int = 0, n_draws: int = N_DRAWS) -> Figure:
    """Mean of a value per row, with its interval."""
    drawn = [float(np.average(rows, weights=weight)) for weight in _draws(payments, seed=seed, n_draws=n_draws)]
    return _figure(float(rows.mean()), drawn, n=len(rows))


def standard_error(rows: Floats, *, payments: NDArray[Any]) -> float:
    """Of the mean of a value per row, when rows of one payment go together; closed form (Liang and Zeger 1986).

    >>> round(standard_error(np.array([0.0, 0.0, 1.0, 1.0]), payments=np.array([1, 1, 2, 2])), 4)
    0.3536
    """
    _, cluster = np.unique(np.asarray(payments), return_inverse=True)
    return float(np.sqrt(np.square(np.bincount(cluster, weights=rows - rows.mean())).sum()) / len(rows))


def log_loss_gain(
    p: Floats, y: Floats, *, baseline: Floats, payments: Sequence[Any] | NDArray[Any], seed: int = 0, n_draws: int = N_DRAWS
) -> Figure:
    """Log loss of `baseline` less that of `p` on the same rows: positive when `p` is better.

    A gain is shown only when `low` is above 0.
    """
    return mean_figure(row_log_loss(baseline, y) - row_log_loss(p, y), payments=payments, seed=seed, n_draws=n_draws)


class _Rows(NamedTuple):
    """What does not change from draw to draw, (n,) each: losses, squared distances, ranks of p, answers."""

    losses: Floats
    squares: Floats
    rank: NDArray[np.intp]
    y: Floats


def _measured(rows: _Rows, *, weight: Weights) -> dict[str, float]:
    """The measures of rows that count `weight` times; one that cannot be said is left out."""
    mass = mass_by_rank(rows.rank, rows.y, weight=weight)
    values = {
        "log_loss": float(np.average(rows.losses, weights=weight)),
        "brier": float(np.average(rows.squares, weights=weight)),
        "auc": auc_of(mass),
        "pr_auc": pr_auc_of(mass),
    }
    return {name: value for name, value in values.items() if value is not None}


def _draws(payments: Sequence[Any] | NDArray[Any], *, seed: int, n_draws: int) -> Any:
    """How often each row was drawn, for each draw; (n,) each."""
    _, cluster = np.unique(np.asarray(payments), return_inverse=True)
    n_clusters = int(cluster.max()) + 1
    generator = np.random.default_rng(seed)
    for _ in range(n_draws):
        counts = np.bincount(generator.integers(n_clusters, size=n_clusters), minlength=n_clusters)
        yield counts[cluster].astype(np.float64)


def _figure(value: float, drawn: Sequence[float], *, n: int) -> Figure:
    low, high = np.percentile(drawn, _TAILS) if drawn else (value, value)
    return Figure(value=value, low=float(min(low, value)), high=float(max(high, value)), n=n)


def _calibration_figure(gaps: Floats, drawn: Floats, *, n: int) -> Figure:
    """Interval of the calibration error, which noise can only raise: draws hold the noise of the rows and that of drawing.

    The lower end is 0 unless the value is above 97.5 % of what a perfectly calibrated model with this noise would show;
    then the upper end is reflected, which takes both kinds of noise off again.

    gaps, drawn : (n_bins,) and (n_draws, n_bins)
    """
    value = float(np.abs(gaps).sum())
    high = float(np.percentile(np.abs(drawn).sum(axis=1), _TAILS[1]))
    perfect = float(np.percentile(np.abs(drawn - gaps).sum(axis=1), _TAILS[1]))
    low = 0.0 if value <= perfect else max(0.0, 2.0 * value - high)
    return Figure(value=value, low=min(low, value), high=max(high, value), n=n)

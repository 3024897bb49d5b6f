"""How good probabilities are, as point values: losses, ranking, calibration. Intervals are in `interval`.

Shapes: p, y and weight are (n,); y holds 0 and 1; p lies in [0, 1]. A weight counts a row that many times, so that a
bootstrap draws rows by weighting them.
"""

from __future__ import annotations

from math import sqrt
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from honour.errors import BadInput

Floats = NDArray[np.float64]
Weights = NDArray[np.floating] | None

P_MIN = 1e-6
"""No probability is taken as nearer to 0 or 1: a certain answer that is wrong would cost infinitely much."""

N_BINS = 15
Z = 1.959963984540054
"""97.5 % quantile of the normal distribution."""


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """A value measured on n rows, with its 95 % interval."""

    value: float
    low: float
    high: float
    n: int


class Murphy(msgspec.Struct, frozen=True, kw_only=True):
    """Brier = reliability - resolution + uncertainty + within.

    reliability  distance of p from what happened, lower is better
    resolution   how much approval differs between bins, higher is better
    uncertainty  of always giving the base rate
    within       variance inside bins less covariance: what binning hides (Stephenson, Coelho and Jolliffe 2008)
    """

    reliability: float
    resolution: float
    uncertainty: float
    within: float


class ReliabilityBin(msgspec.Struct, frozen=True, kw_only=True):
    """One bin of a reliability table: mean probability given, share approved with its 95 % interval, rows.

    The interval (Wilson 1927) leaves out that attempts of one payment agree.
    """

    p_mean: float
    approval_rate: float
    low: float
    high: float
    n: int


def row_log_loss(p: Floats, y: Floats) -> Floats:
    """Log loss of each row, natural logarithm; p is kept 1e-6 away from 0 and 1.

    returns : (n,)
    """
    kept = np.clip(p, P_MIN, 1.0 - P_MIN)
    return -np.where(y > 0.5, np.log(kept), np.log1p(-kept))


def log_loss(p: Floats, y: Floats, *, weight: Weights = None) -> float:
    """Mean log loss.

    >>> round(log_loss(np.array([0.5, 0.5]), np.array([0.0, 1.0])), 4)
    0.6931
    """
    _check(p, y)
    return float(np.average(row_log_loss(p, y), weights=weight))


def brier(p: Floats, y: Floats, *, weight: Weights = None) -> float:
    """Mean squared distance of p from what happened."""
    _check(p, y)
    return float(np.average(np.square(p - y), weights=weight))


def auc(p: Floats, y: Floats, *, weight: Weights = None) -> float | None:
    """P(an approved attempt is given more than one not approved), ties half; None when there is only one class.

    >>> auc(np.array([0.1, 0.4, 0.4]), np.array([0.0, 1.0, 0.0]))
    0.75
    """
    _check(p, y)
    return auc_of(mass_by_rank(ranks(p), y, weight=weight))


def pr_auc(p: Floats, y: Floats, *, weight: Weights = None) -> float | None:
    """Average precision: precision at each distinct p, weighted by the recall it adds; None without an approval."""
    _check(p, y)
    return pr_auc_of(mass_by_rank(ranks(p), y, weight=weight))


class Mass(NamedTuple):
    """Weight of approved and of other rows at each distinct p, ascending; (n_distinct,) each."""

    positive: Floats
    negative: Floats


def ranks(p: Floats) -> NDArray[np.intp]:
    """Place of each row's p among the distinct ones, ascending: (n,). Found once for many draws of the same rows."""
    return np.unique(p, return_inverse=True)[1]


def mass_by_rank(rank: NDArray[np.intp], y: Floats, *, weight: Weights = None) -> Mass:
    """Weight of approved and of other rows by the rank of their p."""
    mass = np.ones(len(y)) if weight is None else np.asarray(weight, dtype=np.float64)
    n = int(rank.max()) + 1
    positive: Floats = np.bincount(rank, weights=mass * y, minlength=n).astype(np.float64)
    both: Floats = np.bincount(rank, weights=mass, minlength=n).astype(np.float64)
    return Mass(positive, both - positive)


def auc_of(mass: Mass) -> float | None:
    """As `auc`."""
    positive, negative = mass
    n_pairs = positive.sum() * negative.sum()
    if n_pairs == 0:
        return None
    below = np.cumsum(negative) - negative
    return float((positive * (below + 0.5 * negative)).sum() / n_pairs)


def pr_auc_of(mass: Mass) -> float | None:
    """As `pr_auc`."""
    positive, negative = mass
    if positive.sum() == 0:
        return None
    hits = np.cumsum(positive[::-1])
    asked = hits + np.cumsum(negative[::-1])
    precision = np.divide(hits, asked, out=np.zeros_like(hits), where=asked > 0)
    return float((precision * positive[::-1]).sum() / positive.sum())


def calibration_error(p: Floats, y: Floats, *, n_bins: int = N_BINS, weight: Weights = None) -> float:
    """Mean distance of p from the approval rate over equal-mass bins of p (Naeini, Cooper and Hauskrecht 2015).

    Biased upwards: a perfect model has about sqrt(2 n_bins p (1 - p) / (pi n)). Rows with the same p share a bin.
    """
    _check(p, y)
    return float(np.abs(binned_gaps(p, y, bins=equal_mass_bins(p, n_bins=n_bins), weight=weight)).sum())


def binned_gaps(p: Floats, y: Floats, *, bins: NDArray[np.intp], weight: Weights = None) -> Floats:
    """Of each bin, its share of the rows times (mean p - approval rate); absolute values sum to the calibration error.

    bins : (n,) number of each row's bin
    """
    gap = p - y if weight is None else (p - y) * weight
    total = len(p) if weight is None else weight.sum()
    gaps: Floats = np.bincount(bins, weights=gap).astype(np.float64) / total
    return gaps


def equal_mass_bins(p: Floats, *, n_bins: int = N_BINS) -> NDArray[np.intp]:
    """Bin of each row, ascending in p, with equally many rows in each as far as ties allow."""
    ordered = np.sort(p)
    edges = np.unique(ordered[np.arange(1, n_bins) * len(p) // n_bins])
    return np.searchsorted(edges, p, side="right")


def murphy(p: Floats, y: Floats, *, n_bins: int = N_BINS) -> Murphy:
    """The Brier score taken apart over equal-mass bins (Murphy 1973)."""
    _check(p, y)
    bins = equal_mass_bins(p, n_bins=n_bins)
    n = np.maximum(np.bincount(bins), 1)
    p_mean, y_mean = np.bincount(bins, weights=p) / n, np.bincount(bins, weights=y) / n
    base = float(y.mean())
    share = np.bincount(bins) / len(p)
    within = np.mean(np.square(p - p_mean[bins])) - 2.0 * np.mean((p - p_mean[bins]) * (y - y_mean[bins]))
    return Murphy(
        reliability=float((share * np.square(p_mean - y_mean)).sum()),
        resolution=float((share * np.square(y_mean - base)).sum()),
        uncertainty=base * (1.0 - base),
        within=float(within),
    )


def reliability_table(p: Floats, y: Floats, *, n_bins: int = N_BINS) -> tuple[ReliabilityBin, ...]:
    """Mean probability and approval rate of each equal-mass bin, ascending."""
    _check(p, y)
    bins = equal_mass_bins(p, n_bins=n_bins)
    n, p_sum, y_sum = np.bincount(bins), np.bincount(bins, weights=p), np.bincount(bins, weights=y)
    table = []
    for at in np.flatnonzero(n):
        rate = float(y_sum[at] / n[at])
        low, high = wilson(rate, n=int(n[at]))
        table.append(ReliabilityBin(p_mean=float(p_sum[at] / n[at]), approval_rate=rate, low=low, high=high, n=int(n[at])))
    return tuple(table)


def wilson(rate: float, *, n: int) -> tuple[float, float]:
    """95 % interval of a share.

    >>> tuple(round(end, 3) for end in wilson(0.5, n=100))
    (0.404, 0.596)
    """
    if n == 0:
        return 0.0, 1.0
    middle = (rate + Z * Z / (2 * n)) / (1 + Z * Z / n)
    half = Z * sqrt(rate * (1 - rate) / n + Z * Z / (4 * n * n)) / (1 + Z * Z / n)
    return middle - half, middle + half


def _check(p: Floats, y: Floats) -> None:
    if len(p) != len(y) or len(p) == 0:
        raise BadInput(f"{len(p)} probabilities and {len(y)} answers; a measure needs one of each per row, and at least one row")
    if not (np.all(p >= 0.0) and np.all(p <= 1.0)):  # Also true of NaN.
        at = int(np.argmin((p >= 0.0) & (p <= 1.0)))
        raise BadInput(f"p[{at}] is {p[at]}; a probability lies in [0, 1]. Calibrate scores before judging them.")
    if not np.all((y == 0.0) | (y == 1.0)):
        at = int(np.argmin((y == 0.0) | (y == 1.0)))
        raise BadInput(f"y[{at}] is {y[at]}; an answer is 1 (approved) or 0")

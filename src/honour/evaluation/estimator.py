"""Off-policy estimators: the mean reward of a target policy, from choices that another policy made.

With w = p_target(chosen) / p_logged, r the reward and q a model of it:

    IPS    mean(w r)                                   Horvitz and Thompson 1952
    SNIPS  mean(w r) / mean(w)                         Swaminathan and Joachims 2015
    BIPS   mean(w (r - b) + b), b = sum((w^2 - w) r) / sum(w^2 - w)     Gupta et al. 2024, arXiv 2405.05736
    DM     mean(sum_a p_target(a) q(a))                the model alone: as biased as the model
    DR     DM + mean(w (r - q(chosen)))                Dudik, Langford and Li 2011

Intervals are 95 %, from the influence of each payment (cluster-robust).
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import numpy as np

from honour.evaluation.logged import Floats, Logged

Z = 1.959963984540054


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """Value with its standard error and 95 % interval; n rows, n_effective = (sum w)^2 / sum w^2."""

    value: float
    std_error: float
    low: float
    high: float
    n: int
    n_effective: float
    unit: str


def ips(logged: Logged) -> Estimate:
    """Unbiased; its variance grows with the largest weight and with the level of the reward. Trust while n_effective is large."""
    return _estimate(logged.weight * logged.reward, logged)


def snips(logged: Logged) -> Estimate:
    """Biased, consistent, bounded by the range of the reward. Trust while n_effective is large."""
    w, r = logged.weight, logged.reward
    value = float(np.mean(w * r) / np.mean(w))
    return _estimate(value + w * (r - value) / np.mean(w), logged)


def bips(logged: Logged) -> Estimate:
    """IPS with the baseline of least variance, estimated; consistent, and not worse than SNIPS in large samples."""
    w, r = logged.weight, logged.reward
    spread = float(np.sum(w * w - w))
    baseline = float(np.sum((w * w - w) * r) / spread) if spread > 0.0 else 0.0
    return _estimate(w * (r - baseline) + baseline, logged)


def dm(logged: Logged) -> Estimate:
    """A diagnostic only: its interval knows nothing of the model's own error."""
    return _estimate(np.sum(logged.p_target * logged.predicted, axis=1), logged)


def dr(logged: Logged) -> Estimate:
    """Unbiased when the propensities or the model are right; `predicted` must come from other rows than these."""
    direct = np.sum(logged.p_target * logged.predicted, axis=1)
    return _estimate(direct + logged.weight * (logged.reward - _predicted_of_chosen(logged)), logged)


ESTIMATORS: dict[str, Callable[[Logged], Estimate]] = {"ips": ips, "snips": snips, "bips": bips, "dm": dm, "dr": dr}


def difference(treated: Floats, control: Floats, *, logged: Logged) -> Estimate:
    """Mean of treated - control on the same rows: (n,) each."""
    return _estimate(treated - control, logged)


def dr_rows(logged: Logged) -> Floats:
    """The row-wise terms whose mean is DR: (n,)."""
    direct: Floats = np.sum(logged.p_target * logged.predicted, axis=1)
    return direct + logged.weight * (logged.reward - _predicted_of_chosen(logged))


def n_effective(weight: Floats) -> float:
    """Rows that an unweighted sample of the same precision would have."""
    squares = float(np.sum(weight * weight))
    return float(np.sum(weight)) ** 2 / squares if squares > 0.0 else 0.0


def _predicted_of_chosen(logged: Logged) -> Floats:
    chosen: Floats = logged.predicted[np.arange(len(logged.chosen)), logged.chosen]
    return chosen


def _estimate(influence: Floats, logged: Logged) -> Estimate:
    value = float(np.mean(influence))
    error = _cluster_error(influence - value, logged)
    return Estimate(
        value=value,
        std_error=error,
        low=value - Z * error,
        high=value + Z * error,
        n=len(influence),
        n_effective=n_effective(logged.weight),
        unit=logged.unit,
    )


def _cluster_error(centred: Floats, logged: Logged) -> float:
    _, place = np.unique(logged.clusters, return_inverse=True)
    sums = np.bincount(place, weights=centred)
    n_clusters = len(sums)
    if n_clusters < 2:
        return float("inf")
    return float(np.sqrt(np.sum(sums * sums) * n_clusters / (n_clusters - 1.0)) / len(centred))

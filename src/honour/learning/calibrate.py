"""Fitting calibrators, and choosing one by what it does to rows it was not fitted on.

Every kind but Venn-Abers is a logistic regression on features of the model's log-odds whose coefficients may not be negative, so that
no calibrator can turn a ranking over.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression, minimize

from honour.approval.calibration import (
    KINDS,
    Beta,
    Calibrator,
    Identity,
    Isotonic,
    Platt,
    QuadraticLogit,
    VennAbers,
    clip,
    expit,
    logit,
    quadratic_basis,
)
from honour.approval.interval import mean_figure, standard_error
from honour.approval.metric import Figure, Floats, row_log_loss
from honour.errors import CannotTrain

N_FOLDS = 5
KNOTS_MAX = 200
"""Groups of calibration rows for Venn-Abers; it keeps two isotonic fits for each."""
PRIOR_STRENGTH = 1.0
"""Pull towards the identity, in rows: settles coefficients that few rows leave open, and is nothing for many."""


class Choice(NamedTuple):
    """The calibrator to use, fitted on all rows, and what each kind did to rows it was not fitted on.

    losses  cross-fitted log loss of each kind
    gain    log loss of the identity less that of the choice
    """

    calibrator: Calibrator
    losses: dict[str, float]
    gain: Figure


def fit_calibrator(kind: str, *, p: Floats, y: Floats) -> Calibrator:
    """A calibrator of `kind` for a model that gave p when y happened.

    p, y : (n,), later than what the model was fitted on
    """
    if kind not in _FITS:
        raise CannotTrain(f"calibrator {kind!r} is not known; allowed: {', '.join(KINDS)}")
    if len(np.unique(y)) < 2:
        raise CannotTrain(f"{len(y)} attempts to calibrate on, all with the same answer; both answers are needed. Import more history.")
    return _FITS[kind](clip(p), y)


def choose_calibrator(p: Floats, *, y: Floats, payments: NDArray[np.intp], seed: int) -> Choice:
    """The simplest kind whose cross-fitted log loss is within one standard error of the best.

    Folds are of whole payments. The standard error is that of the paired difference to the best kind, clustered by payment: a calibrator
    that only seems better is not worth its freedom.
    """
    folds = _folds(payments, seed=seed)
    losses = {kind: _cross_fitted(kind, p=p, y=y, folds=folds) for kind in KINDS}
    means = {kind: float(loss.mean()) for kind, loss in losses.items()}
    best = min(KINDS, key=lambda kind: means[kind])
    chosen = best
    for kind in KINDS:
        behind = losses[kind] - losses[best]
        if behind.mean() <= standard_error(behind, payments=payments):
            chosen = kind
            break
    gain = mean_figure(losses["identity"] - losses[chosen], payments=payments, seed=seed)
    return Choice(calibrator=fit_calibrator(chosen, p=p, y=y), losses=means, gain=gain)


def _folds(payments: NDArray[np.intp], *, seed: int) -> NDArray[np.intp]:
    """Fold of each row; rows of one payment are in one fold."""
    values, place = np.unique(payments, return_inverse=True)
    dealt: NDArray[np.intp] = np.random.default_rng(seed).permutation(len(values)) % N_FOLDS
    return dealt[place]


def _cross_fitted(kind: str, *, p: Floats, y: Floats, folds: NDArray[np.intp]) -> Floats:
    """Log loss of each row by a calibrator that was fitted on the other folds; (n,)."""
    losses = np.empty(len(p))
    for fold in range(N_FOLDS):
        held = folds == fold
        if held.any():
            losses[held] = row_log_loss(fit_calibrator(kind, p=p[~held], y=y[~held]).apply(p[held]), y[held])
    return losses


def _fit_identity(p: Floats, y: Floats) -> Calibrator:  # noqa: ARG001 - all kinds are fitted by the same call
    return Identity()


def _fit_platt(p: Floats, y: Floats) -> Calibrator:
    intercept, slope = _logistic(logit(p)[:, None], y, prior=np.array([0.0, 1.0]))
    return Platt(slope=slope, intercept=intercept)


def _fit_beta(p: Floats, y: Floats) -> Calibrator:
    c, a, b = _logistic(np.stack([np.log(p), -np.log1p(-p)], axis=1), y, prior=np.array([0.0, 1.0, 1.0]))
    return Beta(a=a, b=b, c=c)


def _fit_quadratic_logit(p: Floats, y: Floats) -> Calibrator:
    z = logit(p)
    # The outermost rows are too few to bend by: outside the inner 98 % the curve goes on straight.
    z_low, z_high = (float(value) for value in np.quantile(z, (0.01, 0.99)))
    basis = quadratic_basis(z, z_low=z_low, z_high=z_high)
    at_low, slope_low, slope_high = _logistic(basis, y, prior=np.array([z_low, 1.0, 1.0]))
    return QuadraticLogit(at_low=at_low, slope_low=slope_low, slope_high=slope_high, z_low=z_low, z_high=z_high)


def _fit_isotonic(p: Floats, y: Floats) -> Calibrator:
    knots, n, k = _grouped(p, y)
    # Half an approval and half a refusal more in each group: no step says 0 or 1.
    rising = isotonic_regression((k + 0.5) / (n + 1.0), weights=n + 1.0).x
    return Isotonic(knots=tuple(knots.tolist()), q=tuple(np.maximum.accumulate(rising).tolist()))


def _fit_venn_abers(p: Floats, y: Floats) -> Calibrator:
    knots, n, k = _grouped(p, y)
    p0, p1 = np.empty(len(knots)), np.empty(len(knots))
    for at in range(len(knots)):
        one = np.zeros(len(knots))
        one[at] = 1.0
        # The case at hand is one more row at this knot: first not approved, then approved.
        p0[at] = isotonic_regression(k / (n + one), weights=n + one).x[at]
        p1[at] = isotonic_regression((k + one) / (n + one), weights=n + one).x[at]
    rising0, rising1 = np.maximum.accumulate(p0), np.maximum.accumulate(p1)
    return VennAbers(knots=tuple(knots.tolist()), p0=tuple(rising0.tolist()), p1=tuple(rising1.tolist()))


def _grouped(p: Floats, y: Floats) -> tuple[Floats, Floats, Floats]:
    """Knots, rows and approvals of at most `KNOTS_MAX` groups of neighbouring p; equal p are in one group."""
    ordered = np.sort(p)
    edges = np.unique(ordered[np.arange(1, KNOTS_MAX) * len(p) // KNOTS_MAX])
    _, group = np.unique(np.searchsorted(edges, p, side="right"), return_inverse=True)
    n: Floats = np.bincount(group).astype(np.float64)
    p_sum: Floats = np.bincount(group, weights=p).astype(np.float64)
    k: Floats = np.bincount(group, weights=y).astype(np.float64)
    return p_sum / n, n, k


def _logistic(basis: Floats, y: Floats, *, prior: Floats) -> list[float]:
    """Intercept (free) and coefficients (>= 0) of a logistic regression, pulled a little towards `prior`."""
    design = np.column_stack([np.ones(len(y)), basis])

    def loss(at: Floats) -> tuple[float, Floats]:
        z = design @ at
        apart = at - prior
        value = np.logaddexp(0.0, z).sum() - y @ z + 0.5 * PRIOR_STRENGTH * apart @ apart
        return float(value) / len(y), (design.T @ (expit(z) - y) + PRIOR_STRENGTH * apart) / len(y)

    bounds: list[tuple[float | None, float | None]] = [(None, None), *[(0.0, None)] * basis.shape[1]]
    found: Any = minimize(loss, prior, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 500, "ftol": 1e-13, "gtol": 1e-9})
    return [float(value) for value in found.x]


_FITS: dict[str, Callable[[Floats, Floats], Calibrator]] = {
    "identity": _fit_identity,
    "platt": _fit_platt,
    "beta": _fit_beta,
    "quadratic_logit": _fit_quadratic_logit,
    "isotonic": _fit_isotonic,
    "venn_abers": _fit_venn_abers,
}

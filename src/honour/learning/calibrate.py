"""Fitting calibrators, and choosing one, and offsets by segment, by what they do to later rows.

Every kind but Venn-Abers is a logistic regression on features of the model's log-odds whose coefficients may not be negative, so that
no calibrator can turn a ranking over.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression, minimize
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # threadpoolctl ships no types

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
    kind_of,
    logit,
    quadratic_basis,
)
from honour.approval.interval import mean_figure, standard_error
from honour.approval.metric import Figure, Floats, row_log_loss
from honour.approval.segment import SegmentOffsets
from honour.errors import CannotTrain
from honour.learning.by_segment import STRENGTHS, Numbers, fit_offsets
from honour.learning.split import Split, forward_splits

N_TIMES, FIRST_SHARE = 4, 0.25
"""Parts of time after the first quarter of the rows, each judged by what is fitted on all before it."""
KNOTS_MAX = 200
"""Groups of calibration rows for Venn-Abers; it keeps two isotonic fits for each."""
PRIOR_STRENGTH = 1.0
"""Pull towards the identity, in rows: settles coefficients that few rows leave open, and is nothing for many."""


class Choice(NamedTuple):
    """The calibrator to use and the offsets to add by segment, fitted on all rows, and what each did to rows later than its own.

    strength  pull of the offsets to the whole; None: they add nothing, the whole is as good
    losses    cross-fitted log loss of each kind, and of the chosen one with offsets pulled by each strength
    gain      log loss of the identity less that of the choice
    """

    calibrator: Calibrator
    offsets: SegmentOffsets
    strength: float | None
    losses: dict[str, float]
    gain: Figure

    @property
    def name(self) -> str:
        """Kind of the calibrator, and the pull of the offsets if there are any."""
        kind = kind_of(self.calibrator)
        return kind if self.strength is None else f"{kind}, {segment_choice(self.strength)}"


def fit_calibrator(kind: str, *, p: Floats, y: Floats) -> Calibrator:
    """A calibrator of `kind` for a model that gave p when y happened.

    p, y : (n,), later than what the model was fitted on
    """
    if kind not in _FITS:
        raise CannotTrain(f"calibrator {kind!r} is not known; allowed: {', '.join(KINDS)}")
    if len(np.unique(y)) < 2:
        raise CannotTrain(f"{len(y)} attempts to calibrate on, all with the same answer; both answers are needed. Import more history.")
    return _FITS[kind](clip(p), y)


@threadpool_limits.wrap(limits=1, user_api="blas")  # type: ignore[untyped-decorator]  # sums so small that threads wait for each other
def choose_calibrator(
    p: Floats, *, y: Floats, payments: NDArray[np.intp], at_us: NDArray[np.int64], seed: int, numbers: Numbers | None = None
) -> Choice:
    """The simplest kind whose cross-fitted log loss is within one standard error of the best, then likewise offsets by segment.

    numbers  what makes segments of each row; absent, there are none

    Cross-fitting goes forward in time: each part is judged by what was fitted on the parts before it. Folds drawn by chance put rows of the
    same days on both sides, and choose what holds for those days only. The standard error is that of the paired difference to the best,
    clustered by payment: a calibrator that only seems better is not worth its freedom.
    """
    splits = _forward(y, payments=payments, at_us=at_us)
    later = np.concatenate([np.flatnonzero(split.late) for split in splits])
    losses = {kind: _of_kind(kind, p, y=y, splits=splits) for kind in KINDS}
    kind = _simplest(losses, order=KINDS, payments=payments[later])
    strengths = {segment_choice(pull): pull for pull in STRENGTHS} if numbers else {}
    for name, pull in strengths.items():
        losses[name] = _of_offsets(kind, p, y=y, numbers=numbers or {}, strength=pull, splits=splits)
    chosen = _simplest(losses, order=(kind, *strengths), payments=payments[later])
    calibrator, strength = fit_calibrator(kind, p=p, y=y), strengths.get(chosen)
    return Choice(
        calibrator=calibrator,
        offsets=offsets_on(calibrator, p, y=y, numbers=numbers or {}, strength=strength),
        strength=strength,
        losses={name: float(loss.mean()) for name, loss in losses.items()},
        gain=mean_figure(losses["identity"] - losses[chosen], payments=payments[later], seed=seed),
    )


def segment_choice(strength: float) -> str:
    """Name of what is chosen, in `Choice.losses`."""
    return f"by segment, pulled by {strength:g}"


def offsets_on(calibrator: Calibrator, p: Floats, *, y: Floats, numbers: Numbers, strength: float | None) -> SegmentOffsets:
    """Offsets on top of `calibrator`; none without a strength."""
    return SegmentOffsets() if strength is None else fit_offsets(calibrator.apply(p), y=y, numbers=numbers, strength=strength)


def _forward(y: Floats, *, payments: NDArray[np.intp], at_us: NDArray[np.int64]) -> list[Split]:
    """Parts of time, of whole payments, with both answers before them; CannotTrain without any."""
    splits = forward_splits(payments, at_us=at_us, n_blocks=N_TIMES, first_share=FIRST_SHARE)
    if kept := [split for split in splits if len(np.unique(y[split.early])) == 2]:
        return kept
    raise CannotTrain(f"{len(y)} attempts to calibrate on, with no part of time after one that has both answers. Import a longer history.")


def _simplest(losses: dict[str, Floats], *, order: Sequence[str], payments: NDArray[np.intp]) -> str:
    """The first of `order` whose mean loss is within one standard error of the least."""
    best = min(order, key=lambda name: float(losses[name].mean()))
    behind = {name: losses[name] - losses[best] for name in order}
    return next(name for name in order if behind[name].mean() <= standard_error(behind[name], payments=payments))


def _of_kind(kind: str, p: Floats, *, y: Floats, splits: Sequence[Split]) -> Floats:
    """Log loss of the later rows of all splits, by a calibrator of `kind` that was fitted on the earlier ones; (n_later,)."""
    fits = ((split, fit_calibrator(kind, p=p[split.early], y=y[split.early])) for split in splits)
    return np.concatenate([row_log_loss(fitted.apply(p[split.late]), y[split.late]) for split, fitted in fits])


def _of_offsets(kind: str, p: Floats, *, y: Floats, numbers: Numbers, strength: float, splits: Sequence[Split]) -> Floats:
    """As `_of_kind`, with offsets by segment."""
    parts = []
    for split in splits:
        early, late = ({name: column[rows] for name, column in numbers.items()} for rows in (split.early, split.late))
        fitted = fit_calibrator(kind, p=p[split.early], y=y[split.early])
        offsets = offsets_on(fitted, p[split.early], y=y[split.early], numbers=early, strength=strength)
        parts.append(row_log_loss(offsets.moved(fitted.apply(p[split.late]), late), y[split.late]))
    return np.concatenate(parts)


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

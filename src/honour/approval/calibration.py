"""Calibrators: from the probability a model gives to one that holds. Fitting them is `honour.learning.calibrate`.

Each kind never lowers p when the model's p rises, and stays within [1e-6, 1 - 1e-6]. Sources: Platt 1999, on the logit; Kull, Silva
Filho and Flach 2017 (beta); Vovk, Petej and Fedorova 2015 (Venn-Abers), arXiv 1511.00213.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from itertools import pairwise
from math import exp, log, log1p
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from honour.approval.metric import P_MIN
from honour.errors import BadInput

Probabilities = NDArray[np.float64]


class Identity(msgspec.Struct, frozen=True, kw_only=True, tag="identity", forbid_unknown_fields=True):
    """The model's own probability."""

    def apply(self, p: Probabilities) -> Probabilities:
        """Calibrated probability; p and the result are (n,)."""
        return clip(p)


class Platt(msgspec.Struct, frozen=True, kw_only=True, tag="platt", forbid_unknown_fields=True):
    """logit q = slope logit p + intercept, slope >= 0.

    >>> round(float(Platt(slope=1.0, intercept=1.0).apply(np.array([0.5]))[0]), 4)
    0.7311
    """

    slope: float
    intercept: float

    def __post_init__(self) -> None:
        _check_not_negative("platt", slope=self.slope)

    def apply(self, p: Probabilities) -> Probabilities:
        """Calibrated probability; p and the result are (n,)."""
        return clip(expit(self.slope * logit(p) + self.intercept))


class Beta(msgspec.Struct, frozen=True, kw_only=True, tag="beta", forbid_unknown_fields=True):
    """logit q = a log p - b log(1 - p) + c, a and b >= 0: each end of the scale is stretched by its own factor."""

    a: float
    b: float
    c: float

    def __post_init__(self) -> None:
        _check_not_negative("beta", a=self.a, b=self.b)

    def apply(self, p: Probabilities) -> Probabilities:
        """Calibrated probability; p and the result are (n,)."""
        kept = clip(p)
        return clip(expit(self.a * np.log(kept) - self.b * np.log1p(-kept) + self.c))


class QuadraticLogit(msgspec.Struct, frozen=True, kw_only=True, tag="quadratic_logit", forbid_unknown_fields=True):
    """A parabola on the logit between z_low and z_high, continued straight outside.

    at_low           value at z_low
    slope_low/_high  slopes at the two ends, >= 0, so that the parabola rises all the way between them
    """

    at_low: float
    slope_low: float
    slope_high: float
    z_low: float
    z_high: float

    def __post_init__(self) -> None:
        _check_not_negative("quadratic_logit", slope_low=self.slope_low, slope_high=self.slope_high, width=self.z_high - self.z_low)

    def apply(self, p: Probabilities) -> Probabilities:
        """Calibrated probability; p and the result are (n,)."""
        along = quadratic_basis(logit(p), z_low=self.z_low, z_high=self.z_high)
        return clip(expit(self.at_low + along @ np.array([self.slope_low, self.slope_high])))


class VennAbers(msgspec.Struct, frozen=True, kw_only=True, tag="venn_abers", forbid_unknown_fields=True):
    """Two isotonic fits, as if the case at hand were not approved (p0) and approved (p1); q = p1 / (1 - p0 + p1).

    knots   probabilities of the calibration rows, or means of neighbouring ones, ascending, distinct
    p0, p1  values of the two fits at each knot; straight between knots and level outside, so that a small change of p is
            a small change of q (the original steps)
    """

    knots: tuple[float, ...]
    p0: tuple[float, ...]
    p1: tuple[float, ...]

    def __post_init__(self) -> None:
        if not len(self.knots) == len(self.p0) == len(self.p1) or not self.knots:
            raise BadInput(
                f"venn_abers: {len(self.knots)} knots, {len(self.p0)} p0 and {len(self.p1)} p1; there must be equally many, at least one"
            )
        for name, values in (("knots", self.knots), ("p0", self.p0), ("p1", self.p1)):
            if any(left > right for left, right in pairwise(values)):
                raise BadInput(f"venn_abers: {name} falls somewhere; it must never fall")

    def apply(self, p: Probabilities) -> Probabilities:
        """Calibrated probability; p and the result are (n,)."""
        return _venn_abers(np.interp(p, self.knots, self.p0), np.interp(p, self.knots, self.p1))


class Isotonic(msgspec.Struct, frozen=True, kw_only=True, tag="isotonic", forbid_unknown_fields=True):
    """The rising steps that fit best, straight between knots; kept away from 0 and 1 by what so few rows can say.

    knots, q  ascending, q never falling
    """

    knots: tuple[float, ...]
    q: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.knots) != len(self.q) or not self.knots:
            raise BadInput(f"isotonic: {len(self.knots)} knots and {len(self.q)} values; there must be equally many, at least one")
        for name, values in (("knots", self.knots), ("q", self.q)):
            if any(left > right for left, right in pairwise(values)):
                raise BadInput(f"isotonic: {name} falls somewhere; it must never fall")

    def apply(self, p: Probabilities) -> Probabilities:
        """Calibrated probability; p and the result are (n,)."""
        return clip(np.interp(p, self.knots, self.q))


Calibrator = Identity | Platt | Beta | QuadraticLogit | Isotonic | VennAbers

KINDS = ("identity", "platt", "beta", "quadratic_logit", "isotonic", "venn_abers")
"""Every kind, the simplest first."""


def kind_of(calibrator: Calibrator) -> str:
    """Name of the kind, as in `KINDS`."""
    return str(calibrator.__struct_config__.tag)


def for_few(calibrator: Calibrator) -> Callable[[Probabilities], Probabilities]:
    """`apply` for the candidates of one payment: compiled where that is several times faster, and the same to 12 digits.

    >>> round(float(for_few(Platt(slope=1.0, intercept=1.0))(np.array([0.5]))[0]), 4)
    0.7311
    """
    match calibrator:
        case Platt(slope=slope, intercept=intercept):
            platt = _kernel().platt
            return lambda p: platt(p, slope, intercept)
        case Beta(a=a, b=b, c=c):
            beta = _kernel().beta
            return lambda p: beta(p, a, b, c)
        case Isotonic():
            at, values = np.array(calibrator.knots), np.array(calibrator.q)
            return lambda p: clip(np.interp(p, at, values))
        case VennAbers():
            knots, low, high = np.array(calibrator.knots), np.array(calibrator.p0), np.array(calibrator.p1)
            return lambda p: _venn_abers(np.interp(p, knots, low), np.interp(p, knots, high))
        case _:
            return calibrator.apply


def logit_one(p: float) -> float:
    """As `logit`, of one number: several times faster for a few."""
    kept = _clip_one(p)
    return log(kept) - log1p(-kept)


def expit_one(z: float) -> float:
    """As `expit`, of one number, kept within [1e-6, 1 - 1e-6]."""
    small = exp(-abs(z))
    return _clip_one((1.0 if z >= 0.0 else small) / (1.0 + small))


def logit(p: Probabilities) -> Probabilities:
    """log(p / (1 - p)), p kept 1e-6 away from 0 and 1."""
    kept = clip(p)
    return np.log(kept) - np.log1p(-kept)


def expit(z: Probabilities) -> Probabilities:
    """1 / (1 + exp(-z)), without overflow."""
    small = np.exp(-np.abs(z))
    return np.where(z >= 0, 1.0, small) / (1.0 + small)


def clip(p: Probabilities) -> Probabilities:
    """p kept within [1e-6, 1 - 1e-6]."""
    return np.clip(np.asarray(p, dtype=np.float64), P_MIN, 1.0 - P_MIN)


def quadratic_basis(z: Probabilities, *, z_low: float, z_high: float) -> Probabilities:
    """What `slope_low` and `slope_high` of a QuadraticLogit are multiplied by.

    returns : (n, 2); both columns rise with z, sum to z - z_low, and are straight outside [z_low, z_high]
    """
    width = max(z_high - z_low, 1e-12)
    inside = np.clip(z, z_low, z_high) - z_low
    high = inside**2 / (2.0 * width) + np.maximum(z - z_high, 0.0)
    low = inside - inside**2 / (2.0 * width) + np.minimum(z - z_low, 0.0)
    return np.stack([low, high], axis=1)


def _venn_abers(p0: Probabilities, p1: Probabilities) -> Probabilities:
    return clip(p1 / (1.0 - p0 + p1))


def _clip_one(p: float) -> float:
    return P_MIN if p < P_MIN else 1.0 - P_MIN if p > 1.0 - P_MIN else p


@cache
def _kernel() -> Any:
    from honour.approval import calibration_kernel  # Half a second, which only those pay who decide.

    return calibration_kernel


def _check_not_negative(kind: str, **values: float) -> None:
    for name, value in values.items():
        if not value >= 0.0:  # Also true of NaN.
            raise BadInput(f"{kind}: {name} is {value}; it must be 0 or more, else a better case would get a lower probability")

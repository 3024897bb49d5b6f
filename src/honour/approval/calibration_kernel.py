"""Calibrators of a few probabilities in compiled code; `calibration` says what they mean, and the same of many to 12 digits."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from honour.approval.metric import P_MIN
from honour.features.compiled import compiled


def _clip(p: Any) -> Any:
    """Compiled. A probability kept within [P_MIN, 1 - P_MIN]."""
    return P_MIN if p < P_MIN else 1.0 - P_MIN if p > 1.0 - P_MIN else p


_clipped = compiled(_clip)


def _expit(z: Any) -> Any:
    """Compiled. Chance of log-odds, kept away from 0 and 1."""
    small = math.exp(-abs(z))
    return _clipped((1.0 if z >= 0.0 else small) / (1.0 + small))


_chance = compiled(_expit)


def _platt(p: Any, slope: Any, intercept: Any) -> Any:
    """Compiled. (n,) to (n,)."""
    told = np.empty(len(p))
    for i in range(len(p)):
        kept = _clipped(p[i])
        told[i] = _chance(slope * (math.log(kept) - math.log1p(-kept)) + intercept)
    return told


def _beta(p: Any, a: Any, b: Any, c: Any) -> Any:
    """Compiled. (n,) to (n,)."""
    told = np.empty(len(p))
    for i in range(len(p)):
        kept = _clipped(p[i])
        told[i] = _chance(a * math.log(kept) - b * math.log1p(-kept) + c)
    return told


platt = compiled(_platt)
beta = compiled(_beta)

"""Whether a log can say anything about a target policy. "Cannot say" is a result of its own."""

from __future__ import annotations

import msgspec
import numpy as np

from honour.evaluation.estimator import n_effective
from honour.evaluation.logged import Floats, Logged

N_EFFECTIVE_MIN = 100.0
UNSUPPORTED_MAX = 0.02
"""Largest share of the target's choices that the log hardly ever made."""
SUPPORT_MIN = 0.01
"""A candidate whose logged probability is below this counts as never chosen."""
MEAN_WEIGHT_APART = 0.1
"""Weights average 1 when propensities are right; this much apart, and 4 standard errors, and they are not."""


class Diagnosis(msgspec.Struct, frozen=True, kw_only=True):
    """What the weights look like, and why nothing can be said (None when something can)."""

    n_effective: float
    weight_max: float
    weight_mean: float
    unsupported_share: float
    why_cannot_say: str | None


def diagnose(logged: Logged, *, p_logging: Floats) -> Diagnosis:
    """p_logging : (n, K) probability of each candidate under the policy that made the log"""
    w = logged.weight
    effective = n_effective(w)
    unsupported = float(np.mean(np.sum(logged.p_target * (p_logging < SUPPORT_MIN), axis=1)))
    mean = float(np.mean(w))
    apart = abs(mean - 1.0) / max(float(np.std(w)) / np.sqrt(len(w)), 1e-12)
    why = None
    if unsupported > UNSUPPORTED_MAX:
        why = f"{unsupported:.0%} of its choices were hardly ever made in the log"
    elif effective < N_EFFECTIVE_MIN:
        why = f"only {effective:.0f} effective attempts; at least {N_EFFECTIVE_MIN:.0f} are needed"
    elif abs(mean - 1.0) > MEAN_WEIGHT_APART and apart > 4.0:
        why = f"weights average {mean:.2f} instead of 1: the propensities do not fit the log"
    return Diagnosis(
        n_effective=effective, weight_max=float(w.max(initial=0.0)), weight_mean=mean, unsupported_share=unsupported, why_cannot_say=why
    )

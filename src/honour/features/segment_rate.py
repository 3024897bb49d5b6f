"""Approval rates of candidates in their segment, apart from all other features: what is asked when those are late or fail."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from honour.features.catalogue import CATALOGUE
from honour.features.columns import read_payment
from honour.features.online import FeatureState
from honour.features.shared import SharedFeatures
from honour.features.view import WindowFeature
from honour.records.payment import Payment
from honour.records.route import Candidate

SEGMENT_RATE = "route_authentication_network_approval_rate_30d"
"""The feature whose value it is."""

ANSWERS_MIN = 200
"""Below this many answers of any kind in its window the root says too little to decide by."""


def segment_rates(
    state: FeatureState | SharedFeatures, payment: Payment, candidates: Sequence[Candidate], *, at_us: int
) -> NDArray[np.float64] | None:
    """The rate of each candidate, (n,), shrunk to wider groups as the feature is; None while too little was answered."""
    chain, row = _chain(), read_payment(payment)
    rates = np.empty(len(candidates))
    for place, candidate in enumerate(candidates):
        value: float | None = None
        for feature in chain:
            n_answered, n_approved = state.answered(feature, (*row, *candidate), at_us=at_us)
            if value is None:
                if n_answered < ANSWERS_MIN:
                    return None
                value = n_approved / n_answered
            else:
                value = (n_approved + feature.strength * value) / (n_answered + feature.strength)
        assert value is not None
        rates[place] = value
    return rates


@cache
def _chain() -> tuple[WindowFeature, ...]:
    """The feature and what it shrinks to, the widest group first."""
    return tuple(one for one in CATALOGUE.needed_for(SEGMENT_RATE).features if isinstance(one, WindowFeature))

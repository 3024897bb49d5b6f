"""Why a route was chosen, when nobody wrote it down: propensities estimated from the context."""

from __future__ import annotations

from typing import Any

import lightgbm
import numpy as np
from numpy.typing import NDArray

from honour.learning.split import payment_numbers

Floats = NDArray[np.float64]
N_FOLDS = 5
P_MIN = 1e-3
"""Estimates are kept from 0: what was chosen had some probability."""


def estimated_propensities(
    matrix: NDArray[np.float32], *, chosen: NDArray[np.intp], n_routes: int, payments: NDArray[Any], seed: int = 1, n_threads: int = 1
) -> Floats:
    """Probability of each route given what was known, cross-fitted by payment: (n, n_features) and (n,) to (n, n_routes).

    An estimate is only as good as what it sees: a reason that is not in the columns is not in it. Say so where it is used.
    """
    numbers = payment_numbers(payments)
    fold_of = np.random.default_rng(seed).integers(0, N_FOLDS, size=int(numbers.max()) + 1)[numbers]
    told = {
        "objective": "multiclass",
        "num_class": n_routes,
        "num_leaves": 7,
        "learning_rate": 0.05,
        "min_data_in_leaf": 50,
        "lambda_l2": 10.0,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": n_threads,
        "seed": seed,
        "verbosity": -1,
    }
    estimated = np.empty((len(chosen), n_routes))
    for fold in range(N_FOLDS):
        held = fold_of == fold
        if held.any():
            booster = lightgbm.train(told, lightgbm.Dataset(matrix[~held], chosen[~held]), num_boost_round=60)
            estimated[held] = np.asarray(booster.predict(matrix[held])).reshape(-1, n_routes)
    estimated = np.clip(estimated, P_MIN, None)
    normal: Floats = estimated / estimated.sum(axis=1, keepdims=True)
    return normal

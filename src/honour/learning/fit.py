"""Fitting trees: categories to numbers, then LightGBM, the same bytes for the same rows and seed."""

from __future__ import annotations

from typing import Any, NamedTuple

import lightgbm
import numpy as np
from numpy.typing import NDArray

from honour.features.catalogue import FEATURES, SCHEMA_ID
from honour.features.encode import Encoder
from honour.features.view import WindowFeature

Matrix = NDArray[np.float32]
Labels = NDArray[np.float64]

PRIOR_ROWS = 20.0
"""A category's approval rate is pulled to the base rate as if by this many more rows."""
ROWS_MIN = 10
"""A rarer category is NaN, as one never seen will be, so that the trees learn what to make of it."""
TREES_MAX = 800
TREES_STEP = 10
PATIENCE = 60
"""Trees without a better log loss on later rows after which growing stops."""


class Configuration(NamedTuple):
    """How large the trees may grow."""

    name: str
    n_leaves: int
    learning_rate: float
    l2: float


class Recipe(NamedTuple):
    """What trees are grown like: their size, and the features that they may not use, with a name for what remains."""

    configuration: Configuration
    left_out: tuple[str, ...] = ()
    which: str = "steady features"

    @property
    def name(self) -> str:
        """Size of the trees, and which features they use if not all."""
        return f"{self.configuration.name}, {self.which}" if self.left_out else self.configuration.name


# On 39,488 attempts with rolling origins every setting near the large one came within 0.0005 of the best log loss, so that
# sizes to choose from matter more than exact values; the smaller ones are for few rows. Simplest first.
CONFIGURATIONS = (
    Configuration("small", n_leaves=6, learning_rate=0.05, l2=20.0),
    Configuration("middle", n_leaves=15, learning_rate=0.03, l2=10.0),
    Configuration("large", n_leaves=31, learning_rate=0.03, l2=5.0),
)


def fit_encoder(columns: dict[str, NDArray[Any]], *, approved: Labels) -> Encoder:
    """Each category as its smoothed approval rate among these rows; they must all belong to the fitting part."""
    base = float(approved.mean())
    categories: dict[str, dict[str, float]] = {}
    for feature in FEATURES:
        if feature.kind != "category":
            continue
        column = columns[feature.name]
        known = np.array([value is not None for value in column], dtype=bool)
        if not known.any():
            categories[feature.name] = {}
            continue
        values, place = np.unique(column[known].astype(str), return_inverse=True)
        n, k = np.bincount(place), np.bincount(place, weights=approved[known])
        rate = (k + PRIOR_ROWS * base) / (n + PRIOR_ROWS)
        categories[feature.name] = {str(value): float(rate[at]) for at, value in enumerate(values) if n[at] >= ROWS_MIN}
    return Encoder(schema=SCHEMA_ID, categories=categories)


def level_rates() -> tuple[str, ...]:
    """Approval rates that are the same for every candidate of a payment: how good these days, this merchant, this card are.

    Trees may only rise with them. They change slowly, so that a history of weeks holds few of their values and free trees would learn
    the dates instead: on rolling origins that took 0.0005 off the log loss and halved the error of the mean.
    """
    return tuple(
        feature.name
        for feature in FEATURES
        if isinstance(feature, WindowFeature) and feature.measure == "approval_rate" and feature.level == "payment"
    )


def group_windows() -> tuple[str, ...]:
    """Windows over groups of payments; a payment's own history is none."""
    return tuple(feature.name for feature in FEATURES if isinstance(feature, WindowFeature) and "payment_id" not in feature.entity)


def parameters(configuration: Configuration, *, n_rows: int, seed: int, n_threads: int) -> dict[str, Any]:
    """What LightGBM is told; leaves hold at least 20 rows, and one in a thousand up to 200."""
    rising = level_rates()
    return {
        "objective": "binary",
        "metric": "binary_logloss",
        "num_leaves": configuration.n_leaves,
        "learning_rate": configuration.learning_rate,
        "lambda_l2": configuration.l2,
        "min_data_in_leaf": int(np.clip(n_rows // 1000, 20, 200)),
        "feature_fraction": 0.6,
        "bagging_fraction": 0.8,
        "bagging_freq": 1,
        "max_bin": 127,
        "feature_pre_filter": False,
        "monotone_constraints": [int(feature.name in rising) for feature in FEATURES],
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": n_threads,
        "seed": seed,
        "verbosity": -1,
    }


def fit(matrix: Matrix, *, approved: Labels, recipe: Recipe, n_trees: int, seed: int, n_threads: int) -> lightgbm.Booster:
    """`n_trees` trees on all rows.

    matrix : (n, n_features) float32, as it will be when serving, so that thresholds fall between the same values
    """
    told = parameters(recipe.configuration, n_rows=len(approved), seed=seed, n_threads=n_threads)
    return lightgbm.train(told, _dataset(matrix, approved, left_out=recipe.left_out), num_boost_round=n_trees)


class Grower:
    """Trees that grow by `TREES_STEP` at a time, and what they say about rows that they are not fitted on."""

    def __init__(self, matrix: Matrix, *, approved: Labels, recipe: Recipe, seed: int, n_threads: int) -> None:
        told = parameters(recipe.configuration, n_rows=len(approved), seed=seed, n_threads=n_threads)
        self.booster = lightgbm.Booster(told, _dataset(matrix, approved, left_out=recipe.left_out))
        self._raw: Labels | None = None

    def grow(self, later: Matrix) -> Labels:
        """Grow one step; log-odds of `later`, which must be the same rows at each call; (n,)."""
        first = self.booster.num_trees()
        for _ in range(TREES_STEP):
            self.booster.update()
        added = raw_of(self.booster, later, first=first, n_trees=TREES_STEP)
        self._raw = added if self._raw is None else self._raw + added
        return self._raw


def raw_of(booster: lightgbm.Booster, matrix: Matrix, *, first: int = 0, n_trees: int = -1) -> Labels:
    """Log-odds of each row by `n_trees` trees from the one numbered `first`, or by all from there; (n,)."""
    return np.asarray(booster.predict(matrix, raw_score=True, start_iteration=first, num_iteration=n_trees), dtype=np.float64)


def _dataset(matrix: Matrix, approved: Labels, *, left_out: tuple[str, ...]) -> lightgbm.Dataset:
    if left_out:
        matrix = matrix.copy()
        # A column of one value is never split on, and the matrix keeps its width.
        matrix[:, [place for place, feature in enumerate(FEATURES) if feature.name in left_out]] = 0.0
    return lightgbm.Dataset(matrix, approved, free_raw_data=False)

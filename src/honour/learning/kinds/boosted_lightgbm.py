"""LightGBM: the default. The same bytes for the same rows and seed, with any number of threads."""

from __future__ import annotations

from typing import Any

import lightgbm
import numpy as np

from honour.learning.export import to_onnx, with_float32_thresholds
from honour.learning.kinds.base import StepwiseClassifier
from honour.learning.kinds.port import Configuration, Floats, Kind, Matrix, Range, Told

TREES_STEP = 10


class LightGBMModel(StepwiseClassifier):
    """Boosted trees that grow leaf by leaf; leaves hold at least 20 rows, and one in a thousand up to 200.

    n_steps  tens of trees; rising: columns with which P may only rise
    """

    def __init__(
        self,
        *,
        n_steps: int = 20,
        n_leaves: int = 15,
        learning_rate: float = 0.03,
        l2: float = 10.0,
        feature_share: float = 0.6,
        row_share: float = 0.8,
        leaf_rows_min: int | None = None,
        rising: tuple[int, ...] = (),
        seed: int = 1,
        n_threads: int = 1,
    ) -> None:
        self.n_steps = n_steps
        self.n_leaves = n_leaves
        self.learning_rate = learning_rate
        self.l2 = l2
        self.feature_share = feature_share
        self.row_share = row_share
        self.leaf_rows_min = leaf_rows_min
        self.rising = rising
        self.seed = seed
        self.n_threads = n_threads

    def to_onnx(self) -> bytes:
        """Trees with float32 thresholds: the same answer for every float32 row."""
        return to_onnx(with_float32_thresholds(self.booster_), n_features=self.n_features_in_)

    def _begin(self, matrix: Matrix, y: Floats, weight: Floats | None) -> None:
        dataset = lightgbm.Dataset(matrix, y, weight=weight, free_raw_data=False)
        self.booster_ = lightgbm.Booster(self._parameters(n_rows=len(y), n_features=matrix.shape[1]), dataset)

    def _grow(self) -> None:
        for _ in range(TREES_STEP):
            self.booster_.update()

    def _raw(self, matrix: Matrix) -> Floats:
        return np.asarray(self.booster_.predict(matrix, raw_score=True), dtype=np.float64)

    def _raw_after(self, matrix: Matrix, *, before: Floats | None) -> Floats:
        first = self.booster_.num_trees() - TREES_STEP
        added = self.booster_.predict(matrix, raw_score=True, start_iteration=first, num_iteration=TREES_STEP)
        return np.asarray(added, dtype=np.float64) + (0.0 if before is None else before)

    def _finish(self) -> None:
        self.booster_.free_dataset()

    def _parameters(self, *, n_rows: int, n_features: int) -> dict[str, Any]:
        return {
            "objective": "binary",
            "metric": "None",
            "num_leaves": self.n_leaves,
            "learning_rate": self.learning_rate,
            "lambda_l2": self.l2,
            "min_data_in_leaf": self.leaf_rows_min or int(np.clip(n_rows // 1000, 20, 200)),
            "feature_fraction": self.feature_share,
            "bagging_fraction": self.row_share,
            "bagging_freq": 1,
            "max_bin": 127,
            "feature_pre_filter": False,
            "monotone_constraints": [int(place in self.rising) for place in range(n_features)],
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": self.n_threads,
            "seed": self.seed,
            "verbosity": -1,
        }


# On 39,488 attempts with rolling origins every setting near the large one came within 0.0005 of the best log loss, so that
# sizes to choose from matter more than exact values; the smaller ones are for few rows.
CONFIGURATIONS = (
    Configuration("small", {"n_leaves": 6, "learning_rate": 0.05, "l2": 20.0}),
    Configuration("middle", {"n_leaves": 15, "learning_rate": 0.03, "l2": 10.0}),
    Configuration("large", {"n_leaves": 31, "learning_rate": 0.02, "l2": 5.0, "feature_share": 1.0}),
)
# 300 of these trees were as good on the next week as 800 large ones on 77,000 attempts and better on 227,000, in half the time; on 40,000
# they gained nothing. `benchmarks/searched.py --many` compares them.
MANY = Configuration("largest", {"n_leaves": 63, "learning_rate": 0.05, "l2": 5.0})


def _make(configuration: Configuration, told: Told) -> LightGBMModel:
    return LightGBMModel(**configuration.params, rising=told.rising, seed=told.seed, n_threads=told.n_threads)


KIND = Kind(
    name="lightgbm",
    about="Boosted trees, leaf by leaf. The default: exact to export, walked by compiled code when serving.",
    encoding="rates",
    unit="{n} trees",
    unit_steps=TREES_STEP,
    steps_max=80,
    patience=6,
    rows_max=None,
    without=("drifting", "windows"),
    configurations=CONFIGURATIONS,
    ranges={
        "n_leaves": Range(4, 63, is_log=True, is_whole=True),
        "learning_rate": Range(0.01, 0.08, is_log=True),
        "l2": Range(0.5, 50.0, is_log=True),
        "feature_share": Range(0.3, 1.0),
        "row_share": Range(0.5, 1.0),
    },
    make=_make,
    many=MANY,
)

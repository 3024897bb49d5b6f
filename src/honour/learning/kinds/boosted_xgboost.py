"""XGBoost: boosted trees by another library, grown by loss."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import xgboost

from honour.learning.kinds.base import StepwiseClassifier
from honour.learning.kinds.port import Configuration, Floats, Kind, Matrix, Range, Told
from honour.learning.kinds.tree_onnx import Tree, trees_to_onnx

TREES_STEP = 10


class XGBoostModel(StepwiseClassifier):
    """Boosted trees; n_steps counts tens of them, rising are columns with which P may only rise."""

    def __init__(
        self,
        *,
        n_steps: int = 20,
        n_leaves: int = 15,
        learning_rate: float = 0.03,
        l2: float = 10.0,
        feature_share: float = 0.6,
        row_share: float = 0.8,
        leaf_weight_min: float = 5.0,
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
        self.leaf_weight_min = leaf_weight_min
        self.rising = rising
        self.seed = seed
        self.n_threads = n_threads

    def to_onnx(self) -> bytes:
        """`x < t` of XGBoost as `x <= (the float32 before t)`, which is the same for every float32 row."""
        said = json.loads(bytes(self.booster_.save_raw("json")))["learner"]["gradient_booster"]["model"]["trees"]
        return trees_to_onnx([_tree(one) for one in said], n_features=self.n_features_in_, link="LOGISTIC")

    def _begin(self, matrix: Matrix, y: Floats, weight: Floats | None) -> None:
        self._rows = xgboost.DMatrix(matrix, y, weight=weight, missing=np.nan, nthread=self.n_threads)
        self.booster_ = xgboost.Booster(self._parameters(matrix.shape[1]), [self._rows])

    def _grow(self) -> None:
        first = self.booster_.num_boosted_rounds()
        for at in range(first, first + TREES_STEP):
            self.booster_.update(self._rows, at)

    def _raw(self, matrix: Matrix) -> Floats:
        return self._said(matrix, first=0)

    def _raw_after(self, matrix: Matrix, *, before: Floats | None) -> Floats:
        return self._said(matrix, first=self.booster_.num_boosted_rounds() - TREES_STEP) + (0.0 if before is None else before)

    def _said(self, matrix: Matrix, *, first: int) -> Floats:
        asked = xgboost.DMatrix(matrix, missing=np.nan, nthread=self.n_threads)
        span = (first, self.booster_.num_boosted_rounds())
        return np.asarray(self.booster_.predict(asked, output_margin=True, iteration_range=span), dtype=np.float64)

    def _finish(self) -> None:
        del self._rows

    def _parameters(self, n_features: int) -> dict[str, Any]:
        return {
            "objective": "binary:logistic",
            "base_score": 0.5,  # Log-odds 0: the leaves alone are the answer.
            "tree_method": "hist",
            "grow_policy": "lossguide",
            "max_depth": 0,
            "max_leaves": self.n_leaves,
            "eta": self.learning_rate,
            "lambda": self.l2,
            "min_child_weight": self.leaf_weight_min,
            "subsample": self.row_share,
            "colsample_bytree": self.feature_share,
            "max_bin": 128,
            "monotone_constraints": f"({','.join(str(int(place in self.rising)) for place in range(n_features))})",
            "nthread": self.n_threads,
            "seed": self.seed,
            "verbosity": 0,
        }


def _tree(said: dict[str, Any]) -> Tree:
    left, right = np.array(said["left_children"], dtype=np.int64), np.array(said["right_children"], dtype=np.int64)
    # A leaf keeps its value where an inner node keeps its threshold.
    conditions = np.array(said["split_conditions"], dtype=np.float32)
    return Tree(
        left=left,
        right=right,
        feature=np.array(said["split_indices"], dtype=np.int64),
        threshold=np.nextafter(conditions, np.float32(-np.inf)),
        missing_left=np.array(said["default_left"], dtype=bool),
        value=conditions.astype(np.float64),
    )


def _make(configuration: Configuration, told: Told) -> XGBoostModel:
    return XGBoostModel(**configuration.params, rising=told.rising, seed=told.seed, n_threads=told.n_threads)


KIND = Kind(
    name="xgboost",
    about="Boosted trees by XGBoost, walked by compiled code when serving.",
    encoding="rates",
    unit="{n} trees",
    unit_steps=TREES_STEP,
    steps_max=80,
    patience=6,
    rows_max=None,
    without=("drifting", "windows"),
    configurations=(
        Configuration("small", {"n_leaves": 6, "learning_rate": 0.05, "l2": 20.0}),
        Configuration("middle", {"n_leaves": 15, "learning_rate": 0.03, "l2": 10.0}),
        Configuration("large", {"n_leaves": 31, "learning_rate": 0.03, "l2": 5.0}),
    ),
    ranges={
        "n_leaves": Range(4, 63, is_log=True, is_whole=True),
        "learning_rate": Range(0.01, 0.08, is_log=True),
        "l2": Range(0.5, 50.0, is_log=True),
        "feature_share": Range(0.3, 1.0),
        "row_share": Range(0.5, 1.0),
    },
    make=_make,
    many=Configuration("largest", {"n_leaves": 63, "learning_rate": 0.05, "l2": 5.0}),
)

"""A random forest: the mean of trees that were each grown on rows and features of their own."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.ensemble import RandomForestClassifier  # type: ignore[import-untyped]  # scikit-learn ships no types

from honour.approval.calibration import logit
from honour.learning.kinds.base import StepwiseClassifier
from honour.learning.kinds.port import Configuration, Floats, Kind, Matrix, Range, Told
from honour.learning.kinds.tree_onnx import Tree, lowered, trees_to_onnx

TREES_STEP = 20


class ForestModel(StepwiseClassifier):
    """P is the mean over trees of the share approved in the leaf; n_steps counts twenties of trees."""

    def __init__(
        self,
        *,
        n_steps: int = 5,
        leaf_rows_min: int = 20,
        feature_share: float = 0.3,
        tree_rows_max: int = 100_000,
        seed: int = 1,
        n_threads: int = 1,
    ) -> None:
        self.n_steps = n_steps
        self.leaf_rows_min = leaf_rows_min
        self.feature_share = feature_share
        self.tree_rows_max = tree_rows_max
        self.seed = seed
        self.n_threads = n_threads

    def to_onnx(self) -> bytes:
        """The sum of leaves, each divided by the number of trees."""
        n_trees = len(self.forest_.estimators_)
        return trees_to_onnx(
            [_tree(one.tree_, n_trees=n_trees) for one in self.forest_.estimators_], n_features=self.n_features_in_, link="NONE"
        )

    def _begin(self, matrix: Matrix, y: Floats, weight: Floats | None) -> None:
        self._rows = (matrix, y, weight)
        self.forest_ = RandomForestClassifier(
            n_estimators=0,
            min_samples_leaf=self.leaf_rows_min,
            max_features=self.feature_share,
            max_samples=min(self.tree_rows_max, len(y)),
            warm_start=True,
            n_jobs=self.n_threads,
            random_state=self.seed,
        )

    def _grow(self) -> None:
        matrix, y, weight = self._rows
        self.forest_.set_params(n_estimators=self.forest_.n_estimators + TREES_STEP)
        self.forest_.fit(matrix, y.astype(np.int64), sample_weight=weight)

    def _raw(self, matrix: Matrix) -> Floats:
        return logit(np.asarray(self.forest_.predict_proba(matrix)[:, 1], dtype=np.float64))

    def _finish(self) -> None:
        del self._rows


def _tree(grown: Any, *, n_trees: int) -> Tree:
    share = grown.value[:, 0, 1] / grown.value[:, 0, :].sum(axis=1) / n_trees
    return Tree(
        left=np.asarray(grown.children_left, dtype=np.int64),
        right=np.asarray(grown.children_right, dtype=np.int64),
        feature=np.maximum(np.asarray(grown.feature, dtype=np.int64), 0),
        threshold=lowered(np.asarray(grown.threshold, dtype=np.float64)),
        missing_left=np.asarray(grown.missing_go_to_left, dtype=bool),
        value=np.asarray(share, dtype=np.float64),
    )


def _make(configuration: Configuration, told: Told) -> ForestModel:
    return ForestModel(**configuration.params, seed=told.seed, n_threads=told.n_threads)


FINE = Configuration("fine", {"leaf_rows_min": 20, "feature_share": 0.3})

KIND = Kind(
    name="forest",
    about="A random forest. Hard to get wrong; large, and needs calibration most.",
    encoding="rates",
    unit="{n} trees",
    unit_steps=TREES_STEP,
    steps_max=10,
    patience=3,
    rows_max=100_000,  # As many as a tree draws; growing a hundred of them takes most of the time of a comparison as it is.
    without=("drifting", "windows"),
    configurations=(Configuration("coarse", {"leaf_rows_min": 60, "feature_share": 0.3}), FINE),
    ranges={"leaf_rows_min": Range(5, 200, is_log=True, is_whole=True), "feature_share": Range(0.1, 0.8)},
    make=_make,
    many=FINE,
)

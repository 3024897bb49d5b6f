"""The mean of two log-odds: of tables, which hold what each issuer makes of each route, and of trees, which see everything.

Tables find many small differences between candidates and keep each as small as its rows ask; trees find what few conditions together
do, and take chance for a difference where rows are few. They err in different ways, so that their mean chooses better than either.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.base import clone  # type: ignore[import-untyped]  # scikit-learn ships no types

from honour.approval.metric import P_MIN
from honour.approval.scores import with_unseen
from honour.learning.kinds.base import StepwiseClassifier
from honour.learning.kinds.bins import Nodes
from honour.learning.kinds.boosted_lightgbm import KIND as TREES
from honour.learning.kinds.boosted_lightgbm import LightGBMModel
from honour.learning.kinds.logistic import OPSET, LogisticModel, made_as_told
from honour.learning.kinds.port import Configuration, Floats, Kind, Matrix, Said, Told


class MixedModel(StepwiseClassifier):
    """Both parts see the same rows, categories as whole numbers.

    n_steps        tens of trees; the tables are fitted once
    tables, trees  the parts, as they are to be fitted
    """

    def __init__(self, *, n_steps: int = 20, tables: LogisticModel | None = None, trees: LightGBMModel | None = None) -> None:
        self.n_steps = n_steps
        self.tables = tables
        self.trees = trees

    def to_onnx(self) -> bytes:
        """The graphs of both, and the mean of their log-odds."""
        nodes = Nodes()
        unseen = nodes.constant(self.unseen_, "unseen")
        stands_in = nodes.add("And", nodes.add("IsNaN", "features"), nodes.constant(~np.isnan(self.unseen_)))
        both = nodes.take(self.trees_.to_onnx(), reading=nodes.add("Where", stands_in, unseen, "features"))
        both = nodes.add("Log", nodes.add("Clip", both, nodes.constant(np.float32(P_MIN)), nodes.constant(np.float32(1.0 - P_MIN))))
        no, yes = (nodes.add("Gather", both, nodes.constant(np.array([at], dtype=np.int64)), axis=1) for at in (0, 1))
        total = nodes.add("Add", nodes.add("Sub", yes, no), self.tables_.log_odds_nodes(nodes))
        half = nodes.add("Mul", total, nodes.constant(np.float32(0.5)))
        return nodes.model(nodes.add("Sigmoid", half), n_features=self.n_features_in_, opset=OPSET)

    def _begin(self, matrix: Matrix, y: Floats, weight: Floats | None) -> None:
        self.tables_: LogisticModel = clone(self.tables or LogisticModel()).fit(matrix, y, weight)
        self.unseen_ = _unseen(matrix, y, categories=self.tables_.categories)
        self.trees_: LightGBMModel = clone(self.trees or LightGBMModel())
        self.trees_._start(matrix, y, weight)

    def _grow(self) -> None:
        self.trees_._grow()

    def _raw(self, matrix: Matrix) -> Floats:
        return 0.5 * (self.tables_._raw(matrix) + self.trees_._raw(with_unseen(matrix, self.unseen_)))

    def _said_after(self, matrix: Matrix, *, before: Said | None) -> Said:
        tables = self.tables_._raw(matrix) if before is None else 2.0 * before.raw - before.grown
        grown = self.trees_._raw_after(with_unseen(matrix, self.unseen_), before=None if before is None else before.grown)
        return Said(0.5 * (tables + grown), grown)

    def _finish(self) -> None:
        self.trees_._finish()


def _unseen(matrix: Matrix, y: Floats, *, categories: Sequence[int]) -> Matrix:
    """(n_features,) what stands for a category that trees have never seen: a code between those below the base rate and those above it.

    NaN where the rows hold missing values, from which trees learn what to make of them, and for numbers.
    """
    found = np.full(matrix.shape[1], np.nan, dtype=np.float32)
    for place in categories:
        if not np.isnan(matrix[:, place]).any():
            code = matrix[:, place].astype(np.int64)
            n = np.bincount(code)
            rate = np.bincount(code, weights=y)[n > 0] / n[n > 0]
            found[place] = float((rate < y.mean()).sum()) - 0.5
    return found


def _make(configuration: Configuration, told: Told) -> MixedModel:
    trees = LightGBMModel(**configuration.params, rising=told.rising, seed=told.seed, n_threads=told.n_threads)
    return MixedModel(tables=made_as_told(told), trees=trees)


KIND = Kind(
    name="mixed",
    about="The mean of trees and of a logistic regression with tables. Chooses routes better than either, and takes longer to serve.",
    encoding="codes",
    unit=TREES.unit,
    unit_steps=TREES.unit_steps,
    steps_max=TREES.steps_max,
    patience=TREES.patience,
    rows_max=None,
    without=("drifting",),
    configurations=TREES.configurations,
    ranges=TREES.ranges,
    make=_make,
    many=TREES.many,
)

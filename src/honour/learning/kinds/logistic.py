"""Logistic regression: numbers in pieces, categories one-hot, and crosses of both with what the candidate chooses.

Every weight is pulled to 0 (ridge), so that a rare category or pair adds little and one that was never seen adds nothing: its row is
judged by the coarser columns alone. A cross of route and issuer with a ridge is a random effect of each pair.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning  # type: ignore[import-untyped]  # scikit-learn ships no types
from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]  # as above

from honour.features.catalogue import FEATURES
from honour.learning.kinds.base import StepwiseClassifier
from honour.learning.kinds.bins import Nodes, code_nodes, fit_bins
from honour.learning.kinds.port import Configuration, Floats, Kind, Matrix, Range, Told

OPSET = 15
N_EDGES = 9
PENALTIES = (100.0, 30.0, 10.0, 3.0, 1.0, 0.3)
"""From step to step weaker; the last stays."""
CROSS_CODES_MAX = 20_000
ITERATIONS_MAX = 300
CROSSED_WITH_ROUTE = (
    *("network", "funding", "issuer", "issuer_country", "merchant_id", "currency", "mcc", "authentication", "credential", "sca_scope"),
    *("amount_minor", "local_hour", "local_day_of_month", "attempt_number", "payment_last_route", "payment_last_response_code"),
)
CROSSED_WITH_AUTHENTICATION = ("network", "issuer", "issuer_country", "sca_scope", "initiator", "payment_last_response_code")


class LogisticModel(StepwiseClassifier):
    """n_steps counts penalties, the strongest first; categories are places of whole numbers, crosses pairs of places."""

    def __init__(
        self,
        *,
        n_steps: int = 4,
        penalties: tuple[float, ...] = PENALTIES,
        n_edges: int = N_EDGES,
        categories: tuple[int, ...] = (),
        crosses: tuple[tuple[int, int], ...] = (),
    ) -> None:
        self.n_steps = n_steps
        self.penalties = penalties
        self.n_edges = n_edges
        self.categories = categories
        self.crosses = crosses

    def to_onnx(self) -> bytes:
        """Codes, one table of weights, and a product for the pieces of numbers."""
        nodes = Nodes()
        codes, share, missing = code_nodes(self.bins_, nodes)
        n_numbers = len(self.bins_.numbers)
        indexes = [nodes.add("Gather", codes, nodes.constant(np.arange(n_numbers, len(self.bins_.code_sizes))), axis=1)]
        if self._pairs:
            left, right = (np.array(side, dtype=np.int64) for side in zip(*self._pairs, strict=True))
            sizes = self.bins_.code_sizes[right]
            first = nodes.add("Mul", nodes.add("Gather", codes, nodes.constant(left), axis=1), nodes.constant(sizes))
            indexes.append(nodes.add("Add", first, nodes.add("Gather", codes, nodes.constant(right), axis=1)))
        index = nodes.add("Add", nodes.add("Concat", *indexes, axis=1), nodes.constant(self._starts()))
        weights = self.coefficients_.astype(np.float32)
        n_table = self._table_size()
        each = nodes.add("Gather", nodes.constant(weights[:n_table]), index, axis=0)
        total = nodes.add("ReduceSum", each, nodes.constant(np.array([1], dtype=np.int64)), keepdims=1)
        pieces = nodes.add("Concat", share, missing, axis=1)
        total = nodes.add("Add", total, nodes.add("MatMul", pieces, nodes.constant(weights[n_table:, None])))
        total = nodes.add("Add", total, nodes.constant(np.float32(self.intercept_)))
        return nodes.model(nodes.add("Sigmoid", total), n_features=self.n_features_in_, opset=OPSET)

    def _begin(self, matrix: Matrix, y: Floats, weight: Floats | None) -> None:
        self.bins_ = fit_bins(matrix, categories=self.categories, n_edges=self.n_edges)
        used = {int(place): at for at, place in enumerate((*self.bins_.numbers, *self.bins_.categories))}
        sizes = self.bins_.code_sizes
        pairs = [(used[a], used[b]) for a, b in self.crosses if a in used and b in used]
        self._pairs = [(a, b) for a, b in pairs if sizes[a] * sizes[b] <= CROSS_CODES_MAX]
        self._rows = (self._design(matrix), y, weight)
        self._model = LogisticRegression(warm_start=True, max_iter=ITERATIONS_MAX, tol=1e-5)
        self._step = 0

    def _grow(self) -> None:
        design, y, weight = self._rows
        self._model.set_params(C=1.0 / self.penalties[min(self._step, len(self.penalties) - 1)])
        self._step += 1
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # Near enough: the next penalty moves every weight anyway.
            self._model.fit(design, y, sample_weight=weight)
        self.coefficients_: Floats = self._model.coef_[0].astype(np.float64)
        self.intercept_ = float(self._model.intercept_[0])

    def _raw(self, matrix: Matrix) -> Floats:
        said: Floats = np.asarray(self._design(matrix) @ self.coefficients_ + self.intercept_, dtype=np.float64)
        return said

    def _finish(self) -> None:
        del self._rows, self._model

    def _design(self, matrix: Matrix) -> Any:
        """(n, n_weights): one 1 for each table, then the pieces of numbers and which are missing."""
        index = self._index(matrix)
        n, n_tables = index.shape
        tables = sparse.csr_matrix((np.ones(n * n_tables), index.ravel(), np.arange(n + 1) * n_tables), shape=(n, self._table_size()))
        pieces = np.concatenate([self.bins_.shares(matrix), self.bins_.missing(matrix)], axis=1)
        return sparse.hstack([tables, sparse.csr_matrix(pieces.astype(np.float64))], format="csr")

    def _index(self, matrix: Matrix) -> NDArray[np.int64]:
        codes, sizes = self.bins_.codes(matrix), self.bins_.code_sizes
        crossed = [codes[:, a] * sizes[b] + codes[:, b] for a, b in self._pairs]
        return np.column_stack([codes[:, len(self.bins_.numbers) :], *crossed]) + self._starts()

    def _table_sizes(self) -> NDArray[np.int64]:
        sizes = self.bins_.code_sizes
        return np.array([*sizes[len(self.bins_.numbers) :], *(sizes[a] * sizes[b] for a, b in self._pairs)], dtype=np.int64)

    def _starts(self) -> NDArray[np.int64]:
        return (
            np.concatenate([[0], np.cumsum(self._table_sizes())[:-1]]).astype(np.int64)
            if len(self._table_sizes())
            else np.zeros(0, np.int64)
        )

    def _table_size(self) -> int:
        return int(self._table_sizes().sum())


def catalogue_crosses() -> tuple[tuple[int, int], ...]:
    """Pairs of places in the catalogue: what the candidate chooses, with what issuers may judge differently by."""
    places = {feature.name: place for place, feature in enumerate(FEATURES)}

    def pairs(chosen: str, others: Sequence[str]) -> list[tuple[int, int]]:
        return [(places[chosen], places[other]) for other in others if chosen in places and other in places]

    return (*pairs("route", CROSSED_WITH_ROUTE), *pairs("authentication", CROSSED_WITH_AUTHENTICATION))


def _make(configuration: Configuration, told: Told) -> LogisticModel:
    params = dict(configuration.params)
    crosses = catalogue_crosses() if params.pop("crossed", True) else ()
    return LogisticModel(**params, categories=told.categories, crosses=crosses)


KIND = Kind(
    name="logistic",
    about="Logistic regression on pieces of numbers, categories, and crosses. Small and quick; every weight can be read.",
    encoding="codes",
    unit="penalty {n} of 6",
    unit_steps=1,
    steps_max=len(PENALTIES),
    patience=2,
    rows_max=100_000,
    varies=False,
    configurations=(Configuration("plain", {"crossed": False}), Configuration("crossed", {"crossed": True})),
    ranges={"n_edges": Range(4, 33, is_log=True, is_whole=True)},
    make=_make,
)

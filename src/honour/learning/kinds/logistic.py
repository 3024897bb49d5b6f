"""Logistic regression as a sum of tables: a number for each category, each piece of a number, and each cross of them.

Every number is pulled to 0, and how hard is found for each table from the rows (a mixed-effects model with crossed random effects): a
table that says nothing fades away, one that matters keeps what its levels have shown, and a level of few rows, or one never seen, is
judged by the coarser tables. A table of routes and issuers holds what each issuer makes of each route.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from honour.approval.tables import Tables
from honour.features.catalogue import FEATURES
from honour.learning.kinds.base import StepwiseClassifier
from honour.learning.kinds.bins import Nodes, code_nodes, fit_bins
from honour.learning.kinds.effects import Effects, fit_effects
from honour.learning.kinds.port import Configuration, Floats, Kind, Matrix, Range, Told

OPSET = 15
N_EDGES = 9
CROSS_CODES_MAX = 200_000
CHOSEN = ("route", "authentication", "credential")
"""What a candidate chooses; each is crossed with every category."""
CROSSED = (
    *(("route", number) for number in ("amount_minor", "local_hour", "risk_score", "attempt_number")),
    *(("authentication", number) for number in ("amount_minor", "local_hour", "risk_score", "attempt_number")),
    ("issuer", "funding"),
    *(("route", "authentication", told) for told in ("sca_scope", "network", "issuer_country", "issuer")),
    *(("route", "credential", told) for told in ("network", "issuer")),
    ("route", "issuer_country", "network"),
    ("route", "issuer_country", "funding"),
)


class LogisticModel(StepwiseClassifier):
    """n_steps  rounds of a dozen in which every table is fitted and its penalty found anew
    categories  places of whole numbers; ignored: places that are not looked at; crosses: places whose values count together
    """

    def __init__(
        self,
        *,
        n_steps: int = 1,
        n_edges: int = N_EDGES,
        categories: tuple[int, ...] = (),
        ignored: tuple[int, ...] = (),
        crosses: tuple[tuple[int, ...], ...] = (),
    ) -> None:
        self.n_steps = n_steps
        self.n_edges = n_edges
        self.categories = categories
        self.ignored = ignored
        self.crosses = crosses

    def to_onnx(self) -> bytes:
        """Codes, and a look-up in one long table for each."""
        nodes = Nodes()
        return nodes.model(nodes.add("Sigmoid", self.log_odds_nodes(nodes)), n_features=self.n_features_in_, opset=OPSET)

    def log_odds_nodes(self, nodes: Nodes) -> str:
        """The log-odds (n, 1) as nodes, with the constants that `honour.approval.tables` reads; the name of what they make."""
        tables = self.tables_
        codes = code_nodes(self.bins_, nodes)
        together = nodes.add("Gather", codes, nodes.constant(tables.places, "places"), axis=1)
        product = nodes.add("Mul", together, nodes.constant(tables.factors, "factors"))
        index = nodes.add("ReduceSum", product, nodes.constant(np.array([2], dtype=np.int64)), keepdims=0)
        index = nodes.add("Add", index, nodes.constant(tables.starts, "starts"))
        each = nodes.add("Gather", nodes.constant(tables.values, "values"), index, axis=0)
        total = nodes.add("ReduceSum", each, nodes.constant(np.array([1], dtype=np.int64)), keepdims=1)
        return nodes.add("Add", total, nodes.constant(tables.intercept, "intercept"))

    def _begin(self, matrix: Matrix, y: Floats, weight: Floats | None) -> None:
        looked_at = matrix.copy()
        looked_at[:, list(self.ignored)] = 0.0
        self.bins_ = fit_bins(looked_at, categories=self.categories, n_edges=self.n_edges)
        sizes, places, factors = self._layout()
        self._index = places, factors, np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        weight = np.ones(len(y)) if weight is None else weight
        self._rows = (self._looked_up(matrix), y, weight)
        self._effects = Effects.none(self._index[2], y=y, weight=weight)

    def _grow(self) -> None:
        index, y, weight = self._rows
        self._effects = fit_effects(self._effects, index=index, y=y, weight=weight)
        places, factors, starts = self._index
        self.tables_ = Tables(
            *(self.bins_.numbers, self.bins_.edges, self.bins_.categories, self.bins_.sizes, places, factors, starts[:-1]),
            values=self._effects.values.astype(np.float32),
            intercept=np.array([self._effects.intercept], dtype=np.float32),
        )

    def _raw(self, matrix: Matrix) -> Floats:
        return self.tables_.log_odds(matrix)

    def _finish(self) -> None:
        del self._rows

    def _layout(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Of every table, single columns first: how many values it has, and which codes lead to one (`Tables.places`, `.factors`)."""
        used = {int(place): at for at, place in enumerate((*self.bins_.numbers, *self.bins_.categories))}
        codes = self.bins_.code_sizes
        crosses = [[used[place] for place in cross] for cross in self.crosses if all(place in used for place in cross)]
        tables = [*([at] for at in range(len(codes))), *(cross for cross in crosses if np.prod(codes[cross]) <= CROSS_CODES_MAX)]
        places = np.zeros((len(tables), max(map(len, tables), default=1)), dtype=np.int64)
        factors = np.zeros_like(places)
        for at, together in enumerate(tables):
            places[at, : len(together)] = together
            factors[at, : len(together)] = [np.prod(codes[together[after:]]) for after in range(1, len(together) + 1)]
        return np.array([np.prod(codes[together]) for together in tables], dtype=np.int64), places, factors

    def _looked_up(self, matrix: Matrix) -> NDArray[np.int32]:
        """(n_tables, n) the place among all values that each table looks up for each row."""
        codes, (places, factors, starts) = self.bins_.codes(matrix).T, self._index
        found = np.repeat(starts[:-1, None], len(matrix), axis=1).astype(np.int32)
        for place, factor in zip(places.T, factors.T, strict=True):
            found += (codes[place] * factor[:, None]).astype(np.int32)
        return found


def catalogue_crosses() -> tuple[tuple[int, ...], ...]:
    """Crosses as places in the catalogue: what the candidate chooses with every category, and what issuers judge differently by."""
    categories = [feature.name for feature in FEATURES if feature.kind == "category"]
    others = [name for name in categories if name not in CHOSEN]
    among = [(one, two) for at, one in enumerate(CHOSEN) for two in CHOSEN[at + 1 :]]
    places = {feature.name: place for place, feature in enumerate(FEATURES)}
    wanted: list[tuple[str, ...]] = [*((chosen, name) for chosen in CHOSEN for name in others), *among, *CROSSED]
    return tuple(tuple(places[name] for name in cross) for cross in wanted if all(name in places for name in cross))


def made_as_told(told: Told, *, crossed: bool = True, **params: int) -> LogisticModel:
    """A model of the catalogue's columns without its windows: what a window counts, a table finds from all rows, and with less noise."""
    crosses = catalogue_crosses() if crossed else ()
    return LogisticModel(**params, categories=told.categories, ignored=told.windows, crosses=crosses)


def _make(configuration: Configuration, told: Told) -> LogisticModel:
    return made_as_told(told, **configuration.params)


KIND = Kind(
    name="logistic",
    about="Logistic regression: a table for each category, number and cross, pulled to 0 as the rows ask. Small; every number can be read.",
    encoding="codes",
    unit="{n} rounds",
    unit_steps=12,
    steps_max=1,
    patience=1,
    rows_max=300_000,
    without=(),
    configurations=(Configuration("plain", {"crossed": False}), Configuration("crossed", {"crossed": True})),
    ranges={"n_edges": Range(4, 33, is_log=True, is_whole=True)},
    make=_make,
)

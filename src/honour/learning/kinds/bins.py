"""Columns cut into pieces: what the logistic and the deep kinds see of numbers and categories, and the same as ONNX nodes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, load_model_from_string, numpy_helper

from honour.learning.kinds.port import Matrix

Codes = NDArray[np.int64]
SAMPLE_MAX = 100_000


class Bins(NamedTuple):
    """How each column that is used is cut.

    numbers     places of the numbers; categories: places of the categories
    edges       (n_numbers, n_edges) ascending, filled up with +inf behind the last
    sizes       (n_categories,) codes of each category, without the 0 of one that is missing or not known
    """

    numbers: NDArray[np.int64]
    categories: NDArray[np.int64]
    edges: Matrix
    sizes: NDArray[np.int64]

    @property
    def low(self) -> Matrix:
        """(n_numbers, n_edges - 1) where each piece begins; a piece that is not there begins at 0.

        For a piecewise linear encoding (Gorishniy, Rubachev and Babenko 2022, arXiv 2203.05556).
        """
        return np.where(np.isfinite(self.edges[:, 1:]), self.edges[:, :-1], np.float32(0.0))

    @property
    def width(self) -> Matrix:
        """(n_numbers, n_edges - 1); infinite for a piece that is not there, of which every number is a share of 0."""
        ends = self.edges[:, 1:]
        return np.where(np.isfinite(ends), ends - np.where(np.isfinite(ends), self.edges[:, :-1], np.float32(0.0)), np.float32(np.inf))

    @property
    def code_sizes(self) -> NDArray[np.int64]:
        """Codes of every column that is used, numbers first, that of a missing value included."""
        return np.concatenate([np.isfinite(self.edges).sum(axis=1) + 2, self.sizes + 1]).astype(np.int64)

    def codes(self, matrix: Matrix) -> Codes:
        """(n, n_numbers + n_categories) piece of each value, 0 for a missing one and for a category that is not known."""
        numbers = matrix[:, self.numbers]
        piece = (
            np.stack([np.searchsorted(edges, column, side="left") for edges, column in zip(self.edges, numbers.T, strict=True)], axis=1)
            if len(self.numbers)
            else np.zeros((len(matrix), 0), dtype=np.int64)
        )
        found = np.where(np.isnan(numbers), 0, piece + 1)
        return np.concatenate([found, self.category_codes(matrix)], axis=1)

    def category_codes(self, matrix: Matrix) -> Codes:
        """(n, n_categories) from 1; 0 is missing or not known."""
        asked = matrix[:, self.categories]
        known = np.nan_to_num(asked, nan=-1.0)
        inside = (known >= 0.0) & (known < self.sizes)
        return np.where(inside, known, -1.0).astype(np.int64) + 1


def fit_bins(matrix: Matrix, *, categories: Sequence[int], n_edges: int) -> Bins:
    """Edges at quantiles. A column with one value only, missing counted as a value, is not used."""
    used = [place for place in range(matrix.shape[1]) if _varies(matrix[:, place])]
    numbers = [place for place in used if place not in categories]
    named = [place for place in used if place in categories]
    sample = matrix[:: max(1, len(matrix) // SAMPLE_MAX)]
    edges = np.full((len(numbers), n_edges), np.inf, dtype=np.float32)
    for at, place in enumerate(numbers):
        column = sample[:, place]
        known = column[np.isfinite(column)]
        if len(known):
            found = np.unique(np.quantile(known, np.linspace(0.0, 1.0, n_edges), method="nearest").astype(np.float32))
            edges[at, : len(found)] = found
    sizes = [int(np.nan_to_num(matrix[:, place], nan=-1.0).max()) + 1 for place in named]
    return Bins(np.array(numbers, dtype=np.int64), np.array(named, dtype=np.int64), edges, np.array(sizes, dtype=np.int64))


def _varies(column: NDArray[np.float32]) -> bool:
    first = column[0]
    return bool(np.any(np.isnan(column) != np.isnan(first)) or np.any(column[~np.isnan(column)] != first))


class Nodes:
    """ONNX nodes in the making: every call adds one and gives the name of what it makes."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.domains: dict[str, int] = {}

    def constant(self, value: Any, name: str | None = None) -> str:
        """A constant, by a name of its own where a reader of the file looks for it."""
        name = name or f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, order="C"), name))
        return name

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """One node."""
        name = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [name], **attributes))
        return name

    def take(self, content: bytes, *, reading: str) -> str:
        """All nodes of another model, reading `reading` in place of `features`; its output. None of its names may be like `c0` or `v0`."""
        model = load_model_from_string(content)
        for node in model.graph.node:
            node.input[:] = [reading if name == "features" else name for name in node.input]
        self.nodes += model.graph.node
        self.constants += model.graph.initializer
        self.domains |= {one.domain: one.version for one in model.opset_import if one.domain}
        (output,) = model.graph.output
        return str(output.name)

    def model(self, output: str, *, n_features: int, opset: int) -> bytes:
        """The whole graph: `features` (n, n_features) to `output` (n, 1)."""
        self.nodes.append(helper.make_node("Identity", [output], ["probability"]))
        graph = helper.make_graph(
            self.nodes,
            "honour",
            [helper.make_tensor_value_info("features", TensorProto.FLOAT, [None, n_features])],
            [helper.make_tensor_value_info("probability", TensorProto.FLOAT, [None, 1])],
            self.constants,
        )
        opsets = [helper.make_opsetid("", opset), *(helper.make_opsetid(name, version) for name, version in sorted(self.domains.items()))]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=8, producer_name="honour")
        content: bytes = model.SerializeToString(deterministic=True)
        return content


def code_nodes(bins: Bins, nodes: Nodes) -> str:
    """`Bins.codes` as nodes, (n, n_numbers + n_categories); the constants have the names of the fields."""
    numbers = nodes.add("Gather", "features", nodes.constant(bins.numbers, "numbers"), axis=1)
    is_missing = nodes.add("IsNaN", numbers)
    wide = nodes.add("Unsqueeze", numbers, nodes.constant(np.array([2], dtype=np.int64)))
    above = nodes.add("Cast", nodes.add("Greater", wide, nodes.constant(bins.edges, "edges")), to=TensorProto.INT64)
    piece = nodes.add("ReduceSum", above, nodes.constant(np.array([2], dtype=np.int64)), keepdims=0)
    piece = nodes.add("Add", piece, nodes.constant(np.int64(1)))
    piece = nodes.add("Where", is_missing, nodes.constant(np.int64(0)), piece)
    asked = nodes.add("Gather", "features", nodes.constant(bins.categories, "categories"), axis=1)
    asked = nodes.add("Where", nodes.add("IsNaN", asked), nodes.constant(np.float32(-1.0)), asked)
    sizes = nodes.add("Cast", nodes.constant(bins.sizes, "sizes"), to=TensorProto.FLOAT)
    inside = nodes.add("And", nodes.add("Less", asked, sizes), nodes.add("GreaterOrEqual", asked, nodes.constant(np.float32(0.0))))
    code = nodes.add("Cast", nodes.add("Where", inside, asked, nodes.constant(np.float32(-1.0))), to=TensorProto.INT64)
    code = nodes.add("Add", code, nodes.constant(np.int64(1)))
    return nodes.add("Concat", piece, code, axis=1)

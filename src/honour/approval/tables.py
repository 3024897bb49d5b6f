"""Log-odds as a sum over tables: each column is cut into codes, and each table looks one or several of them up.

The same arithmetic in compiled code, for few rows, that ONNX nodes do; training uses it too.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from honour.features.compiled import compiled

OPERATORS = {
    *("Add", "And", "Cast", "Concat", "Gather", "Greater", "GreaterOrEqual", "Identity", "IsNaN", "Less", "Mul", "ReduceSum"),
    *("Sigmoid", "Unsqueeze", "Where"),
}
"""What a file of tables and nothing else computes with."""


class Tables(NamedTuple):
    """Codes and look-ups.

    numbers     (n_numbers,) columns that are cut at edges (n_numbers, n_edges), filled up with +inf; code 0 is missing, then one more
                than the number of edges below the value
    categories  (n_categories,) columns of whole numbers from 0 to sizes (n_categories,); code 0 is any other value, then one more
    places      (n_tables, n_together) codes that a table looks up, numbers before categories; factors: of each, added up and to `starts`
                (n_tables,) give the place in `values`
    values      (n_values,) log-odds that are added to `intercept` (1,)
    """

    numbers: NDArray[np.int64]
    edges: NDArray[np.float32]
    categories: NDArray[np.int64]
    sizes: NDArray[np.int64]
    places: NDArray[np.int64]
    factors: NDArray[np.int64]
    starts: NDArray[np.int64]
    values: NDArray[np.float32]
    intercept: NDArray[np.float32]

    def log_odds(self, matrix: NDArray[np.float32]) -> NDArray[np.float64]:
        """(n, n_features) to (n,)."""
        said = np.empty(len(matrix))
        _compiled()(*self, np.ascontiguousarray(matrix), said)
        return said


def tables_of(constants: Mapping[str, NDArray[Any]], *, n_features: int) -> Tables | None:
    """The tables among the constants of an ONNX file, which have the names of the fields.

    None when one is absent, or leads outside another: compiled code looks up without a check of its own.
    """
    if not all(name in constants for name in Tables._fields):
        return None
    found = Tables(*(np.ascontiguousarray(constants[name]) for name in Tables._fields))
    return found if _holds_together(found, n_features=n_features) else None


def _holds_together(found: Tables, *, n_features: int) -> bool:
    """Whether every look-up stays within what it is looked up in."""
    shapes = [each.ndim for each in found]
    if shapes != [1, 2, 1, 1, 2, 2, 1, 1, 1] or len(found.edges) != len(found.numbers) or len(found.sizes) != len(found.categories):
        return False
    if found.places.shape != found.factors.shape or len(found.places) != len(found.starts) or len(found.intercept) != 1:
        return False
    codes = np.concatenate([np.full(len(found.numbers), found.edges.shape[1] + 1), found.sizes])  # The highest of each column.
    columns = np.concatenate([found.numbers, found.categories])
    if not _within(columns, n_features) or not _within(found.places, len(codes)) or np.any(found.factors < 0) or np.any(codes < 0):
        return False
    highest = found.starts + (codes[found.places] * found.factors).sum(axis=1) if len(codes) else found.starts
    return _within(found.starts, len(found.values)) and _within(highest, len(found.values))


def _within(places: NDArray[np.int64], n: int) -> bool:
    return bool(np.all((places >= 0) & (places < n)))


@cache
def _compiled() -> Any:
    return compiled(_look_up)


def _look_up(
    numbers: Any,
    edges: Any,
    categories: Any,
    sizes: Any,
    places: Any,
    factors: Any,
    starts: Any,
    values: Any,
    intercept: Any,
    matrix: Any,
    said: Any,
) -> None:
    """Compiled. A look-up of every table for every row."""
    codes = np.empty(len(numbers) + len(categories), np.int64)
    for row in range(len(matrix)):
        for at in range(len(numbers)):
            value = matrix[row, numbers[at]]
            code = 0
            if value == value:  # NaN is the one value that differs from itself.
                code = 1
                for edge in edges[at]:
                    code += value > edge
            codes[at] = code
        for at in range(len(categories)):
            value = matrix[row, categories[at]]
            codes[len(numbers) + at] = np.int64(value) + 1 if 0.0 <= value < sizes[at] else 0
        total = np.float64(intercept[0])
        for table in range(len(starts)):
            place = starts[table]
            for at in range(places.shape[1]):
                place += codes[places[table, at]] * factors[table, at]
            total += values[place]
        said[row] = total

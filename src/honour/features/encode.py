"""Raw features to the matrix that a model reads: numbers as they are, categories by a fitted map, not known as NaN."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, lru_cache
from itertools import chain
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from honour.errors import BadInput, BundleRefused
from honour.features.catalogue import CANDIDATE_FEATURES, FEATURES, PAYMENT_FEATURES, SCHEMA_ID
from honour.features.view import Feature
from honour.records.event import ServedFeatures

_NAN = float("nan")


def _floats(values: Sequence[Any]) -> NDArray[np.float32]:
    """Numbers as an array, not known as NaN: packed, which takes a quarter of the time that NumPy needs to look at each of them."""
    known = [_NAN if value is None else value for value in values]
    try:
        return np.frombuffer(_packer(len(known))(*known), dtype=np.float32)
    except OverflowError:  # Beyond what 32 bits hold: infinite.
        return np.array(known, dtype=np.float32)


@lru_cache(maxsize=64)
def _packer(n: int) -> Callable[..., bytes]:
    return struct.Struct(f"{n}f").pack


def _category_places(features: Sequence[Feature]) -> tuple[tuple[int, str], ...]:
    return tuple((place, feature.name) for place, feature in enumerate(features) if feature.kind == "category")


_PAYMENT_CATEGORIES = _category_places(PAYMENT_FEATURES)
_CANDIDATE_CATEGORIES = _category_places(CANDIDATE_FEATURES)


class Encoder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, dict=True):
    """Numbers for the categories of the catalogue, fitted in learning and kept in the bundle.

    schema      content hash of the catalogue whose rows it encodes
    categories  feature -> value -> number
    unseen      number of a value that is not in its map: the base rate, to which a rate without rows is shrunk; None: NaN
    missing     features that were not known in some of the fitted rows: there not known is NaN, elsewhere it is as unseen

    >>> encoder = Encoder(schema=SCHEMA_ID, categories={"network": {"visa": 0.9}}, unseen=0.8, missing=("network",))
    >>> [encoder.number("network", value) for value in ("visa", "new", None)]
    [0.9, 0.8, nan]
    """

    schema: str
    categories: dict[str, dict[str, float]]
    unseen: float | None = None
    missing: tuple[str, ...] = ()

    def number(self, feature: str, value: str | None) -> float:
        """The number of one value."""
        number_of, unseen = self._lookup[feature]
        return number_of(value, unseen)

    def encode(self, served: ServedFeatures) -> NDArray[np.float32]:
        """Matrix of one decision, columns in catalogue order.

        returns : (n_candidates, n_features) float32
        """
        if served.schema != self.schema or self.schema != SCHEMA_ID:
            raise BundleRefused(
                f"encoder of catalogue {self.schema} was given features of {served.schema}; this Honour computes {SCHEMA_ID}. "
                "Train a bundle with this version."
            )
        lookup, shared, n = self._lookup, list(served.payment), len(served.candidates)
        for place, name in _PAYMENT_CATEGORIES:
            number_of, unseen = lookup[name]
            shared[place] = number_of(shared[place], unseen)
        own = list(chain.from_iterable(served.candidates))
        for place, name in _CANDIDATE_CATEGORIES:
            number_of, unseen = lookup[name]
            values = slice(place, None, len(CANDIDATE_FEATURES))
            own[values] = [number_of(value, unseen) for value in own[values]]
        matrix = np.empty((n, len(FEATURES)), dtype=np.float32)
        matrix[:, : len(shared)] = _floats(shared)
        matrix[:, len(shared) :] = _floats(own).reshape(n, len(CANDIDATE_FEATURES))
        return matrix

    def encode_columns(self, columns: Mapping[str, Sequence[Any]]) -> NDArray[np.float32]:
        """Matrix of many rows, from columns by feature name: lists, NumPy arrays, or Arrow columns.

        returns : (n_rows, n_features) float32, columns in catalogue order
        """
        if missing := [feature.name for feature in FEATURES if feature.name not in columns]:
            raise BadInput(
                f"column {missing[0]} is absent; a row needs every feature of the catalogue ({len(missing)} are absent)", path="$"
            )
        n_rows = len(columns[FEATURES[0].name])
        matrix = np.empty((n_rows, len(FEATURES)), dtype=np.float32)
        for place, feature in enumerate(FEATURES):
            matrix[:, place] = self._column(feature, columns[feature.name])
        return matrix

    @cached_property
    def _lookup(self) -> dict[str, tuple[Callable[[Any, float], float], float]]:
        """Of each category, what turns a value into its number, and the number of one that is not in the map."""
        found: dict[str, tuple[Callable[[Any, float], float], float]] = {}
        for feature in FEATURES:
            if feature.kind == "category":
                unseen = _NAN if self.unseen is None else self.unseen
                numbers: dict[Any, float] = dict(self.categories.get(feature.name, {}))
                numbers[None] = _NAN if feature.name in self.missing else unseen
                found[feature.name] = (numbers.get, unseen)
        return found

    def _column(self, feature: Feature, column: Any) -> NDArray[np.float32]:
        values = column.to_numpy() if hasattr(column, "to_numpy") else column
        if feature.kind == "category":
            number_of, unseen = self._lookup[feature.name]
            return np.array([number_of(value, unseen) for value in values], dtype=np.float32)
        if isinstance(values, np.ndarray) and values.dtype != object:
            return values.astype(np.float32)
        return np.array([_NAN if value is None else value for value in values], dtype=np.float32)

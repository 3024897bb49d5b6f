"""Fitting what the search found: categories to numbers, then the kind of model, the same bytes for the same rows and seed."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from honour.features.catalogue import FEATURES, SCHEMA_ID
from honour.features.encode import Encoder
from honour.learning.dataset import Rows
from honour.learning.kinds.port import Configuration, Encoding, Estimator, Kind, Matrix, Told

Labels = NDArray[np.float64]

PRIOR_ROWS = 20.0
"""A category's approval rate is pulled to the base rate as if by this many more rows."""
ROWS_MIN = 10
"""Rarer categories count as never seen, so that a model learns what to make of them."""


class Recipe(NamedTuple):
    """What a model is made like: its kind, its settings, and the features that it may not use, with a name for what remains."""

    kind: Kind
    configuration: Configuration
    left_out: tuple[str, ...] = ()
    which: str = "steady features"

    @property
    def name(self) -> str:
        """The settings, and which features are used if not all."""
        return f"{self.configuration.name}, {self.which}" if self.left_out else self.configuration.name

    def make(self, told: Told, *, n_steps: int) -> Estimator:
        """A model of this recipe, not fitted yet."""
        made = self.kind.make(self.configuration, told)
        made.n_steps = n_steps
        return made

    def matrix(self, rows: Rows, encoder: Encoder) -> Matrix:
        """The rows as the model is fitted on them, (n, n_features): a feature that is left out has one value, which no kind can use."""
        matrix = rows.encoded(encoder)
        matrix[:, [place for place, feature in enumerate(FEATURES) if feature.name in self.left_out]] = 0.0
        return matrix


def fit_encoder(columns: dict[str, NDArray[Any]], *, approved: Labels, encoding: Encoding = "rates") -> Encoder:
    """Each category as a number, from rows that must all belong to the fitting part.

    rates  smoothed approval rates; a value that is not in the map has the base rate, as one of no rows would
    codes  whole numbers from 0 in the order of the alphabet; a value that is not in the map is missing
    """
    base = float(approved.mean())
    categories: dict[str, dict[str, float]] = {}
    missing: list[str] = []
    for feature in FEATURES:
        if feature.kind != "category":
            continue
        column = columns[feature.name]
        known = np.array([value is not None for value in column], dtype=bool)
        if len(known) - known.sum() >= ROWS_MIN:
            missing.append(feature.name)
        if not known.any():
            categories[feature.name] = {}
            continue
        values, place = np.unique(column[known].astype(str), return_inverse=True)
        n, k = np.bincount(place), np.bincount(place, weights=approved[known])
        often = [at for at in range(len(values)) if n[at] >= ROWS_MIN]
        rate = (k + PRIOR_ROWS * base) / (n + PRIOR_ROWS)
        numbers = rate[often].tolist() if encoding == "rates" else range(len(often))
        categories[feature.name] = {str(values[at]): float(number) for at, number in zip(often, numbers, strict=True)}
    return Encoder(schema=SCHEMA_ID, categories=categories, unseen=base if encoding == "rates" else None, missing=tuple(missing))


def fit(rows: Rows, *, recipe: Recipe, n_steps: int, told: Told) -> tuple[Estimator, Encoder]:
    """The model, fitted on `rows` or as many of the newest as its kind takes, and the encoder that made their matrix."""
    rows = rows.newest(recipe.kind.rows_max)
    encoder = fit_encoder(rows.columns, approved=rows.approved, encoding=recipe.kind.encoding)
    return recipe.make(told, n_steps=n_steps).fit(recipe.matrix(rows, encoder), rows.approved), encoder

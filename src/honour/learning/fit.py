"""Fitting what the search found: categories to numbers, then the kind of model, the same bytes for the same rows and seed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin  # type: ignore[import-untyped]  # scikit-learn ships no types
from sklearn.utils.validation import check_is_fitted  # type: ignore[import-untyped]  # as above

from honour.errors import CannotTrain
from honour.features.catalogue import FEATURES, SCHEMA_ID
from honour.features.encode import Encoder
from honour.learning.dataset import Rows
from honour.learning.kinds.port import Configuration, Encoding, Estimator, Kind, Matrix, Told

Labels = NDArray[np.float64]

PRIOR_ROWS = 20.0
"""A category's approval rate is pulled to the base rate as if by this many more rows."""
ROWS_MIN = 10
"""Rarer categories count as never seen, so that a model learns what to make of them."""


class AttemptEncoder(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn's classes are Any
    """Raw features as a data frame to the matrix that every kind of model reads: a transformer for pipelines of scikit-learn.

    encoding  "rates" for trees, "codes" for the others (`Kind.encoding`)
    """

    def __init__(self, *, encoding: Encoding = "rates") -> None:
        self.encoding = encoding

    def fit(self, X: Any, y: Any) -> Self:  # noqa: N803 - scikit-learn's names
        """Learn a number for each category of a frame with a column for each feature, and answers (n,)."""
        self.encoder_ = fit_encoder(_columns(X), approved=np.asarray(y, dtype=np.float64), encoding=self.encoding)
        return self

    def transform(self, X: Any) -> Matrix:  # noqa: N803 - as above
        """(n, n_features) float32, NaN where not known; columns as `get_feature_names_out` says."""
        check_is_fitted(self)
        columns: Mapping[str, Any] = _columns(X)
        return self.encoder_.encode_columns(columns)

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:  # noqa: ARG002 - scikit-learn's signature
        """Names of the columns of the matrix."""
        return np.array([feature.name for feature in FEATURES], dtype=object)


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
    codes  whole numbers from 0 in the order of those rates, so that trees may part them; a value that is not in the map is missing
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
        numbers = rate[often] if encoding == "rates" else np.argsort(np.argsort(rate[often], kind="stable"))
        categories[feature.name] = {str(values[at]): float(number) for at, number in zip(often, numbers.tolist(), strict=True)}
    return Encoder(schema=SCHEMA_ID, categories=categories, unseen=base if encoding == "rates" else None, missing=tuple(missing))


def _columns(frame: Any) -> dict[str, NDArray[Any]]:
    """Columns of a data frame by feature: None for a category that is not known, NaN for a number."""
    if absent := [feature.name for feature in FEATURES if feature.name not in frame]:
        raise CannotTrain(f"data frame: column {absent[0]} is absent ({len(absent)} are). `honour features build` makes them all.")
    return {
        feature.name: np.array([None if value is None or value != value else value for value in frame[feature.name]], dtype=object)
        if feature.kind == "category"
        else np.asarray(frame[feature.name], dtype=np.float64)
        for feature in FEATURES
    }


def fit(rows: Rows, *, recipe: Recipe, n_steps: int, told: Told) -> tuple[Estimator, Encoder]:
    """The model, fitted on `rows` or as many of the newest as its kind takes, and the encoder that made their matrix."""
    rows = rows.newest(recipe.kind.rows_max)
    encoder = fit_encoder(rows.columns, approved=rows.approved, encoding=recipe.kind.encoding)
    return recipe.make(told, n_steps=n_steps).fit(recipe.matrix(rows, encoder), rows.approved), encoder

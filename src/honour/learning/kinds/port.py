"""What every kind of model promises: fitted step by step, compared on later rows at every step, exported to ONNX.

A step is what a kind grows by: ten trees, one pass over the rows, one weaker penalty. More steps fit the rows more closely, so that
one search serves every kind: the fewest steps that are as good on later rows within one standard error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple, Protocol, Self

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float32]
Floats = NDArray[np.float64]
Encoding = Literal["rates", "codes"]
LeftOut = Literal["drifting", "windows"]


class Said(NamedTuple):
    """Log-odds of later rows after a step, (n_later,) each.

    raw    of the model
    grown  of the part of it that grows, which is all of most kinds. How far to grow shows by that part: beside one that stays as it is, it
           may grow until it takes chance for a pattern, since the mean of both halves what each exaggerates.
    """

    raw: Floats
    grown: Floats


class Estimator(Protocol):
    """A scikit-learn classifier of two classes; X is (n, n_features), NaN is missing, and a column of one value counts for nothing."""

    n_steps: int

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:  # noqa: N803 - scikit-learn's names
        """Fit `n_steps` steps."""

    def predict_proba(self, X: Any) -> Floats:  # noqa: N803 - as above
        """(n, 2); the second column is P(approved)."""

    def decision_function(self, X: Any) -> Floats:  # noqa: N803 - as above
        """Log-odds, (n,)."""

    def staged(self, X: Any, y: Any, laters: Sequence[Any]) -> Iterator[list[Said]]:  # noqa: N803 - as above
        """Without end: grow a step on (X, y), then what is said of each of `laters`."""

    def to_onnx(self) -> bytes:
        """One float32 input (n, n_features) and one output, of which the last column or the only one is P(approved)."""


class Configuration(NamedTuple):
    """Settings of a kind by name, the simplest first in each kind."""

    name: str
    params: Mapping[str, Any]


class Range(NamedTuple):
    """Values of a setting worth trying; is_log: their orders of magnitude matter; is_whole: whole numbers only."""

    low: float
    high: float
    is_log: bool = False
    is_whole: bool = False


class Told(NamedTuple):
    """What the catalogue says of the columns, and how to fit.

    categories  places of categories; rising: places with which approval may only rise
    sequence    places of the last, the last but one, ... answers, each with the same columns in the same order
    windows     places of windows over groups of payments
    """

    categories: tuple[int, ...]
    rising: tuple[int, ...]
    sequence: tuple[tuple[int, ...], ...]
    seed: int
    n_threads: int
    windows: tuple[int, ...] = ()


class Kind(NamedTuple):
    """A kind of model.

    encoding   "rates": categories come as smoothed approval rates; "codes": as whole numbers from 0 that mean nothing
    unit       what a step is, for people: "{n} trees"
    patience   steps without a better log loss on later rows after which the search stops
    rows_max   newest rows that are fitted; None is all
    without    what the search also tries to leave out: features that drift, windows over groups
    ranges     settings that `honour tune` varies
    many       what is taken of the settings for more rows than settings are chosen on; without it they are chosen of any number
    """

    name: str
    about: str
    encoding: Encoding
    unit: str
    unit_steps: int
    steps_max: int
    patience: int
    rows_max: int | None
    without: tuple[LeftOut, ...]
    configurations: tuple[Configuration, ...]
    ranges: Mapping[str, Range]
    make: Callable[[Configuration, Told], Estimator]
    many: Configuration | None = None

    def size(self, n_steps: int) -> str:
        """How large a model of so many steps is, for people."""
        return self.unit.format(n=n_steps * self.unit_steps)

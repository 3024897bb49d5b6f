"""Fitting offsets by segment, each pulled to the whole so that a segment of few attempts has hardly any."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from honour.approval.calibration import expit, logit
from honour.approval.metric import Floats
from honour.approval.segment import ATTEMPTS_APART, SEGMENTS, Offset, SegmentOffsets, segment_names
from honour.features.encode import Encoder

STRENGTHS = (3000.0, 1000.0, 300.0, 100.0, 30.0)
"""Pulls to the whole, the strongest first. A segment of n attempts, an answer of which has the variance v, keeps about
n v / (n v + strength) of an offset of its own; v is 0.25 at most.
"""

Numbers = Mapping[str, Floats]
"""What the encoder makes of the features that make segments, (n,) each; NaN where that is missing."""


class _Levels(NamedTuple):
    """Values of all features counted through; at: (n, n_features) which of them each row has."""

    names: tuple[tuple[str, float | None], ...]
    at: NDArray[np.intp]


def segment_numbers(columns: Mapping[str, NDArray[Any]], *, encoder: Encoder) -> dict[str, Floats]:
    """The numbers, as they stand in the encoded matrix, of raw columns by feature."""
    found: dict[str, Floats] = {}
    for name in SEGMENTS:
        if name == "attempt_number":
            found[name] = np.minimum(np.asarray(columns[name], dtype=np.float64), ATTEMPTS_APART)
        else:
            number_of = {value: np.float32(encoder.number(name, value)) for value in set(columns[name].tolist())}
            found[name] = np.array([number_of[value] for value in columns[name].tolist()], dtype=np.float64)
    return found


def fit_offsets(p: Floats, *, y: Floats, numbers: Numbers, strength: float) -> SegmentOffsets:
    """Offsets with the lowest log loss on rows to which a calibrated model gave p, and half `strength` times their squares less.

    p, y : (n,)
    """
    levels, z = _levels(numbers), logit(p)

    def loss(offsets: Floats) -> tuple[float, Floats]:
        moved = z + offsets[levels.at].sum(axis=1)
        apart = expit(moved) - y
        slope = np.zeros(len(offsets))
        for at in levels.at.T:
            slope += np.bincount(at, weights=apart, minlength=len(offsets))
        value = np.logaddexp(0.0, moved).sum() - y @ moved + 0.5 * strength * offsets @ offsets
        return float(value) / len(y), (slope + strength * offsets) / len(y)

    found: Any = minimize(loss, np.zeros(len(levels.names)), jac=True, method="L-BFGS-B", options={"maxiter": 500, "gtol": 1e-9})
    of: dict[str, list[Offset]] = {name: [] for name in numbers}
    for (name, number), log_odds in zip(levels.names, found.x.tolist(), strict=True):
        of[name].append(Offset(number=number, log_odds=log_odds))
    return SegmentOffsets(of={name: tuple(offsets) for name, offsets in of.items()})


def named_offsets(offsets: SegmentOffsets, columns: Mapping[str, NDArray[Any]], *, encoder: Encoder) -> dict[str, float]:
    """Offsets by the names of the segments that raw columns hold, such as route=acq_br_1."""
    found: dict[str, float] = {}
    for name, numbers in segment_numbers(columns, encoder=encoder).items():
        log_odds_of = {one.number: one.log_odds for one in offsets.of.get(name, ())}
        names, first = np.unique(segment_names(name, columns[name]), return_index=True)
        for segment, number in zip(names.tolist(), numbers[first].tolist(), strict=True):
            if _number(number) in log_odds_of:
                found[f"{name}={segment}"] = log_odds_of[_number(number)]
    return found


def _levels(numbers: Numbers) -> _Levels:
    names: list[tuple[str, float | None]] = []
    columns = []
    for name, column in numbers.items():
        values, place = np.unique(column, return_inverse=True)  # All missing ones are one value.
        columns.append(place + len(names))
        names += [(name, _number(value)) for value in values.tolist()]
    return _Levels(tuple(names), np.stack(columns, axis=1))


def _number(value: float) -> float | None:
    return None if value != value else value

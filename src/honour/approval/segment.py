"""Offsets by segment: what a calibrated probability still misses, on average, of one route, network, funding, country or attempt number.

They are added to log-odds after the calibrator. Within a segment no higher probability is made the lower one. At the offsets that fit best
the mean probability in every segment is its approval rate, for all segments at once although they overlap (multiaccuracy, the first
order of multicalibration: Hébert-Johnson, Kim, Reingold and Rothblum 2018, arXiv 1711.08513). Fitting them is `honour.learning.by_segment`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from honour.approval.calibration import expit_one, logit_one
from honour.errors import BadInput
from honour.features.catalogue import FEATURES
from honour.records.event import FeatureValue

SEGMENTS = ("route", "network", "funding", "issuer_country", "attempt_number")
ATTEMPTS_APART = 5.0
"""Attempts from this number on are one segment."""

_PLACES = {feature.name: place for place, feature in enumerate(FEATURES)}


def segment_names(name: str, values: NDArray[Any]) -> NDArray[np.str_]:
    """The segment of each row, (n,), from the raw values of the feature `name`: a value, `not known`, or `5 or more` attempts."""
    known = [None if value != value else value for value in values.tolist()]  # A number that is not known is NaN.
    name_of = {value: _named(name, value) for value in set(known)}
    return np.array([name_of[value] for value in known], dtype=np.str_)


class Offset(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Log-odds that are added where a feature has a value, told by the encoder's number of it; None where the number is missing.

    Values that the encoder does not tell apart, such as all that it has never seen, are one segment.
    """

    number: float | None
    log_odds: float


class SegmentOffsets(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, dict=True):
    """Offsets of each feature's values; empty leaves every probability as it is. A value that is not named has none.

    >>> offsets = SegmentOffsets(of={"attempt_number": (Offset(number=2.0, log_odds=1.0),)})
    >>> matrix = np.zeros((2, len(FEATURES)), dtype=np.float32)
    >>> matrix[:, [feature.name for feature in FEATURES].index("attempt_number")] = [1.0, 2.0]
    >>> offsets.apply(np.array([0.5, 0.5]), matrix).round(4).tolist()
    [0.5, 0.7311]
    """

    of: dict[str, tuple[Offset, ...]] = {}

    def __post_init__(self) -> None:
        for name, offsets in self.of.items():
            if name not in SEGMENTS:
                raise BadInput(f"offsets by segment: {name!r} is no feature that makes segments; allowed: {', '.join(SEGMENTS)}")
            if not all(np.isfinite(one.log_odds) for one in offsets):
                raise BadInput(f"offsets by segment: one of {name} is not finite")

    def apply(self, p: NDArray[np.float64], matrix: NDArray[np.float32]) -> NDArray[np.float64]:
        """Probability of each row with the offsets of its segments, by the same arithmetic for one row and for a million.

        p : (n,), calibrated; matrix : (n, n_features), encoded
        """
        return self.moved(p, {name: matrix[:, _PLACES[name]] for name in self.of}) if self.of else p

    def moved(self, p: NDArray[np.float64], numbers: Mapping[str, NDArray[np.floating]]) -> NDArray[np.float64]:
        """As `apply`, from the encoder's numbers of each feature that makes segments, (n,) each."""
        total = [0.0] * len(p)
        for name, offset_of in self._lookup.items():
            cut = ATTEMPTS_APART if name == "attempt_number" else np.inf
            for at, number in enumerate(numbers[name].tolist()):
                total[at] += offset_of.get(min(number, cut) if number == number else None, 0.0)
        return np.array([expit_one(logit_one(one) + added) for one, added in zip(p.tolist(), total, strict=True)])

    @cached_property
    def _lookup(self) -> dict[str, dict[float | None, float]]:
        """Offsets by number, of each feature that has any."""
        return {name: {one.number: one.log_odds for one in offsets} for name, offsets in self.of.items()}


def _named(name: str, value: FeatureValue) -> str:
    if value is None:
        return "not known"
    if name == "attempt_number":
        number = float(value)
        return f"{ATTEMPTS_APART:g} or more" if number >= ATTEMPTS_APART else str(int(number))
    return str(value)

"""Why a model says what it says: how approval moves with one feature, and the reasons for one candidate.

Asked of a bundle alone, whatever kind of model it holds; never while a payment waits.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from honour.approval.calibration import logit
from honour.approval.card import ParityRows
from honour.approval.metric import Floats
from honour.approval.model import ApprovalModel
from honour.features.catalogue import FEATURES
from honour.features.describe import describe
from honour.records.event import FeatureValue, ServedFeatures
from honour.release.bundle import PARITY, load_bundle

N_ORDERS = 128
GRID = 11


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """What one feature adds to the log-odds of a candidate, against attempts as they come."""

    feature: str
    value: FeatureValue
    log_odds: float
    words: str


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """p of a candidate, p of attempts as they come (from the mean of their log-odds), and the reasons for the difference.

    reasons  the largest first
    """

    p_approve: float
    p_usual: float
    reasons: tuple[Reason, ...]


class Dependence(NamedTuple):
    """Mean p when every attempt had this value of one feature (partial dependence, Friedman 2001)."""

    value: str
    p_approve: float


def background_of(folder: Path) -> NDArray[np.float32]:
    """Encoded attempts as they come, from the sample rows of the bundle: those of which nothing was taken away."""
    parity = msgspec.json.decode((folder / PARITY).read_bytes(), type=ParityRows)
    rows = parity.rows[: 2 * len(parity.rows) // 3]
    return np.array([[np.nan if value is None else value for value in row] for row in rows], dtype=np.float32)


def explain(folder: Path, served: ServedFeatures, *, candidate: int, n_reasons: int = 8) -> Explanation:
    """The reasons for what the bundle in `folder` says of one candidate of `served`."""
    model, background = load_bundle(folder).model, background_of(folder)
    row = model.encoder.encode(served)[candidate]
    found = contributions(model, row, background=background)
    values = (*served.payment, *served.candidates[candidate])
    largest = np.argsort(-np.abs(found))[:n_reasons]
    usual = float(np.mean(logit(model.predict_matrix(background))))
    return Explanation(
        p_approve=float(model.predict_matrix(row[None, :])[0]),
        p_usual=1.0 / (1.0 + float(np.exp(-usual))),
        reasons=tuple(
            _reason(int(place), value=values[place], log_odds=float(found[place])) for place in largest if abs(found[place]) > 0.0
        ),
    )


def contributions(model: ApprovalModel, row: NDArray[np.float32], *, background: NDArray[np.float32], seed: int = 0) -> Floats:
    """Shapley values of one encoded row, (n_features,): they sum to its log-odds less the mean of the background rows drawn.

    Estimated over `N_ORDERS` random orders of the features, each with a background row; every second order is the first one
    backwards, which takes noise off (Strumbelj and Kononenko 2014; Mitchell, Cooper, Frank and Holmes 2022, arXiv 2104.12199).
    """
    generator = np.random.default_rng(seed)
    found = np.zeros(len(row))
    for at in range(0, N_ORDERS, 2):
        order = generator.permutation(len(row))
        other = background[at // 2 % len(background)]
        for walked in (order, order[::-1]):
            changed = [place for place in walked if row[place] != other[place] and not np.isnan([row[place], other[place]]).all()]
            steps = np.repeat(other[None, :], len(changed) + 1, axis=0)
            for number, place in enumerate(changed, start=1):
                steps[number:, place] = row[place]
            found[changed] += np.diff(logit(model.predict_matrix(steps)))
    return found / N_ORDERS


def dependence(folder: Path, feature: str) -> tuple[Dependence, ...]:
    """Mean p over sample rows when all of them had one value of `feature`: for quantiles of a number, for every known category."""
    model, background = load_bundle(folder).model, background_of(folder)
    place = next(at for at, one in enumerate(FEATURES) if one.name == feature)
    asked: Sequence[tuple[str, float]]
    if FEATURES[place].kind == "category":
        asked = sorted(model.encoder.categories.get(feature, {}).items())
    else:
        known = background[:, place][~np.isnan(background[:, place])]
        asked = [(f"{value:g}", float(value)) for value in np.unique(np.quantile(known, np.linspace(0, 1, GRID)))] if len(known) else []
    found = []
    for name, value in asked:
        rows = background.copy()
        rows[:, place] = value
        found.append(Dependence(name, float(model.predict_matrix(rows).mean())))
    return tuple(found)


def _reason(place: int, *, value: FeatureValue, log_odds: float) -> Reason:
    feature = FEATURES[place]
    said = "not known" if value is None else f"{value:g}" if isinstance(value, int | float) else value
    factor = float(np.exp(abs(log_odds)))
    direction = "raises" if log_odds > 0 else "lowers"
    meaning = describe(feature).aggregation
    words = f"{feature.name} is {said} ({meaning}): {direction} the odds of approval {factor:.2f} times"
    return Reason(feature=feature.name, value=value, log_odds=log_odds, words=words)

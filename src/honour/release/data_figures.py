"""What the data are like, before anything is trained: age, holes, drift, missing segments, and features that know the answer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from honour.approval.metric import Floats, auc
from honour.approval.segment import SEGMENTS, segment_names
from honour.features.catalogue import FEATURES
from honour.features.quality import QualityReport
from honour.learning.dataset import Rows
from honour.learning.split import Mask, Split
from honour.release.gate import DataFigures

HOUR_US = 3_600_000_000
N_BINS = 10
SHARE_MIN = 1e-3
"""A bin with less is taken as this: one empty bin alone would make the index infinite."""
RARE = 0.01
"""Categories below this share on both sides are compared together."""
SEGMENT_SHARE_MIN = 0.001
"""A segment with a smaller share of one side counts as not known there."""


def data_figures(rows: Rows, *, held: Split, quality: QualityReport, newest_us: int, now_us: int) -> DataFigures:
    """Figures for the gates on data.

    rows       attempts with their answers; `held` cuts them into those to fit and those to judge on
    newest_us  instant at which the newest answer arrived
    """
    segments = {name: segment_names(name, rows.columns[name]) for name in SEGMENTS}
    return DataFigures(
        data_age_hours=max(0.0, (now_us - newest_us) / HOUR_US),
        silent_hours_share=_silent_share(quality),
        later_attempts=int(held.late.sum()),
        drift=mix_drift(rows, held=held),
        uncovered=_uncovered(segments, held=held),
        feature_auc=_feature_auc(rows, held=held),
    )


def population_stability_index(before: NDArray[np.float64], after: NDArray[np.float64]) -> float:
    """Sum of (b - a) ln(b / a) over shares a before and b after, (k,) each; 0.1 is a shift, 0.25 a large one (Siddiqi 2006).

    >>> population_stability_index(np.array([0.5, 0.5]), np.array([0.5, 0.5]))
    0.0
    """
    a, b = np.maximum(before, SHARE_MIN), np.maximum(after, SHARE_MIN)
    return float(((b - a) * np.log(b / a)).sum())


def mix_drift(rows: Rows, *, held: Split) -> dict[str, float]:
    """Population stability index of later attempts against earlier ones, by segment and by amount."""
    segments = {name: segment_names(name, rows.columns[name]) for name in SEGMENTS}
    amounts = np.asarray(rows.columns["amount_minor"], dtype=np.float64)
    compared = {**segments, "amount_minor": in_bins(amounts, before=amounts[held.early])}
    return {name: _index_of(values, early=held.early, late=held.late) for name, values in compared.items()}


def number_drift(before: Floats, after: Floats) -> float:
    """Population stability index of numbers, in ten bins with as many of `before` in each; (n,) and (m,).

    >>> number_drift(np.arange(100.0), np.arange(100.0))
    0.0
    """
    values = np.concatenate([before, after])
    early = np.arange(len(values)) < len(before)
    return _index_of(in_bins(values, before=before), early=early, late=~early)


def in_bins(values: Floats, *, before: Floats) -> NDArray[np.str_]:
    """The bin of each value, (n,), by deciles of `before`."""
    edges = np.unique(np.nanquantile(before, np.linspace(0, 1, N_BINS + 1)[1:-1])) if len(before) else np.empty(0)
    return np.searchsorted(edges, values).astype(str)


def _silent_share(quality: QualityReport) -> float:
    if quality.first_at is None or quality.last_at is None:
        return 1.0
    hours = max(1.0, (quality.last_at - quality.first_at).total_seconds() / 3600)
    return quality.silent_hours.n / hours


def _index_of(values: NDArray[np.str_], *, early: Mask, late: Mask) -> float:
    if not early.any() or not late.any():
        return 0.0
    names, place = np.unique(values, return_inverse=True)
    before, after = (np.bincount(place[side], minlength=len(names)) / side.sum() for side in (early, late))
    rare = (before < RARE) & (after < RARE)
    together = [np.append(shares[~rare], shares[rare].sum()) for shares in (before, after)]
    return population_stability_index(*together)


def _uncovered(segments: dict[str, NDArray[np.str_]], *, held: Split) -> dict[str, float]:
    """Share of the attempts of one side that are in a segment which the other side hardly knows."""
    found: dict[str, float] = {}
    for name, values in segments.items():
        if not held.early.any() or not held.late.any():
            continue
        names, place = np.unique(values, return_inverse=True)
        before, after = (np.bincount(place[side], minlength=len(names)) / side.sum() for side in (held.early, held.late))
        for at, value in enumerate(names):
            if min(before[at], after[at]) < SEGMENT_SHARE_MIN <= max(before[at], after[at]):
                found[f"{name}={value}"] = float(max(before[at], after[at]))
    return found


def _feature_auc(rows: Rows, *, held: Split) -> dict[str, float]:
    """How far each feature alone tells approved attempts from others, in [0.5, 1]; a missing value is a value too."""
    y = rows.approved[held.late]
    found: dict[str, float] = {}
    for feature in FEATURES:
        column = rows.columns[feature.name]
        scores = _rates(column, rows.approved, held=held) if feature.kind == "category" else np.asarray(column, dtype=np.float64)[held.late]
        ends = [auc(p, y) for p in _as_ranks(scores)] if len(y) else []
        found[feature.name] = max((max(one, 1.0 - one) for one in ends if one is not None), default=0.5)
    return found


def _rates(column: NDArray[Any], approved: Floats, *, held: Split) -> Floats:
    """Approval rate before the cut of each later row's category; one that is new has the base rate."""
    names, place = np.unique(np.array(["" if value is None else str(value) for value in column]), return_inverse=True)
    n = np.bincount(place[held.early], minlength=len(names))
    hits = np.bincount(place[held.early], weights=approved[held.early], minlength=len(names))
    base = approved[held.early].mean() if held.early.any() else 0.5
    rates: Floats = ((hits + base) / (n + 1.0))[place[held.late]]
    return rates


def _as_ranks(values: Floats) -> Iterable[Floats]:
    """Values as ranks in [0, 1], missing ones once below and once above all others."""
    known = ~np.isnan(values)
    order = np.unique(values[known])
    ranks = (np.searchsorted(order, values) + 1.0) / (len(order) + 1.0)
    yield np.where(known, ranks, 0.0)
    if not known.all():
        yield np.where(known, ranks * 0.999, 1.0)

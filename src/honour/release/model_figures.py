"""How a model does on attempts that neither it nor the champion has seen, and how it would serve."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from math import isclose
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow ships no types

from honour.approval.card import Training
from honour.approval.interval import log_loss_gain
from honour.approval.metric import Figure, Floats
from honour.approval.model import ApprovalModel
from honour.approval.segment import SEGMENTS
from honour.errors import BundleRefused
from honour.features.catalogue import CANDIDATE_FEATURES, FEATURES, PAYMENT_FEATURES, SCHEMA_ID
from honour.learning.dataset import Rows
from honour.learning.judge import Judgement, SegmentReport, judge_probabilities
from honour.learning.report import baseline_probabilities, route_rates
from honour.learning.served import ServedRow
from honour.records.event import FeatureValue, ServedFeatures
from honour.release.bundle import Bundle, load_bundle
from honour.release.gate import BASE_RATE, ModelFigures
from honour.release.value import ValueGain

CANDIDATES = 8
WARM_UP, TIMED = 50, 1_000
TOLERANCE = 1e-9
"""Relative difference up to which a feature value served and one recomputed are the same, as in `honour features verify`."""
WALKED = 64
"""Rows that the compiled walk answers; more go to ONNX Runtime."""


class Judged(NamedTuple):
    """The later attempts, and what each side says of them.

    early, late  rows before the cut and after it
    judged       the model that has not seen `late`; champion: the live bundle, which has not either, or None
    """

    early: Rows
    late: Rows
    judged: ApprovalModel
    champion: Bundle | None


def model_figures(
    sides: Judged,
    *,
    judgement: Judgement,
    shipped: Path,
    value: ValueGain,
    served: Sequence[ServedRow],
    table: pa.Table,
    segment_share_min: float,
    timer_ns: Callable[[], int] = time.perf_counter_ns,
) -> ModelFigures:
    """Figures for the gates on a model.

    shipped            folder of the bundle as it was written: what serves is what is loaded from there
    served             attempts with the features that a server had or would have had; `table` is the training set from the log
    segment_share_min  share of the later attempts from which on the calibration of a segment counts. Without one the worst of dozens of
                       segments is the smallest, whose rate days of a kind that the log has not seen yet may change; that is why
                       Hébert-Johnson et al. 2018 ask for calibration in segments of a density and not in all.
    """
    bundle, broken = _loaded(shipped)
    model = bundle.model if bundle is not None else sides.judged
    compared, apart = feature_parity(served, table=table)
    return ModelFigures(
        against=sides.champion.bundle_id if sides.champion is not None else BASE_RATE,
        metrics=judgement.metrics,
        log_loss_gain=_gain(sides),
        segments=segments_that_count(judgement.segments, n_min=segment_share_min * len(sides.late)),
        value_gain_minor=value.gain,
        why_no_value=value.why_cannot_say,
        latency_ms=latency_ms(model, served=candidates_of(table, n=CANDIDATES), timer_ns=timer_ns),
        model_apart=model_apart(model, rows=sides.late),
        values_compared=compared,
        values_apart=apart,
        broken=broken,
    )


def segments_that_count(segments: Iterable[SegmentReport], *, n_min: float) -> dict[str, Figure]:
    """Calibration error by segment, of those with at least `n_min` attempts and enough for a figure."""
    return {one.name: one.metrics["calibration_error"] for one in segments if one.metrics and one.n >= n_min}


def judgement_of(sides: Judged, *, training: Training) -> Judgement:
    """The judged model on the later attempts, by segment, against the baselines of the earlier ones. `training` is the card."""
    late, early = sides.late, sides.early
    # The shipped model's own rates hold the later attempts too.
    training = msgspec.structs.replace(training, approval_rate=float(early.approved.mean()), route_approval_rates=route_rates(early))
    return judge_probabilities(
        probabilities(sides.judged, late),
        late.approved,
        payments=late.payments,
        segments={name: late.columns[name] for name in SEGMENTS},
        training=training,
        at_us=late.at_us,
    )


def probabilities(model: ApprovalModel, rows: Rows) -> Floats:
    """What `model` says of each row, (n,)."""
    p: Floats = model.predict_matrix(rows.encoded(model.encoder))
    return p


def latency_ms(model: ApprovalModel, *, served: ServedFeatures, timer_ns: Callable[[], int] = time.perf_counter_ns) -> float:
    """99th percentile of scoring the candidates of `served`, encoding included, milliseconds; warmed up first."""
    for _ in range(WARM_UP):
        model.predict_many(served)
    took = []
    for _ in range(TIMED):
        started = timer_ns()
        model.predict_many(served)
        took.append(timer_ns() - started)
    return float(np.percentile(took, 99)) / 1e6


def candidates_of(table: pa.Table, *, n: int) -> ServedFeatures:
    """The payment of the last row, and candidates like those of the last `n`."""
    last = table.slice(max(0, len(table) - n)).to_pylist()
    rows = [last[at % len(last)] for at in range(n)]
    return ServedFeatures(
        schema=SCHEMA_ID,
        payment=tuple(rows[-1][feature.name] for feature in PAYMENT_FEATURES),
        candidates=tuple(tuple(row[feature.name] for feature in CANDIDATE_FEATURES) for row in rows),
    )


def model_apart(model: ApprovalModel, *, rows: Rows, n_max: int = 2_048) -> float:
    """Largest difference in probability between rows scored few at a time, as in serving, and all at once by ONNX Runtime."""
    matrix = rows.encoded(model.encoder)[:n_max]
    if len(matrix) <= WALKED:
        matrix = np.repeat(matrix, WALKED, axis=0)
    few = np.concatenate([model.predict_matrix(matrix[at : at + WALKED]) for at in range(0, len(matrix), WALKED)])
    return float(np.abs(few - model.predict_matrix(matrix)).max())


def feature_parity(served: Sequence[ServedRow], *, table: pa.Table) -> tuple[int, dict[str, int]]:
    """Values compared, and how many differ by feature: what a server had for the candidate that was sent, and what the SQL gives.

    Attempts that the table holds twice under one payment, instant and candidate are left out.
    """
    names = ("payment_id", "at_us", "route", "authentication", "credential")
    places: dict[tuple[Any, ...], int] = {}
    for at, key in enumerate(zip(*(table[name].to_pylist() for name in names), strict=True)):
        places[key] = -1 if key in places else at
    pairs = [(row, at) for row in served if (at := places.get((row.payment.payment_id, row.at_us, *row.sent), -1)) >= 0]
    columns = {
        feature.name: table[feature.name].take(pa.array([at for _, at in pairs], type=pa.int64())).to_pylist() for feature in FEATURES
    }
    apart: dict[str, int] = {}
    for number, (row, _) in enumerate(pairs):
        one = row.served_sent
        for feature, value in zip(FEATURES, (*one.payment, *one.candidates[0]), strict=True):
            if not _same(value, columns[feature.name][number]):
                apart[feature.name] = apart.get(feature.name, 0) + 1
    return len(pairs) * len(FEATURES), apart


def _gain(sides: Judged) -> Figure:
    """Log loss of the champion, or of the base rate of the earlier rows, less that of the judged model."""
    late = sides.late
    if sides.champion is not None:
        baseline = probabilities(sides.champion.model, late)
    else:
        rate = float(sides.early.approved.mean())
        baseline = baseline_probabilities(late.columns["route"], approval_rate=rate, route_approval_rates=route_rates(sides.early))[
            BASE_RATE
        ]
    return log_loss_gain(probabilities(sides.judged, late), late.approved, baseline=baseline, payments=late.payments)


def _loaded(folder: Path) -> tuple[Bundle | None, str | None]:
    try:
        return load_bundle(folder), None
    except BundleRefused as error:
        return None, error.message


def _same(served: FeatureValue, computed: FeatureValue) -> bool:
    if isinstance(served, int | float) and isinstance(computed, int | float):
        return isclose(served, computed, rel_tol=TOLERANCE)
    return served == computed

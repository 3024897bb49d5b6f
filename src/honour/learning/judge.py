"""Judging a model on later data, with no refit: measures with intervals, by segment, against baselines of its training."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, cast

import msgspec
import numpy as np
from numpy.typing import NDArray

from honour.approval.card import Training
from honour.approval.interval import figures, log_loss_gain, mean_figure
from honour.approval.metric import Figure, Floats, Murphy, ReliabilityBin, murphy, reliability_table, row_log_loss
from honour.approval.model import ApprovalModel
from honour.approval.retry_model import Before, RetryModel
from honour.approval.segment import SEGMENTS, segment_names
from honour.approval.smooth import smooth_calibration_error
from honour.errors import BadInput
from honour.features.catalogue import CANDIDATE_FEATURES, FEATURES, PAYMENT_FEATURES
from honour.learning.dataset import Rows
from honour.learning.report import baseline_probabilities
from honour.learning.retry_judge import DelayReport, RetryRow, judge_retries
from honour.learning.split import payment_numbers
from honour.records.event import FeatureValue, ServedFeatures
from honour.records.payment import Payment
from honour.records.route import CredentialForm

SEGMENT_ROWS_MIN = 50
"""A smaller segment is counted and not measured: its figures would say nothing."""
SEGMENT_DRAWS = 200
WEEK_US = 7 * 86_400_000_000

_OF_RETRIES = ("attempt_number", "payment_last_status", "payment_last_response_code", "payment_seconds_since_answer", "credential")
_PLACES = {feature.name: place for place, feature in enumerate((*PAYMENT_FEATURES, *CANDIDATE_FEATURES))}


class Judged(NamedTuple):
    """An attempt to judge on: the features of the candidate that was sent, and what came back."""

    served: ServedFeatures
    payment: Payment
    at_us: int
    approved: bool


class SegmentReport(msgspec.Struct, frozen=True, kw_only=True):
    """Measures on the attempts of one segment; `name` is such as route=acq_br_1. No metrics below 50 attempts."""

    name: str
    n: int
    metrics: dict[str, Figure]


class WeekReport(msgspec.Struct, frozen=True, kw_only=True):
    """Calibration in seven days from `from_us` on; the last may be shorter.

    gap  mean probability less the approval rate: above 0 the model promises too much
    """

    from_us: int
    n: int
    gap: Figure


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """How a model did on later attempts.

    baselines        log loss of the base rate and of the route's rate, both as in training
    gains            log loss of each baseline less that of the model on the same attempts: positive is better
    smooth_calibration_error  without bins
    weeks           calibration week by week: does it drift?
    nothing_to_gain  the model is not shown to be better than the base rate
    verdict          the same as a sentence
    retries          calibration of the retry model by delay; empty where none was judged
    """

    n: int
    first_us: int
    last_us: int
    metrics: dict[str, Figure]
    murphy: Murphy
    smooth_calibration_error: float
    weeks: tuple[WeekReport, ...]
    reliability: tuple[ReliabilityBin, ...]
    baselines: dict[str, Figure]
    gains: dict[str, Figure]
    nothing_to_gain: bool
    verdict: str
    segments: tuple[SegmentReport, ...]
    retries: tuple[DelayReport, ...] = ()


def judge(
    rows: Iterable[Judged], *, model: ApprovalModel, training: Training, retry_model: RetryModel | None = None, seed: int = 0
) -> Judgement:
    """Judge `model`, and what `retry_model` says of retries, on `rows` that are later than the training range; earlier ones are refused."""
    kept = list(rows)
    if not kept:
        raise BadInput("no attempt to judge on after the training range. Give later data, or train with `--until`.")
    early = sum(row.at_us <= training.until_us for row in kept)
    if early:
        raise BadInput(
            f"{early} of {len(kept)} attempts to judge on are not later than the training range; a model is not judged on its own rows"
        )
    p = probabilities_of(kept, model=model)
    y = np.array([row.approved for row in kept], dtype=np.float64)
    payments = payment_numbers(np.array([row.payment.payment_id for row in kept], dtype=object))
    values = {name: np.array([_value(row.served, name) for row in kept], dtype=object) for name in SEGMENTS}
    at_us = [row.at_us for row in kept]
    judged = judge_probabilities(
        p, y, payments=payments, segments=values, training=training, at_us=np.array(at_us, dtype=np.int64), seed=seed
    )
    retries = judge_retries(retries_of(kept), model=retry_model, seed=seed) if retry_model is not None else ()
    return msgspec.structs.replace(judged, retries=retries)


def probabilities_of(rows: Sequence[Judged], *, model: ApprovalModel) -> Floats:
    """What `model` says of the candidate that was sent, encoded as when it serves: (n,)."""
    p: Floats = model.predict_matrix(np.concatenate([model.encoder.encode(row.served) for row in rows]))
    return p


def attempts_of(rows: Sequence[Judged]) -> Rows:
    """The attempts as arrays: raw features, answers, payments and instants."""
    columns = {}
    for feature in FEATURES:
        values = [_value(row.served, feature.name) for row in rows]
        columns[feature.name] = np.array(values, dtype=object if feature.kind == "category" else np.float64)
    return Rows(
        columns=columns,
        approved=np.array([row.approved for row in rows], dtype=np.float64),
        payments=payment_numbers(np.array([row.payment.payment_id for row in rows], dtype=object)),
        at_us=np.array([row.at_us for row in rows], dtype=np.int64),
    )


def retries_of(rows: Iterable[Judged]) -> Iterator[RetryRow]:
    """Attempts of merchants' own payments after a refusal, with the credential of the attempt before them."""
    credential_of: dict[str, CredentialForm] = {}
    for row in sorted(rows, key=lambda row: row.at_us):
        number, status, code, waited_s, credential = (_value(row.served, name) for name in _OF_RETRIES)
        last = credential_of.get(row.payment.payment_id)
        credential_of[row.payment.payment_id] = cast(CredentialForm, credential)
        own = row.payment.initiator == "merchant"
        if own and isinstance(number, int | float) and isinstance(waited_s, int | float) and number >= 2.0:
            before = Before(int(number), cast(str | None, status), cast(str | None, code), last)
            yield RetryRow(row.payment, before, str(credential), row.at_us, waited_s / 3_600.0, row.approved)


def judge_probabilities(
    p: Floats,
    y: Floats,
    *,
    payments: NDArray[np.intp],
    segments: Mapping[str, NDArray[np.object_]],
    training: Training,
    at_us: NDArray[np.int64],
    seed: int = 0,
) -> Judgement:
    """As `judge`, from probabilities; `segments` has at least the route of each row."""
    baselines = baseline_probabilities(
        segments["route"], approval_rate=training.approval_rate, route_approval_rates=training.route_approval_rates
    )
    metrics = figures(p, y, payments=payments, seed=seed)
    gains = {name: log_loss_gain(p, y, baseline=baseline, payments=payments, seed=seed) for name, baseline in baselines.items()}
    nothing = gains["base_rate"].low <= 0.0 or "auc" not in metrics or metrics["auc"].low <= 0.5
    return Judgement(
        n=len(p),
        first_us=int(at_us.min()),
        last_us=int(at_us.max()),
        metrics=metrics,
        murphy=murphy(p, y),
        smooth_calibration_error=smooth_calibration_error(p, y),
        weeks=_weeks(p, y, payments=payments, at_us=at_us, seed=seed),
        reliability=reliability_table(p, y),
        baselines={name: mean_figure(row_log_loss(baseline, y), payments=payments, seed=seed) for name, baseline in baselines.items()},
        gains=gains,
        nothing_to_gain=nothing,
        verdict=_verdict(gains["base_rate"], metrics=metrics, nothing=nothing),
        segments=tuple(_segments(p, y, payments=payments, segments=segments, seed=seed)),
    )


def _weeks(p: Floats, y: Floats, *, payments: NDArray[np.intp], at_us: NDArray[np.int64], seed: int) -> tuple[WeekReport, ...]:
    week = (at_us - at_us.min()) // WEEK_US
    found = []
    for number in np.unique(week):
        here = week == number
        gap = mean_figure(p[here] - y[here], payments=payments[here], seed=seed, n_draws=SEGMENT_DRAWS)
        found.append(WeekReport(from_us=int(at_us.min() + number * WEEK_US), n=int(here.sum()), gap=gap))
    return tuple(found)


def _segments(
    p: Floats, y: Floats, *, payments: NDArray[np.intp], segments: Mapping[str, NDArray[np.object_]], seed: int
) -> Iterable[SegmentReport]:
    for name, values in segments.items():
        named = segment_names(name, values)
        for value in np.unique(named):
            here = named == value
            n = int(here.sum())
            measured = {}
            if n >= SEGMENT_ROWS_MIN:
                # At least 50 attempts in a bin, else a small segment would seem badly calibrated by chance alone.
                bins = max(1, min(15, n // SEGMENT_ROWS_MIN))
                measured = figures(p[here], y[here], payments=payments[here], seed=seed, n_draws=SEGMENT_DRAWS, n_bins=bins)
            yield SegmentReport(name=f"{name}={value}", n=n, metrics=measured)


def _value(served: ServedFeatures, name: str) -> FeatureValue:
    return (*served.payment, *served.candidates[0])[_PLACES[name]]


def _verdict(gain: Figure, *, metrics: dict[str, Figure], nothing: bool) -> str:
    interval = f"{gain.value:+.4f}, 95 % interval {gain.low:+.4f} to {gain.high:+.4f}, {gain.n} attempts"
    if not nothing:
        return f"The model is better than the base rate: it takes log loss down ({interval})."
    if gain.low > 0.0:
        return (
            f"Nothing to gain: the model follows the level of approval ({interval}) and does not tell attempts apart "
            f"(AUC {metrics['auc'].low:.3f} to {metrics['auc'].high:.3f})."
            if "auc" in metrics
            else f"Nothing to gain can be shown: all answers are the same ({interval})."
        )
    return f"Nothing to gain: the model is not better than the base rate (gain in log loss {interval})."

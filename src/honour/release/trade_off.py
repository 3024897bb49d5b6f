"""Every kind of model on the same splits: how good, how fast, how large, how dear; which lie on the front, and which to take."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec
import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow ships no types

from honour.approval.calibration import expit, logit
from honour.approval.interval import figures, log_loss_gain, standard_error
from honour.approval.metric import Figure, Floats, row_log_loss
from honour.approval.model import ApprovalModel
from honour.learning.dataset import Rows
from honour.learning.kinds.named import DEEP
from honour.learning.search import Step
from honour.learning.train import Fitted, fit_and_calibrate
from honour.release.model_figures import candidates_of

SIZES = (1, 8, 32)
"""Candidates of the payments whose scoring is timed."""
WARM_UP, TIMED = 30, 400
HOUR_S = 3_600.0
Value = Callable[[ApprovalModel], Figure | None]


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """Scoring one payment of `candidates` candidates, encoding included, milliseconds."""

    candidates: int
    p50_ms: float
    p99_ms: float


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """One kind, or several together.

    metrics    on the held-out days: log_loss, brier, auc, pr_auc, calibration_error
    behind     log loss less that of the best, on the same attempts
    value      per attempt of deciding by it, against what was done, doubly robust, minor units; None: the log cannot say
    bytes      of model.onnx; cpu_s: of choosing, fitting and calibrating; cost: of that, in the currency of the price
    n_rows     attempts that it was fitted on
    on_front   nothing else is both better and faster
    """

    name: str
    settings: str
    size: str
    calibrator: str
    metrics: dict[str, Figure]
    behind: Figure
    value: Figure | None
    latency: tuple[Latency, ...]
    bytes: int
    cpu_s: float
    cost: float
    n_rows: int
    on_front: bool


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """All kinds, the best first.

    recommended  the fastest whose log loss is within one standard error of the best; why: the same as a sentence
    """

    n_early: int
    n_late: int
    from_us: int
    until_us: int
    kinds: tuple[Compared, ...]
    recommended: str
    why: str


class _Made(NamedTuple):
    name: str
    settings: str
    size: str
    calibrator: str
    p: Floats
    models: tuple[ApprovalModel, ...]
    bytes: int
    cpu_s: float
    n_rows: int


def compare(
    table: pa.Table,
    *,
    early: Rows,
    late: Rows,
    kinds: Sequence[str],
    together: Sequence[Sequence[str]] = (),
    value: Value,
    price_per_hour: float,
    seed: int,
    n_threads: int,
    deep_rows_max: int | None = None,
    step: Step,
) -> Comparison:
    """Fit each kind on `early`, judge it on `late`.

    table     the rows as they were served, from which the timed payments are taken
    together  kinds whose log-odds are also averaged: an ensemble costs the latency of all its members
    value     what deciding by a model would have earned
    deep_rows_max  newest rows that deep kinds are fitted on, when they take more: their time grows with rows most
    """
    made: list[_Made] = []
    for at, kind in enumerate(kinds):
        step("comparing kinds", at, len(kinds))
        started = time.process_time()
        fitted = fit_and_calibrate(early, kind=kind, seed=seed, n_threads=n_threads, rows_max=deep_rows_max if kind in DEEP else None)
        cpu_s = time.process_time() - started
        made.append(_one(kind, fitted, early=early, late=late, cpu_s=cpu_s))
    by_name = {one.name: one for one in made}
    made += [_joined([by_name[name] for name in names]) for names in together if all(name in by_name for name in names)]
    step("comparing kinds", len(kinds), len(kinds))
    return _comparison(made, early=early, late=late, table=table, value=value, price_per_hour=price_per_hour, seed=seed)


def _one(name: str, fitted: Fitted, *, early: Rows, late: Rows, cpu_s: float) -> _Made:
    onnx = fitted.model.to_onnx()
    served = ApprovalModel(onnx, calibrator=fitted.choice.calibrator, encoder=fitted.encoder, offsets=fitted.choice.offsets)
    recipe = fitted.found.recipe
    return _Made(
        name=name,
        settings=recipe.name,
        size=recipe.kind.size(fitted.found.n_steps),
        calibrator=fitted.choice.name,
        p=served.predict_matrix(late.encoded(fitted.encoder)),
        models=(served,),
        bytes=len(onnx),
        cpu_s=cpu_s,
        n_rows=min(len(early), recipe.kind.rows_max or len(early)),
    )


def _joined(members: Sequence[_Made]) -> _Made:
    """Mean of the log-odds of the members."""
    return _Made(
        name=" + ".join(one.name for one in members),
        settings="mean of log-odds",
        size=" + ".join(one.size for one in members),
        calibrator="of each",
        p=expit(np.mean([logit(one.p) for one in members], axis=0)),
        models=tuple(model for one in members for model in one.models),
        bytes=sum(one.bytes for one in members),
        cpu_s=sum(one.cpu_s for one in members),
        n_rows=min(one.n_rows for one in members),
    )


def _comparison(
    made: Sequence[_Made], *, early: Rows, late: Rows, table: pa.Table, value: Value, price_per_hour: float, seed: int
) -> Comparison:
    losses = {one.name: row_log_loss(one.p, late.approved) for one in made}
    ordered = sorted(made, key=lambda one: float(losses[one.name].mean()))
    best = ordered[0]
    latency = {one.name: tuple(_latency(one.models, table=table, n=n) for n in SIZES) for one in ordered}
    front = _front({one.name: (float(losses[one.name].mean()), latency[one.name][1].p50_ms) for one in ordered})
    kinds = tuple(
        Compared(
            name=one.name,
            settings=one.settings,
            size=one.size,
            calibrator=one.calibrator,
            metrics=figures(one.p, late.approved, payments=late.payments, seed=seed),
            behind=log_loss_gain(best.p, late.approved, baseline=one.p, payments=late.payments, seed=seed),
            value=value(one.models[0]) if len(one.models) == 1 else None,
            latency=latency[one.name],
            bytes=one.bytes,
            cpu_s=one.cpu_s,
            cost=one.cpu_s / HOUR_S * price_per_hour,
            n_rows=one.n_rows,
            on_front=one.name in front,
        )
        for one in ordered
    )
    within = [
        one
        for one in ordered
        if float((losses[one.name] - losses[best.name]).mean())
        <= standard_error(losses[one.name] - losses[best.name], payments=late.payments)
    ]
    taken = min(within, key=lambda one: latency[one.name][1].p50_ms)
    why = (
        f"{taken.name}: the fastest (8 candidates in {latency[taken.name][1].p50_ms:.3f} ms) of {len(within)} whose log loss on "
        f"{len(late)} later attempts is within one standard error of the best ({best.name})."
    )
    return Comparison(
        n_early=len(early),
        n_late=len(late),
        from_us=int(late.at_us.min()),
        until_us=int(late.at_us.max()),
        kinds=kinds,
        recommended=taken.name,
        why=why,
    )


def _latency(models: Sequence[ApprovalModel], *, table: pa.Table, n: int) -> Latency:
    """All models one after another, as an ensemble would."""
    served = candidates_of(table, n=n)
    for _ in range(WARM_UP):
        for model in models:
            model.predict_many(served)
    took = []
    for _ in range(TIMED):
        started = time.perf_counter_ns()
        for model in models:
            model.predict_many(served)
        took.append((time.perf_counter_ns() - started) / 1e6)
    return Latency(candidates=n, p50_ms=float(np.percentile(took, 50)), p99_ms=float(np.percentile(took, 99)))


def _front(points: dict[str, tuple[float, float]]) -> set[str]:
    """Names of those that no other beats in both loss and latency."""
    return {name for name, mine in points.items() if not any(_beats(other, mine) for other in points.values())}


def _beats(other: tuple[float, float], mine: tuple[float, float]) -> bool:
    return other[0] <= mine[0] and other[1] <= mine[1] and other != mine

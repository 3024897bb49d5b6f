"""The stages of a run, each from what lies in its folder to what it leaves there.

quality -> features -> train (fit and calibrate) -> evaluate -> register. Gates on data stand after `features`, before anything is
trained; gates on the model after `evaluate`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import msgspec

from honour.approval.card import Training
from honour.errors import CannotTrain
from honour.features.batch import BatchReport
from honour.features.quality import Found, QualityReport, quality_of
from honour.learning.judge import Judgement
from honour.learning.served import ServedRow
from honour.learning.train import train
from honour.pipeline.attempts import attempts_of
from honour.pipeline.picture import precision_recall_picture, reliability_picture
from honour.pipeline.work import Work
from honour.registry.tracking import Entry, Registry, Version
from honour.release.bundle import load_bundle, write_bundle
from honour.release.data_figures import data_figures
from honour.release.gate import EXPECTATIONS_GATE, DataFigures, GateResult, ModelFigures, judge_data, judge_model
from honour.release.model_card import Lineage, card_text
from honour.release.model_figures import Judged, judgement_of, model_figures, probabilities
from honour.release.operating import PrCurve, pr_curves
from honour.release.value import ValueGain, probabilities_by_route, replay_rows, value_gain

CARD, RELIABILITY, PRECISION_RECALL = "model-card.md", "reliability.png", "precision-recall.png"


class QualityDone(msgspec.Struct, frozen=True, kw_only=True):
    """The data-quality report of the log, the instant of its newest answer, and its last days held against what is expected of them."""

    report: QualityReport
    newest_us: int
    checked: BatchReport
    gates: tuple[GateResult, ...]


class FeaturesDone(msgspec.Struct, frozen=True, kw_only=True):
    """The training set, by the hash of its content, and the gates on data."""

    content_hash: str
    n_rows: int
    figures: DataFigures
    gates: tuple[GateResult, ...]


class TrainDone(msgspec.Struct, frozen=True, kw_only=True):
    """The bundle that was written."""

    bundle_id: str
    training: Training


class EvaluateDone(msgspec.Struct, frozen=True, kw_only=True):
    """How the judged model does on later attempts, and the gates on it."""

    judgement: Judgement
    curves: tuple[PrCurve, ...]
    figures: ModelFigures
    gates: tuple[GateResult, ...]


class RegisterDone(msgspec.Struct, frozen=True, kw_only=True):
    """The version that is the challenger now."""

    version: int
    registry_run: str
    model: str


class Stage(NamedTuple):
    """A stage by name, what it leaves behind, and how."""

    name: str
    leaves: type[msgspec.Struct]
    do: Callable[[Work], msgspec.Struct]


def quality(work: Work) -> QualityDone:
    """What the log is like, and whether its last days, as many as are judged on, are as expected."""
    attempts, newest_us = attempts_of(work.events)
    checked = work.check_days()
    return QualityDone(
        report=quality_of(attempts, found=Found(n_rows=len(attempts))),
        newest_us=newest_us,
        checked=checked,
        gates=(EXPECTATIONS_GATE.judge(checked, limits=work.settings.gates),),
    )


def features(work: Work) -> FeaturesDone:
    """The training set, every row as of its instant."""
    built = work.build_table()
    done = work.folder.read("quality.json", kind=QualityDone)
    assert done is not None
    figures = data_figures(work.rows, held=work.held, quality=done.report, newest_us=done.newest_us, now_us=work.now_us)
    return FeaturesDone(
        content_hash=built.content_hash,
        n_rows=built.n_rows,
        figures=figures,
        gates=judge_data(figures, limits=work.settings.gates),
    )


def fit(work: Work) -> TrainDone:
    """Fit, calibrate, and write the bundle whole, with the feature state at the end of the log."""
    trained = train(
        work.table,
        kind=work.settings.train.kind,
        settings=work.settings.train.settings,
        seed=work.seed,
        holdout_days=work.holdout_days,
        n_threads=work.threads,
        progress=work.step,
    )
    if trained.judged is None:
        raise CannotTrain("training kept nothing aside to judge on. Raise gates.holdout_days.")
    work.keep_judged(trained.judged)
    fallback_order = work.settings.policy.fallback_order
    bundle_id = write_bundle(work.bundle, trained=trained, fallback_order=fallback_order, state=work.folded.state)
    return TrainDone(bundle_id=bundle_id, training=trained.training)


def evaluate(work: Work) -> EvaluateDone:
    """The judged model against the champion on attempts that neither has seen, and the shipped bundle as it would serve."""
    work.step("judging", 0, None)
    late = work.rows.where(work.held.late)
    sides = Judged(early=work.rows.where(work.held.early), late=late, judged=work.judged(), champion=work.champion)
    made = work.folder.read("train.json", kind=TrainDone)
    assert made is not None
    judgement = judgement_of(sides, training=made.training)
    curves = pr_curves(probabilities(sides.judged, late), late, settings=work.settings)
    work.folder.keep(RELIABILITY, reliability_picture(judgement.reliability))
    work.folder.keep(PRECISION_RECALL, precision_recall_picture(curves))
    work.step("replaying", 0, None)
    served = work.folded.served
    value = _value(work, served, sides=sides)
    limits = work.settings.gates
    figures = model_figures(
        sides,
        judgement=judgement,
        shipped=work.bundle,
        value=value,
        served=served,
        table=work.table,
        segment_share_min=limits.segment_share_min,
    )
    return EvaluateDone(judgement=judgement, curves=curves, figures=figures, gates=judge_model(figures, limits=limits))


def register(work: Work) -> RegisterDone:
    """The bundle, its card and its figures in the registry, as the challenger."""
    work.step("registering", 0, None)
    made = work.folder.read("features.json", kind=FeaturesDone)
    judged = work.folder.read("evaluate.json", kind=EvaluateDone)
    assert made is not None
    assert judged is not None
    bundle = load_bundle(work.bundle)
    lineage = Lineage(
        run=work.folder.run_id,
        training_set=made.content_hash,
        honour=bundle.manifest.honour,
        catalogue=bundle.manifest.schema,
        before=work.champion.bundle_id if work.champion is not None else None,
    )
    text = card_text(bundle, judgement=judged.judgement, curves=judged.curves, gates=(*made.gates, *judged.gates), lineage=lineage)
    card = work.folder.keep(CARD, text.encode())
    (work.bundle / CARD).write_bytes(text.encode())
    registry = Registry(work.settings.registry, data_dir=work.data_dir)
    version = registry.register(_entry(work, bundle_id=bundle.bundle_id, judged=judged, lineage=lineage, card=card.name))
    return _registered(version, model=work.settings.registry.model)


STAGES = (
    Stage("quality", QualityDone, quality),
    Stage("features", FeaturesDone, features),
    Stage("train", TrainDone, fit),
    Stage("evaluate", EvaluateDone, evaluate),
    Stage("register", RegisterDone, register),
)


def _value(work: Work, served: list[ServedRow], *, sides: Judged) -> ValueGain:
    routes = tuple(route for route in work.settings.routes if route.enabled)
    known = {route.id for route in routes}
    rows = [row for row in served if row.sent[0] in known]
    if len(known) < 2 or not rows:
        return ValueGain(
            None, f"{len(known)} routes are enabled and {len(rows)} later attempts went over them: there is no choice to judge"
        )
    choices = replay_rows(rows, routes=routes, model=sides.judged)
    against = probabilities_by_route(rows, routes=routes, model=sides.champion.model) if sides.champion is not None else None
    return value_gain(
        choices, against=against, terms={row.payment.merchant_id: work.settings.terms_of(row.payment.merchant_id) for row in rows}
    )


def _entry(work: Work, *, bundle_id: str, judged: EvaluateDone, lineage: Lineage, card: str) -> Entry:
    card_of = load_bundle(work.bundle).manifest.training
    return Entry(
        name=work.folder.run_id,
        bundle=work.bundle,
        bundle_id=bundle_id,
        params={
            "seed": str(work.seed),
            "kind": card_of.evidence.kind,
            "configuration": card_of.evidence.configuration,
            "calibrator": card_of.calibrator,
            "size": card_of.evidence.size,
            "n_rows": str(card_of.n_rows),
            "holdout_days": f"{card_of.holdout_days:g}",
        },
        tags={f"honour.{name}": value for name, value in msgspec.structs.asdict(lineage).items() if value is not None},
        metrics={**judged.judgement.metrics, "log_loss_gain": judged.figures.log_loss_gain},
        files=tuple(
            work.folder.path / name for name in (card, RELIABILITY, PRECISION_RECALL, "evaluate.json", "features.json", "quality.json")
        ),
    )


def _registered(version: Version, *, model: str) -> RegisterDone:
    return RegisterDone(version=version.number, registry_run=version.run_id, model=model)

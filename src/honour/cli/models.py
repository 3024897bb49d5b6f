"""Commands that fit, judge and compare."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import msgspec
import typer

from honour.cli import show
from honour.cli.judged import show_curves, show_figures, show_judgement
from honour.cli.settings import load_settings
from honour.records.settings import Settings
from honour.records.training import KindName

if TYPE_CHECKING:
    from honour.evaluation.replay import PolicyReport
    from honour.learning.judge import Judgement
    from honour.release.operating import PrCurve

DATA = typer.Option(Path("honour-data"), "--data", help="Data folder with the event log.")
JSON = typer.Option(False, "--json", help="Print one JSON object on standard output.")


def train(
    data: Path = DATA,
    kind: str | None = typer.Option(
        None, "--kind", help=f"Kind of model: {', '.join(get_args(KindName))}. Default: train.kind of honour.toml, mixed."
    ),
    out: Path | None = typer.Option(None, "--out", help="Folder of the bundle. Default: bundle in the data folder."),
    until: datetime | None = typer.Option(None, "--until", help="Learn only from attempts before this instant (UTC)."),
    holdout_days: float = typer.Option(10.0, "--holdout-days", min=0.01, help="Last days kept aside to judge on before the final fit."),
    seed: int = typer.Option(1, "--seed", min=0, help="Same data and seed, same bundle."),
    threads: int | None = typer.Option(None, "--threads", min=1, help="Threads of training. Default: every core."),
    json: bool = JSON,
) -> None:
    """Fit and calibrate an approval model on the log, judge it on its last days, and write a bundle.

    Split by time and by payment: no payment is on both sides. The judged figures are of a model that never saw those days;
    the shipped one is then fitted with them.
    """
    from honour import loop  # Training libraries; serving does without them.

    told = _settings(data).train
    with show.progress() as step:
        trained = loop.train(
            data,
            out=out,
            until=until.replace(tzinfo=UTC) if until else None,
            holdout_days=holdout_days,
            seed=seed,
            step=step,
            threads=threads,
            kind=kind or told.kind,
            settings=told.settings if kind in (None, told.kind) else None,
        )
    if json:
        show.as_json(trained)
        return
    kind = trained.training.evidence.kind
    show.out(f"Bundle {trained.bundle_id[:19]} in {trained.path}: {trained.n_rows} attempts, {kind}, calibrator {trained.calibrator}.")
    show_figures("On the last days, kept aside", trained.metrics)


def evaluate(
    model: Path = typer.Option(..., "--model", help="Folder of the bundle to judge."),
    data: Path = typer.Option(..., "--data", help="A later file of attempts (with --mapping), or a data folder."),
    mapping: Path | None = typer.Option(None, "--mapping", help="How the file's columns become records."),
    config: Path | None = typer.Option(
        None, "--config", help="Configuration with fees and margins. Default: honour.toml in the data folder, or beside the bundle."
    ),
    pictures: Path | None = typer.Option(None, "--pictures", help="Folder for reliability.png and precision-recall.png."),
    json: bool = JSON,
) -> None:
    """Judge a bundle on later data, with no refit.

    Only attempts after the bundle's training range count; earlier ones warm the windows. Figures carry 95 % intervals, clustered
    by payment. Fees and margins say from which probability on a retry, and an attempt with 3-D Secure, is worth its costs.
    """
    from honour.pipeline.evaluating import evaluate as evaluate_bundle  # Training libraries; serving does without them.

    settings = load_settings(config or _config_of(model, data=data), data_dir=data if data.is_dir() else model.parent)
    with show.progress() as step:
        judged, curves = evaluate_bundle(model, data=data, mapping=mapping, settings=settings, step=step)
    if pictures is not None:
        _draw(pictures, judged, curves=curves)
    if json:
        # The figures stand at the top level, under the names of the glossary.
        show.as_json({**msgspec.to_builtins(judged), "curves": curves, **judged.metrics})
        return
    show_judgement(judged)
    show_curves(curves, has_fees=bool(settings.routes))
    show.out(judged.verdict)


def _config_of(model: Path, *, data: Path) -> Path | None:
    """honour.toml of the data folder; where later data are a file, of the folder that the bundle lies in."""
    path = (data if data.is_dir() else model.parent) / "honour.toml"
    return path if path.exists() else None


def _draw(folder: Path, judged: Judgement, *, curves: Sequence[PrCurve]) -> None:
    from honour.pipeline.picture import precision_recall_picture, reliability_picture  # Drawing is slow to import.

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "reliability.png").write_bytes(reliability_picture(judged.reliability))
    (folder / "precision-recall.png").write_bytes(precision_recall_picture(curves))


def replay(
    data: Path = DATA,
    model: Path | None = typer.Option(
        None, "--model", help="Bundle that predicts; fitted on earlier attempts. Default: bundle in the data folder."
    ),
    policy: list[str] = typer.Option(
        [], "--policy", help="Policies to replay (repeat): logged, fixed:ROUTE, greatest_approval, greatest_value. Default: all."
    ),
    fee_route: str | None = typer.Option(None, "--fee-route", help="Route whose fees are changed, to see what the choice depends on."),
    fee_multiple: list[float] = typer.Option(
        [0.5, 1.0, 2.0, 4.0], "--fee-multiple", min=0.0, help="Multiples of that route's fees (repeat)."
    ),
    json: bool = JSON,
) -> None:
    """What other policies would have earned on the log's attempts after the bundle's training range.

    Where Honour chose, propensities are the logged ones; for imported history they are estimated, and the table says so.
    "cannot say" means that the log holds too little of what the policy would do.
    """
    from honour import loop  # Training libraries; serving does without them.

    with show.progress() as step:
        replayed = loop.replay(
            data,
            model=model,
            policies=tuple(policy),
            fee_route=fee_route,
            fee_multiples=tuple(fee_multiple),
            settings=_settings(data),
            step=step,
        )
    if json:
        show.as_json(replayed)
        return
    rows = [_policy_row(report.policy, report) for report in replayed.policies]
    rows += [_policy_row(f"greatest_value, fees of {fee_route} x {multiple}", report) for multiple, report in replayed.fees.items()]
    columns = ["policy", "attempts approved", "value, minor units per attempt", "against logged", "effective attempts", "mostly takes"]
    title = f"{replayed.n_attempts} attempts of {replayed.n_payments} payments, {replayed.from_at:%Y-%m-%d} to {replayed.to_at:%Y-%m-%d}"
    show.table(f"{title}; propensities {replayed.propensities}; doubly robust, 95 % intervals clustered by payment", columns, rows)
    for report in (*replayed.policies, *replayed.fees.values()):
        if report.diagnosis.why_cannot_say is not None:
            show.out(f"{report.policy}: cannot say, because {report.diagnosis.why_cannot_say}.")
    if replayed.propensities == "estimated":
        show.out("Why each route was chosen is not in the log: propensities are estimated from the context, and know no other reason.")


def _settings(data: Path) -> Settings:
    config = data / "honour.toml"
    return load_settings(config if config.exists() else None, data_dir=data)


def _policy_row(name: str, report: PolicyReport) -> list[str]:
    most = max(report.shares, key=lambda route: report.shares[route])
    return [
        name,
        show.estimate(report.attempt_approval_rate, digits=4),
        show.estimate(report.value_minor, digits=1),
        show.estimate(report.difference_minor, digits=1),
        f"{report.diagnosis.n_effective:.0f}",
        f"{most} {report.shares[most]:.0%}",
    ]

"""Commands that fit, judge and compare."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import msgspec
import typer

from honour.approval.metric import Figure
from honour.cli import show
from honour.cli.settings import load_settings
from honour.records.instant import from_us
from honour.records.settings import Settings
from honour.records.training import KindName

if TYPE_CHECKING:
    from honour.evaluation.replay import PolicyReport

DATA = typer.Option(Path("honour-data"), "--data", help="Data folder with the event log.")
JSON = typer.Option(False, "--json", help="Print one JSON object on standard output.")


def train(
    data: Path = DATA,
    kind: str | None = typer.Option(
        None, "--kind", help=f"Kind of model: {', '.join(get_args(KindName))}. Default: train.kind of honour.toml, lightgbm."
    ),
    out: Path | None = typer.Option(None, "--out", help="Folder of the bundle. Default: bundle in the data folder."),
    until: datetime | None = typer.Option(None, "--until", help="Learn only from attempts before this instant (UTC)."),
    holdout_days: float = typer.Option(10.0, "--holdout-days", min=0.01, help="Last days kept aside to judge on before the final fit."),
    seed: int = typer.Option(1, "--seed", min=0, help="Same data and seed, same bundle."),
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
            kind=kind or told.kind,
            settings=told.settings if kind in (None, told.kind) else None,
        )
    if json:
        show.as_json(trained)
        return
    kind = trained.training.evidence.kind
    show.out(f"Bundle {trained.bundle_id[:19]} in {trained.path}: {trained.n_rows} attempts, {kind}, calibrator {trained.calibrator}.")
    _metrics("On the last days, kept aside", trained.metrics)


def evaluate(
    model: Path = typer.Option(..., "--model", help="Folder of the bundle to judge."),
    data: Path = typer.Option(..., "--data", help="A later file of attempts (with --mapping), or a data folder."),
    mapping: Path | None = typer.Option(None, "--mapping", help="How the file's columns become records."),
    json: bool = JSON,
) -> None:
    """Judge a bundle on later data, with no refit.

    Only attempts after the bundle's training range count; earlier ones warm the windows. Figures carry 95 % intervals, clustered
    by payment.
    """
    from honour import loop  # Training libraries; serving does without them.

    with show.progress() as step:
        judged = loop.evaluate(model, data=data, mapping=mapping, step=step)
    if json:
        # The figures stand at the top level, under the names of the glossary.
        show.as_json({**msgspec.to_builtins(judged), **judged.metrics})
        return
    title = f"{judged.n} attempts from {from_us(judged.first_us):%Y-%m-%d} to {from_us(judged.last_us):%Y-%m-%d}, after the training range"
    _metrics(title, {**judged.metrics, **{f"gain over {name}": gain for name, gain in judged.gains.items()}})
    show.out(f"Smooth calibration error {judged.smooth_calibration_error:.4f}.")
    columns = ["probability given", "share approved, 95 % interval", "attempts"]
    bins = [[f"{one.p_mean:.3f}", f"{one.approval_rate:.3f} [{one.low:.3f}, {one.high:.3f}]", str(one.n)] for one in judged.reliability]
    show.table("Reliability", columns, bins)
    weeks = [[f"{from_us(one.from_us):%Y-%m-%d}", show.figure(one.gap), str(one.n)] for one in judged.weeks]
    show.table("Does calibration drift?", ["week from", "mean p less approval rate", "attempts"], weeks)
    rows = [
        [segment.name, str(segment.n), *(show.figure(segment.metrics.get(key)) for key in ("log_loss", "calibration_error"))]
        for segment in judged.segments
        if segment.metrics
    ]
    show.table("By segment", ["segment", "attempts", "log loss", "calibration error"], rows)
    delays = [
        [
            f"{one.from_h:g} h and more" if one.to_h is None else f"{one.from_h:g} to {one.to_h:g} h",
            f"{one.p_mean:.3f}",
            f"{one.approval_rate:.3f} [{one.low:.3f}, {one.high:.3f}]",
            show.figure(one.gap),
            str(one.n),
        ]
        for one in judged.retries
    ]
    if delays:
        title = "Retries by delay since the last answer: what the retry model says, and what came of it"
        show.table(title, ["delay", "probability given", "share approved, 95 % interval", "gap", "retries"], delays)
    show.out(judged.verdict)


def _metrics(title: str, metrics: dict[str, Figure]) -> None:
    show.table(
        title, ["figure", "value and 95 % interval"], [[name.replace("_", " "), show.figure(value)] for name, value in metrics.items()]
    )


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

"""Commands that fit, judge and compare."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import typer

from honour import loop
from honour.approval.metric import Figure
from honour.cli import show

DATA = typer.Option(Path("honour-data"), "--data", help="Data folder with the event log.")
JSON = typer.Option(False, "--json", help="Print one JSON object on standard output.")


def train(
    data: Path = DATA,
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
    with show.progress() as step:
        trained = loop.train(data, out=out, until=until.replace(tzinfo=UTC) if until else None, holdout_days=holdout_days, seed=seed, step=step)
    if json:
        show.as_json(trained)
        return
    show.out(f"Bundle {trained.bundle_id[:19]} in {trained.path}: {trained.n_rows} attempts, calibrator {trained.calibrator}.")
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
    with show.progress() as step:
        judged = loop.evaluate(model, data=data, mapping=mapping, step=step)
    if json:
        show.as_json(judged)
        return
    _metrics(f"{judged.n} attempts from {judged.first_at:%Y-%m-%d} to {judged.last_at:%Y-%m-%d}, after the training range", judged.metrics)
    rows = [[segment.name, str(segment.n), *(show.figure(segment.metrics.get(key)) for key in ("log_loss", "calibration_error"))] for segment in judged.segments]
    show.table("By segment", ["segment", "attempts", "log loss", "calibration error"], rows)
    show.out(judged.verdict)


def _metrics(title: str, metrics: dict[str, Figure]) -> None:
    show.table(title, ["figure", "value and 95 % interval"], [[name.replace("_", " "), show.figure(value)] for name, value in metrics.items()])


def replay(
    data: Path = DATA,
    model: Path | None = typer.Option(None, "--model", help="Bundle that predicts; fitted on earlier attempts. Default: bundle in the data folder."),
    policy: list[str] = typer.Option([], "--policy", help="Policies to replay (repeat): logged, fixed:ROUTE, greatest_approval, greatest_value. Default: all."),
    fee_route: str | None = typer.Option(None, "--fee-route", help="Route whose fees are changed, to see what the choice depends on."),
    fee_multiple: list[float] = typer.Option([0.5, 1.0, 2.0, 4.0], "--fee-multiple", min=0.0, help="Multiples of that route's fees (repeat)."),
    json: bool = JSON,
) -> None:
    """What other policies would have earned on the log's attempts after the bundle's training range.

    Where Honour chose, propensities are the logged ones; for imported history they are estimated, and the table says so.
    "cannot say" means that the log holds too little of what the policy would do.
    """
    with show.progress() as step:
        replayed = loop.replay(data, model=model, policies=tuple(policy), fee_route=fee_route, fee_multiples=tuple(fee_multiple), step=step)
    if json:
        show.as_json(replayed)
        return
    show.table(replayed.title, replayed.columns, replayed.rows)
    for line in replayed.notes:
        show.out(line)

"""Commands that choose a model and say why it says what it says."""

from __future__ import annotations

import os
from pathlib import Path

import typer

from honour.cli import show
from honour.cli.service import config_of
from honour.cli.settings import load_settings
from honour.errors import BadInput

DATA = typer.Option(Path("honour-data"), "--data", help="Data folder with the event log.")
CONFIG = typer.Option(None, "--config", help="Configuration file. Default: honour.toml in the data folder.")
SEED = typer.Option(1, "--seed", min=0, help="Same data and seed, same models.")
THREADS = typer.Option(None, "--threads", min=1, help="Threads of training. Default: every core.")
JSON = typer.Option(False, "--json", help="Print one JSON object on standard output.")


def compare(
    data: Path = DATA,
    config: Path | None = CONFIG,
    kind: list[str] = typer.Option([], "--kind", help="Kinds to compare (repeat). Default: all that can be fitted here."),
    out: Path | None = typer.Option(None, "--out", help="Folder of table, picture and figures. Default: comparison in the data folder."),
    holdout_days: float = typer.Option(10.0, "--holdout-days", min=0.01, help="Last days, on which all are judged."),
    deep_rows: int | None = typer.Option(
        None, "--deep-rows", min=500, help="Newest attempts that deep kinds are fitted on; fewer take less time. Default: 100000."
    ),
    price: float = typer.Option(0.04, "--price", min=0.0, help="Of one hour of one core, in a currency of yours."),
    seed: int = SEED,
    threads: int | None = THREADS,
    json: bool = JSON,
) -> None:
    """Fit every kind of model on the same attempts, and set quality against latency, size, time and cost.

    The front (bold) holds those that no other beats in both log loss and latency. Recommended is the fastest within one standard error of
    the best. Ensembles of two kinds are judged too.
    """
    from honour.learning.kinds.named import available, kind_named  # Training libraries; serving does without them.
    from honour.pipeline.comparison import FIGURES, PAGE, PICTURE, compare_kinds, row_of

    settings = load_settings(config_of(config, data), data_dir=data)
    kinds = tuple(kind_named(name).name for name in kind) or available()
    folder = out or data / "comparison"
    with show.progress() as step:
        found = compare_kinds(
            data,
            settings=settings,
            kinds=kinds,
            out=folder,
            holdout_days=holdout_days,
            price_per_hour=price,
            seed=seed,
            threads=threads or os.cpu_count() or 1,
            deep_rows_max=deep_rows,
            step=step,
        )
    if json:
        show.as_json(found)
        return
    rows = [[row[0].strip("*"), "front" if one.on_front else "", *row[2:4], *row[6:9]] for one in found.kinds for row in [row_of(one)]]
    columns = ["kind", "", "log loss", "Brier", "calibration error", "value", "ms, 1 / 8 / 32 candidates"]
    show.table(f"{found.n_late} later attempts; 95 % intervals", columns, rows)
    show.out(f"Take {found.why}")
    show.out(f"{folder}: {PAGE}, {PICTURE}, {FIGURES}.")


def explain(
    payment_id: str = typer.Argument("", help="A payment that was decided; without it --feature is needed."),
    data: Path = DATA,
    bundle: Path | None = typer.Option(None, "--bundle", help="Bundle that is asked. Default: the live one in the data folder."),
    feature: str | None = typer.Option(None, "--feature", help="How approval moves with this feature, over sample attempts."),
    json: bool = JSON,
) -> None:
    """Why a model says what it says of the candidate that was sent, in words; or how approval moves with one feature.

    Reasons are Shapley values against sample attempts of the bundle: each says how many times it raises or lowers the odds of approval.
    `honour features list` shows how much every feature moves the model over all.
    """
    from honour.pipeline.explaining import explain_feature, explain_payment  # Serving does without them.

    folder = bundle or data / "bundle"
    if feature is not None:
        moved = explain_feature(folder, feature)
        if json:
            show.as_json([one._asdict() for one in moved])
            return
        show.table(f"Mean p(approve) when {feature} is", ["value", "p"], [[one.value, f"{one.p_approve:.4f}"] for one in moved])
        return
    if not payment_id:
        raise BadInput("nothing to explain: give the id of a payment that was decided, or --feature with the name of a feature.")
    explained = explain_payment(data, folder, payment_id)
    if json:
        show.as_json(explained)
        return
    for one in explained:
        route = " ".join(one.candidate)
        show.out(f"{one.decision_id}: {route}: p {one.explanation.p_approve:.4f}, usual {one.explanation.p_usual:.4f}")
        for reason in one.explanation.reasons:
            show.out(f"  {reason.words}")


def tune(
    data: Path = DATA,
    kind: str = typer.Option("lightgbm", "--kind", help="Kind whose settings are tried."),
    minutes: float = typer.Option(10.0, "--minutes", min=0.01, help="How long to try; a study goes on where it stood."),
    holdout_days: float = typer.Option(10.0, "--holdout-days", min=0.01, help="Last days that the trials do not see."),
    seed: int = SEED,
    threads: int | None = THREADS,
    json: bool = JSON,
) -> None:
    """Try settings of a kind of model, judged on later days of the same history, and print the lines for honour.toml.

    Trials that fall behind are stopped early. `honour train` weighs what was found against the kind's own settings: a result that was luck
    is not taken.
    """
    from honour.pipeline.tuning import as_toml, tune_on_log  # Training libraries; serving does without them.

    with show.progress() as step:
        found = tune_on_log(
            data, kind=kind, minutes=minutes, holdout_days=holdout_days, seed=seed, threads=threads or os.cpu_count() or 1, step=step
        )
    if json:
        show.as_json(found._asdict())
        return
    show.out(f"{found.n_trials} trials, {found.n_pruned} more stopped early.")
    show.out(f"Best log loss on later rows {found.log_loss:.5f}; the kind's own settings {found.own:.5f}.")
    if found.log_loss < found.own:
        show.out(as_toml(found))
    else:
        show.out("Nothing to change: no trial is better than the kind's own settings. Another call goes on from here.")

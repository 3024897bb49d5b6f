"""`honour pipeline`: from the event log to a registered challenger, held by gates."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from honour.cli import show
from honour.cli.service import config_of
from honour.cli.settings import load_settings
from honour.records.instant import to_us

if TYPE_CHECKING:
    from honour.pipeline.run import Ran

app = typer.Typer(no_args_is_help=True, help="Train, judge and register a model in one command, held by gates.")


@app.command()
def run(
    data: Path = typer.Option(Path("honour-data"), "--data", help="Data folder with the event log."),
    config: Path | None = typer.Option(None, "--config", help="Configuration file. Default: honour.toml in the data folder."),
    seed: int = typer.Option(1, "--seed", min=0, help="Same data, settings and seed, same run."),
    threads: int | None = typer.Option(None, "--threads", min=1, help="Threads of training. Default: every core."),
    as_of: datetime | None = typer.Option(None, "--as-of", help="Instant (UTC) as of which the age of the data counts. Default: now."),
    json: bool = typer.Option(False, "--json", help="Print the result as one JSON object."),
) -> None:
    """Quality check, features, train, calibrate, evaluate, gates, register as challenger.

    A run is named by its inputs: the same again does nothing, and one that was cut off goes on. Exit codes: 0 registered, and one of
    its own for each gate (docs/pipeline.md).
    """
    from honour.pipeline.run import run_pipeline  # Training libraries; serving does without them.

    settings = load_settings(config_of(config, data), data_dir=data)
    as_of_us = to_us(as_of.replace(tzinfo=UTC)) if as_of is not None else None
    with show.progress() as step:
        ran = run_pipeline(data, settings=settings, seed=seed, threads=threads or os.cpu_count() or 1, as_of_us=as_of_us, step=step)
    if json:
        show.as_json(ran)
    else:
        _show(ran)
    if ran.result.exit_code:
        raise typer.Exit(ran.result.exit_code)


def _show(ran: Ran) -> None:
    from honour.release.gate import first_failed, in_words

    result = ran.result
    if ran.was_there:
        show.out(f"Run {result.run} of these inputs is there already: {result.status}. Nothing was done.")
    rows = [
        [
            gate.name,
            "cannot say" if gate.figure is None else f"{gate.figure:.6g}",
            f"{gate.limit:g}",
            "passed" if gate.passed else "FAILED",
            gate.found,
        ]
        for gate in result.gates
    ]
    show.table(f"Run {result.run}", ["gate", "figure", "limit", "", "found"], rows)
    if result.seconds:
        show.out("Seconds: " + ", ".join(f"{stage} {took:.1f}" for stage, took in result.seconds.items()) + ".")
    failed = first_failed(result.gates)
    if failed is not None:
        show.out(f"Stopped by {in_words(failed)}")
        return
    show.out(f"Bundle {(result.bundle_id or '')[:19]} is version {result.version} and the challenger.")
    show.out("`honour release shadow` lets it say what it would do, `honour release promote` makes it live.")

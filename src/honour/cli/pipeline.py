"""`honour pipeline`: from the event log to a registered challenger, held by gates."""

from __future__ import annotations

import getpass
import os
import signal
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from honour.cli import show
from honour.cli.service import config_of
from honour.cli.settings import load_settings
from honour.records.instant import from_us, to_us

if TYPE_CHECKING:
    from honour.pipeline.result import Ran

DATA = typer.Option(Path("honour-data"), "--data", help="Data folder with the event log.")
CONFIG = typer.Option(None, "--config", help="Configuration file. Default: honour.toml in the data folder.")
THREADS = typer.Option(None, "--threads", min=1, help="Threads of training. Default: every core.")
TICK_S = 1.0

app = typer.Typer(no_args_is_help=True, help="Train, judge and register a model in one command, held by gates; again and again.")


@app.command()
def run(
    data: Path = DATA,
    config: Path | None = CONFIG,
    seed: int = typer.Option(1, "--seed", min=0, help="Same data, settings and seed, same run."),
    threads: int | None = THREADS,
    as_of: datetime | None = typer.Option(None, "--as-of", help="Instant (UTC) as of which the age of the data counts. Default: now."),
    to_seq: int | None = typer.Option(None, "--to-seq", min=1, help="Position in the log up to which events count. Default: its end."),
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
        ran = run_pipeline(
            data, settings=settings, seed=seed, threads=threads or os.cpu_count() or 1, as_of_us=as_of_us, step=step, to_seq=to_seq
        )
    if json:
        show.as_json(ran)
    else:
        _show(ran)
    if ran.result.exit_code:
        raise typer.Exit(ran.result.exit_code)


@app.command()
def watch(
    data: Path = DATA,
    config: Path | None = CONFIG,
    threads: int | None = THREADS,
    once: bool = typer.Option(False, "--once", help="Look once, start what is due, and end with its exit code; for cron jobs."),
) -> None:
    """Start `honour pipeline run` when it is due, until Ctrl-C: on schedule, on drift, when it is asked for.

    Due is, in this order: a run that was cut off, one that was asked for, one that failed and has waited, the first of all, the schedule
    (retrain.schedule), and drift or degradation of the newest model past the limits of [retrain]. Every start prints why.
    """
    from honour.pipeline.folder import alone
    from honour.pipeline.jobs import Processes
    from honour.pipeline.watch import Watch

    limits = load_settings(config_of(config, data), data_dir=data).retrain
    arguments = ["--data", str(data), *(["--config", str(config)] if config is not None else [])]
    processes = Processes(data, arguments=arguments, threads=threads, note=show.note)
    with alone(data / "pipeline", command="watch"):
        watched = Watch(data, limits=limits, jobs=processes.jobs, now_us=lambda: time.time_ns() // 1_000, say=_line)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: processes.stop())
        if once:
            code = watched.step()
            if code is None and not processes.stopped.is_set():
                show.out(f"Nothing was started. Next by the schedule: {_instant(watched.next_us)}.")
            raise typer.Exit(code or 0)
        show.out(
            f"Watching {data}. Next by the schedule: {_instant(watched.next_us)}. Ctrl-C ends; a run then goes on with the next watch."
        )
        while not processes.stopped.is_set():
            watched.step()
            processes.stopped.wait(TICK_S)


@app.command()
def ask(
    data: Path = DATA,
    why: str = typer.Option(..., "--why", help="Why a new model is wanted; it is printed and logged with the run."),
) -> None:
    """Have a running `honour pipeline watch` start a run now, whatever it waits for. The next `--once` takes it up too."""
    from honour.pipeline.watch import ask as leave_word

    leave_word(data, why=why, by=getpass.getuser(), at_us=time.time_ns() // 1_000)
    show.out("Asked. The watch of this folder starts a run at its next look.")


@app.command()
def drift(
    data: Path = DATA,
    config: Path | None = CONFIG,
    bundle: Path | None = typer.Option(None, "--bundle", help="Folder of the bundle to look at. Default: the live one."),
    threads: int | None = THREADS,
    json: bool = typer.Option(False, "--json", help="Print one JSON object."),
) -> None:
    """How a bundle does on the attempts after its training: drift of the mix and of its probabilities, calibration, log loss.

    Exits with 1 when one is past its limit in [retrain]. Fewer attempts than retrain.later_attempts_min say nothing.
    """
    from honour.loop import DataDir
    from honour.pipeline.drift import drift_of

    limits = load_settings(config_of(config, data), data_dir=data).retrain
    with show.progress() as step:
        report = drift_of(data, bundle=bundle or DataDir(data).bundle, limits=limits, threads=threads, step=step)
    if json:
        show.as_json(report)
    else:
        title = f"Bundle {report.bundle_id[:19]}: {report.n_later} attempts in {report.hours:.0f} hours after its training"
        rows = [
            [one.name, f"{one.figure:.4f}", f"{one.limit:g}", "PAST ITS LIMIT" if one.is_past else "", one.found] for one in report.signs
        ]
        show.table(title, ["sign", "figure", "limit", "", "found"], rows)
        if not report.signs:
            show.out(f"Too little to say: {limits.later_attempts_min} attempts over {limits.later_hours_min:g} hours are needed.")
    if report.past:
        raise typer.Exit(1)


def _line(text: str) -> None:
    show.out(text)
    sys.stdout.flush()


def _instant(at_us: int | None) -> str:
    return "never" if at_us is None else f"{from_us(at_us):%Y-%m-%d %H:%M}Z"


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

"""Commands on simulated worlds: attempts to a file, policies side by side, how true the world is."""

from __future__ import annotations

from pathlib import Path

import typer

from honour.cli import show
from honour.errors import BadInput

JSON = typer.Option(False, "--json", help="Print one JSON object instead of tables.")
FIVE = ["calm", "outage", "degradation", "new_route", "mixed"]


def simulate(
    out: Path | None = typer.Option(None, "--out", help="NDJSON file to write, one attempt a line, as POST /v1/events takes it."),
    scenario: str = typer.Option("calm", "--scenario", help="Scenario by name or file; several joined by + happen together."),
    payments: int = typer.Option(10_000, "--payments", min=1, help="Payments to make."),
    seed: int = typer.Option(1, "--seed", min=0, help="Same seed, same bytes."),
    calibration: bool = typer.Option(
        False, "--calibration", help="Instead of writing attempts, print what the world gives beside published figures, with sources."
    ),
    json: bool = JSON,
) -> None:
    """Write attempts of a simulated world, routed as merchants with several acquirers split their volume.

    With --calibration: exits with 1 when a figure leaves its range.
    """
    if calibration:
        _calibrate(seed=seed, payments=payments, json=json)
        return
    if out is None:
        raise BadInput("--out is missing: name the NDJSON file to write, or ask for --calibration.")
    from honour.arena.demo import simulate as simulated  # The simulator; serving does without it.

    with show.progress() as step:
        result = simulated(out, scenario=scenario, payments=payments, seed=seed, step=step)
    if json:
        show.as_json(result)
    else:
        show.out(
            f"{result.n_payments} payments, {result.n_attempts} attempts, {result.attempt_approval_rate:.3f} of attempts approved: {out}"
        )


def _calibrate(*, seed: int, payments: int, json: bool) -> None:
    from honour.simulator.calibration import calibrate

    with show.progress() as step:
        figures = calibrate(seeds=range(seed, seed + 4), payments=payments, step=step)
    if json:
        show.as_json(
            {figure.published.id: {"simulated": figure.simulated, "n": figure.n, "published": figure.published} for figure in figures}
        )
    else:
        rows = [
            [
                figure.published.what,
                f"{figure.simulated:.3f}",
                f"{figure.published.low:g} to {figure.published.high:g}{'' if figure.in_range else '  OUT'}",
                figure.published.published,
                f"{figure.published.source} ({figure.published.sure})",
            ]
            for figure in figures
        ]
        show.table("Simulated beside published", ["figure", "simulated", "allowed", "published", "source"], rows)
    if not all(figure.in_range for figure in figures):
        raise typer.Exit(1)


def scoreboard(
    scenario: list[str] = typer.Option(
        FIVE, "--scenario", help="Scenario by name or file; repeat for several; all plays every one; joined by + they happen together."
    ),
    seeds: int = typer.Option(10, "--seeds", min=1, help="Worlds; intervals need two or more."),
    first_seed: int = typer.Option(1, "--first-seed", min=0, help="Seed of the first world."),
    payments: int = typer.Option(6_000, "--payments", min=200, help="Payments in each play."),
    streams: int = typer.Option(1, "--streams", min=1, help="Plays of each world, each of other payments after the same history."),
    history: int = typer.Option(30_000, "--history", min=5_000, help="Payments of history that Honour learns from in each world."),
    policy: list[str] = typer.Option([], "--policy", help="Play only these and the fixed routes beside Honour; repeat for several."),
    processes: int = typer.Option(2, "--processes", min=1, help="Worlds played at a time."),
    out: Path | None = typer.Option(None, "--out", help="Folder for scoreboard.json and a picture of each scenario (PNG and HTML)."),
    json: bool = JSON,
) -> None:
    """Play Honour and simple policies side by side in worlds with known truth, and say who earned what.

    Every policy meets the same payments and the same luck. Differences are paired; intervals are over worlds. The oracle knows the
    hidden truth but not the luck: the share of the gap from the best fixed route to it is what there was to gain. What Honour learned of
    a world is used in each of its streams: more of them make intervals narrower at less time than more worlds do. With --out, worlds are
    kept as they are played: the same command, started again, goes on with those that are left.
    """
    from honour.arena.contest import FAST_ALONE, SLOW_ALONE, Contest, contest, kept_worlds  # Training libraries; serving does without them.
    from honour.arena.report import as_object, write
    from honour.simulator.lineup import LINE_UP
    from honour.simulator.scenario import names
    from honour.simulator.scoreboard import table

    for name in policy:
        if name not in (known := (*LINE_UP, SLOW_ALONE, FAST_ALONE)):
            raise BadInput(f"--policy: no policy {name!r}; allowed: {', '.join(known)}.")
    chosen = names() if "all" in scenario else tuple(dict.fromkeys(scenario))
    asked = Contest(chosen, tuple(range(first_seed, first_seed + seeds)), payments, history, tuple(policy) or None, streams)
    kept = kept_worlds(out, asked) if out is not None else None
    if kept is not None and not kept.keeps:
        show.note("This checkout differs from its commit: no world is kept, and a run that is cut off begins again. Commit first.")
    with show.progress() as step:
        found = contest(asked, processes=min(processes, seeds), step=step, kept=kept)
        report = as_object(asked, found)
        files = write(out, report=report, found=found) if out is not None else []
        if kept is not None:
            kept.clear(asked.seeds)
    if json:
        show.as_json(report)
    else:
        for name, board in found.boards.items():
            columns, rows = table(board)
            show.table(f"{name}: {board.n_worlds} worlds, {board.n_payments} payments", columns, rows)
            show.out()
    for file in files:
        show.note(f"written: {file}")

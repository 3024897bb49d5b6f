"""Commands about the quality of what comes in."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from honour.cli import show
from honour.cli.quality_page import figure_of, headline, page

if TYPE_CHECKING:
    from honour.features.batch import BatchReport

DATA = typer.Option(Path("honour-data"), "--data", help="Data folder.")
JSON = typer.Option(False, "--json", help="Print one JSON object on standard output.")

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Quality of what comes in: what is expected, what does not hold, and rows that were refused.",
)
quarantine = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Rows that were refused: list them, replay them.")
app.add_typer(quarantine, name="quarantine")


@app.command("report")
def quality_report(
    data: Path = DATA,
    lake: str | None = typer.Option(
        None, "--lake", metavar="PLACE", help="Lake to look at instead of the data folder's log and the lake that it fills."
    ),
    days: int = typer.Option(14, "--days", min=1, help="Days to look at, the last ones; those before are what they are compared with."),
    html: Path | None = typer.Option(None, "--html", metavar="FILE", help="Write the report as one page of HTML, with examples."),
    json: bool = JSON,
) -> None:
    """Hold the last days against what is expected of them; list rows in quarantine and the last batches.

    Exits with 1 when an expectation of severity refuse does not hold. What is expected is in docs/quality.md.
    """
    from honour.loop import DataDir
    from honour.stores.overview import overview

    if lake is not None:
        told = overview(data, lake=lake, log=None, n_days=days)
    else:
        with DataDir(data).log() as log:
            told = overview(data, lake=DataDir(data).lake, log=log, n_days=days)
    if html is not None:
        html.parent.mkdir(parents=True, exist_ok=True)
        html.write_text(page(told), encoding="utf-8")
    if json:
        show.as_json(told)
    else:
        rows = [[one.name, one.severity, one.status, figure_of(one), f"{one.limit:g}", one.found] for one in told.checked.checked]
        show.table(headline(told.checked), ["expectation", "severity", "", "figure", "limit", "found"], rows)
        waiting = sum(one.n for one in told.quarantine)
        if waiting:
            show.out(f"{waiting} rows are in quarantine, most for: {told.quarantine[0].reason}. honour quality quarantine list shows them.")
        if html is not None:
            show.out(f"Wrote {html}.")
    if told.checked.broken("refuse"):
        raise typer.Exit(1)


def say_broken(report: BatchReport) -> None:
    """What of a batch does not hold, for a person who brought it in."""
    for one in report.broken():
        where = f" ({one.days_broken} of {one.days_judged} days; this is {one.day})" if one.days_judged > 1 else ""
        show.out(f"Not as expected: {one.name}: {one.found}{where}.")


def say_broken_since(data: Path, since: datetime) -> None:
    """As `say_broken`, of batches that were taken in since an instant."""
    from honour.stores.checking import Reports

    for report in Reports(data).newest(1):
        if report.at >= since:
            say_broken(report)


@quarantine.command("list")
def quarantine_list(data: Path = DATA, json: bool = JSON) -> None:
    """Rows of files that were refused on their way into the log or a lake, each with its reason."""
    from honour.stores.quarantine import Quarantine

    batches = Quarantine(data / "quarantine").batches()
    if json:
        show.as_json(batches)
        return
    rows = [
        [batch.batch, batch.lake or "log", row.row, row.reason, "no" if row.cells is None else "yes"]
        for batch in batches
        for row in batch.rows
    ]
    show.table(f"{len(rows)} rows in quarantine", ["batch", "for", "row", "reason", "can be replayed"], rows)
    if rows:
        show.out("Mend the mapping, then: honour quality quarantine replay --mapping MAPPING")


@quarantine.command("replay")
def quarantine_replay(
    mapping: Path = typer.Option(..., "--mapping", help="How columns become records, mended."), data: Path = DATA, json: bool = JSON
) -> None:
    """Read the rows in quarantine once more; those that can be used now go into the event log, or the lake, that they were meant for.

    They are learned now: their answers arrive at this instant, and no training row from before sees them. Rows that are refused again
    stay, with their new reasons.
    """
    from honour.features.expectation import refusing
    from honour.loop import DataDir
    from honour.stores.checking import expected_in
    from honour.stores.quarantine import Quarantine, replay

    with DataDir(data).log(read_only=False) as log:
        replayed = replay(Quarantine(data / "quarantine"), log, mapping, refuse=refusing(expected_in(data)))
    if json:
        show.as_json(replayed)
    else:
        show.out(
            f"{replayed.n_logged} attempts into the log, {replayed.n_landed} into lakes, {replayed.n_already_there} were there already; "
            f"{replayed.n_left} rows stay in quarantine."
        )

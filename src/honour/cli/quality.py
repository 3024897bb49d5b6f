"""Commands about the quality of what comes in."""

from __future__ import annotations

from pathlib import Path

import typer

from honour.cli import show

DATA = typer.Option(Path("honour-data"), "--data", help="Data folder.")
JSON = typer.Option(False, "--json", help="Print one JSON object on standard output.")

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Quality of what comes in: rows that an import refused.")
quarantine = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Rows that an import refused: list them, replay them.")
app.add_typer(quarantine, name="quarantine")


@quarantine.command("list")
def quarantine_list(data: Path = DATA, json: bool = JSON) -> None:
    """Rows that imports refused, each with its reason."""
    from honour.stores.quarantine import Quarantine

    batches = Quarantine(data / "quarantine").batches()
    if json:
        show.as_json(batches)
        return
    rows = [[batch.batch, row.row, row.reason, "no" if row.cells is None else "yes"] for batch in batches for row in batch.rows]
    show.table(f"{len(rows)} rows in quarantine", ["batch", "row", "reason", "can be replayed"], rows)
    if rows:
        show.out("Mend the mapping, then: honour quality quarantine replay --mapping MAPPING")


@quarantine.command("replay")
def quarantine_replay(
    mapping: Path = typer.Option(..., "--mapping", help="How columns become records, mended."), data: Path = DATA, json: bool = JSON
) -> None:
    """Read the rows in quarantine once more; those that can be used now go into the event log.

    They are learned now: their answers arrive at this instant, and no training row from before sees them. Rows that are refused again
    stay, with their new reasons.
    """
    from honour.loop import DataDir
    from honour.stores.quarantine import Quarantine, replay

    with DataDir(data).log(read_only=False) as log:
        replayed = replay(Quarantine(data / "quarantine"), log, mapping)
    if json:
        show.as_json(replayed)
    else:
        show.out(
            f"{replayed.n_logged} attempts into the log, {replayed.n_already_there} were there already; "
            f"{replayed.n_left} rows stay in quarantine."
        )

"""Commands about the lake: answered attempts as Parquet, by day, for training sets and for anybody's own questions."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import typer

from honour.cli import show
from honour.cli.quality import say_broken_since
from honour.errors import BadInput

DATA = typer.Option(Path("honour-data"), "--data", help="Data folder.")
LAKE = typer.Option(
    None, "--lake", metavar="PLACE", help="Folder or s3://bucket/folder of the lake. Default: lake in the data folder, filled from its log."
)
JSON = typer.Option(False, "--json", help="Print one JSON object on standard output.")

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help=(
        "Answered attempts as Parquet by day of arrival: fill, show, check.\n\n"
        "honour features build fills the lake of a data folder by itself; these commands are for lakes elsewhere, and for looking."
    ),
)


@app.command("build")
def lake_build(
    files: list[str] | None = typer.Argument(
        None, metavar="FILE...", help="Files, s3://bucket/key or postgresql://user@host/db?table=name of past attempts. Default: the log."
    ),
    mapping: Path | None = typer.Option(None, "--mapping", help="How columns of FILE become records; as for honour import."),
    data: Path = DATA,
    lake: str | None = LAKE,
    json: bool = JSON,
) -> None:
    """Take in what the source has beyond the lake, each day as a whole or not at all.

    From the log of the data folder, or straight from files and tables of past attempts. What was taken in stays; a build that was cut
    off goes on where it stood.
    """
    from honour import loop  # Training libraries; serving does without them.

    since = datetime.now(UTC)
    with show.progress() as step:
        if files:
            if mapping is None:
                raise BadInput(
                    "say with --mapping how the columns of the files become records; docs/tutorials/psp-routing.md explains one."
                )
            built = loop.fill_lake_from(files, mapping=mapping, data_dir=data, lake=lake, step=step)
        else:
            built = loop.fill_lake(data, lake=lake, step=step)
    if json:
        show.as_json(built)
        return
    late = f", {built.n_late} older than its end left out" if built.n_late else ""
    refused = f", {built.n_refused} rows refused and in quarantine" if built.n_refused else ""
    show.out(f"{built.n_new} attempts taken in{late}{refused}; {built.n_rows} on {built.n_days} days in {built.lake}.")
    say_broken_since(data, since)


@app.command("show")
def lake_show(data: Path = DATA, lake: str | None = LAKE, json: bool = JSON) -> None:
    """Days of a lake, with how many attempts were answered on each."""
    from honour.loop import DataDir
    from honour.stores.lake import Lake

    manifest = Lake(lake or DataDir(data).lake).wanted()
    if json:
        show.as_json(manifest)
        return
    rows = [[str(one.day), str(one.n_rows), one.file] for one in manifest.partitions]
    show.table(f"{manifest.n_rows} attempts, filled from {manifest.source}", ["day", "attempts", "file"], rows)


@app.command("check")
def lake_check(data: Path = DATA, lake: str | None = LAKE, json: bool = JSON) -> None:
    """Read every file of a lake and compare it with its hash. Exits with 1 when one is not what it was."""
    from honour.loop import DataDir
    from honour.stores.lake import Lake

    place = Lake(lake or DataDir(data).lake)
    manifest = place.wanted()
    broken = place.check(manifest)
    if json:
        show.as_json({"files": len(manifest.partitions), "broken": broken})
    else:
        show.out(f"{len(manifest.partitions)} files, {len(broken)} not what they were{': ' if broken else ''}{', '.join(broken)}.")
    if broken:
        raise typer.Exit(1)

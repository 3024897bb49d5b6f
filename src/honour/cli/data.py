"""Commands that bring data in and turn them into features."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib import resources
from pathlib import Path

import typer

from honour.cli import show
from honour.cli.quality import say_broken
from honour.errors import BadInput

DATA = typer.Option(Path("honour-data"), "--data", help="Data folder; made when it is not there.")
JSON = typer.Option(False, "--json", help="Print one JSON object on standard output.")


def init(
    directory: Path = typer.Argument(..., metavar="DIR", help="Folder to write honour.toml into; made when it is not there."),
    force: bool = typer.Option(False, "--force", help="Overwrite an honour.toml that is there."),
) -> None:
    """Write a commented honour.toml to start from."""
    written = directory / "honour.toml"
    if written.exists() and not force:
        raise BadInput(f"{written} is there already; --force overwrites it.")
    directory.mkdir(parents=True, exist_ok=True)
    written.write_text(resources.files("honour.cli").joinpath("template.toml").read_text(encoding="utf-8"), encoding="utf-8")
    show.out(f"Wrote {written}. Change routes and merchants to yours, then: honour doctor --config {written}")


def import_(
    files: list[str] = typer.Argument(
        ..., metavar="FILE...", help="CSV, Parquet, XLSX or NDJSON files, s3://bucket/key or postgresql://user@host/db?table=name."
    ),
    mapping: Path = typer.Option(..., "--mapping", help="How columns become records; see docs/tutorials/psp-routing.md."),
    data: Path = DATA,
    since: datetime | None = typer.Option(None, "--since", help="Leave out attempts before this instant (UTC)."),
    until: datetime | None = typer.Option(None, "--until", help="Leave out attempts from this instant on (UTC)."),
    dry_run: bool = typer.Option(False, "--dry-run", help="Read and report only; write nothing."),
    json: bool = JSON,
) -> None:
    """Read past attempts into the event log, with a data-quality report.

    Rows that cannot be used are left out and listed with the reason; a file imported twice changes nothing. Routes and fees that
    the mapping describes are written to honour.toml in the data folder, unless one is there.
    """
    from honour import loop  # Training libraries; serving does without them.

    with show.progress() as step:
        result = loop.import_attempts(
            files, mapping=mapping, data_dir=data, since=_utc(since), until=_utc(until), dry_run=dry_run, step=step
        )
    if json:
        show.as_json(result)
        return
    show.out(result.quality_text)
    say_broken(result.checked)
    show.out(f"{result.n_logged} events {'would be ' if dry_run else ''}added to the log, {result.n_already_there} were there already.")
    if result.settings_written:
        show.out(f"Wrote {result.settings_written} with {result.n_routes} routes.")


def _utc(instant: datetime | None) -> datetime | None:
    if instant is not None and instant.tzinfo is not None and instant.utcoffset() is None:
        raise BadInput(f"{instant}: not an instant.")
    return instant.replace(tzinfo=UTC) if instant is not None and instant.tzinfo is None else instant

"""`honour audit`: who changed what, and when."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import typer

from honour.cli import show
from honour.release.audit import changes
from honour.stores.opening import data_of, open_log


def audit(
    data: Path = typer.Option(Path("honour-data"), "--data", help="Data folder of the servers."),
    since: datetime | None = typer.Option(None, "--since", help="Leave out what is before this instant (UTC)."),
    json: bool = typer.Option(False, "--json", help="Print one JSON object."),
) -> None:
    """Every change of the settings and every release in the event log: who, what, when and why. Nothing can be taken out of it."""
    log = open_log(data_of(data), read_only=True)
    try:
        with show.progress() as step:
            step("reading the log", 0, None)
            told = [one for one in changes(log.read()) if since is None or one.at >= (since if since.tzinfo else since.replace(tzinfo=UTC))]
    finally:
        log.close()
    if json:
        show.as_json({"changes": told})
        return
    for one in told:
        show.out(f"{one.at:%Y-%m-%d %H:%M:%S}  {one.what} by {one.by or 'somebody'} (event {one.seq})")
        for line in (*one.did, *((f"because: {one.why}",) if one.why else ())):
            show.out(f"  {line}")

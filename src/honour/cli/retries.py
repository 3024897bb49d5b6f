"""Commands about retries that wait."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import typer

from honour.cli import show
from honour.errors import BadInput
from honour.records.instant import to_us
from honour.serving import start
from honour.serving.due import LISTED, listed
from honour.serving.recovery import restore
from honour.stores.opening import EVENTS, data_of, open_log

app = typer.Typer(no_args_is_help=True, help="Retries that wait for their instant.")


@app.command("due")
def due(
    data: Path = typer.Option(Path("honour-data"), "--data", help="Data folder; a server may be running on it."),
    before: datetime | None = typer.Option(None, "--before", help="Instant (UTC) before which they are due. Default: now."),
    limit: int = typer.Option(LISTED, "--limit", min=1, help="Most retries to list."),
    json: bool = typer.Option(False, "--json", help="Print one JSON object."),
) -> None:
    """Payments to ask about again, the earliest first: those whose last decision was to wait until an instant that has come.

    Ask with POST /v1/decisions; a payment leaves the list with its next decision, or when it is approved.
    """
    where, file = data_of(data), data / EVENTS
    if where.log is None and not file.exists():
        raise BadInput(f"{file}: no event log. Name the data folder of the server with --data.", path="--data")
    before = datetime.now(tz=UTC) if before is None else before if before.tzinfo else before.replace(tzinfo=UTC)
    log = open_log(where, read_only=True)
    try:
        with show.progress() as step:
            found = listed(restore(log, snapshots=data / start.SNAPSHOTS, step=step).due, before_us=to_us(before), after=None, n_max=limit)
    finally:
        log.close()
    if json:
        show.as_json(found)
        return
    rows = [
        [one.payment_id, one.merchant_id, f"{one.due_at:%Y-%m-%d %H:%M}", str(one.attempt_number), one.reason, one.decision_id]
        for one in found.due
    ]
    show.table("Retries due", ["payment", "merchant", "due (UTC)", "attempt", "reason", "decision"], rows)
    if found.next is not None:
        show.note(f"There are more than {limit}; --limit lists more.")

"""Commands about retries that wait."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import typer

from honour.cli import show
from honour.cli.service import config_of
from honour.cli.settings import load_settings
from honour.errors import BadInput
from honour.pipeline.retry_price import live_retry_model, retry_price
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


@app.command("price")
def price(
    merchant: str = typer.Option(..., "--merchant", help="Whose retries."),
    retries: float = typer.Option(..., "--retries", min=0.0, help="Retries that it wants to make in a month of 30 days, at most."),
    data: Path = typer.Option(Path("honour-data"), "--data", help="Data folder; a server may be running on it."),
    config: Path | None = typer.Option(None, "--config", help="Configuration file. Default: honour.toml in the data folder."),
    days: float = typer.Option(30.0, "--days", min=1.0, help="Last days of the log to work it out on."),
    json: bool = typer.Option(False, "--json", help="Print one JSON object."),
) -> None:
    """The price of a retry that keeps a merchant's own payments within a budget of retries a month.

    Plans every payment that was refused lately anew, at the price at which all plans together are expected to take as many retries as
    the budget allows: the retries that are worth most are made, the rest are not. Put it into honour.toml as retry_price_minor of the
    merchant; a running server takes it over. Ask again every week: retries that were made since correct what plans expect.
    """
    settings = load_settings(config_of(config, data), data_dir=data)
    model = live_retry_model(Path(settings.data.dir))
    with show.progress() as step:
        found = retry_price(settings, model=model, merchant_id=merchant, retries_per_month=retries, days=days, step=step)
    if json:
        show.as_json(found)
        return
    show.table(
        f"Retries of {merchant} in 30 days, from {found.n_refused} refusals of the last {days:g} days",
        ["", "retries", "worth, minor units"],
        [
            ["without a price", f"{found.n_free:.0f}", f"{found.value_free_minor:.0f}"],
            [f"a retry priced {found.retry_price_minor:.2f}", f"{found.n_expected:.0f}", f"{found.value_minor:.0f}"],
        ],
    )
    if found.n_made is not None and found.n_planned is not None:
        show.out(f"Plans at the price in force expected {found.n_planned:.0f}, {found.n_made:.0f} were made: corrected for.")
    show.out(f"No plans within the budget are worth more than {found.gap_minor:.0f} above these.")
    show.note(f"[merchants.{merchant}]\nretry_price_minor = {found.retry_price_minor:.2f}")

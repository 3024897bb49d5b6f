"""Commands that connect the event log to Kafka."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import msgspec
import typer

from honour.cli import show
from honour.cli.service import ConfigOption, DataOption, config_of
from honour.cli.settings import load_settings
from honour.errors import LogContractBroken
from honour.records.settings import Settings
from honour.serving.server import log_to_stderr
from honour.stores.opening import open_log
from honour.stream.into import StreamIn
from honour.stream.out import StreamOut, position_of

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="The event log as a Kafka topic, and reports from one.")


@app.command("out")
def out(data: Path | None = DataOption, config: Path | None = ConfigOption) -> None:
    """Send every event of the log to stream.events_topic, from where it was left, until Ctrl-C.

    At least once, those of one payment in order. It runs beside the server, on any machine that reaches the log, and holds nothing up.
    """
    settings = _settings(config, data)
    stream = StreamOut(settings.data, settings.stream)
    _run(stream)
    show.note(f"{stream.sent} events sent to {settings.stream.events_topic}.")


@app.command("in")
def into(data: Path | None = DataOption, config: Path | None = ConfigOption) -> None:
    """Tell the server at stream.server the reports that stream.reports_topic brings, until Ctrl-C.

    Messages are as lines of POST /v1/events. What is refused goes to stream.refused_topic with the reason; positions are committed once
    everything is durable.
    """
    settings = _settings(config, data)
    server = settings.stream.server or f"http://127.0.0.1:{settings.serving.port}"
    stream = StreamIn(msgspec.structs.replace(settings.stream, server=server))
    _run(stream)
    show.note(f"{stream.accepted} reports told, {stream.refused} refused.")


@app.command("status")
def status(
    data: Path | None = DataOption,
    config: Path | None = ConfigOption,
    json: bool = typer.Option(False, "--json", help="Print one JSON object."),
) -> None:
    """How far `honour stream out` is, and where the log ends."""
    settings = _settings(config, data)
    sent = position_of(Path(settings.data.dir), topic=settings.stream.events_topic)
    log = open_log(settings.data, read_only=True)
    try:
        last = log.last_seq
    finally:
        log.close()
    if sent > last:
        raise LogContractBroken(
            f"event {sent} was sent, and the log ends at {last}: it is another log. Delete stream-out.json to send all of it."
        )
    if json:
        show.as_json({"topic": settings.stream.events_topic, "sent": sent, "last": last, "behind": last - sent})
    else:
        show.out(f"{settings.stream.events_topic}: {sent} of {last} events sent, {last - sent} behind.")


def _settings(config: Path | None, data: Path | None) -> Settings:
    return load_settings(config_of(config, data), data_dir=data)


def _run(stream: StreamIn | StreamOut) -> None:
    def end(*_: Any) -> None:
        stream.stop()

    log_to_stderr()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    stream.run()

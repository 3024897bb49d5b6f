"""Commands that run something: the demo, the server, the doctor."""

from __future__ import annotations

from pathlib import Path

import typer

from honour.cli import show
from honour.cli.doctor import examine
from honour.cli.settings import load_settings
from honour.errors import BadSettings
from honour.records.settings import Settings
from honour.serving import start

DataOption = typer.Option(None, "--data", help="Data folder: event log, honour.toml, bundle. Default: data.dir of the configuration.")
ConfigOption = typer.Option(None, "--config", help="Configuration file. Default: honour.toml in the data folder, if it is there.")


def serve(
    config: Path | None = ConfigOption,
    data: Path | None = DataOption,
    host: str | None = typer.Option(None, "--host", help="Address to listen on. Default: serving.host."),
    port: int | None = typer.Option(
        None, "--port", min=0, max=65535, help="Port; 0 takes a free one and prints it. Default: serving.port."
    ),
    bundle: Path | None = typer.Option(None, "--bundle", help="Bundle to decide with. Default: bundle in the data folder, if it is there."),
) -> None:
    """Answer POST /v1/decisions and learn from POST /v1/outcomes, until Ctrl-C.

    Without a bundle every decision takes the static order and says "stage": "fallback". Readable API documentation is at /docs.
    """
    path = config_of(config, data)

    def load() -> Settings:
        return load_settings(path, data_dir=data)

    settings = load()
    if not settings.routes:
        where = str(path) if path else "no configuration file was found"
        raise BadSettings(
            f"{where}: routes: none are configured, nothing could be attempted. Add [[routes]]; `honour init DIR` writes an example."
        )
    with show.progress() as step:
        service = start.prepare(settings, bundle=bundle, step=step)
    start.run(service, settings, host=host, port=port, config=path, load=load)


def demo(
    once: bool = typer.Option(False, "--once", help="End after the table instead of leaving a server running."),
    port: int = typer.Option(8080, "--port", min=0, max=65535, help="Port of the server left running; 0 takes a free one."),
    data: Path = typer.Option(Path("demo-data"), "--data", help="Folder to work in; made anew."),
    payments: int = typer.Option(30_000, "--payments", min=2_000, help="Payments of history to learn from."),
    seeds: int = typer.Option(5, "--seeds", min=2, help="Worlds each policy is played in; more make intervals narrower."),
    json: bool = typer.Option(False, "--json", help="Print the table as one JSON object."),
) -> None:
    """The whole loop on a simulated world: history, train, judge, decide, compare; then a server to try.

    The world is a small simulation with known truth: it shows that the loop works, not what you would earn.
    """
    from honour.arena import demo as whole_loop  # Training libraries; serving does without them.

    with show.progress() as step:
        result = whole_loop.demo(data, payments=payments, seeds=seeds, step=step)
    if json:
        show.as_json(result)
    else:
        metrics = result.trained.metrics
        show.out(
            f"Learned from {result.trained.n_rows} attempts of a month. On its last 7 days: log loss {show.figure(metrics['log_loss'])},"
        )
        show.out(f"calibration error {show.figure(metrics['calibration_error'])}.\n")
        show.table(result.title, result.columns, result.rows)
        show.out("The oracle knows the world's hidden truth, but not its luck: no policy can know as much.")
    if once:
        return
    show.note(f"\nA server is running on this world's data. Try, in another terminal:\n{whole_loop.curl_lines(port)}\nCtrl-C ends it.")
    config = data / "honour.toml"
    settings = load_settings(config, data_dir=data)
    start.run(
        start.prepare(settings, bundle=None),
        settings,
        host=None,
        port=port,
        config=config,
        load=lambda: load_settings(config, data_dir=data),
    )


def doctor(
    config: Path | None = ConfigOption,
    data: Path | None = DataOption,
    json: bool = typer.Option(False, "--json", help="Print the findings as one JSON object."),
) -> None:
    """Is this installation, configuration and store sound? Exits with 1 when something needs mending."""
    findings = examine(config_of(config, data), data_dir=data)
    if json:
        show.as_json({"sound": all(finding.ok for finding in findings), "findings": findings})
    else:
        for finding in findings:
            show.out(f"{'ok  ' if finding.ok else 'MEND'}  {finding.what}: {finding.detail}")
    if not all(finding.ok for finding in findings):
        raise typer.Exit(1)


def config_of(config: Path | None, data: Path | None) -> Path | None:
    """The configuration that was named, else honour.toml in the data folder, else in the current one, else none."""
    candidates = [data / "honour.toml"] if data is not None else [Path("honour.toml")]
    return config or next((path for path in candidates if path.exists()), None)

"""Commands that run something: the demo, the server, the doctor."""

from __future__ import annotations

from pathlib import Path

import typer

from honour import loop
from honour.cli import show
from honour.cli.settings import load_settings
from honour.errors import BadSettings

DataOption = typer.Option(None, "--data", help="Data folder: event log, honour.toml, bundle. Default: data.dir of the configuration.")
ConfigOption = typer.Option(None, "--config", help="Configuration file. Default: honour.toml in the data folder, if it is there.")


def serve(
    config: Path | None = ConfigOption,
    data: Path | None = DataOption,
    host: str | None = typer.Option(None, "--host", help="Address to listen on. Default: serving.host."),
    port: int | None = typer.Option(None, "--port", min=0, max=65535, help="Port; 0 takes a free one and prints it. Default: serving.port."),
    bundle: Path | None = typer.Option(None, "--bundle", help="Bundle to decide with. Default: bundle in the data folder, if it is there."),
) -> None:
    """Answer POST /v1/decisions and learn from POST /v1/outcomes, until Ctrl-C.

    Without a bundle every decision takes the static order and says "stage": "fallback". Readable API documentation is at /docs.
    """
    path = config or (data / "honour.toml" if data is not None and (data / "honour.toml").exists() else None)
    if path is None and Path("honour.toml").exists() and data is None:
        path = Path("honour.toml")

    def load() -> loop.Settings:
        return load_settings(path, data_dir=data)

    settings = load()
    if not settings.routes:
        where = str(path) if path else "no configuration file was found"
        raise BadSettings(f"{where}: routes: none are configured, so nothing could ever be attempted. Add [[routes]]; `honour init DIR` writes an example.")
    loop.serve(settings, load=load, config=path, bundle=bundle, host=host, port=port)


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
    with show.progress() as step:
        result = loop.demo(data, payments=payments, seeds=seeds, step=step)
    if json:
        show.as_json(result)
    else:
        _show_demo(result)
    if once:
        return
    show.note(f"Leaving a server running on port {port}. Try, in another terminal:\n{loop.curl_lines(port)}\nCtrl-C ends it.")
    settings = load_settings(data / "honour.toml", data_dir=data)
    loop.serve(settings, load=lambda: load_settings(data / "honour.toml", data_dir=data), config=data / "honour.toml", bundle=None, host=None, port=port)


def _show_demo(result: loop.DemoResult) -> None:
    trained = result.trained
    show.out(f"Learned from {trained.n_rows} attempts; on later data: log loss {show.figure(trained.metrics['log_loss'])}, ")
    show.out(f"calibration error {show.figure(trained.metrics['calibration_error'])} (base rate log loss {show.figure(trained.metrics['base_rate_log_loss'])}).")
    show.out()
    show.table(result.title, result.columns, result.rows)


def doctor(
    config: Path | None = ConfigOption,
    data: Path | None = DataOption,
    json: bool = typer.Option(False, "--json", help="Print the findings as one JSON object."),
) -> None:
    """Is this installation, configuration and store sound? Exits with 1 when something needs mending."""
    path = config or (data / "honour.toml" if data is not None and (data / "honour.toml").exists() else None)
    findings = loop.doctor(lambda: load_settings(path, data_dir=data))
    if json:
        show.as_json({"sound": all(finding.ok for finding in findings), "findings": findings})
    else:
        for finding in findings:
            show.out(f"{'ok  ' if finding.ok else 'MEND'}  {finding.what}: {finding.detail}")
    if not all(finding.ok for finding in findings):
        raise typer.Exit(1)

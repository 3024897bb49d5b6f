"""The commands of `honour`: one word for each thing a person does with it. `honour COMMAND --help` teaches the rest."""

from __future__ import annotations

import typer

from honour import __version__
from honour.cli import (
    audit,
    choose,
    data,
    features,
    keys,
    lake,
    models,
    networks,
    pipeline,
    quality,
    release,
    retries,
    service,
    stream,
    world,
)

app = typer.Typer(
    name="honour",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help=(
        "Decide what should happen next to a card payment, and learn from every answer.\n\n"
        "See the whole loop at work: honour demo. On your own data: honour import, honour train, honour evaluate, honour serve.\n\n"
        "Exit codes: 0 done, 1 a check failed, 2 wrong use, 3 something outside is broken (disk, port)."
    ),
)

app.command("demo")(service.demo)
app.command("init")(data.init)
app.command("import")(data.import_)
app.add_typer(features.app, name="features")
app.add_typer(lake.app, name="lake")
app.add_typer(quality.app, name="quality")
app.command("train")(models.train)
app.command("evaluate")(models.evaluate)
app.command("compare")(choose.compare)
app.command("tune")(choose.tune)
app.command("explain")(choose.explain)
app.command("replay")(models.replay)
app.add_typer(pipeline.app, name="pipeline")
app.add_typer(release.app, name="release")
app.command("serve")(service.serve)
app.command("simulate")(world.simulate)
app.command("scoreboard")(world.scoreboard)
app.add_typer(retries.app, name="retries")
app.add_typer(stream.app, name="stream")
app.add_typer(keys.app, name="keys")
app.command("explain-code")(networks.explain_code)
app.command("audit")(audit.audit)
app.command("doctor")(service.doctor)


def _show_version(value: bool) -> None:
    if value:
        typer.echo(f"honour {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(False, "--version", callback=_show_version, is_eager=True, help="Print the version and exit."),
) -> None:
    """Options before the command."""

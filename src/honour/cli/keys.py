"""Commands about API keys."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import typer

from honour.cli import show
from honour.cli.access import add_key, shown
from honour.cli.service import ConfigOption, DataOption, config_of
from honour.cli.settings import load_settings
from honour.errors import BadInput, BadSettings
from honour.records.api_key import Scope
from honour.serving.keys import new_key

app = typer.Typer(no_args_is_help=True, help="API keys: who may ask what, for which merchants.")


@app.command("new")
def new(
    name: str = typer.Argument(help="Whose key it is; unique."),
    scope: list[str] = typer.Option(..., "--scope", help="What it may do: decide, report, read or administer; may repeat."),
    merchant: list[str] = typer.Option(..., "--merchant", help="Merchant it acts for, may repeat; '*' is every merchant."),
    per_s_max: int | None = typer.Option(None, "--per-s-max", min=1, help="Most requests a second. Default: any number."),
    config: Path | None = ConfigOption,
    data: Path | None = DataOption,
    json: bool = typer.Option(False, "--json", help="Print one JSON object."),
) -> None:
    """Make a key and print it, this once: the configuration keeps only a salted hash. A running server takes it within two seconds."""
    path = config_of(config, data)
    if path is None:
        raise BadSettings("no honour.toml to write the key into. Name it with --config or --data; `honour init DIR` makes one.")
    settings = load_settings(path, data_dir=data)
    allowed = get_args(Scope)
    for one in scope:
        if one not in allowed:
            raise BadInput(f"{one!r} is no scope. Allowed: {', '.join(allowed)}.", path="--scope")
    if any(known.name == name for known in settings.serving.keys):
        raise BadInput(f"there is a key {name!r} in {path}. Take another name; take the old section out when nobody uses it.", path="NAME")
    key, kept = new_key(name, scopes=[one for one in allowed if one in scope], merchants=merchant, per_s_max=per_s_max)
    add_key(path, kept)
    load_settings(path, data_dir=data)
    if json:
        show.as_json({"key": key, "kept": shown(kept)})
    else:
        show.out(key)
        show.note(f"Kept in {path} as a hash; the key is not shown again. Send it as `Authorization: Bearer <key>`.")


@app.command("list")
def list_(
    config: Path | None = ConfigOption,
    data: Path | None = DataOption,
    json: bool = typer.Option(False, "--json", help="Print one JSON object."),
) -> None:
    """Every key of the configuration, with what it may do. Take its section out of honour.toml to withdraw a key."""
    found = load_settings(config_of(config, data), data_dir=data).serving.keys
    if json:
        show.as_json({"keys": [shown(one) for one in found]})
        return
    told = [[one.name, one.id, ", ".join(one.scopes), ", ".join(one.merchants)] for one in found]
    show.table("API keys", ["name", "id", "may", "for merchants"], told)

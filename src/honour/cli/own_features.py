"""Naming an installation's own feature files to this process and those it starts, before anything reads the catalogue."""

from __future__ import annotations

import os
import tomllib
from collections.abc import MutableMapping, Sequence
from pathlib import Path

import msgspec

from honour.errors import BadSettings

VARIABLE = "HONOUR_FEATURES__FILES"
_OF_FOLDER = ("serve", "doctor")  # Without --data they look for honour.toml in the current folder, others in the default data folder.


def name_own_features(arguments: Sequence[str], *, environment: MutableMapping[str, str] = os.environ) -> None:
    """Set HONOUR_FEATURES__FILES to what `features.files` of the honour.toml that a command line uses says, unless it is set."""
    config = config_of(arguments)
    if environment.get(VARIABLE) or config is None or not config.is_file():
        return
    files = files_of(config)
    if files:
        environment[VARIABLE] = msgspec.json.encode([str((config.parent / file).resolve()) for file in files]).decode()


def config_of(arguments: Sequence[str]) -> Path | None:
    """The honour.toml of a command line: --config, else that of --data, else the default's.

    >>> config_of(["serve", "--data", "shop"])
    PosixPath('shop/honour.toml')
    """
    config, data = (_value(arguments, option) for option in ("--config", "--data"))
    if config is not None:
        return Path(config)
    if data is not None:
        return Path(data) / "honour.toml"
    return Path("honour.toml") if set(arguments) & set(_OF_FOLDER) else Path("honour-data") / "honour.toml"


def files_of(config: Path) -> tuple[str, ...]:
    """`features.files` of a file; empty when the file says none, or is not sound: loading the settings then says what is wrong."""
    try:
        said = tomllib.loads(config.read_text(encoding="utf-8")).get("features", {})
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        return ()
    files = said.get("files", []) if isinstance(said, dict) else []
    if not isinstance(files, list) or not all(isinstance(file, str) and file for file in files):
        raise BadSettings(f"{config}: features.files: expected a list of paths to Python files, found {files!r}.")
    return tuple(files)


def _value(arguments: Sequence[str], option: str) -> str | None:
    for at, argument in enumerate(arguments):
        if argument == option and at + 1 < len(arguments):
            return arguments[at + 1]
        if argument.startswith(f"{option}="):
            return argument.partition("=")[2]
    return None

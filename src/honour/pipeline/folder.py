"""A run on disk: what every stage left behind, written beside and renamed, so that a run which was cut off goes on where it stood."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec

from honour.errors import BadInput

Kind = TypeVar("Kind", bound=msgspec.Struct)

INPUTS = "inputs.json"
LOG = "log.ndjson"
ID_CHARACTERS = 16


class Inputs(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a run is made from; the same inputs are the same run.

    log       SHA-256 of every event, in order
    settings  SHA-256 of training, gates, routes and merchants
    as_of_us  instant that was asked for; None is that of the run, which does not name it
    against   bundle_id of the champion that it is compared with. Not part of the name: a model is not another one for being promoted
    """

    log: str
    n_events: int
    schema: str
    honour: str
    settings: str
    seed: int
    as_of_us: int | None
    against: str | None

    @property
    def run_id(self) -> str:
        """Name of the run, from its content."""
        named = msgspec.structs.replace(self, against=None)
        return hashlib.sha256(msgspec.json.encode(named, order="deterministic")).hexdigest()[:ID_CHARACTERS]


class RunFolder:
    """The folder of one run. `log` lines go to one file for all runs, `pipeline/log.ndjson` in the data folder."""

    def __init__(self, path: Path, *, run_id: str) -> None:
        self.path, self.run_id = path / run_id, run_id
        self._log = path / LOG

    def begin(self, inputs: Inputs) -> bool:
        """Make the folder, or go on in the one that is there; False when its champion was another one, and it is begun anew."""
        known = self.read(INPUTS, kind=Inputs)
        goes_on = known is None or known == inputs
        if not goes_on:
            shutil.rmtree(self.path)
        self.path.mkdir(parents=True, exist_ok=True)
        self.write(INPUTS, inputs)
        return goes_on

    def read(self, name: str, *, kind: type[Kind]) -> Kind | None:
        """What was written under `name`, or None; one that cannot be read counts as not written."""
        try:
            return msgspec.json.decode((self.path / name).read_bytes(), type=kind)
        except (FileNotFoundError, msgspec.DecodeError):
            return None

    def write(self, name: str, value: msgspec.Struct) -> None:
        """Write whole or not at all."""
        self.keep(name, msgspec.json.format(msgspec.json.encode(value, order="deterministic"), indent=2))

    def keep(self, name: str, content: bytes) -> Path:
        """A file of a stage, whole or not at all."""
        with self.beside(name) as beside:
            beside.write_bytes(content)
        return self.path / name

    @contextmanager
    def beside(self, name: str) -> Iterator[Path]:
        """A path to write to, which takes its name when everything went well."""
        beside = self.path / f".{name}.part"
        yield beside
        os.replace(beside, self.path / name)

    def log(self, **said: Any) -> None:
        """One line: when, which run, and what."""
        add_line(self._log, run=self.run_id, **said)


def add_line(log: Path, **said: Any) -> None:
    """One line at the end of the log of all runs, with the instant."""
    with log.open("ab") as file:
        file.write(msgspec.json.encode({"at": datetime.now(tz=UTC), **said}) + b"\n")


def write_whole(path: Path, value: msgspec.Struct) -> None:
    """A file as JSON, whole or not at all."""
    beside = path.with_name(f".{path.name}.part")
    beside.write_bytes(msgspec.json.format(msgspec.json.encode(value, order="deterministic"), indent=2))
    os.replace(beside, path)


@contextmanager
def alone(path: Path, *, command: Literal["run", "watch"] = "run") -> Iterator[None]:
    """One `honour pipeline` of this name at a time in a data folder; BadInput when another is at work."""
    path.mkdir(parents=True, exist_ok=True)
    with (path / (".lock" if command == "run" else ".watch.lock")).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise BadInput(f"{path}: another `honour pipeline {command}` is at work here. Wait until it is done.") from None
        yield

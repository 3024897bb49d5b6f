"""Worlds that were played, kept beside a scoreboard until all are: a run that was cut off goes on where it stood."""

from __future__ import annotations

import hashlib
from dataclasses import fields
from pathlib import Path

import msgspec
import numpy as np

from honour import __version__
from honour.arena.source import commit
from honour.simulator.played import Played

Plays = dict[str, Played]
FOLDER = "worlds"
_BROKEN = "broken_rules"


class KeptWorlds:
    """Files of worlds in `folder`, each of the plays of one seed. What else was asked, or another commit, does not find them.

    asked  everything that a world's plays depend on but its seed, as JSON can write it

    Of code that differs from its commit nothing is kept: it may change again. An installation is known by its version.
    """

    def __init__(self, folder: Path, asked: object) -> None:
        self._folder = folder / FOLDER
        self._made_by = commit() or f"version {__version__}"
        self._named = hashlib.sha256(msgspec.json.encode((self._made_by, asked))).hexdigest()[:12]

    def load(self, seed: int) -> dict[str, Plays] | None:
        """Plays by scenario and policy, or None."""
        path = self._path(seed)
        if not self.keeps or not path.exists():
            return None
        with np.load(path, allow_pickle=False) as arrays:
            names: list[tuple[str, str]] = msgspec.json.decode(bytes(arrays["names"]), type=list[tuple[str, str]])
            found: dict[str, Plays] = {}
            for at, (scenario, policy) in enumerate(names):
                parts = {field.name: arrays[f"{at}/{field.name}"] for field in fields(Played)}
                broken = msgspec.json.decode(bytes(parts[_BROKEN]), type=dict[str, int])
                found.setdefault(scenario, {})[policy] = Played(**{**parts, _BROKEN: broken})
        return found

    def save(self, seed: int, plays: dict[str, Plays]) -> None:
        """Keep the plays of a world, whole or not at all."""
        if not self.keeps:
            return
        names = [(scenario, policy) for scenario, by_policy in plays.items() for policy in by_policy]
        arrays = {"names": _bytes(names)}
        for at, (scenario, policy) in enumerate(names):
            for field in fields(Played):
                value = getattr(plays[scenario][policy], field.name)
                arrays[f"{at}/{field.name}"] = _bytes(value) if field.name == _BROKEN else value
        path = self._path(seed)
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_suffix(".part")
        with beside.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **arrays)
        beside.replace(path)

    def clear(self, seeds: tuple[int, ...]) -> None:
        """Remove the worlds of these seeds: what they say is in the scoreboard."""
        for seed in seeds:
            self._path(seed).unlink(missing_ok=True)
        if self._folder.exists() and not any(self._folder.iterdir()):
            self._folder.rmdir()

    @property
    def keeps(self) -> bool:
        """Whether anything is kept: the code is that of its commit."""
        return not self._made_by.endswith("+")

    def _path(self, seed: int) -> Path:
        return self._folder / f"{self._named}-{seed}.npz"


def _bytes(value: object) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    return np.frombuffer(msgspec.json.encode(value), dtype=np.uint8)

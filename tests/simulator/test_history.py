"""History is the same bytes on every platform and Python: a change of the world shows here first."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import msgspec

from honour.simulator import scenario
from honour.simulator.baselines.fixed import volume_split
from honour.simulator.play import history
from honour.simulator.world import World


def test_the_same_seed_gives_the_same_bytes_whatever_was_asked_before(golden: Callable[[str, str], None]) -> None:
    world = World(scenario.load("calm").sized(300), seed=1)
    lines = [msgspec.json.encode(event) for event in history(world, policy=volume_split(world, seed=1))]
    digest = hashlib.sha256(b"\n".join(lines)).hexdigest()
    text = "".join(msgspec.json.format(line, indent=1).decode() + "\n" for line in lines[:2])
    golden("simulator_history.txt", f"{len(lines)} attempts, sha256 {digest}\n{text}")

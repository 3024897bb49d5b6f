"""Learning from a history as a merchant has it, before a scenario begins."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import msgspec

from honour import loop
from honour.arena.engine_policy import settings_of
from honour.loop import DataDir, Step, Trained
from honour.outcomes.state import State
from honour.outcomes.uncollected import uncollected
from honour.records.event import AttemptReported, Event
from honour.records.instant import to_us
from honour.records.settings import Settings
from honour.release.bundle import Bundle, load_bundle
from honour.simulator.baselines.fixed import volume_split
from honour.simulator.play import history
from honour.simulator.scenario import Scenario
from honour.simulator.world import World

HISTORY_DAYS = 28
HOLDOUT_SHARE = 0.25
"""Last part of the history, by days, on which the model is judged."""


class Learned(NamedTuple):
    """A bundle, the state of its log, the settings it serves with, and the report of its training."""

    bundle: Bundle
    state: bytes
    settings: Settings
    trained: Trained


@uncollected()
def learn(folder: Path, *, scenario: Scenario, seed: int, payments: int, step: Step, threads: int | None = None) -> Learned:
    """Play the days before `scenario` by a merchant's volume split, train on them as `honour train` does, and load the bundle.

    payments  of the history, spread over the `HISTORY_DAYS` before the scenario, so that scenarios of every length share it
    threads   all cores when None
    """
    days = float(HISTORY_DAYS)
    world = World(msgspec.structs.replace(scenario.before(days), payments_per_day=payments / days), seed=seed)
    settings = settings_of(world, data_dir=str(folder))
    where = DataDir(folder)
    loop.write_settings(where.settings, settings)
    with where.log(read_only=False) as log:
        reported = history(
            world, policy=volume_split(world, seed=seed), step=lambda n: step("simulating history", n, world.scenario.n_payments)
        )
        log.append_many(_arriving(reported, end_us=scenario.start_us))
    trained = loop.train(folder, out=None, until=None, holdout_days=max(1.0, days * HOLDOUT_SHARE), seed=1, step=step, threads=threads)
    state = State()
    with where.log() as log:
        for logged in log.read():
            state.apply(logged)
    return Learned(load_bundle(where.bundle), state.to_bytes(), settings, trained)


def _arriving(reported: Iterable[AttemptReported], *, end_us: int) -> Iterable[tuple[Event, int]]:
    """Attempts with the instant of their answer; what is answered after the history's end has not happened yet."""
    for event in reported:
        arrived_us = to_us(event.attempt.happened_at or event.attempt.attempted_at)
        if arrived_us < end_us:
            yield event, arrived_us

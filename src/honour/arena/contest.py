"""Contest: Honour and the simple policies in the same worlds, scenario by scenario, several worlds at a time."""

from __future__ import annotations

import multiprocessing
import os
import queue
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from honour.arena.engine_policy import EnginePolicy
from honour.arena.kept import KeptWorlds
from honour.arena.learned import Learned, learn
from honour.loop import Step
from honour.records.event import ServedFeatures
from honour.records.settings import PolicySettings
from honour.serving.score import Model
from honour.simulator import scenario as scenarios
from honour.simulator.lineup import MakePolicy, standard_policies
from honour.simulator.played import Played, play
from honour.simulator.scenario import Scenario
from honour.simulator.scoreboard import HONOUR, Scoreboard, compare
from honour.simulator.world import World

ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
SLOW_ALONE, FAST_ALONE = "slow model alone", "fast layer alone"
PLAYED_STREAM = 1
"""Histories are stream 0 of a world; what is reported is played in this one and those after it."""

Plays = dict[str, Played]


class Contest(NamedTuple):
    """What to play.

    scenarios  names or files; seeds of the worlds
    payments   in each play; history: payments to learn from before it
    policies   names of the line-up to play besides Honour; None plays all
    streams    stretches of payments after the same history, each played from its beginning; together they count as one play of the world
    """

    scenarios: tuple[str, ...]
    seeds: tuple[int, ...]
    payments: int
    history: int
    policies: tuple[str, ...] | None = None
    streams: int = 1


class Contested(NamedTuple):
    """Every play, and the scoreboard of each scenario."""

    plays: dict[str, list[Plays]]
    boards: dict[str, Scoreboard]


def contest(asked: Contest, *, processes: int, step: Step, kept: KeptWorlds | None = None) -> Contested:
    """Play all of it; each process takes one world at a time and learns once for the scenarios that share a history.

    kept  where worlds are kept as they are played, and those found that were played before
    """
    loaded = {name: scenarios.load(name).sized(asked.payments) for name in asked.scenarios}
    n_plays = asked.streams * sum(_n_policies(World(each), only=asked.policies) for each in loaded.values())
    found = {seed: world for seed in asked.seeds if kept is not None and (world := kept.load(seed)) is not None}
    done = _Counter(step, len(asked.seeds) * n_plays, done=len(found) * n_plays)
    left = asked._replace(seeds=tuple(seed for seed in asked.seeds if seed not in found))
    for seed, world in _worlds(left, processes=processes, done=done):
        found[seed] = world
        if kept is not None:
            kept.save(seed, world)
    plays = {name: [found[seed][name] for seed in asked.seeds] for name in loaded}
    boards = {
        name: compare({policy: [each[policy] for each in results] for policy in results[0]}, scenario=name)
        for name, results in plays.items()
    }
    return Contested(plays, boards)


def kept_worlds(folder: Path, asked: Contest) -> KeptWorlds:
    """Worlds of this contest in `folder`: scenarios count by what they say, since a file may change under its name."""
    loaded = [(name, scenarios.load(name)) for name in asked.scenarios]
    return KeptWorlds(folder, (loaded, asked.payments, asked.history, asked.policies, asked.streams))


def _worlds(asked: Contest, *, processes: int, done: _Counter) -> Iterator[tuple[int, dict[str, Plays]]]:
    """Every world once it is played."""
    if processes == 1 or len(asked.seeds) < 2:
        yield from ((seed, _play_world(asked, seed, done.add)) for seed in asked.seeds)
        return
    context = multiprocessing.get_context("spawn")
    # One thread each: processes already fill the cores, and libraries that start more threads wait for one another.
    for variable in ONE_THREAD:
        os.environ.setdefault(variable, "1")
    with context.Manager() as manager:
        told: queue.Queue[str] = manager.Queue()
        with ProcessPoolExecutor(max_workers=processes, mp_context=context) as pool:
            waiting = {pool.submit(_play_world, asked, seed, told.put): seed for seed in asked.seeds}
            while waiting:
                _failed(list(waiting))
                for future in [future for future in waiting if future.done()]:
                    yield waiting.pop(future), future.result()
                try:
                    done.add(told.get(timeout=0.5))
                except queue.Empty:
                    continue


def _failed(futures: Sequence[Future[dict[str, Plays]]]) -> None:
    """Raise the first error at once instead of after the last play."""
    for future in futures:
        if future.done() and future.exception() is not None:
            for other in futures:
                other.cancel()
            future.result()


class _Counter:
    """Counts plays for the progress display."""

    def __init__(self, step: Step, total: int, *, done: int = 0) -> None:
        self._step, self._total, self._done = step, total, done

    def add(self, what: str) -> None:
        self._done += 1
        self._step("playing", self._done, self._total)
        del what


def _play_world(asked: Contest, seed: int, tell: Callable[[str], object]) -> dict[str, Plays]:
    """Every policy in every scenario of one world."""
    learned: dict[bytes, Learned] = {}
    results: dict[str, Plays] = {}
    with tempfile.TemporaryDirectory(prefix="honour-contest-") as folder:
        for name in asked.scenarios:
            scenario = scenarios.load(name).sized(asked.payments)
            key = history_key(scenario)
            if key not in learned:
                where = Path(folder) / str(len(learned))
                learned[key] = learn(where, scenario=scenario, seed=seed, payments=asked.history, step=lambda *_: None, threads=1)
            results[name] = _play_streams(asked, scenario, seed, learned[key], tell)
    return results


def _play_streams(asked: Contest, scenario: Scenario, seed: int, learned: Learned, tell: Callable[[str], object]) -> Plays:
    """Every policy in one scenario of a world, its streams together."""
    made: dict[str, list[Played]] = {}
    for stream in range(PLAYED_STREAM, PLAYED_STREAM + asked.streams):
        world = World(scenario, seed=seed, stream=stream)
        makers = {**_makers(world, only=asked.policies), **_engines(learned, only=asked.policies)}
        for policy, make in makers.items():
            made.setdefault(policy, []).append(play(world, policy=make(world)))
            tell(policy)
    return {policy: Played.joined(parts) for policy, parts in made.items()}


def _makers(world: World, *, only: tuple[str, ...] | None = None) -> dict[str, MakePolicy]:
    line_up = standard_policies(world)
    return line_up if only is None else {name: make for name, make in line_up.items() if name in only or name.startswith("fixed ")}


def _n_policies(world: World, *, only: tuple[str, ...] | None) -> int:
    return len(_makers(world, only=only)) + 1 + sum(only is None or name in only for name in (SLOW_ALONE, FAST_ALONE))


class _Constant:
    """No model: every candidate is as good as the history was on average, so that only the fast layer tells them apart."""

    def __init__(self, p_approve: float) -> None:
        self._p_approve = p_approve

    def predict_many(self, served: ServedFeatures) -> NDArray[np.float64]:
        """The same for each candidate: (n_candidates,)."""
        return np.full(len(served.candidates), self._p_approve)


def _engines(learned: Learned, *, only: tuple[str, ...] | None) -> dict[str, MakePolicy]:
    """Honour, and each of its layers alone."""
    rate = learned.trained.training.approval_rate

    def engine(*, model: Model | None = None, fast_layer: bool = True) -> MakePolicy:
        def make(world: World) -> EnginePolicy:
            # The draws of each world are its own, or every world would explore on the same payments.
            policy = PolicySettings(salt=f"{world.seed}/{world.stream}", fast_layer=fast_layer)
            settings = msgspec.structs.replace(learned.settings, policy=policy, routes=world.routes)
            return EnginePolicy(settings, bundle=learned.bundle, state=learned.state, model=model)

        return make

    made = {HONOUR: engine(), SLOW_ALONE: engine(fast_layer=False), FAST_ALONE: engine(model=_Constant(rate))}
    return {name: make for name, make in made.items() if name == HONOUR or only is None or name in only}


def history_key(scenario: Scenario) -> bytes:
    """Scenarios with the same days before them share what was learned from these."""
    before = scenario.before(1.0)
    return msgspec.json.encode(msgspec.structs.replace(before, name="", description="", payments_per_day=1.0))

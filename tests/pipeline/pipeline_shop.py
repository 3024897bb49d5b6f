"""A month of simulated attempts in a log, and one run over it that every gate passed."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from honour import loop
from honour.arena.engine_policy import settings_of
from honour.loop import DataDir
from honour.pipeline.result import Ran
from honour.pipeline.run import run_pipeline
from honour.records.attempt import Attempt
from honour.records.event import AttemptReported
from honour.records.gates import GateSettings
from honour.records.instant import to_us
from honour.records.settings import Settings
from honour.simulator import scenario as scenarios
from honour.simulator.baselines.fixed import volume_split
from honour.simulator.play import history
from honour.simulator.world import World

DAYS, PAYMENTS = 21, 4_000
GATES = GateSettings(
    holdout_days=5.0,
    later_attempts_min=300,
    log_loss_worse_max=0.02,
    calibration_error_max=0.05,
    segment_calibration_error_max=0.15,
    latency_ms_max=25.0,
)
"""Few attempts: intervals are wide, so that limits are too. So is that of the latency: other tests share the machine."""
Change = Callable[[Attempt], Attempt | None]


class Shop:
    """A data folder with a log, and its settings. `change` alters an attempt before it is logged; None leaves it out."""

    def __init__(self, path: Path, *, change: Change = lambda attempt: attempt) -> None:
        scenario = scenarios.load("calm").lasting(DAYS).sized(PAYMENTS)
        world = World(scenario, seed=3)
        self.path, self.ends_us = path, scenario.end_us
        self.settings = msgspec.structs.replace(settings_of(world, data_dir=str(path)), gates=GATES)
        loop.write_settings(DataDir(path).settings, self.settings)
        with DataDir(path).log(read_only=False) as log:
            log.append_many(self._told(history(world, policy=volume_split(world, seed=3)), change=change))

    def run(self, *, settings: Settings | None = None, as_of_us: int | None = None) -> Ran:
        """`honour pipeline run`, as of the end of the log."""
        return run_pipeline(
            self.path,
            settings=settings or self.settings,
            seed=1,
            threads=1,
            as_of_us=self.ends_us if as_of_us is None else as_of_us,
            step=lambda *_: None,
        )

    def _told(self, reported: Iterator[AttemptReported], *, change: Change) -> Iterator[tuple[AttemptReported, int]]:
        for event in reported:
            arrived_us = to_us(event.attempt.happened_at or event.attempt.attempted_at)
            attempt = change(event.attempt)
            if arrived_us < self.ends_us and attempt is not None:
                yield AttemptReported(attempt=attempt), arrived_us


class Cut:
    """The folder of a finished run, to be altered and run again from a stage on."""

    def __init__(self, shop: Shop, ran: Ran) -> None:
        self.shop, self.run_id = shop, ran.result.run
        self.folder = shop.path / "pipeline" / self.run_id

    def again_from(self, stage: str) -> Ran:
        """Run once more; what `stage` and later ones left is gone, as after a crash in it."""
        order = ("quality", "features", "train", "evaluate", "register", "result")
        for name in order[order.index(stage) :]:
            (self.folder / f"{name}.json").unlink(missing_ok=True)
        return self.shop.run()


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Shop, Ran]:
    """A clean run, made once."""
    shop = Shop(tmp_path_factory.mktemp("clean"))
    return shop, shop.run()


@pytest.fixture
def cut(finished: tuple[Shop, Ran], tmp_path: Path) -> Cut:
    """A copy of the clean run."""
    shop, ran = finished
    copy = Shop.__new__(Shop)
    copy.path, copy.ends_us, copy.settings = tmp_path / "data", shop.ends_us, shop.settings
    shutil.copytree(shop.path, copy.path)
    return Cut(copy, ran)

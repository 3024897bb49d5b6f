"""Every kind of model on the attempts of a simulated world: quality against latency, size, time and cost.

python benchmarks/kinds.py --data FOLDER [--payments N] [--scenario NAME] [--seed N] [--kind NAME ...] [--deep-rows N] [--threads N]
    [--fill-only]

The folder is filled with a history first, unless it holds one; then `honour compare` runs on it, into benchmarks/results/kinds.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

from honour.arena.engine_policy import settings_of
from honour.learning.kinds.named import available
from honour.loop import DataDir, write_settings
from honour.pipeline.comparison import compare_kinds, page
from honour.records.instant import to_us
from honour.simulator import scenario as scenarios
from honour.simulator.baselines.fixed import volume_split
from honour.simulator.play import history
from honour.simulator.world import World

DAYS, HOLDOUT_DAYS = 28.0, 7.0
RESULTS = Path(__file__).parent / "results" / "kinds"


def fill(folder: Path, *, payments: int, scenario_name: str, seed: int) -> None:
    """A history of four weeks, routed as merchants split their volume, with the settings of its world."""
    scenario = scenarios.load(scenario_name).lasting(DAYS).sized(payments)
    world = World(scenario, seed=seed)
    told = history(world, policy=volume_split(world, seed=seed), step=lambda n: _say("simulating", n, payments))
    arrived = ((event, to_us(event.attempt.happened_at or event.attempt.attempted_at)) for event in told)
    with DataDir(folder).log(read_only=False) as log:
        log.append_many((event, at_us) for event, at_us in arrived if at_us < scenario.end_us)
    write_settings(DataDir(folder).settings, settings_of(world, data_dir=str(folder)))  # Last: with it the folder is whole.


def main() -> None:
    """Fill the folder when it is empty, compare, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="data folder; filled when it holds no history")
    parser.add_argument("--payments", type=int, default=20_000, help="payments of the history (20000)")
    parser.add_argument("--scenario", default="calm", help="scenario of the history (calm)")
    parser.add_argument("--seed", type=int, default=11, help="of the world (11)")
    parser.add_argument("--kind", action="append", choices=available(), help="kind to compare (repeat); absent, all")
    parser.add_argument("--deep-rows", type=int, default=10_000, help="newest attempts that deep kinds are fitted on (10000)")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="threads of features and training (every core)")
    parser.add_argument("--fill-only", action="store_true", help="end when the folder is filled")
    told = parser.parse_args()
    if not DataDir(told.data).settings.exists():
        told.data.mkdir(parents=True, exist_ok=True)
        fill(told.data, payments=told.payments, scenario_name=told.scenario, seed=told.seed)
    if told.fill_only:
        return
    from honour.cli.settings import load_settings

    cpu_s, wall_s = time.process_time(), time.perf_counter()
    found = compare_kinds(
        told.data,
        settings=load_settings(DataDir(told.data).settings, data_dir=told.data),
        kinds=tuple(told.kind or available()),
        out=RESULTS,
        holdout_days=HOLDOUT_DAYS,
        price_per_hour=0.05,
        seed=1,
        threads=told.threads,
        deep_rows_max=told.deep_rows,
        step=_say,
    )
    sys.stdout.write(page(found))
    sys.stdout.write(f"\n{time.perf_counter() - wall_s:.0f} s on the clock, {time.process_time() - cpu_s:.0f} CPU s of all threads\n")


def _say(what: str, done: int, total: int | None) -> None:
    if done % 10_000 == 0 or what.startswith("comparing"):
        sys.stderr.write(f"{what} {done}/{total}\n")


if __name__ == "__main__":
    main()

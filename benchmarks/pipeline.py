"""Where the seconds of `honour pipeline run` go, step by step: CPU seconds of all threads, and seconds on the clock.

python benchmarks/pipeline.py --data FOLDER [--kind NAME] [--threads N]

The folder is one of `benchmarks/kinds.py --fill-only`; what an earlier run left in its `pipeline`, `lake` and `training` is removed first.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import sys
import time
from pathlib import Path

import msgspec

from honour.cli.settings import load_settings
from honour.loop import DataDir
from honour.pipeline.run import run_pipeline
from honour.records.training import TrainSettings


class Clock:
    """Prints what each step took when the next one begins."""

    def __init__(self) -> None:
        self.at, self.cpu_s, self.wall_s = "", time.process_time(), time.perf_counter()

    def step(self, what: str, _done: int = 0, _total: int | None = None) -> None:
        """As the pipeline tells it."""
        if what != self.at:
            cpu_s, wall_s = time.process_time(), time.perf_counter()
            if self.at:
                sys.stdout.write(f"{cpu_s - self.cpu_s:8.1f} {wall_s - self.wall_s:8.1f}  {self.at}\n")
                sys.stdout.flush()
            self.at, self.cpu_s, self.wall_s = what, cpu_s, wall_s


def main() -> None:
    """Run the pipeline once, from the events to the registry or to a gate."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="data folder with a log and settings")
    parser.add_argument("--kind", help="kind of model; absent, that of honour.toml")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="threads of features and training (every core)")
    told = parser.parse_args()
    settings = load_settings(DataDir(told.data).settings, data_dir=told.data)
    if told.kind:
        settings = msgspec.structs.replace(settings, train=TrainSettings(kind=told.kind))
    for left in ("pipeline", "lake", "training"):
        shutil.rmtree(told.data / left, ignore_errors=True)
    with DataDir(told.data).log() as log:
        ends_us = log.last_arrived_us
    clock, began = Clock(), (time.process_time(), time.perf_counter())
    sys.stdout.write("   CPU s  clock s  step\n")
    ran = run_pipeline(told.data, settings=settings, seed=1, threads=told.threads, as_of_us=ends_us, step=clock.step)
    clock.step("end")
    sys.stdout.write(f"{time.process_time() - began[0]:8.1f} {time.perf_counter() - began[1]:8.1f}  {ran.result.status}\n")
    sys.stdout.write(f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB at most\n")
    for gate in ran.result.gates:
        sys.stdout.write(f"{'passed' if gate.passed else 'FAILED'} {gate.name}: {gate.found}\n")


if __name__ == "__main__":
    main()

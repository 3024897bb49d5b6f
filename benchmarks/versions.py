"""What decisions and outcomes cost in a stream by several versions of the code, in turn: a stretch of 256 payments by each.

python benchmarks/versions.py CHECKOUT CHECKOUT... [--stretches N]

On a machine that others use, what a decision costs changes by a third within a minute. Stretches follow one another within a tenth of a
second, so that their ratio does not: told are medians, and the median of the ratios to the stretch of the first version beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import Any

BEGIN = 2
"""Stretches that are not counted: windows fill, code is compiled."""


def main() -> None:
    """Measure and print the table; without a checkout be one of those that are measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkouts", nargs="*", type=Path, help="folders with src/honour; the benchmark's own code is that of this one")
    parser.add_argument("--stretches", type=int, default=24, help="stretches of 256 payments by each version")
    arguments = parser.parse_args()
    if arguments.checkouts:
        compare(arguments.checkouts, n=arguments.stretches)
    else:
        be_measured()


def compare(checkouts: list[Path], *, n: int) -> None:
    """Print what each costs."""
    versions = [Version(checkout) for checkout in checkouts]
    costs: list[list[list[float]]] = [[] for _ in versions]
    for number in range(BEGIN + n):
        in_turn = list(zip(versions, costs, strict=True))
        for version, told in in_turn if number % 2 else reversed(in_turn):
            told.append(version.next_stretch())
    for version in versions:
        version.close()
    for at, name in enumerate(versions[0].names):
        of_each = [[stretch[at] for stretch in told[BEGIN:]] for told in costs]
        ratios = [median(mine / first for mine, first in zip(one, of_each[0], strict=True)) for one in of_each[1:]]
        us, beside = "".join(f"{median(one):8.1f}" for one in of_each), "".join(f"{ratio:7.3f}" for ratio in ratios)
        print(f"{name:52}{us} us of CPU time, ratios{beside}")


class Version:
    """A process that decides by the code of one checkout, a stretch when it is asked."""

    def __init__(self, checkout: Path) -> None:
        environment = {**os.environ, "PYTHONPATH": str(checkout.absolute() / "src"), "OMP_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
        )
        self.names: list[str] = self._told()

    def next_stretch(self) -> list[float]:
        """Microseconds of CPU time for one decision or outcome, in the order of `names`."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"on\n")
        self._process.stdin.flush()
        return self._told()

    def close(self) -> None:
        """Let it end."""
        self._process.communicate()

    def _told(self) -> list[Any]:
        assert self._process.stdout is not None
        told: list[Any] = json.loads(self._process.stdout.readline())
        return told


def be_measured() -> None:
    """Decide by the code that is imported: a stretch for each line of standard input."""
    import made  # These import Honour, of which the process that compares has no need.
    import stages

    with stages.prepared() as (engine, _):
        print(json.dumps(stages.COSTS), flush=True)
        for number, _ in enumerate(sys.stdin):
            bodies = made.decision_bodies(n=stages.CHUNK + stages.ALONE, seed=number, prefix=f"stretch{number}")
            print(json.dumps(stages.stretch(engine, bodies)), flush=True)


if __name__ == "__main__":
    main()

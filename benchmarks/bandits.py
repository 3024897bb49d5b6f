"""Regret of bandit algorithms on problems whose means change, told at once and 200 pulls late; means over seeds with standard errors.

python benchmarks/bandits.py [--seeds N]
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from statistics import fmean, stdev

from honour.simulator.bandit import Bandit, DiscountedThompson, GlrKlUcb, SlidingWindowUcb
from honour.simulator.bandit_problem import PROBLEMS, BanditProblem, regret

ALGORITHMS: dict[str, Callable[[BanditProblem, int], Bandit]] = {
    "GLR-klUCB": lambda problem, _: GlrKlUcb(problem.n_arms, horizon=problem.horizon, n_changes=problem.n_changes),
    "sliding window UCB, 200": lambda problem, _: SlidingWindowUcb(problem.n_arms, window=200),
    "discounted Thompson, 0.995": lambda problem, seed: DiscountedThompson(problem.n_arms, discount=0.995, seed=seed),
    "Thompson, never forgets": lambda problem, seed: DiscountedThompson(problem.n_arms, discount=1.0, seed=seed),
}


def main() -> None:
    """Play every algorithm on every problem and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20, help="runs of each case")
    seeds = range(parser.parse_args().seeds)
    columns = [(problem, late) for late in (0, 200) for problem in PROBLEMS]
    print(f"{'algorithm':28}" + "".join(f"{problem.name + (' late' if late else ''):>12}" for problem, late in columns))
    for name, make in ALGORITHMS.items():
        cells = []
        for problem, late in columns:
            lost = [regret(make, problem=problem, seed=seed, late=late) for seed in seeds]
            error = stdev(lost) / math.sqrt(len(lost)) if len(lost) > 1 else math.nan
            cells.append(f"{fmean(lost):6.0f} ±{error:4.0f}")
        print(f"{name:28}" + "".join(f"{cell:>12}" for cell in cells), flush=True)


if __name__ == "__main__":
    main()

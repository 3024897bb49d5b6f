"""Bandit problems whose means change at known instants, and the regret of an algorithm on them.

The problems are those of SMPyBandits (configuration_nonstationary.py), which Besson and Kaufmann use for GLR-klUCB (2019).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from honour.simulator.bandit import Bandit

Means = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class BanditProblem:
    """Bernoulli arms.

    starts  first pull of each stretch, from 0
    means   of every arm in each stretch
    """

    name: str
    starts: tuple[int, ...]
    means: tuple[Means, ...]
    horizon: int = 5_000

    @property
    def n_arms(self) -> int:
        """Arms to choose from."""
        return len(self.means[0])

    @property
    def n_changes(self) -> int:
        """Changes between the first pull and the last."""
        return len(self.starts) - 1


PROBLEMS = (
    BanditProblem(
        "P1",
        (0, 1_000, 2_000, 3_000, 4_000),
        ((0.3, 0.5, 0.9), (0.3, 0.2, 0.9), (0.3, 0.2, 0.1), (0.7, 0.2, 0.1), (0.7, 0.5, 0.1)),
    ),
    BanditProblem(
        "P2",
        (0, 1_000, 2_000, 3_000, 4_000),
        ((0.4, 0.5, 0.9), (0.5, 0.4, 0.7), (0.6, 0.3, 0.5), (0.7, 0.2, 0.3), (0.8, 0.1, 0.1)),
    ),
    BanditProblem(
        "P3",
        (0, 1_250, 2_500, 3_750),
        ((0.1, 0.2, 0.9), (0.4, 0.9, 0.1), (0.5, 0.1, 0.2), (0.2, 0.2, 0.3)),
    ),
    BanditProblem(
        "P4",
        (0, 2_500, 3_125, 3_750, 4_375),
        ((0.1, 0.5, 0.9), (0.3, 0.4, 0.1), (0.5, 0.3, 0.2), (0.7, 0.4, 0.3), (0.1, 0.5, 0.2)),
    ),
)


def regret(make: Callable[[BanditProblem, int], Bandit], *, problem: BanditProblem, seed: int, late: int = 0) -> float:
    """What an algorithm earned less than the best arm of each instant would have, in expected rewards.

    make  the algorithm for a problem and a seed
    late  pulls after which a reward is told
    """
    bandit, luck = make(problem, seed), np.random.default_rng(seed)
    waiting: deque[tuple[int, float]] = deque()
    lost = 0.0
    for (first, end), means in zip(pairwise((*problem.starts, problem.horizon)), problem.means, strict=True):
        for _ in range(first, end):
            arm = int(np.argmax(bandit.scores()))
            lost += max(means) - means[arm]
            waiting.append((arm, float(luck.random() < means[arm])))
            if len(waiting) > late:
                told, reward = waiting.popleft()
                bandit.update(told, reward=reward)
    return lost

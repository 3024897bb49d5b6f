"""Regret of bandit algorithms on problems whose means change, told at once and 200 pulls late; means over seeds with standard errors.

The fast layer is told nothing of the arms by a model (0.5 each), and plays at one pull in ten seconds with cards of 30 issuers: it
forgets by time, not by pulls.
Its arm is the highest draw from its means and deviations, or one of inverse-gap weighting within a budget, as in decisions.

python benchmarks/bandits.py [--seeds N] [--first-seed N] [--only PART_OF_NAME]
"""

from __future__ import annotations

import argparse
import math
from collections import deque
from collections.abc import Callable
from statistics import fmean, stdev

import numpy as np
from numpy.typing import NDArray

from honour.approval.fast_layer import Corrected, FastLayer
from honour.policy.explore import pick, propensities
from honour.records.payment import Card, Payment
from honour.records.route import Candidate
from honour.simulator.bandit import Bandit, DiscountedThompson, GlrKlUcb, SlidingWindowUcb
from honour.simulator.bandit_problem import PROBLEMS, BanditProblem, regret

START_US = 1_772_366_400_000_000
PULL_US = 10_000_000
N_ISSUERS = 30
PAYMENTS = [
    Payment(
        payment_id="pay_1",
        merchant_id="mer_1",
        amount_minor=100,
        currency="EUR",
        card=Card(card_id="crd_1", bin="411111", network="visa", issuer=f"iss_{issuer}", issuer_country="DE"),
    )
    for issuer in range(N_ISSUERS)
]
WORTH_MINOR, BUDGET_MINOR = 100.0, 2.0


class _FastLayer:
    """The fast layer over routes without a model; what a subclass does with its means and deviations is its policy."""

    def __init__(self, n_arms: int, *, seed: int) -> None:
        self._layer, self._luck, self._now_us = FastLayer(), np.random.default_rng([seed, 1]), START_US
        self._routes = [Candidate(f"acq_{arm}", "none", "pan") for arm in range(n_arms)]
        self._p_model = np.full(n_arms, 0.5)
        self._waiting: deque[tuple[str, Payment]] = deque()
        self._n = 0

    def update(self, arm: int, *, reward: float) -> None:
        """Fold the reward of the pull that was made longest ago."""
        decision_id, payment = self._waiting.popleft()
        self._layer.answered(decision_id, status="approved" if reward else "declined", at_us=self._now_us)
        self._layer.update(
            payment,
            self._routes[arm],
            p_model=0.5,
            status="approved" if reward else "declined",
            response_code=None if reward else "05",
            arrived_us=self._now_us,
        )

    def _corrected(self) -> Corrected:
        self._now_us += PULL_US
        self._payment = PAYMENTS[int(self._luck.integers(N_ISSUERS))]
        return self._layer.correct(self._payment, self._routes, p_model=self._p_model, at_us=self._now_us)

    def _sent(self, arm: int) -> None:
        """This arm is pulled; its reward is told later."""
        self._n += 1
        self._layer.sent(f"dec_{self._n}", self._routes[arm], at_us=self._now_us)
        self._waiting.append((f"dec_{self._n}", self._payment))


class FastLayerThompson(_FastLayer):
    """A normal draw for each arm."""

    def scores(self) -> NDArray[np.float64]:
        """A draw for each arm."""
        p, sd = self._corrected()
        drawn: NDArray[np.float64] = p + sd * self._luck.standard_normal(len(p))
        self._sent(int(np.argmax(drawn)))
        return drawn


class FastLayerInverseGap(_FastLayer):
    """One arm by inverse-gap weighting, as decisions draw theirs."""

    def scores(self) -> NDArray[np.float64]:
        """1 for the arm that was drawn."""
        p, sd = self._corrected()
        chosen = propensities((p * WORTH_MINOR).tolist(), budget_minor=BUDGET_MINOR, spread=(sd * WORTH_MINOR).tolist())
        arm = pick(chosen, draw=self._luck.random())
        self._sent(arm)
        return np.eye(len(p))[arm]


ALGORITHMS: dict[str, Callable[[BanditProblem, int], Bandit]] = {
    "GLR-klUCB": lambda problem, _: GlrKlUcb(problem.n_arms, horizon=problem.horizon, n_changes=problem.n_changes),
    "sliding window UCB, 200": lambda problem, _: SlidingWindowUcb(problem.n_arms, window=200),
    "discounted Thompson, 0.995": lambda problem, seed: DiscountedThompson(problem.n_arms, discount=0.995, seed=seed),
    "Thompson, never forgets": lambda problem, seed: DiscountedThompson(problem.n_arms, discount=1.0, seed=seed),
    "fast layer, normal draw": lambda problem, seed: FastLayerThompson(problem.n_arms, seed=seed),
    "fast layer, inverse gap": lambda problem, seed: FastLayerInverseGap(problem.n_arms, seed=seed),
}


def main() -> None:
    """Play every algorithm on every problem and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20, help="runs of each case")
    parser.add_argument("--first-seed", type=int, default=0, help="of the runs")
    parser.add_argument("--only", default="", help="play only algorithms with this in their name")
    asked = parser.parse_args()
    seeds = range(asked.first_seed, asked.first_seed + asked.seeds)
    columns = [(problem, late) for late in (0, 200) for problem in PROBLEMS]
    print(f"{'algorithm':28}" + "".join(f"{problem.name + (' late' if late else ''):>12}" for problem, late in columns))
    for name, make in ALGORITHMS.items():
        if asked.only not in name:
            continue
        cells = []
        for problem, late in columns:
            lost = [regret(make, problem=problem, seed=seed, late=late) for seed in seeds]
            error = stdev(lost) / math.sqrt(len(lost)) if len(lost) > 1 else math.nan
            cells.append(f"{fmean(lost):6.0f} ±{error:4.0f}")
        print(f"{name:28}" + "".join(f"{cell:>12}" for cell in cells), flush=True)


if __name__ == "__main__":
    main()

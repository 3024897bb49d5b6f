"""Bandits: policies that know nothing but the answers of each arm. Scores only; whoever asks takes the highest.

For problems whose means change now and then (piecewise stationary), after Besson and Kaufmann, "The Generalized Likelihood Ratio Test
meets klUCB" (arXiv 1902.01575), and Raj and Kalyani, "Taming Non-stationary Bandits: A Bayesian Approach" (arXiv 1707.09727).
"""

from __future__ import annotations

import math
from collections import deque
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

CHECK_EVERY = 10
"""Rewards of one arm between two tests for a change, and points in time between those that are tested."""
_TINY = 1e-12


class Bandit(Protocol):
    """Arms 0 to n-1 with rewards in [0, 1]."""

    def scores(self) -> NDArray[np.float64]:
        """A score for each arm, the highest to be pulled: (n_arms,)."""

    def update(self, arm: int, *, reward: float) -> None:
        """Take in the reward of a pull."""


class DiscountedThompson:
    """Thompson sampling with Beta posteriors that forget: every count shrinks by `discount` with each reward of any arm.

    >>> DiscountedThompson(2, discount=1.0, seed=1).scores().shape
    (2,)
    """

    def __init__(self, n_arms: int, *, discount: float, seed: int) -> None:
        self._wins, self._losses = np.zeros(n_arms), np.zeros(n_arms)
        self._discount = discount
        self._rng = np.random.default_rng(seed)

    def scores(self) -> NDArray[np.float64]:
        """A draw from the posterior of each arm."""
        return self._rng.beta(1.0 + self._wins, 1.0 + self._losses)

    def update(self, arm: int, *, reward: float) -> None:
        """Forget a little, then count."""
        self._wins *= self._discount
        self._losses *= self._discount
        self._wins[arm] += reward
        self._losses[arm] += 1.0 - reward


class SlidingWindowUcb:
    """UCB over the last `window` rewards of each arm."""

    def __init__(self, n_arms: int, *, window: int, width: float = 2.0) -> None:
        self._seen: list[deque[float]] = [deque(maxlen=window) for _ in range(n_arms)]
        self._width = width

    def scores(self) -> NDArray[np.float64]:
        """Mean and half-width of each arm's window; infinite for an arm that was never pulled."""
        total = sum(len(seen) for seen in self._seen)
        return np.array(
            [
                math.inf if not seen else sum(seen) / len(seen) + math.sqrt(self._width * math.log(max(2, total)) / (2.0 * len(seen)))
                for seen in self._seen
            ]
        )

    def update(self, arm: int, *, reward: float) -> None:
        """Put the reward into the window of its arm."""
        self._seen[arm].append(reward)


class GlrKlUcb:
    """klUCB that starts an arm afresh when a generalized likelihood ratio test finds that its mean has changed.

    horizon, n_changes  pulls and changes to be expected: they set the false alarm rate 1/sqrt(arms x changes x horizon) and the share
                        of pulls that go to the arms in turn, so that a change of an arm that is not pulled is found too
    """

    def __init__(self, n_arms: int, *, horizon: int, n_changes: int = 4) -> None:
        self._seen: list[list[float]] = [[] for _ in range(n_arms)]
        self._n_pulls = 0
        changes = max(1, n_changes)
        self._confidence = 1.0 / math.sqrt(n_arms * changes * horizon)
        forced = 0.05 * math.sqrt(n_arms * changes * math.log(horizon) / horizon)
        self._every = max(n_arms, math.ceil(n_arms / max(forced, _TINY)))

    def scores(self) -> NDArray[np.float64]:
        """klUCB index of each arm since it was last started afresh; infinite for the arm whose turn it is."""
        turn = self._n_pulls % self._every
        local = sum(len(seen) for seen in self._seen)
        scores = np.array([_kl_ucb(seen, n_pulls=local) for seen in self._seen])
        if turn < len(self._seen):
            scores[turn] = math.inf
        return scores

    def update(self, arm: int, *, reward: float) -> None:
        """Count, and test now and then."""
        self._n_pulls += 1
        seen = self._seen[arm]
        seen.append(reward)
        if len(seen) % CHECK_EVERY == 0 and changed(np.asarray(seen), confidence=self._confidence):
            seen.clear()


def changed(rewards: NDArray[np.float64], *, confidence: float) -> bool:
    """Whether the Bernoulli GLR test finds a change of mean anywhere within `rewards`, false alarms at most `confidence`.

    Threshold ln(3 n^1.5 / confidence) (Besson and Kaufmann, section 2).
    """
    n = len(rewards)
    if n < 2 * CHECK_EVERY:
        return False
    sums = np.cumsum(rewards)
    at = np.arange(CHECK_EVERY, n, CHECK_EVERY)
    before, after = sums[at - 1] / at, (sums[-1] - sums[at - 1]) / (n - at)
    mean = sums[-1] / n
    ratio = at * _kl(before, mean) + (n - at) * _kl(after, mean)
    return bool(ratio.max() >= math.log(3.0 * n**1.5 / confidence))


def _kl_ucb(seen: list[float], *, n_pulls: int) -> float:
    n = len(seen)
    if n == 0:
        return math.inf
    mean = sum(seen) / n
    room = math.log(max(2, n_pulls)) / n
    low, high = mean, 1.0
    for _ in range(12):
        middle = 0.5 * (low + high)
        if _kl_scalar(mean, middle) > room:
            high = middle
        else:
            low = middle
    return 0.5 * (low + high)


def _kl_scalar(p: float, q: float) -> float:
    p, q = min(max(p, _TINY), 1.0 - _TINY), min(max(q, _TINY), 1.0 - _TINY)
    return p * math.log(p / q) + (1.0 - p) * math.log((1.0 - p) / (1.0 - q))


def _kl(p: NDArray[np.float64], q: float) -> NDArray[np.float64]:
    p = np.clip(p, _TINY, 1.0 - _TINY)
    q = min(max(q, _TINY), 1.0 - _TINY)
    return p * np.log(p / q) + (1.0 - p) * np.log((1.0 - p) / (1.0 - q))

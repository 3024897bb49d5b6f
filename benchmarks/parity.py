"""Parity of a week: every feature vector that an engine served against what SQL recomputes from its log.

python benchmarks/parity.py [--vectors N] [--seed N]

Payments of a simulated world are asked about over seven days, 8 candidates each. Answers come after seconds, minutes, hours or days, in the
order of their arrival; some are reported twice, some not at all. The engine is stopped and restored twice, from a snapshot of some time
before and the log. The model is a constant: which candidate is chosen does not matter here, what was served does.
Exits with 1 on any difference.
"""

from __future__ import annotations

import argparse
import heapq
import random
import sys
import tempfile
import time
from pathlib import Path

import msgspec
import numpy as np
from made import ROUTES_MAX, settings
from numpy.typing import NDArray

from honour.arena.demo import simulate
from honour.features.parity import compare
from honour.records.attempt import Attempt, Outcome
from honour.records.decision import DecisionRequest
from honour.records.event import ServedFeatures
from honour.records.instant import from_us, to_us
from honour.serving.hot_path import Engine
from honour.serving.recovery import restore, snapshot
from honour.stores.sqlite import sqlite_log

WEEK_US = 7 * 86_400_000_000
DELAYS_S = ((0.80, 1, 8), (0.12, 60, 1_800), (0.06, 3_600, 36_000), (0.02, 86_400, 200_000))
"""Share of answers that come within these seconds."""


class Constant:
    """A model that finds every candidate alike."""

    def predict_many(self, served: ServedFeatures) -> NDArray[np.float64]:
        """One number for each candidate."""
        return np.full(len(served.candidates), 0.8)


class Week:
    """The play: what is asked, and the answers that are on their way."""

    def __init__(self, folder: Path, *, seed: int) -> None:
        self._folder, self._luck = folder, random.Random(seed)
        self._settings = settings(folder, n_routes=ROUTES_MAX)
        self._coming: list[tuple[int, int, Outcome]] = []
        self.n_decisions = self.n_vectors = self.n_answers = self.n_late = self.n_restarts = 0
        self.engine = self._open()

    def ask(self, attempt: Attempt, *, at_us: int) -> None:
        """Ask about a payment, and let its answer come some time."""
        made = self.engine.decide(DecisionRequest(payment=attempt.payment, at=from_us(at_us)))
        if not made.is_news:
            return
        decision = made.answer
        self.n_decisions += 1
        self.n_vectors += sum(ranked.eligible for ranked in decision.ranking)
        if decision.attempt is None or self._luck.random() < 0.01:
            return
        outcome = Outcome(
            decision_id=decision.decision_id, status=attempt.status, response_code=attempt.response_code, latency_ms=attempt.latency_ms
        )
        uniform, (_, low_s, high_s) = self._luck.random(), DELAYS_S[-1]
        for share, low, high in DELAYS_S:
            uniform -= share
            if uniform < 0:
                low_s, high_s = low, high
                break
        comes_us = at_us + int(self._luck.uniform(low_s, high_s) * 1e6)
        self.n_late += low_s >= 60
        for again_us in (0, 5_000_000)[: 1 + (self._luck.random() < 0.02)]:
            heapq.heappush(self._coming, (comes_us + again_us, len(self._coming) + self.n_decisions * 1_000_000, outcome))

    def hear(self, until_us: int) -> None:
        """Report the answers that have come by then."""
        while self._coming and self._coming[0][0] <= until_us:
            at_us, _, outcome = heapq.heappop(self._coming)
            self.engine.report_outcome(msgspec.structs.replace(outcome, at=from_us(at_us)))
            self.n_answers += 1

    def keep(self) -> None:
        """Write a snapshot, as a service does from time to time."""
        self._settle()
        snapshot(self.engine.state, folder=self._folder / "snapshots")

    def restart(self) -> None:
        """Stop, and begin again with the last snapshot and the log."""
        self.stop()
        self.engine = self._open()
        self.n_restarts += 1

    def stop(self) -> None:
        """Close the log once everything in it is durable."""
        self._settle()
        self.engine.log.close()

    def _settle(self) -> None:
        if self.engine.newest is not None:
            self.engine.newest.result(timeout=60)

    def _open(self) -> Engine:
        log = sqlite_log(self._folder / "events.db")
        return Engine(
            self._settings, log=log, state=restore(log, snapshots=self._folder / "snapshots"), model=Constant(), bundle_id="constant"
        )


def main() -> None:
    """Play the week, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vectors", type=int, default=1_000_000, help="feature vectors to serve")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="honour-parity-") as name:
        folder = Path(name)
        told = _play(folder, n_vectors=given.vectors, seed=given.seed)
        print(f"{told}; {time.perf_counter() - began:.0f} s", flush=True)
        log = sqlite_log(folder / "events.db", read_only=True)
        found = compare(log.read(), threads=1, memory_limit="4GB")
        log.close()
    wrong = [one for one in found.features if one.mismatch or one.missing or one.extra]
    n_values = sum(one.n for one in found.features)
    print(f"{found.candidates} vectors of {found.decisions} decisions, {len(found.features)} features, {n_values} values compared")
    mismatch, missing, extra = (sum(getattr(one, kind) for one in wrong) for kind in ("mismatch", "missing", "extra"))
    print(f"{mismatch} mismatches, {missing} missing, {extra} extra")
    for one in wrong:
        print(f"  {one.feature}: {one.mismatch} mismatch, {one.missing} missing, {one.extra} extra, for example {one.example}")
    print(f"{time.perf_counter() - began:.0f} s")
    if wrong:
        sys.exit(1)


def _play(folder: Path, *, n_vectors: int, seed: int) -> str:
    """Live the week; what happened, in words."""
    simulate(folder / "asked.ndjson", scenario="calm", payments=int(1.25 * n_vectors / ROUTES_MAX), seed=seed, step=lambda *_: None)
    with (folder / "asked.ndjson").open("rb") as file:
        asked = [attempt_of(line) for line in file]
    asked.sort(key=lambda attempt: attempt.attempted_at)
    first, last = to_us(asked[0].attempted_at), to_us(asked[-1].attempted_at)
    week = Week(folder, seed=seed)
    for at, attempt in enumerate(asked):
        if week.n_vectors >= n_vectors:
            break
        at_us = first + (to_us(attempt.attempted_at) - first) * WEEK_US // (last - first)
        week.hear(at_us)
        week.ask(attempt, at_us=at_us)
        share = at / len(asked)
        if at in (len(asked) // 4, len(asked) // 2):
            week.keep()
        if at in (len(asked) // 3, 2 * len(asked) // 3):
            week.restart()
        if at % 10_000 == 0:
            print(f"  {share:.0%} of the week", file=sys.stderr)
    week.hear(first + 2 * WEEK_US)
    week.stop()
    return f"{week.n_decisions} decisions, {week.n_answers} answers reported, {week.n_late} late, {week.n_restarts} restarts"


def attempt_of(line: bytes) -> Attempt:
    """An attempt as `honour simulate` writes it."""
    said = msgspec.json.decode(line)
    del said["type"]
    return msgspec.convert(said, Attempt)


if __name__ == "__main__":
    main()

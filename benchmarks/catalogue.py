"""What the shelf is worth: log loss on later attempts of simulated worlds, with the live features and with everything.

python benchmarks/catalogue.py [--seeds N] [--payments N] [--first-seed N]

Each seed is a world of its own. The same gradient-boosted trees (300 x 31 leaves, no tuning, no early stop) are fitted on the first three
quarters of its attempts, once on the columns that are live and once on those of the shelf too, and judged on the last quarter.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import lightgbm
import numpy as np
import pandas as pd
from parity import attempt_of

from honour.arena.demo import simulate
from honour.features.catalogue import CATALOGUE, LIBRARY
from honour.features.offline import training_set
from honour.records.event import AttemptReported, LoggedEvent
from honour.records.instant import to_us

GROWN = {"objective": "binary", "num_leaves": 31, "learning_rate": 0.03, "min_data_in_leaf": 40, "num_threads": 1, "verbose": -1, "seed": 1}


def main() -> None:
    """Fit, judge, print each world and the mean difference with its 95 % interval."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--payments", type=int, default=10_000)
    given = parser.parse_args()
    differences = []
    for seed in range(given.first_seed, given.first_seed + given.seeds):
        frame = _frame(seed, payments=given.payments)
        live, everything = (_later_log_loss(frame, list(names)) for names in (CATALOGUE.names, LIBRARY.names))
        differences.append(everything - live)
        print(f"seed {seed}: {len(frame)} attempts, log loss {live:.4f} live, {everything:.4f} with the shelf", flush=True)
    mean = float(np.mean(differences))
    if len(differences) > 1:
        half = 1.96 * float(np.std(differences, ddof=1)) / len(differences) ** 0.5
        print(f"with the shelf {mean:+.4f} [{mean - half:+.4f}, {mean + half:+.4f}] over {len(differences)} worlds; below 0 is better")


def _frame(seed: int, *, payments: int) -> pd.DataFrame:
    with tempfile.TemporaryDirectory(prefix="honour-catalogue-") as name:
        file = Path(name) / "attempts.ndjson"
        simulate(file, scenario="calm", payments=payments, seed=seed, step=lambda *_: None)
        with file.open("rb") as lines:
            attempts = [attempt_of(line) for line in lines]
    events = sorted(((to_us(one.happened_at or one.attempted_at), one) for one in attempts), key=lambda pair: pair[0])
    log = [LoggedEvent(seq=at, arrived_us=us, event=AttemptReported(attempt=one)) for at, (us, one) in enumerate(events, start=1)]
    return training_set(log, catalogue=LIBRARY, threads=1).to_pandas().sort_values("at_us", kind="stable")


def _later_log_loss(frame: pd.DataFrame, names: list[str]) -> float:
    until = int(0.75 * len(frame))
    matrix = frame[names].copy()
    for feature in LIBRARY.features:
        if feature.name in matrix and feature.kind == "category":
            matrix[feature.name] = matrix[feature.name].astype("category")
        elif feature.name in matrix:
            matrix[feature.name] = pd.to_numeric(matrix[feature.name])
    approved = frame["approved"].to_numpy()
    booster = lightgbm.train(GROWN, lightgbm.Dataset(matrix.iloc[:until], label=approved[:until]), num_boost_round=300)
    p = np.clip(booster.predict(matrix.iloc[until:]), 1e-6, 1 - 1e-6)
    y = approved[until:]
    return float(-np.mean(y * np.log(p) + (1 - y) * np.log(1 - p)))


if __name__ == "__main__":
    main()

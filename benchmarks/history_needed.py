"""How much of what a model loses by its choice of the first attempt is for lack of history: a parametric bootstrap.

    python benchmarks/history_needed.py --seeds 101 102 --histories 15000 60000

For each world and history: what the model in force loses a payment by the chances that can be known, as `route_choice.py` counts it, and by
those of one who knows issuers and routes but no card; then what a model of the same kind, fitted on the same attempts with answers drawn
anew from its own tables, loses if these tables are the truth. That much is lost to chance by any model of its kind which has only so
many attempts; the rest is what the kind cannot say. Minor units a payment, means over the first attempts of shoppers.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq  # type: ignore[import-untyped]  # pyarrow ships no types
from attribution import N_STRANGERS, Strangers
from numpy.typing import NDArray
from route_choice import FirstAttempts

from honour.approval.calibration import expit
from honour.arena.learned import learn
from honour.features.catalogue import CANDIDATE_FEATURES, FEATURES, PAYMENT_FEATURES
from honour.learning.dataset import Rows, rows_of
from honour.learning.fit import fit_encoder
from honour.learning.kinds.logistic import made_as_told
from honour.learning.kinds.named import kind_named, told_by_catalogue
from honour.records.event import ServedFeatures
from honour.simulator import scenario as scenarios
from honour.simulator.baselines.knowable import Knowable
from honour.simulator.baselines.rule import Trail
from honour.simulator.played import play
from honour.simulator.world import World

Floats = NDArray[np.float64]
STEPS = 30
"""Tens of trees of the refitted models: about what a search finds on so many attempts."""


class Asked(FirstAttempts):
    """First attempts with the features that were served, and the chances of one who knows no card."""

    def __init__(self, world: World, learned: Any) -> None:
        super().__init__(world, learned, [learned.bundle.model])
        self._strangers = [Knowable(Strangers(world, number)) for number in range(N_STRANGERS)]  # type: ignore[arg-type]  # it stands in for one
        self.served: list[ServedFeatures] = []
        self.by_issuer: list[Floats] = []

    def predict_many(self, served: ServedFeatures) -> Floats:
        """What the model says."""
        n_before = len(self.rows)
        said = super().predict_many(served)
        if len(self.rows) > n_before:
            assert self._asked is not None
            payment, at_us = self._asked
            self.served.append(served)
            self.by_issuer.append(
                np.mean([each.p_approve(payment, self.rows[-1][1], trail=Trail(), at_us=at_us) for each in self._strangers], axis=0)
            )
        return said

    def lost_by(self, truth: list[Floats], said: list[Floats]) -> float:
        """Mean loss of the choices by `said` when `truth` holds, over shoppers' payments."""
        found = []
        for row, known, p in zip(self.rows, truth, said, strict=True):
            if row[0].initiator == "customer":
                worth = self.values(row, known)
                found.append(max(worth) - worth[int(np.argmax(self.values(row, p)))])
        return float(np.mean(found))

    def columns(self) -> dict[str, NDArray[Any]]:
        """Raw features of every candidate."""
        names = [feature.name for feature in (*PAYMENT_FEATURES, *CANDIDATE_FEATURES)]
        values = [(*served.payment, *candidate) for served in self.served for candidate in served.candidates]
        by_name = dict(zip(names, zip(*values, strict=True), strict=True))
        return {
            feature.name: np.array(by_name[feature.name], dtype=object if feature.kind == "category" else np.float64)
            for feature in FEATURES
        }


def own_truth(rows: Rows, asked: Asked, *, draws: int) -> list[float]:
    """What refitted models lose when the tables of the first fit are the truth, one for each draw of the answers."""
    told, named = told_by_catalogue(seed=1, n_threads=1), kind_named("mixed")
    encoder = fit_encoder(rows.columns, approved=rows.approved, encoding=named.encoding)
    matrix, candidates = rows.encoded(encoder), encoder.encode_columns(asked.columns())
    sizes = np.cumsum([len(row[1]) for row in asked.rows])[:-1]
    tables = made_as_told(told).fit(matrix, rows.approved)
    truth, p_rows = np.split(expit(tables.decision_function(candidates)), sizes), expit(tables.decision_function(matrix))
    lost = []
    for seed in range(draws):
        answers = (np.random.default_rng(seed).random(len(rows)) < p_rows).astype(float)
        model = named.make(named.configurations[1], told)
        model.n_steps = STEPS
        lost.append(asked.lost_by(truth, np.split(expit(model.fit(matrix, answers).decision_function(candidates)), sizes)))
    return lost


def main() -> None:
    """Learn, play, refit and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[101, 102])
    parser.add_argument("--histories", type=int, nargs="+", default=[15_000, 60_000], help="payments of history")
    parser.add_argument("--payments", type=int, default=3_000)
    parser.add_argument("--draws", type=int, default=3, help="times that answers are drawn anew")
    told = parser.parse_args()
    scenario = scenarios.load("calm").sized(told.payments)
    print(f"{'world':>6s} {'history':>8s} {'by what can be known':>22s} {'by issuers and routes':>22s} {'own tables the truth':>22s}")
    for seed in told.seeds:
        for history in told.histories:
            with tempfile.TemporaryDirectory(prefix="honour-history-") as made:
                folder = Path(made)
                learned = learn(folder, scenario=scenario, seed=seed, payments=history, step=lambda *_: None, threads=1)
                world = World(scenario, seed=seed, stream=1)
                asked = Asked(world, learned)
                play(world, policy=asked)
                said = [row[3][0] for row in asked.rows]
                by_known, by_issuer = asked.lost_by([row[2] for row in asked.rows], said), asked.lost_by(asked.by_issuer, said)
                rows = rows_of(pq.read_table(next((folder / "training").glob("*.parquet"))))
                own = own_truth(rows, asked, draws=told.draws)
            print(f"{seed:6d} {history:8d} {by_known:22.1f} {by_issuer:22.1f} {np.mean(own):15.1f} ± {np.std(own):.1f}", flush=True)


if __name__ == "__main__":
    main()

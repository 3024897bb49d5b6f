"""How much a kind of model loses by its choice of the first attempt: every kind asked about the same payments, judged by what can be known.

    python benchmarks/route_choice.py --kinds lightgbm logistic --seeds 301 302 303 --payments 4000 --history 15000

Each world is played once by Honour with the first kind and no fast layer; of each payment's first attempt all kinds say what they would
send, by expected profit of that attempt alone. Printed for each kind: what that choice earns less than the best would, in minor units a
payment, by the chances of the knowable oracle (it knows everything but luck and what the shopper does next), and the log loss of the
kind's chances of all candidates under those; the intervals are of the difference to the first kind, over payments.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from attribution import PLACES, ChancesKnown
from numpy.typing import NDArray

from honour import loop
from honour.arena.engine_policy import EnginePolicy
from honour.arena.learned import HISTORY_DAYS, HOLDOUT_SHARE, Learned, learn
from honour.policy.value import cost_of, expected_values_minor
from honour.records.event import ServedFeatures
from honour.records.payment import Payment
from honour.records.route import Candidate
from honour.records.settings import PolicySettings
from honour.release.bundle import load_bundle
from honour.simulator import scenario as scenarios
from honour.simulator.played import play
from honour.simulator.world import World

Floats = NDArray[np.float64]


class FirstAttempts(ChancesKnown):
    """Honour with the first of `models`, writing down of each payment's first attempt what all of them say and what can be known."""

    def __init__(self, world: World, learned: Learned, models: list[Any]) -> None:
        settings = msgspec.structs.replace(
            learned.settings, routes=world.routes, policy=PolicySettings(salt=f"{world.seed}/{world.stream}", fast_layer=False)
        )
        self.settings, self._models = settings, models
        self._asked_of: set[str] = set()
        self.rows: list[tuple[Payment, list[Candidate], Floats, list[Floats]]] = []
        super().__init__(world, lambda known: EnginePolicy(settings, bundle=learned.bundle, state=learned.state, model=known))

    def predict_many(self, served: ServedFeatures) -> Floats:
        """What the first model says."""
        assert self._asked is not None
        payment, _ = self._asked
        if payment.payment_id in self._asked_of:
            return np.asarray(self._models[0].predict_many(served))
        self._asked_of.add(payment.payment_id)
        said = [np.clip(model.predict_many(served), 1e-6, 1.0 - 1e-6) for model in self._models]
        forms = [Candidate(*(values[place] for place in PLACES)) for values in served.candidates]  # type: ignore[arg-type]  # by the catalogue, strings
        self.rows.append((payment, forms, super().predict_many(served), said))
        return said[0]

    def values(self, row: tuple[Payment, list[Candidate], Floats, list[Floats]], p: Floats) -> list[float]:
        """What each attempt of a row is worth alone, minor units, if `p` are the chances."""
        payment, forms, _, _ = row
        routes = {route.id: route for route in self.settings.routes}
        costs = [cost_of(payment, candidate=one, route=routes[one.route]) for one in forms]
        terms = self.settings.terms_of(payment.merchant_id)
        return expected_values_minor(p.tolist(), amount_minor=payment.amount_minor, terms=terms, costs=costs)

    def lost(self) -> Floats:
        """Minor units lost by each kind's choice, (n_payments, n_kinds)."""
        found = np.empty((len(self.rows), len(self._models)))
        for at, row in enumerate(self.rows):
            truth = self.values(row, row[2])
            found[at] = [max(truth) - truth[int(np.argmax(self.values(row, p)))] for p in row[3]]
        return found

    def log_losses(self) -> Floats:
        """Expected log loss over all candidates, (n_kinds,)."""
        known = np.concatenate([row[2] for row in self.rows])
        said = [np.concatenate([row[3][at] for row in self.rows]) for at in range(len(self._models))]
        return np.array([-(known * np.log(p) + (1.0 - known) * np.log1p(-p)).mean() for p in said])


def main() -> None:
    """Learn, play and print, world by world, then over all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kinds", nargs="+", default=["lightgbm", "logistic"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[301, 302, 303])
    parser.add_argument("--payments", type=int, default=4_000)
    parser.add_argument("--history", type=int, default=15_000)
    asked = parser.parse_args()
    scenario = scenarios.load("calm").sized(asked.payments)
    everything: list[Floats] = []
    for seed in asked.seeds:
        with tempfile.TemporaryDirectory(prefix="honour-route-choice-") as made:
            folder = Path(made)
            learned = learn(folder, scenario=scenario, seed=seed, payments=asked.history, step=lambda *_: None, threads=1)
            models = [_model(folder, kind) for kind in asked.kinds]
            world = World(scenario, seed=seed, stream=1)
            first = FirstAttempts(world, learned, models)
            play(world, policy=first)
            everything.append(first.lost())
            _print(f"world {seed}", asked.kinds, everything[-1], log_losses=first.log_losses())
    _print("all", asked.kinds, np.concatenate(everything))


def _model(folder: Path, kind: str) -> Any:
    out, days = folder / f"bundle-{kind}", HISTORY_DAYS * HOLDOUT_SHARE
    loop.train(folder, out=out, until=None, holdout_days=days, seed=1, step=lambda *_: None, threads=1, kind=kind)
    return load_bundle(out).model


def _print(what: str, kinds: list[str], lost: Floats, log_losses: Floats | None = None) -> None:
    less = lost - lost[:, :1]
    error = 1.96 * less.std(axis=0) / len(less) ** 0.5
    for at, kind in enumerate(kinds):
        loss = "" if log_losses is None else f"  log loss {log_losses[at]:.4f}"
        print(
            f"{what:10s} {kind:10s} loses {lost[:, at].mean():6.1f}, {less[:, at].mean():+6.1f} ± {error[at]:.1f} to the first{loss}",
            flush=True,
        )


if __name__ == "__main__":
    main()

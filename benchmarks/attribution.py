"""Where a policy loses money against what can be known: Honour's engine with parts of it replaced, in the same worlds.

    python benchmarks/attribution.py --seeds 101 102 --streams 2 --history 15000

chances known     Honour decides as always, with the knowable oracle's chances in place of its model's: what is left to the knowable
                  oracle is lost on what follows an attempt (recovery, retries); what lies to Honour is lost by the model
no fast layer     what the fast layer adds or costs; "no exploration" is what learning costs
Expected margins, cents per payment, of payments that a shopper and that a merchant started, each over all payments.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import fmean, stdev

import msgspec
import numpy as np
from numpy.typing import NDArray

from honour.arena.engine_policy import EnginePolicy
from honour.arena.learned import Learned, learn
from honour.features.catalogue import CANDIDATE_FEATURES
from honour.records.attempt import Dispute, Outcome
from honour.records.decision import Decision, DecisionRequest
from honour.records.event import ServedFeatures
from honour.records.instant import to_us
from honour.records.payment import Payment
from honour.records.route import Candidate, Route
from honour.records.settings import PolicySettings
from honour.simulator import scenario as scenarios
from honour.simulator.baselines.fixed import static_rules
from honour.simulator.baselines.knowable import Knowable, knowable_oracle
from honour.simulator.baselines.oracle import oracle
from honour.simulator.baselines.rule import Trail
from honour.simulator.lineup import MakePolicy
from honour.simulator.played import play
from honour.simulator.world import World

PLACES = [[feature.name for feature in CANDIDATE_FEATURES].index(name) for name in Candidate._fields]


class ChancesKnown:
    """Honour with the chances of the knowable oracle."""

    def __init__(self, world: World, make: Callable[[ChancesKnown], EnginePolicy]) -> None:
        self._known = Knowable(world)
        self._trails: dict[str, Trail] = {}
        self._sent: dict[str, tuple[str, Candidate]] = {}
        self._asked: tuple[Payment, int] | None = None
        self._engine = make(self)

    def predict_many(self, served: ServedFeatures) -> NDArray[np.float64]:
        """Chances of the candidates of the payment that is decided on."""
        assert self._asked is not None
        payment, at_us = self._asked
        forms = [Candidate(*(values[place] for place in PLACES)) for values in served.candidates]  # type: ignore[arg-type]  # by the catalogue, strings
        p = self._known.p_approve(payment, forms, trail=self._trails.get(payment.payment_id, Trail()), at_us=at_us)
        return np.clip(p, 1e-6, 1.0 - 1e-6)

    def decide(self, request: DecisionRequest) -> Decision:
        """Honour's decision."""
        assert request.at is not None
        payment, at_us = request.payment, to_us(request.at)
        self._asked = payment, at_us
        decision = self._engine.decide(request)
        if decision.attempt is not None:
            chosen = decision.attempt
            self._known.p_approve(payment, (), trail=self._trails.get(payment.payment_id, Trail()), at_us=at_us)
            self._sent[decision.decision_id] = payment.payment_id, Candidate(chosen.route, chosen.authentication, chosen.credential)
            self._known.sent(payment, at_us=at_us)
        return decision

    def report(self, outcome: Outcome) -> object:
        """Both hear of it."""
        if outcome.decision_id in self._sent:
            payment_id, candidate = self._sent.pop(outcome.decision_id)
            trail = self._trails.get(payment_id, Trail())
            self._trails[payment_id] = Trail((*trail.tried, candidate), outcome)
        return self._engine.report(outcome)

    def dispute(self, dispute: Dispute) -> object:
        """The engine hears of it."""
        return self._engine.dispute(dispute)

    def take_routes(self, routes: tuple[Route, ...]) -> object:
        """The engine hears of them."""
        return self._engine.take_routes(routes)


def policies(learned: Learned) -> dict[str, MakePolicy]:
    """Whole and in parts, the one that the others are measured from first."""

    def engine(world: World, *, fast: bool, explores: bool, known: ChancesKnown | None = None) -> EnginePolicy:
        settings = msgspec.structs.replace(
            learned.settings, routes=world.routes, policy=PolicySettings(salt=f"{world.seed}/{world.stream}", fast_layer=fast)
        )
        if not explores:
            greedy = {name: msgspec.structs.replace(terms, exploration_budget_minor=0.0) for name, terms in settings.merchants.items()}
            settings = msgspec.structs.replace(settings, merchants=greedy)
        return EnginePolicy(settings, bundle=learned.bundle, state=learned.state, model=known)

    return {
        "static rules": static_rules,
        "Honour": lambda world: engine(world, fast=True, explores=True),
        "no exploration": lambda world: engine(world, fast=True, explores=False),
        "no fast layer": lambda world: engine(world, fast=False, explores=False),
        "chances known": lambda world: ChancesKnown(world, lambda known: engine(world, fast=False, explores=False, known=known)),
        "knowable oracle": knowable_oracle,
        "oracle": oracle,
    }


def main() -> None:
    """Play, and print means over worlds with standard errors of the difference to static rules."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenario", default="calm")
    parser.add_argument("--seeds", type=int, nargs="+", default=[101, 102])
    parser.add_argument("--streams", type=int, default=2)
    parser.add_argument("--payments", type=int, default=3_000)
    parser.add_argument("--history", type=int, default=15_000)
    asked = parser.parse_args()
    scenario = scenarios.load(asked.scenario).sized(asked.payments)
    found: dict[str, list[tuple[float, float]]] = {}
    for seed in asked.seeds:
        with tempfile.TemporaryDirectory(prefix="honour-attribution-") as folder:
            learned = learn(Path(folder), scenario=scenario, seed=seed, payments=asked.history, step=lambda *_: None, threads=1)
            for stream in range(1, asked.streams + 1):
                world = World(scenario, seed=seed, stream=stream)
                for name, make in policies(learned).items():
                    played = play(world, policy=make(world))
                    parts = [float(np.where(mask, played.expected_margin_minor, 0.0).mean()) for mask in (~played.renewal, played.renewal)]
                    found.setdefault(name, []).append((parts[0], parts[1]))
    base = found["static rules"]
    print(f"{'policy':18s} {'shoppers':>9s} {'merchants':>9s}  less static rules")
    for name, parts_of in found.items():
        less = [sum(mine) - sum(rules) for mine, rules in zip(parts_of, base, strict=True)]
        error = stdev(less) / len(less) ** 0.5 if len(less) > 1 else float("nan")
        shoppers, merchants = (fmean(each[at] for each in parts_of) for at in (0, 1))
        print(f"{name:18s} {shoppers:9.1f} {merchants:9.1f}  {fmean(less):+6.1f} ± {error:.1f}")


if __name__ == "__main__":
    main()

"""Where a policy loses money against what can be known: Honour's engine with parts of it replaced, in the same worlds.

    python benchmarks/attribution.py --seeds 101 102 --streams 2 --history 15000
    python benchmarks/attribution.py --scenario outage --parts "no fast layer" "no exploration" "broken known"

chances known     Honour decides as always, with the knowable oracle's chances in place of its model's: what is left to the knowable
                  oracle is lost on what follows an attempt (recovery, retries); what lies to Honour is lost by the model
issuers known     the same, knowing issuers, routes and what is broken now, but of each card only what any card of its issuer might be
                  (the mean over six of them): what lies to Honour could be learned without ever seeing a card twice
broken known      no fast layer; the model's chances times the shares that outages and degradations let pass at that instant: what is to be
                  had by whoever knows at once what broke, and how much of it the fast layer gets
routes closed     Honour with the routes that it began with: what routes that open cost or earn while they ramp
no fast layer     what the fast layer adds or costs, both without exploration; "no exploration" is what learning costs
Expected margins, cents per payment, of payments that a shopper and that a merchant started, each over all payments.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, cast

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
from honour.serving.score import Model
from honour.simulator import scenario as scenarios
from honour.simulator.baselines.fixed import static_rules
from honour.simulator.baselines.knowable import Knowable, knowable_oracle
from honour.simulator.baselines.oracle import oracle
from honour.simulator.baselines.rule import Trail
from honour.simulator.cause import Situation
from honour.simulator.lineup import MakePolicy
from honour.simulator.played import play
from honour.simulator.shopper import CARDS_PER_COUNTRY, Cardholder
from honour.simulator.world import World

N_STRANGERS = 6
BROKEN, ORDINARY = ("route", "degraded", "issuer_down"), 0.01
"""Causes that come and go, and the share of attempts that they stop at an ordinary instant."""
PLACES = [[feature.name for feature in CANDIDATE_FEATURES].index(name) for name in Candidate._fields]


class Strangers:
    """A world in which every card is, for whoever asks, some other card of its issuer."""

    def __init__(self, world: World, number: int) -> None:
        self._world, self._number = world, number
        self._known: dict[str, Cardholder] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._world, name)

    def holder(self, payment: Payment) -> Cardholder:
        """Somebody else with a card of the same kind, of the same issuer if one is found; of the card itself what is printed on it."""
        card = payment.card
        if card.card_id not in self._known:
            own = self._world.holder(payment)
            luck = np.random.default_rng([self._number, *card.card_id.encode()])
            for last in range(1_000):
                number = int(CARDS_PER_COUNTRY * luck.random() ** 2)
                named = msgspec.structs.replace(card, card_id=f"crd_{str(card.issuer_country).lower()}_{number}")
                other = self._world.holder(msgspec.structs.replace(payment, card=named))
                if other.card.funding == card.funding and (other.issuer is own.issuer or last > 500):
                    break
            hidden = {name: getattr(other, name) for name in ("salary", "lasts_days", "rest", "payday", "abroad", "blocked", "risk")}
            self._known[card.card_id] = replace(own, **hidden)
        return self._known[card.card_id]

    def situation(self, payment: Payment, *, candidate: Candidate, at_us: int, earlier: int = 0) -> Situation:
        """Everything that bears on an attempt, with somebody else for its cardholder."""
        found = self._world.situation(payment, candidate=candidate, at_us=at_us, earlier=earlier)
        return found._replace(holder=self.holder(payment))


class ChancesKnown:
    """Honour with the mean chance of those who know."""

    def __init__(self, world: World, make: Callable[[ChancesKnown], EnginePolicy], *, n_strangers: int = 0) -> None:
        self._known = [Knowable(cast(World, Strangers(world, number))) for number in range(n_strangers)] or [Knowable(world)]
        self._trails: dict[str, Trail] = {}
        self._sent: dict[str, tuple[str, Candidate]] = {}
        self._asked: tuple[Payment, int] | None = None
        self._engine = make(self)

    def predict_many(self, served: ServedFeatures) -> NDArray[np.float64]:
        """Chances of the candidates of the payment that is decided on."""
        forms = [Candidate(*(values[place] for place in PLACES)) for values in served.candidates]  # type: ignore[arg-type]  # by the catalogue, strings
        return np.clip(np.mean(self._chances(forms), axis=0), 1e-6, 1.0 - 1e-6)

    def decide(self, request: DecisionRequest) -> Decision:
        """Honour's decision."""
        assert request.at is not None
        payment, at_us = request.payment, to_us(request.at)
        self._asked = payment, at_us
        decision = self._engine.decide(request)
        if decision.attempt is not None:
            chosen = decision.attempt
            self._chances(())  # Weighs what came of the attempt before, if it was not asked for.
            self._sent[decision.decision_id] = payment.payment_id, Candidate(chosen.route, chosen.authentication, chosen.credential)
            for known in self._known:
                known.sent(payment, at_us=at_us)
        return decision

    def _chances(self, forms: Sequence[Candidate]) -> list[NDArray[np.float64]]:
        assert self._asked is not None
        payment, at_us = self._asked
        trail = self._trails.get(payment.payment_id, Trail())
        return [known.p_approve(payment, forms, trail=trail, at_us=at_us) for known in self._known]

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


class BrokenKnown:
    """Honour's model, which learns of what is broken now, and nothing else, from the world."""

    def __init__(self, world: World, learned: Learned, make: Callable[[BrokenKnown], EnginePolicy]) -> None:
        self._world, self._model = world, learned.bundle.model
        self._asked: tuple[Payment, int] | None = None
        self._engine = make(self)
        self.report, self.dispute, self.take_routes = self._engine.report, self._engine.dispute, self._engine.take_routes

    def predict_many(self, served: ServedFeatures) -> NDArray[np.float64]:
        """The model's chances, less what an outage or a degradation stops."""
        assert self._asked is not None
        payment, at_us = self._asked
        passes = []
        for values in served.candidates:
            candidate = Candidate(*(values[place] for place in PLACES))  # type: ignore[arg-type]  # by the catalogue, strings
            stops = self._world.stops(payment, candidate=candidate, at_us=at_us)
            passes.append(np.prod([1.0 - stop.share for stop in stops if stop.cause in BROKEN and stop.share > ORDINARY]))
        return np.clip(self._model.predict_many(served) * np.array(passes), 1e-6, 1.0 - 1e-6)

    def decide(self, request: DecisionRequest) -> Decision:
        """Honour's decision."""
        assert request.at is not None
        self._asked = request.payment, to_us(request.at)
        return self._engine.decide(request)


class RoutesClosed:
    """Honour with the routes that there were at the beginning: those that open are not taken into the settings."""

    def __init__(self, engine: EnginePolicy, *, routes: tuple[Route, ...]) -> None:
        self._engine, self._ids = engine, {route.id for route in routes}
        self.decide, self.report, self.dispute = engine.decide, engine.report, engine.dispute

    def take_routes(self, routes: tuple[Route, ...]) -> object:
        """The engine hears of those it has, with their fees."""
        return self._engine.take_routes(tuple(route for route in routes if route.id in self._ids))


def policies(learned: Learned) -> dict[str, MakePolicy]:
    """Whole and in parts, the one that the others are measured from first."""

    def engine(world: World, *, fast: bool, explores: bool, known: Model | None = None) -> EnginePolicy:
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
        "routes closed": lambda world: RoutesClosed(engine(world, fast=True, explores=True), routes=world.routes),
        "broken known": lambda world: BrokenKnown(world, learned, lambda known: engine(world, fast=False, explores=False, known=known)),
        "issuers known": lambda world: ChancesKnown(
            world, lambda known: engine(world, fast=False, explores=False, known=known), n_strangers=N_STRANGERS
        ),
        "chances known": lambda world: ChancesKnown(world, lambda known: engine(world, fast=False, explores=False, known=known)),
        "knowable oracle": knowable_oracle,
        "oracle": oracle,
    }


def main() -> None:
    """Play, and print means over worlds with standard errors of the difference to the first of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenario", default="calm")
    parser.add_argument("--seeds", type=int, nargs="+", default=[101, 102])
    parser.add_argument("--streams", type=int, default=2)
    parser.add_argument("--payments", type=int, default=3_000)
    parser.add_argument("--history", type=int, default=15_000)
    parser.add_argument("--parts", nargs="+", default=[], help="only these, the one that the others are measured from first; none: all")
    asked = parser.parse_args()
    scenario = scenarios.load(asked.scenario).sized(asked.payments)
    found: dict[str, list[tuple[float, float]]] = {}
    for seed in asked.seeds:
        with tempfile.TemporaryDirectory(prefix="honour-attribution-") as folder:
            learned = learn(Path(folder), scenario=scenario, seed=seed, payments=asked.history, step=lambda *_: None, threads=1)
            for stream in range(1, asked.streams + 1):
                world = World(scenario, seed=seed, stream=stream)
                makers = policies(learned)
                for name in asked.parts or makers:
                    played = play(world, policy=makers[name](world))
                    parts = [float(np.where(mask, played.expected_margin_minor, 0.0).mean()) for mask in (~played.renewal, played.renewal)]
                    found.setdefault(name, []).append((parts[0], parts[1]))
    first = next(iter(found))
    base = found[first]
    print(f"{'policy':18s} {'shoppers':>9s} {'merchants':>9s}  less {first}")
    for name, parts_of in found.items():
        less = [sum(mine) - sum(rules) for mine, rules in zip(parts_of, base, strict=True)]
        error = stdev(less) / len(less) ** 0.5 if len(less) > 1 else float("nan")
        shoppers, merchants = (fmean(each[at] for each in parts_of) for at in (0, 1))
        print(f"{name:18s} {shoppers:9.1f} {merchants:9.1f}  {fmean(less):+6.1f} ± {error:.1f}")


if __name__ == "__main__":
    main()

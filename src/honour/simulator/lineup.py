"""The line-up: every simple policy and mark of the scoreboard, by the names that its table shows."""

from __future__ import annotations

from collections.abc import Callable

from honour.simulator.baselines.bandit_router import glr_router, thompson_router
from honour.simulator.baselines.fixed import cheapest_first, fixed_route, random_route, static_rules
from honour.simulator.baselines.knowable import knowable_oracle
from honour.simulator.baselines.oracle import oracle
from honour.simulator.baselines.router import success_rate_router
from honour.simulator.play import Policy
from honour.simulator.played import play
from honour.simulator.world import World

MakePolicy = Callable[[World], Policy]
FIXED = "fixed "
ORACLE, KNOWABLE = "oracle", "knowable oracle"
TUNING_STREAM = 1_000
"""The stream of a world in which settings are tried; nothing that is reported is played in it."""
WINDOWS, HEDGINGS = (20, 50, 125, 500), (0.01, 0.05, 0.1)

DAILY = tuple(range(1, 15))


def standard_policies(world: World) -> dict[str, MakePolicy]:
    """The baselines and marks for worlds with the same routes as `world`."""
    fixed: dict[str, MakePolicy] = {f"{FIXED}{acquirer.id}": _fixed(acquirer.id) for acquirer in world.acquirers}
    return {**fixed, **LINE_UP}


def tuned_router(world: World) -> Policy:
    """The success-rate router with the window and hedging that earned most in another stream of the same world and scenario."""
    practice = World(world.scenario, seed=world.seed, stream=TUNING_STREAM)
    settings = [(window, hedging) for window in WINDOWS for hedging in HEDGINGS]

    def make(world: World, window: int, hedging: float) -> Policy:
        return success_rate_router(world, seed=world.seed, window=window, hedging=hedging, by_country=True, weighs_cost=True)

    best = max(settings, key=lambda each: float(play(practice, policy=make(practice, *each)).expected_margin_minor.mean()))
    return make(world, *best)


def _fixed(route: str) -> MakePolicy:
    return lambda world: fixed_route(world, route=route)


LINE_UP: dict[str, MakePolicy] = {
    "random": lambda world: random_route(world, seed=world.seed),
    "cheapest first": cheapest_first,
    "static rules": static_rules,
    "static rules, daily": lambda world: static_rules(world, days=DAILY),
    "success rate": lambda world: success_rate_router(world, seed=world.seed),
    "success rate by country": lambda world: success_rate_router(world, seed=world.seed, by_country=True),
    "success rate and cost": lambda world: success_rate_router(world, seed=world.seed, by_country=True, weighs_cost=True),
    "success rate, tuned": tuned_router,
    "Thompson, discounted": thompson_router,
    "GLR-klUCB": glr_router,
    ORACLE: oracle,
    KNOWABLE: knowable_oracle,
}
"""Every policy and mark that is the same in all worlds."""

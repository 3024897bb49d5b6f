"""Retries in simulated worlds: rules that were broken, and Honour beside fixed schedules.

python benchmarks/retries.py violations [--scenario NAME ...] [--seeds 2] [--payments 1500] [--history 8000]
python benchmarks/retries.py schedules  [--scenario NAME ...] [--seeds 3] [--first-seed 1] [--payments 2500] [--history 12000]

Each run adds what it found to the file of its kind under benchmarks/results, so that a long reading can be made in pieces: a world that
is there already is not played again. `--show` prints what the file holds and plays nothing.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import fmean
from typing import Any

import msgspec
from matplotlib.figure import Figure

from honour.arena.contest import PLAYED_STREAM, history_key
from honour.arena.engine_policy import EnginePolicy
from honour.arena.learned import Learned, learn
from honour.records.decision import Decision, DecisionRequest
from honour.records.settings import PolicySettings
from honour.simulator import scenario as scenarios
from honour.simulator.baselines.fixed import static_rules
from honour.simulator.baselines.oracle import oracle
from honour.simulator.lineup import DAILY, MakePolicy
from honour.simulator.played import Played, play
from honour.simulator.scoreboard import Interval, mean_interval
from honour.simulator.world import World

RESULTS = Path(__file__).parent / "results"
HOURS = tuple(hour / 24.0 for hour in (1, 6, 12))
SCHEDULES: dict[str, tuple[float, ...]] = {
    "days 1, 3, 5, 7": (1, 3, 5, 7),
    "daily, 14 days": DAILY,
    "daily, 7 days": DAILY[:7],
    "days 1, 3, 7, 14": (1, 3, 7, 14),
    "days 3, 7, 14": (3, 7, 14),
    "days 5, 10, 14": (5, 10, 14),
    "days 7, 14": (7, 14),
    "hours 1, 6, 12, then daily": (*HOURS, *DAILY),
}
"""What merchants set: days after the first attempt on which a refused renewal is tried again."""
PRICES = (50.0, 100.0, 200.0, 300.0, 450.0, 857.0)
"""Prices of a retry, minor units, at which Honour makes fewer of them; the last is about what a renewal in US dollars earns."""
RIVALS = ("days 1, 3, 5, 7", "days 1, 3, 7, 14", "days 3, 7, 14", "days 5, 10, 14", "days 7, 14")
"""Fixed schedules that recover most: two that merchants use, and three that make few attempts."""
WITHOUT = {"Honour without the updater": ("pan", "network_token"), "Honour, card number alone": ("pan",)}
"""Credential forms that are left to it where routes can ask the account updater."""
PICTURE = RESULTS / "retries_frontier.png"
NETWORK_STOPS = ("network_never_retry", "network_retry_limit", "credential_must_change", "too_soon")


class Counting:
    """Honour, and what it decided: so that a reading shows whether the rules were met at all."""

    def __init__(self, inner: EnginePolicy) -> None:
        self._inner = inner
        self.decided: Counter[str] = Counter()
        self.report, self.dispute, self.take_routes = inner.report, inner.dispute, inner.take_routes

    def decide(self, request: DecisionRequest) -> Decision:
        """What should happen next."""
        decision = self._inner.decide(request)
        self.decided[decision.reason.code if decision.action != "attempt" else f"attempt {decision.attempt_number > 1}"] += 1
        if decision.attempt is not None and decision.attempt.credential == "updated_pan":
            self.decided["updated_pan"] += 1
        return decision


def main() -> None:
    """Play, add to the results, print them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=("violations", "schedules"))
    parser.add_argument("--scenario", action="append", help="scenario by name; all (violations) or payday and expiring_cards when left out")
    parser.add_argument("--seeds", type=int, default=2, help="worlds")
    parser.add_argument("--first-seed", type=int, default=1, help="seed of the first world")
    parser.add_argument("--payments", type=int, default=1_500, help="payments of each play")
    parser.add_argument("--history", type=int, default=8_000, help="payments to learn from before it")
    parser.add_argument("--show", action="store_true", help="print what the file holds and play nothing")
    asked = parser.parse_args()
    file = RESULTS / f"retries_{asked.kind}.json"
    kept: dict[str, Any] = msgspec.json.decode(file.read_bytes()) if file.exists() else {"worlds": {}}
    chosen = asked.scenario or (scenarios.names() if asked.kind == "violations" else ("payday", "expiring_cards"))
    if not asked.show:
        played = _violations if asked.kind == "violations" else _schedules
        for seed in range(asked.first_seed, asked.first_seed + asked.seeds):
            _play(kept, file, asked=asked, seed=seed, names=chosen, played=played)
    (print_violations if asked.kind == "violations" else print_schedules)(kept["worlds"])


def _play(
    kept: dict[str, Any], file: Path, *, asked: argparse.Namespace, seed: int, names: Iterable[str], played: Callable[..., dict[str, Any]]
) -> None:
    """The scenarios of one world; those that share a history learn once."""
    learned: dict[bytes, Learned] = {}
    with tempfile.TemporaryDirectory(prefix="honour-retries-") as folder:
        for name in names:
            key = f"{name} seed {seed}, {asked.payments} payments, {asked.history} of history"
            if key in kept["worlds"]:
                continue
            scenario = scenarios.load(name).sized(asked.payments)
            before = history_key(scenario)
            if before not in learned:
                where = Path(folder) / str(len(learned))
                learned[before] = learn(where, scenario=scenario, seed=seed, payments=asked.history, step=lambda *_: None, threads=1)
            world = World(scenario, seed=seed, stream=PLAYED_STREAM)
            kept["worlds"][key] = {"scenario": name, "seed": seed, **played(world, learned[before])}
            beside = file.with_suffix(".part")
            beside.write_bytes(msgspec.json.format(msgspec.json.encode(kept, order="sorted"), indent=1) + b"\n")
            beside.replace(file)
            used = resource.getrusage(resource.RUSAGE_SELF)
            print(f"{key}: {used.ru_utime:.0f} s of a core so far", file=sys.stderr)


def _honour(world: World, learned: Learned, *, price_minor: float = 0.0, forms: tuple[str, ...] = ()) -> EnginePolicy:
    """Honour with a price of a retry, and with these credential forms alone when some are named.

    Nobody cancels in the simulated world while a renewal waits, and so Honour is told.
    """
    merchants = {
        name: msgspec.structs.replace(terms, retry_price_minor=price_minor, delay_cost_bps_per_day=0.0)
        for name, terms in learned.settings.merchants.items()
    }
    policy = PolicySettings(salt=f"{world.seed}/{world.stream}")
    routes = tuple(
        msgspec.structs.replace(route, credentials=tuple(form for form in route.credentials if not forms or form in forms))
        for route in world.routes
    )
    settings = msgspec.structs.replace(learned.settings, policy=policy, routes=routes, merchants=merchants)
    return EnginePolicy(settings, bundle=learned.bundle, state=learned.state)


def _violations(world: World, learned: Learned) -> dict[str, Any]:
    """Honour's attempts, the rules that they broke, and how often rules held it back; and a daily schedule under the same judge."""
    honour = Counting(_honour(world, learned))
    result = play(world, policy=honour)
    careless = play(world, policy=static_rules(world, days=DAILY))
    return {
        "payments": len(result.approved),
        "attempts": int(result.attempts.sum()),
        "retries": honour.decided["attempt True"],
        "with_updated_card": honour.decided["updated_pan"],
        "held_back": {code: honour.decided[code] for code in NETWORK_STOPS if honour.decided[code]},
        "broken_rules": result.broken_rules,
        "daily_attempts": int(careless.attempts.sum()),
        "daily_broken_rules": careless.broken_rules,
    }


def _schedules(world: World, learned: Learned) -> dict[str, Any]:
    """Renewals under each schedule, under Honour, and under the oracle: at each price of a retry, or with fewer forms of a credential."""
    makers: dict[str, MakePolicy] = {name: _scheduled(days) for name, days in SCHEDULES.items()}
    policies = {
        **{name: make(world) for name, make in makers.items()},
        "Honour": _honour(world, learned),
        **(
            {name: _honour(world, learned, forms=forms) for name, forms in WITHOUT.items()}
            if world.scenario.updater
            else {_priced(price): _honour(world, learned, price_minor=price) for price in PRICES}
        ),
        "oracle": oracle(world),
    }
    return {"policies": {name: _renewals(play(world, policy=policy)) for name, policy in policies.items()}}


def _priced(price_minor: float) -> str:
    return f"Honour, a retry priced {price_minor:g}"


def _scheduled(days: tuple[float, ...]) -> MakePolicy:
    return lambda world: static_rules(world, days=days)


def _renewals(result: Played) -> dict[str, float]:
    """Figures of payments that the merchant started; money in US cents per renewal."""
    own = result.renewal
    refused = own & ~result.first_approved & (result.attempts > 0)
    recovered = int(result.approved[refused].sum())
    retries = int((result.attempts[refused] - 1).sum())
    return {
        "expected_margin_minor": float(result.expected_margin_minor[own].mean()),
        "net_margin_minor": float(result.net_margin_minor[own].mean()),
        "recovery_rate": recovered / max(1, int(refused.sum())),
        "retries_per_recovered": retries / max(1, recovered),
        "retries_per_refused": retries / max(1, int(refused.sum())),
        "retries": retries,
        "refused": int(refused.sum()),
        "rule_violations": result.rule_violations,
    }


def print_violations(worlds: dict[str, Any]) -> None:
    """Attempts and broken rules by scenario."""
    found: dict[str, list[dict[str, Any]]] = {}
    for each in worlds.values():
        found.setdefault(each["scenario"], []).append(each)
    print(f"{'scenario':18}{'worlds':>7}{'attempts':>10}{'retries':>9}{'held back':>11}{'broken':>8}   daily schedule: attempts, broken")
    for name, each in sorted(found.items()):
        n = {key: sum(one[key] for one in each) for key in ("attempts", "retries", "daily_attempts")}
        held, broken, daily = (sum(sum(one[key].values()) for one in each) for key in ("held_back", "broken_rules", "daily_broken_rules"))
        print(f"{name:18}{len(each):7}{n['attempts']:10}{n['retries']:9}{held:11}{broken:8}   {n['daily_attempts']:8} {daily:6}")
    for title, key in (("Honour", "broken_rules"), ("daily schedule", "daily_broken_rules"), ("held back", "held_back")):
        rules: Counter[str] = Counter()
        for one in worlds.values():
            rules.update(one[key])
        print(f"{title}: {', '.join(f'{rule} {n}' for rule, n in sorted(rules.items())) or 'none'}")
    if any(one["broken_rules"] for one in worlds.values()):
        raise SystemExit(1)


_ORDER = ("Honour", *(_priced(price) for price in PRICES), *WITHOUT, *SCHEDULES, "oracle")


def print_schedules(worlds: dict[str, Any]) -> None:
    """Policies by scenario, and differences in pairs, with 95 % intervals over worlds."""
    for scenario in sorted({each["scenario"] for each in worlds.values()}):
        played = [each["policies"] for each in worlds.values() if each["scenario"] == scenario]
        refused = sum(each["Honour"]["refused"] for each in played)
        print(f"\n{scenario}: {len(played)} worlds, {refused} refused renewals under Honour")
        print(f"{'policy':30}{'margin, cents':>24}{'Honour less it, cents':>26}{'recovered, %':>22}{'retries each':>22}{'broken':>8}")
        names = [name for name in _ORDER if name in played[0]]
        for name in names:
            broken = fmean(each[name]["rule_violations"] for each in played)
            figures = _figure(played, name, "expected_margin_minor"), _less(played, "Honour", name, "expected_margin_minor")
            shares = _figure(played, name, "recovery_rate", scale=100.0), _figure(played, name, "retries_per_recovered")
            print(f"{name:30}{_cell(figures[0], 24)}{_cell(figures[1], 26)}{_cell(shares[0], 22)}{_cell(shares[1], 22)}{broken:8.1f}")
        for rival in RIVALS:
            print(f"{f'less {rival}':30}{'margin, cents':>24}{'recovered, points':>24}{'retries each':>24}{'retries per refused':>24}")
            for name in names:
                if name.startswith("Honour"):
                    cells = (
                        _cell(_less(played, name, rival, "expected_margin_minor"), 24),
                        _cell(_less(played, name, rival, "recovery_rate", scale=100.0), 24),
                        _cell(_less(played, name, rival, "retries_per_recovered"), 24),
                        _cell(_less(played, name, rival, "retries_per_refused"), 24),
                    )
                    print(f"{name:30}{''.join(cells)}")
        if _priced(PRICES[0]) in names:
            _draw_frontier(played)


def _figure(played: list[dict[str, Any]], name: str, key: str, *, scale: float = 1.0) -> Interval:
    return mean_interval([scale * each[name][key] for each in played])


def _less(played: list[dict[str, Any]], name: str, other: str, key: str, *, scale: float = 1.0) -> Interval:
    return mean_interval([scale * (each[name][key] - each[other][key]) for each in played])


def _draw_frontier(played: list[dict[str, Any]]) -> None:
    """Recovered against retries made, Honour's prices joined by a line, schedules as points; bars are 95 % intervals over worlds."""
    figure = Figure(figsize=(8.0, 4.6), layout="constrained")
    axes = figure.add_subplot()
    line = ["Honour", *(_priced(price) for price in PRICES)]
    for names, colour, mark, side in ((line, "#1858c8", "o-", "right"), (list(SCHEDULES), "#c58a00", "s", "left")):
        across, up = ([_figure(played, name, key) for name in names] for key in ("retries_per_refused", "recovery_rate"))
        x, y = [each.value for each in across], [100.0 * each.value for each in up]
        error = {"xerr": _reach(across, 1.0), "yerr": _reach(up, 100.0)}
        axes.errorbar(x, y, **error, fmt=mark, color=colour, markersize=5, linewidth=1.6, elinewidth=0.8)
        for place, (name, at, height) in enumerate(sorted(zip(names, x, y, strict=True), key=lambda each: each[1])):
            label = "0" if name == "Honour" else name.removeprefix(_priced(0.0)[:-1])
            # Schedules lie close together: their names go up and down in turn.
            away = (4, (-28, 8)[place % 2]) if side == "left" else (-6, 4)
            axes.annotate(label, (at, height), xytext=away, textcoords="offset points", ha=side, fontsize=8, color=colour)
    axes.set_xlabel("retries for each refused renewal (logarithmic)")
    axes.set_ylabel("refused renewals recovered, %")
    axes.set_title("Honour by the price of a retry, minor units, beside fixed schedules", loc="left", fontsize=10)
    axes.set_xscale("log")
    axes.set_xlim(0.5, 3.0 * max(_figure(played, name, "retries_per_refused").value for name in SCHEDULES))
    axes.set_xticks((1, 2, 4, 8, 16), ("1", "2", "4", "8", "16"))
    axes.minorticks_off()
    axes.set_ylim(20.0, 75.0)
    figure.savefig(PICTURE, dpi=110, metadata={"Software": None})
    print(PICTURE)


def _reach(intervals: list[Interval], scale: float) -> list[float]:
    """Half widths, for bars."""
    return [0.0 if each.high is None else scale * (each.high - each.value) for each in intervals]


def _cell(interval: Interval, width: int) -> str:
    if interval.low is None or interval.high is None:
        return f"{interval.value:.2f}".rjust(width)
    return f"{interval.value:.2f} [{interval.low:.2f}, {interval.high:.2f}]".rjust(width)


if __name__ == "__main__":
    main()

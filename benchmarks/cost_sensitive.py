"""Training weighted by what an error costs, against plain training whose probabilities are multiplied by money.

python benchmarks/cost_sensitive.py [--seeds N] [--payments N] [--margin SHARE]

In each simulated world, from the same history: the same trees with five weightings of the attempts, each calibrated without weights on
the same later attempts; then each decides the first attempt of payments later still, by the greatest expected value among the routes
that could take it, or not at all. What a decision is worth is its expected value under the world's true chances: no luck is in it.
Class weights stand beside them as a warning. Into benchmarks/results/cost_sensitive.json, world by world: one that is there, of as many
payments, is not played again.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from honour.approval.calibration import expit
from honour.arena.engine_policy import settings_of
from honour.features.offline import training_set
from honour.learning.calibrate import choose_calibrator
from honour.learning.dataset import Rows, rows_of
from honour.learning.fit import fit_encoder
from honour.learning.kinds.boosted_lightgbm import LightGBMModel
from honour.learning.served import ServedRow, served_rows
from honour.outcomes.windows import Windows
from honour.policy.value import cost_of, expected_value_minor, stake_minor
from honour.records.event import AttemptReported, LoggedEvent
from honour.records.instant import to_us
from honour.records.route import Candidate
from honour.records.settings import Settings
from honour.release.value import same_form
from honour.simulator import scenario as scenarios
from honour.simulator.baselines.fixed import volume_split
from honour.simulator.play import Policy, history
from honour.simulator.scoreboard import mean_interval
from honour.simulator.world import World

Floats = NDArray[np.float64]
DAYS = 28.0
FIT_SHARE, CALIBRATE_SHARE = 0.55, 0.2
"""Of the attempts, in order of time; decisions are made on the rest."""
CLIP = 0.99
"""Weights above this quantile are cut to it: one large amount must not be the whole training."""
RESULT = Path(__file__).parent / "results" / "cost_sensitive.json"
PLAIN = "plain"


class Noting:
    """A policy as it is, with the propensity of every attempt written down by the attempt's id."""

    def __init__(self, policy: Policy) -> None:
        self._policy, self._n = policy, Counter[str]()
        self.propensity: dict[str, float] = {}
        self.report, self.dispute, self.take_routes = policy.report, policy.dispute, policy.take_routes

    def decide(self, request: Any) -> Any:
        """What the policy says."""
        decision = self._policy.decide(request)
        if decision.attempt is not None:
            payment_id = request.payment.payment_id
            self._n[payment_id] += 1
            self.propensity[f"att_{payment_id.removeprefix('pay_')}_{self._n[payment_id]}"] = decision.attempt.propensity
        return decision


class Told(NamedTuple):
    """A world with its history: attempts in order of time, their weights, and the decisions to make.

    stake, propensity : (n,) what an error of 1 costs, US cents; with which the attempt was chosen
    """

    world: World
    settings: Settings
    rows: Rows
    stake: Floats
    propensity: Floats
    asked: list[ServedRow]


def tell(seed: int, *, payments: int, margin: float) -> Told:
    """The history of one world, whose merchants earn this share of their margins."""
    scenario = scenarios.load("calm").lasting(DAYS).sized(payments)
    world = World(scenario, seed=seed)
    settings, noting = settings_of(world, data_dir="."), Noting(volume_split(world, seed=seed))
    thin = {name: msgspec.structs.replace(one, margin_bps=round(one.margin_bps * margin)) for name, one in settings.merchants.items()}
    settings = msgspec.structs.replace(settings, merchants=thin)
    heard = ((one, to_us(one.attempt.happened_at or one.attempt.attempted_at)) for one in history(world, policy=noting))
    told = [(one, at_us) for one, at_us in heard if at_us < scenario.end_us]  # What follows is nothing but late retries.
    events = [LoggedEvent(seq=at, arrived_us=us, event=event) for at, (event, us) in enumerate(told, start=1)]
    table = training_set(events, threads=1)
    order = np.argsort(table["at_us"].to_numpy(), kind="stable")
    table = table.take(order)
    rows = rows_of(table)
    answered = [event for event, _ in told if event.attempt.status != "unknown"]
    named = [answered[at] for at in table["row_id"].to_pylist()]
    assert [event.attempt.payment.payment_id for event in named] == table["payment_id"].to_pylist()
    cut_us = int(rows.at_us[int((FIT_SHARE + CALIBRATE_SHARE) * len(rows))])
    later = served_rows(events, state=Windows(), after_us=cut_us, candidates_of=same_form(settings.routes))
    number = list(rows.columns).index("attempt_number")
    asked = [row for row in later if row.served.payment[number] == 1]
    return Told(
        world,
        settings,
        rows,
        stake=np.array([_stake(event, world=world, settings=settings) for event in named]),
        propensity=np.array([noting.propensity[event.attempt.attempt_id] for event in named]),
        asked=asked,
    )


def weightings(told: Told, *, n_fit: int) -> dict[str, Floats]:
    """Weights of the attempts to fit, mean 1, by name."""
    y, stake = told.rows.approved[:n_fit], np.maximum(told.stake[:n_fit], 0.0)
    explored = 1.0 / told.propensity[:n_fit]
    plain = np.ones(n_fit)
    balanced = np.where(y == 1.0, 0.5 / y.mean(), 0.5 / (1.0 - y.mean()))
    named = {
        PLAIN: plain,
        "by stake": _cut(stake),
        "by propensity": _cut(explored),
        "by stake and propensity": _cut(_cut(stake) * _cut(explored)),
        "class weights, calibrated": balanced,
        "class weights, as they are": balanced,
    }
    return {name: weight / weight.mean() for name, weight in named.items()}


def play(seed: int, *, payments: int, margin: float) -> dict[str, dict[str, float]]:
    """Figures of each weighting in one world: cents per payment, share of payments attempted, log loss on the later attempts."""
    told = tell(seed, payments=payments, margin=margin)
    n, n_fit, n_held = len(told.rows), int(FIT_SHARE * len(told.rows)), int((FIT_SHARE + CALIBRATE_SHARE) * len(told.rows))
    part = [told.rows.where((np.arange(n) >= low) & (np.arange(n) < high)) for low, high in ((0, n_fit), (n_fit, n_held), (n_held, n))]
    early, middle, late = part
    encoder = fit_encoder(early.columns, approved=early.approved)
    matrices = [rows.encoded(encoder) for rows in part]
    candidates = np.concatenate([encoder.encode(row.served) for row in told.asked])
    found: dict[str, dict[str, float]] = {}
    for name, weight in weightings(told, n_fit=n_fit).items():
        model = LightGBMModel(n_steps=20, seed=seed).fit(matrices[0], early.approved, sample_weight=weight)

        def p_of(matrix: Any, model: LightGBMModel = model) -> Floats:
            return expit(model.decision_function(matrix))

        apply: Callable[[Floats], Floats] = lambda p: p  # noqa: E731 - the identity, unless a calibrator takes its place
        if not name.endswith("as they are"):
            apply = choose_calibrator(
                p_of(matrices[1]), y=middle.approved, payments=middle.payments, at_us=middle.at_us, seed=seed
            ).calibrator.apply
        p_late = np.clip(apply(p_of(matrices[2])), 1e-6, 1 - 1e-6)
        loss = -np.mean(late.approved * np.log(p_late) + (1 - late.approved) * np.log1p(-p_late))
        found[name] = {"log_loss": float(loss), **_worth(told, apply(p_of(candidates)))}
    return found


def paired(found: list[dict[str, dict[str, float]]], *, figure: str) -> dict[str, dict[str, float | None]]:
    """Each weighting less plain training over the worlds: mean and 95 % interval (Student's t); a single world has none."""
    said = {}
    for name in found[0]:
        apart = mean_interval([one[name][figure] - one[PLAIN][figure] for one in found])
        mean = float(np.mean([one[name][figure] for one in found]))
        said[name] = {"mean": mean, "less_plain": apart.value, "low": apart.low, "high": apart.high}
    return said


def main() -> None:
    """Play the worlds, print the table, write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=8, help="worlds (8)")
    parser.add_argument("--payments", type=int, default=4_000, help="payments of each (4000)")
    parser.add_argument(
        "--margin",
        type=float,
        default=0.15,
        help="share of the margins that merchants have in the world: thin ones make errors dear (0.15)",
    )
    told = parser.parse_args()
    known = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    key = f"{told.payments} payments, margin x {told.margin:g}"
    worlds: dict[str, Any] = known.get(key, {}).get("worlds", {})
    summary: dict[str, Any] = {}
    for seed in range(1, told.seeds + 1):
        if str(seed) not in worlds:
            worlds[str(seed)] = play(seed, payments=told.payments, margin=told.margin)
            sys.stderr.write(f"world {seed}: " + ", ".join(f"{name} {one['cents']:.2f}" for name, one in worlds[str(seed)].items()) + "\n")
        found = [worlds[str(number)] for number in range(1, seed + 1)]
        summary = {figure: paired(found, figure=figure) for figure in ("cents", "log_loss", "attempted")}
        RESULT.write_text(json.dumps({**known, key: {"worlds": worlds, "paired": summary}}, indent=1) + "\n")
    for figure, table in summary.items():
        for name, one in table.items():
            interval = "" if one["low"] is None else f" [{one['low']:+.4f}, {one['high']:+.4f}]"
            sys.stdout.write(f"{figure:10s} {name:28s} {one['mean']:9.4f}  {one['less_plain']:+.4f}{interval}\n")


def _cut(weight: Floats) -> Floats:
    return np.minimum(weight, np.quantile(weight, CLIP))


def _stake(event: AttemptReported, *, world: World, settings: Settings) -> float:
    attempt = event.attempt
    candidate = Candidate(attempt.route, attempt.authentication, attempt.credential)
    cost = cost_of(attempt.payment, candidate=candidate, route=world.route(attempt.route))
    terms = settings.terms_of(attempt.payment.merchant_id)
    return stake_minor(attempt.payment.amount_minor, terms=terms, cost=cost) * world.usd_per_minor(attempt.payment)


def _worth(told: Told, p: Floats) -> dict[str, float]:
    """What deciding by p is worth: p of all candidates of all payments, one payment after another."""
    at, cents, n_attempted = 0, 0.0, 0
    for row in told.asked:
        named = [Candidate(*one) for one in row.candidates]
        costs = [cost_of(row.payment, candidate=one, route=told.world.route(one.route)) for one in named]
        terms, amount = told.settings.terms_of(row.payment.merchant_id), row.payment.amount_minor
        expected = [expected_value_minor(float(p[at + k]), amount_minor=amount, terms=terms, cost=cost) for k, cost in enumerate(costs)]
        best = int(np.argmax(expected))
        at += len(named)
        if expected[best] > 0.0:
            true = told.world.p_approve(row.payment, candidate=named[best], at_us=row.at_us)
            worth = expected_value_minor(true, amount_minor=amount, terms=terms, cost=costs[best])
            cents += worth * told.world.usd_per_minor(row.payment)
            n_attempted += 1
    return {"cents": cents / len(told.asked), "attempted": n_attempted / len(told.asked)}


if __name__ == "__main__":
    main()

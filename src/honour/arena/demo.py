"""The whole loop on a simulated world: history, training, policies side by side in weeks that nobody has seen."""

from __future__ import annotations

import shutil
from dataclasses import asdict
from pathlib import Path

import msgspec

from honour.arena.engine_policy import EnginePolicy
from honour.arena.learned import Learned, learn
from honour.errors import BadInput
from honour.loop import Step, Trained
from honour.records.settings import PolicySettings
from honour.simulator import scenario as scenarios
from honour.simulator.baselines.fixed import volume_split
from honour.simulator.lineup import standard_policies
from honour.simulator.play import Policy, history
from honour.simulator.scenario import Scenario
from honour.simulator.scoreboard import HONOUR, scoreboard
from honour.simulator.scoreboard import table as scoreboard_table
from honour.simulator.world import World

PLAYED_PAYMENTS = 3_000
HISTORY_DAYS = 28
LEFT_OUT = ("success rate, tuned", "knowable oracle")
"""Of the line-up of `honour scoreboard`: they take longer than the rest of the demo."""
_MARK = ".honour-demo"


class DemoResult(msgspec.Struct, frozen=True, kw_only=True):
    """What was learned, and the policies side by side."""

    trained: Trained
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    scoreboard: dict[str, object]


class Simulated(msgspec.Struct, frozen=True, kw_only=True):
    """A file of attempts."""

    path: str
    n_payments: int
    n_attempts: int
    attempt_approval_rate: float


def demo(data_dir: Path, *, payments: int, seeds: int, step: Step) -> DemoResult:
    """Make the folder anew, learn from a month of history, and play later weeks of the same world."""
    _clear(data_dir)
    calm = scenarios.load("calm").lasting(HISTORY_DAYS).sized(payments)
    later = calm.lasting(PLAYED_PAYMENTS / calm.payments_per_day)
    learned = learn(data_dir, scenario=later, seed=1, payments=payments, step=step)
    return _play(learned, scenario=later, seeds=seeds, step=step)


def _play(learned: Learned, *, scenario: Scenario, seeds: int, step: Step) -> DemoResult:
    def honour(played: World) -> Policy:
        # The draws of each world are its own, or every world would explore on the same payments.
        salted = msgspec.structs.replace(learned.settings, policy=PolicySettings(salt=f"demo {played.stream}"))
        return EnginePolicy(salted, bundle=learned.bundle, state=learned.state)

    worlds = [World(scenario, seed=1, stream=stream) for stream in range(1, seeds + 1)]
    line_up = {name: make for name, make in standard_policies(worlds[0]).items() if name not in LEFT_OUT}
    board = scoreboard(worlds, policies={**line_up, HONOUR: honour}, step=step)
    columns, rows = scoreboard_table(board)
    title = (
        f"{seeds} later stretches of {scenario.days:g} days of the simulated world, {board.n_payments} payments each; mean and 95 % "
        "interval over them"
    )
    return DemoResult(
        trained=learned.trained, title=title, columns=tuple(columns), rows=tuple(tuple(row) for row in rows), scoreboard=asdict(board)
    )


def simulate(out: Path, *, scenario: str, payments: int, seed: int, step: Step) -> Simulated:
    """Attempts of a world as NDJSON for POST /v1/events, written whole or not at all."""
    world = World(scenarios.load(scenario).sized(payments), seed=seed)
    n_attempts = n_approved = 0
    out.parent.mkdir(parents=True, exist_ok=True)
    beside = out.with_name(f".{out.name}.part")
    with beside.open("wb") as file:
        for reported in history(world, policy=volume_split(world, seed=seed), step=lambda n: step("simulating", n, payments)):
            attempt = reported.attempt
            file.write(msgspec.json.encode({"type": "attempt"} | msgspec.to_builtins(attempt)) + b"\n")
            n_attempts += 1
            n_approved += attempt.status == "approved"
    beside.replace(out)
    return Simulated(path=str(out), n_payments=payments, n_attempts=n_attempts, attempt_approval_rate=n_approved / max(1, n_attempts))


def _clear(data_dir: Path) -> None:
    """Only a folder that a demo made is removed."""
    if data_dir.exists() and any(data_dir.iterdir()) and not (data_dir / _MARK).exists():
        raise BadInput(f"{data_dir} is not empty and was not made by a demo; give another folder with --data.")
    shutil.rmtree(data_dir, ignore_errors=True)
    data_dir.mkdir(parents=True)
    (data_dir / _MARK).touch()


def curl_lines(port: int) -> str:
    """Two requests to try on the server of the demo."""
    payment = (
        '{"payment": {"payment_id": "pay_01", "merchant_id": "mer_retail_br", "amount_minor": 12900, "currency": "BRL", '
        '"card": {"card_id": "crd_1", "bin": "41111111", "network": "visa", "funding": "credit", "issuer_country": "BR"}}}'
    )
    return (
        f"  curl -s localhost:{port}/v1/decisions -H 'content-type: application/json' -d '{payment}'\n"
        f"  curl -s localhost:{port}/v1/outcomes -H 'content-type: application/json' "
        '-d \'{"decision_id": "<decision_id of the answer>", "status": "declined", "response_code": "51"}\'\n'
        f"  curl -s localhost:{port}/v1/payments/pay_01"
    )

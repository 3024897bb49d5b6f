"""The whole loop on a simulated world: history, training, policies side by side in weeks that nobody has seen."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path

import msgspec

from honour import loop
from honour.errors import BadInput
from honour.loop import DataDir, Step, Trained
from honour.outcomes.state import State
from honour.records.attempt import Outcome
from honour.records.decision import Decision, DecisionRequest
from honour.records.event import Event
from honour.records.instant import from_us, to_us
from honour.records.settings import DataSettings, PolicySettings, Settings
from honour.release.bundle import Bundle, load_bundle
from honour.serving.hot_path import Engine
from honour.simulator import scenario as scenarios
from honour.simulator.baseline import random_route
from honour.simulator.play import Policy, history
from honour.simulator.scoreboard import scoreboard, standard_policies
from honour.simulator.scoreboard import table as scoreboard_table
from honour.simulator.world import World
from honour.stores.memory import MemoryLog

HISTORY_DAYS = 28
PLAYED_PAYMENTS = 2_000
EXPLORATION_BUDGET_MINOR = 2.0
PLAIN_SHARE = 0.7
"""Share of history sent in the merchant's usual form; the rest tries authentication and credential forms at random."""
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


class EnginePolicy:
    """Honour as the world sees it: the same records as over HTTP, on a log of its own."""

    def __init__(self, settings: Settings, *, bundle: Bundle, state: bytes) -> None:
        self._engine = Engine(settings, log=MemoryLog(), state=State.from_bytes(state), model=bundle.model, bundle_id=bundle.bundle_id)

    def decide(self, request: DecisionRequest) -> Decision:
        """What should happen next."""
        return self._engine.decide(request).answer

    def report(self, outcome: Outcome) -> object:
        """Learn what came back."""
        return self._engine.report_outcome(outcome)


def demo(data_dir: Path, *, payments: int, seeds: int, step: Step) -> DemoResult:
    """Make the folder anew, learn from a month of history, and play later weeks of the same world."""
    _clear(data_dir)
    calm = scenarios.load("calm").lasting(HISTORY_DAYS).sized(payments)
    world = World(calm, seed=1)
    settings = Settings(
        data=DataSettings(dir=str(data_dir)),
        merchants={
            merchant_id: msgspec.structs.replace(terms, exploration_budget_minor=EXPLORATION_BUDGET_MINOR)
            for merchant_id, terms in world.merchants.items()
        },
        routes=world.routes,
    )
    where = DataDir(data_dir)
    loop.write_settings(where.settings, settings)
    with where.log(read_only=False) as log:
        log.append_many(
            _arriving(
                history(
                    world,
                    policy=random_route(world, plain_share=PLAIN_SHARE),
                    step=lambda n: step("simulating a month of history", n, payments),
                )
            )
        )
    trained = loop.train(data_dir, out=None, until=None, holdout_days=7.0, seed=1, step=step)
    return _play(data_dir, world, trained=trained, settings=settings, seeds=seeds, step=step)


def _play(data_dir: Path, world: World, *, trained: Trained, settings: Settings, seeds: int, step: Step) -> DemoResult:
    bundle = load_bundle(DataDir(data_dir).bundle)
    state = State()
    with DataDir(data_dir).log() as log:
        for logged in log.read():
            state.apply(logged)
    known = state.to_bytes()
    later = world.scenario.starting((from_us(world.scenario.end_us) + timedelta(days=1)).date()).lasting(7).sized(PLAYED_PAYMENTS)

    def honour(played: World) -> Policy:
        # The draws of each world are its own, or every world would explore on the same payments.
        salted = msgspec.structs.replace(settings, policy=PolicySettings(salt=f"demo {played.stream}"))
        return EnginePolicy(salted, bundle=bundle, state=known)

    board = scoreboard(
        [World(later, seed=world.seed, stream=stream) for stream in range(1, seeds + 1)],
        policies={**standard_policies(world), "Honour": honour},
        step=step,
    )
    columns, rows = scoreboard_table(board)
    title = f"{seeds} later weeks of the simulated world, {board.n_payments} payments each; mean and 95 % interval over the weeks"
    return DemoResult(
        trained=trained, title=title, columns=tuple(columns), rows=tuple(tuple(row) for row in rows), scoreboard=asdict(board)
    )


def simulate(out: Path, *, scenario: str, payments: int, seed: int, step: Step) -> Simulated:
    """Attempts of a world as NDJSON for POST /v1/events, written whole or not at all."""
    world = World(scenarios.load(scenario).sized(payments), seed=seed)
    n_attempts = n_approved = 0
    out.parent.mkdir(parents=True, exist_ok=True)
    beside = out.with_name(f".{out.name}.part")
    with beside.open("wb") as file:
        for reported in history(
            world, policy=random_route(world, seed=seed, plain_share=PLAIN_SHARE), step=lambda n: step("simulating", n, payments)
        ):
            attempt = reported.attempt
            file.write(msgspec.json.encode({"type": "attempt"} | msgspec.to_builtins(attempt)) + b"\n")
            n_attempts += 1
            n_approved += attempt.status == "approved"
    beside.replace(out)
    return Simulated(path=str(out), n_payments=payments, n_attempts=n_attempts, attempt_approval_rate=n_approved / max(1, n_attempts))


def _arriving(reported: Iterable[Event]) -> Iterable[tuple[Event, int]]:
    for event in reported:
        attempt = event.attempt  # type: ignore[union-attr]  # history holds attempts only
        yield event, to_us(attempt.happened_at or attempt.attempted_at)


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

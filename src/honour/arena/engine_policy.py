"""Honour as the world sees it: the same records as over HTTP, on a log of its own."""

from __future__ import annotations

from datetime import datetime

import msgspec

from honour.outcomes.state import State
from honour.records.attempt import Dispute, Outcome
from honour.records.decision import Decision, DecisionRequest
from honour.records.instant import to_us
from honour.records.route import Route
from honour.records.settings import DataSettings, Settings
from honour.release.bundle import Bundle
from honour.serving.hot_path import Engine
from honour.serving.score import Model
from honour.simulator.world import World
from honour.stores.memory import MemoryLog

EXPLORATION_BUDGET_MINOR = 2.0


def settings_of(world: World, *, data_dir: str, budget_minor: float = EXPLORATION_BUDGET_MINOR) -> Settings:
    """What a merchant of this world would write into honour.toml.

    budget_minor  exploration budget per payment, minor units, the same for every merchant
    """
    return Settings(
        data=DataSettings(dir=data_dir),
        merchants={
            merchant_id: msgspec.structs.replace(terms, exploration_budget_minor=budget_minor)
            for merchant_id, terms in world.merchants.items()
        },
        routes=world.routes,
    )


class EnginePolicy:
    """The engine on the stage; it hears what the wire carries and nothing else. `model` plays in place of the bundle's."""

    def __init__(self, settings: Settings, *, bundle: Bundle, state: bytes, model: Model | None = None) -> None:
        self._now_us = 0
        self._engine = Engine(
            settings,
            log=MemoryLog(),
            state=_from_the_start(state),
            model=model or bundle.model,
            retry_model=bundle.retry_model,
            bundle_id=bundle.bundle_id,
            clock_us=lambda: self._now_us,
        )

    def decide(self, request: DecisionRequest) -> Decision:
        """What should happen next."""
        self._hear(request.at)
        return self._engine.decide(request).answer

    def report(self, outcome: Outcome) -> object:
        """Learn what came back."""
        self._hear(outcome.at)
        return self._engine.report_outcome(outcome)

    def dispute(self, dispute: Dispute) -> object:
        """Learn of a dispute."""
        self._hear(dispute.happened_at)
        return self._engine.report_dispute(dispute)

    def take_routes(self, routes: tuple[Route, ...]) -> object:
        """Decide by these routes from now on."""
        return self._engine.take_settings(msgspec.structs.replace(self._engine.settings, routes=routes))

    def _hear(self, at: datetime | None) -> None:
        """The world's time is the engine's clock."""
        self._now_us = max(self._now_us, to_us(at) if at is not None else 0)


def _from_the_start(kept: bytes) -> State:
    """What was learned before the play, on a log that begins with it."""
    state = State.from_bytes(kept)
    state.seq = 0
    return state

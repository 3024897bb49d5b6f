"""What tests of the service are made with: settings, payments, a model that needs no training, and an engine on any log."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from honour.outcomes.state import State
from honour.records.decision import DecisionRequest
from honour.records.event import ServedFeatures
from honour.records.route import Merchant, Route, RouteCost
from honour.records.settings import Settings
from honour.serving.hot_path import Engine
from honour.stores.memory import MemoryLog
from honour.stores.port import EventLog

NOW_US = 1_772_366_400_000_000
"""2026-03-01T12:00:00Z."""

SETTINGS = Settings(
    routes=(
        Route(
            id="acq_br_1", currencies=("BRL",), networks=("visa", "mastercard"), authentications=("none", "three_ds"), installments_max=12
        ),
        Route(id="acq_us_2", currencies=("BRL", "USD"), cost=RouteCost(attempt_minor=5)),
    ),
    merchants={"default": Merchant(country="BR", mcc="5732", margin_bps=2_000, exploration_budget_minor=2.0)},
)


class FallingModel:
    """The first candidate is approved most, each further one a little less."""

    def predict_many(self, served: ServedFeatures) -> NDArray[np.float64]:
        """0.9, 0.8, 0.7, ..."""
        return 0.9 - 0.1 * np.arange(len(served.candidates))


class BrokenModel:
    """Fails at every decision."""

    def predict_many(self, served: ServedFeatures) -> NDArray[np.float64]:
        """Never returns."""
        raise RuntimeError(f"cannot score {len(served.candidates)} candidates")


def engine(log: EventLog | None = None, *, model: Any = None, settings: Settings = SETTINGS, state: State | None = None) -> Engine:
    """An engine whose clock stands at NOW_US and whose timer counts nothing."""
    return Engine(
        settings,
        log=log or MemoryLog(),
        state=state or State(),
        model=model if model is not None else FallingModel(),
        bundle_id="sha256:test",
        clock_us=lambda: NOW_US,
        timer_ns=lambda: 0,
    )


def payment(payment_id: str = "pay_01", **changes: Any) -> dict[str, Any]:
    """The payment of the wire contract's example, as it is sent."""
    return {
        "payment_id": payment_id,
        "merchant_id": "mer_7",
        "amount_minor": 12_900,
        "currency": "BRL",
        "card": {"card_id": "crd_9f", "bin": "41111111", "network": "visa", "issuer": "itau", "issuer_country": "BR"},
    } | changes


def request(payment_id: str = "pay_01", *, at: str | None = None, **changes: Any) -> DecisionRequest:
    """A question about `payment`."""
    return msgspec.convert({"payment": payment(payment_id, **changes), "at": at}, DecisionRequest)


def attempt(attempt_id: str = "att_1", payment_id: str = "pay_01", **changes: Any) -> dict[str, Any]:
    """An attempt that Honour did not choose, as it is sent."""
    sent = {
        "attempt_id": attempt_id,
        "payment": payment(payment_id),
        "route": "acq_us_2",
        "attempted_at": "2026-03-01T11:00:00Z",
        "status": "declined",
    }
    return sent | changes


def card_number(separator: str = "") -> str:
    """A number that passes the Luhn check, put together here so that none lies on a disk."""
    return separator.join(["4111", *["1111"] * 3])


def replayed(log: EventLog) -> State:
    """The state that the whole log says."""
    state = State()
    for logged in log.read():
        state.apply(logged)
    return state

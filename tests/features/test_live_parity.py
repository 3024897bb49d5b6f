"""Parity of an installation, as a command and as a metric: the decisions of some hours, a share of them, with answers from the lake."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from feature_streams import CANDIDATES, CARD, World
from test_parity import served_otherwise
from typer.testing import CliRunner

from honour.cli.app import app
from honour.features.parity import compare
from honour.loop import DataDir
from honour.pipeline.parity import verify
from honour.records.event import DecisionMade
from honour.records.payment import Payment

N_PAYMENTS = 40


def told(*words: str, exit_code: int = 0) -> Any:
    ran = CliRunner().invoke(app, ["features", "verify", *words, "--json"])
    assert ran.exit_code == exit_code, ran.output + str(ran.exception)
    return msgspec.json.decode(ran.stdout)


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Payments decided and answered one after the other, in the log of a data folder; one served value is wrong."""
    world = World()
    for number in range(N_PAYMENTS):
        world.now_us += 3_600_000_000
        world.decide(Payment(payment_id=f"pay_{number}", merchant_id="mer_1", amount_minor=100, currency="BRL", card=CARD), CANDIDATES[:2])
        world.answer(world.waiting[0], status="declined" if number % 3 else "approved", response_code="05")
    at = next(at for at in reversed(range(len(world.log))) if isinstance(world.log[at].event, DecisionMade))
    world.log[at] = served_otherwise(world.log[at], name="card_answers_30d", value=7_000)
    with DataDir(tmp_path).log(read_only=False) as log:
        log.append_many([(logged.event, logged.arrived_us) for logged in world.log])
    return world


def test_answers_from_the_lake_give_the_same_parity_as_the_whole_log(world: World, tmp_path: Path) -> None:
    assert verify(tmp_path, step=lambda *_: None) == compare(world.log)


@pytest.mark.usefixtures("world")
def test_a_difference_is_told_by_feature_and_ends_with_1(tmp_path: Path) -> None:
    file = tmp_path / "out" / "parity.prom"
    report = told("--data", str(tmp_path), "--metrics", str(file), exit_code=1)
    assert report["decisions"] == N_PAYMENTS
    assert {one["feature"]: one["mismatch"] for one in report["features"] if one["mismatch"]} == {"card_answers_30d": 1}
    written = file.read_text(encoding="utf-8")
    assert 'honour_parity_apart{feature="card_answers_30d",result="mismatch"} 1.0' in written
    assert 'honour_parity_apart{feature="card_answers_30d",result="missing"} 0.0' in written
    assert 'honour_parity_values{feature="card_answers_30d"} 40.0' in written
    assert 'honour_parity_decisions{result="compared"} 40.0' in written


def test_a_share_is_the_same_decisions_each_time_and_hours_count_back_from_now(world: World, tmp_path: Path) -> None:
    some, again = (verify(tmp_path, share=0.4, step=lambda *_: None) for _ in range(2))
    assert some == again
    assert 0 < some.decisions < N_PAYMENTS
    hours = (time.time() - world.log[len(world.log) // 2].arrived_us / 1e6) / 3600
    assert 0 < verify(tmp_path, hours=hours, step=lambda *_: None).decisions < N_PAYMENTS
    assert verify(tmp_path, hours=0.0, step=lambda *_: None).decisions == 0

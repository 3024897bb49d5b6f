"""A server that is killed while it works: what was acknowledged is there, and the restart is a replay."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from shop import payment

from honour.outcomes.state import State
from honour.records.event import DecisionMade, OutcomeReported
from honour.serving.recovery import restore
from honour.stores.sqlite import sqlite_log

pytestmark = pytest.mark.slow

TESTS = Path(__file__).parent
SOURCE = TESTS.parents[1] / "src"
SERVER = """
import sys
from pathlib import Path
import msgspec
from shop import SETTINGS, Fixed
from honour.records.settings import DataSettings
from honour.serving.hot_path import Engine
from honour.serving.recovery import restore
from honour.serving.server import serve
from honour.stores.sqlite import sqlite_log

folder, beside = Path(sys.argv[1]), sys.argv[2] == "beside"
settings = msgspec.structs.replace(SETTINGS, data=DataSettings(dir=str(folder), snapshot_every=50))
log = sqlite_log(folder / "events.db")
engine = Engine(settings, log=log, state=restore(log, snapshots=folder / "snapshots"), model=Fixed(), bundle_id="bdl_test")
serve(engine, snapshots=folder / "snapshots", host="127.0.0.1", port=0, data=settings.data if beside else None)
"""


class Acknowledged:
    """What callers were told is kept: decisions by id with their bodies, outcomes by id with their statuses."""

    def __init__(self) -> None:
        self.decisions: dict[str, dict[str, Any]] = {}
        self.outcomes: dict[str, str] = {}


@pytest.mark.parametrize("where", ["beside", "within"])
def test_nothing_acknowledged_is_lost_when_the_server_is_killed(tmp_path: Path, where: str) -> None:
    dice, kept = random.Random(7), Acknowledged()
    for part in range(3):
        with _server(tmp_path, where=where) as (process, url), _load(url, part=part, kept=kept):
            enough = len(kept.outcomes) + 40
            _wait_for(lambda: len(kept.outcomes) > enough, process)  # noqa: B023  # called before the next round
            if part > 0:
                _wait_for(lambda: list((tmp_path / "snapshots").glob("*.snapshot")), process)
            threading.Event().wait(dice.uniform(0.0, 1.5))
            process.kill()
            process.wait()
        _check(tmp_path, kept)


def test_a_server_that_is_asked_to_stop_finishes_writes_a_snapshot_and_exits_0(tmp_path: Path) -> None:
    kept = Acknowledged()
    with _server(tmp_path, where="beside") as (process, url), _load(url, part=0, kept=kept):
        _wait_for(lambda: len(kept.outcomes) > 20, process)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0
    _check(tmp_path, kept)
    log = sqlite_log(tmp_path / "events.db", read_only=True)
    assert (tmp_path / "snapshots" / f"{log.last_seq:016d}.snapshot").is_file()


def _check(folder: Path, kept: Acknowledged) -> None:
    """Everything acknowledged is in the log, positions have no gap, and a snapshot changes nothing."""
    log = sqlite_log(folder / "events.db", read_only=True)
    try:
        logged = list(log.read())
        assert [one.seq for one in logged] == list(range(1, len(logged) + 1))
        decisions = {one.event.decision.decision_id: one.event.decision for one in logged if isinstance(one.event, DecisionMade)}
        outcomes = {one.event.outcome.decision_id: one.event.outcome.status for one in logged if isinstance(one.event, OutcomeReported)}
        assert kept.decisions.keys() <= decisions.keys()
        for decision_id, answer in kept.decisions.items():
            told = answer["attempt"]["route"] if answer["attempt"] else None
            chosen = decisions[decision_id].attempt
            assert told == (chosen.route if chosen else None)
        assert kept.outcomes.items() <= outcomes.items()
        assert restore(log, snapshots=folder / "snapshots").to_bytes() == restore(log).to_bytes()
        assert restore(log).to_bytes() != State().to_bytes()
    finally:
        log.close()


@contextmanager
def _server(folder: Path, *, where: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A running server and its address; killed in the end, if it still runs."""
    process = subprocess.Popen(_command(folder, where), env=_environment(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None
        found = re.search(r"http://\S+", process.stdout.readline())
        assert found is not None, "the server did not start"
        yield process, found.group()
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


@contextmanager
def _load(url: str, *, part: int, kept: Acknowledged) -> Iterator[None]:
    """Callers that decide and report without a pause until the server is gone."""
    is_over = threading.Event()
    callers = [threading.Thread(target=_call, args=(url, f"{part}_{n}", kept, is_over)) for n in range(6)]
    for caller in callers:
        caller.start()
    try:
        yield
    finally:
        is_over.set()
        for caller in callers:
            caller.join()


def _call(url: str, name: str, kept: Acknowledged, is_over: threading.Event) -> None:
    dice = random.Random(name)
    with httpx.Client(base_url=url, timeout=30) as client:
        for n in range(100_000):
            if is_over.is_set():
                return
            try:
                asked = payment(f"pay_{name}_{n // 2}", card={"card_id": f"crd_{dice.randrange(50)}", "bin": "411111", "network": "visa"})
                answer = client.post("/v1/decisions", json={"payment": asked})
                if answer.status_code != 200:
                    continue
                decision = answer.json()
                kept.decisions[decision["decision_id"]] = decision
                if decision["attempt"] is None or dice.random() < 0.1:
                    continue
                said = {"decision_id": decision["decision_id"], "status": dice.choice(["approved", "declined", "failed"])}
                if client.post("/v1/outcomes", json=said).status_code == 200:
                    kept.outcomes[said["decision_id"]] = said["status"]
            except httpx.HTTPError:
                return  # The server is gone.


def _wait_for(condition: Any, process: subprocess.Popen[str]) -> None:
    while not condition():
        assert process.poll() is None, "the server ended by itself"
        threading.Event().wait(0.02)


def _command(folder: Path, where: str) -> list[str]:
    return [sys.executable, "-c", SERVER, str(folder), where]


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join((str(SOURCE), str(TESTS)))}

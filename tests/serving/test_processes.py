"""Several servers on one log: limits hold across them, each knows what the others did, and the death of one is no trouble for the rest."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import threading
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from shop import payment

from honour.records.event import DecisionMade, LoggedEvent, OutcomeReported
from honour.records.settings import DataSettings
from honour.serving.recovery import restore
from honour.stores.opening import open_log
from honour.stores.port import EventLog

pytestmark = pytest.mark.slow

VISA_LIMIT = 20
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
from honour.stores.opening import open_log

folder, log_at = Path(sys.argv[1]), sys.argv[3] or None
# Whether an answer is in time on a busy machine is not asked here; that it is right is.
serving = msgspec.structs.replace(SETTINGS.serving, deadline_ms=60_000, queue_delay_ms=60_000)
data = DataSettings(dir=str(folder), log=log_at, log_timeout_ms=10_000, snapshot_every=400)
settings = msgspec.structs.replace(SETTINGS, data=data, serving=serving)
log = open_log(settings.data)
engine = Engine(settings, log=log, state=restore(log, snapshots=folder / "snapshots"), model=Fixed(), bundle_id="bdl_test")
serve(engine, snapshots=folder / "snapshots", host="127.0.0.1", port=0, data=settings.data)
Path(sys.argv[2]).write_bytes(engine.state.to_bytes())
"""


class Server:
    """A server process, its address, and the file that gets its state when it is asked to stop."""

    def __init__(self, data: DataSettings, name: str) -> None:
        self.state = Path(data.dir) / f"{name}.state"
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(SOURCE), str(TESTS)))}
        command = [sys.executable, "-c", SERVER, data.dir, str(self.state), data.log or ""]
        self.process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    def started(self) -> Server:
        """Wait for its address."""
        assert self.process.stdout is not None
        found = re.search(r"http://\S+", self.process.stdout.readline())
        assert found is not None, "the server did not start"
        self.client = httpx.Client(base_url=found.group(), timeout=60)
        return self

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self.client.close()
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
def data(request: pytest.FixtureRequest, tmp_path: Path) -> DataSettings:
    """Where the log of the servers is: in a file, unless a test says otherwise."""
    if getattr(request, "param", "file") == "file":
        return DataSettings(dir=str(tmp_path))
    return DataSettings(dir=str(tmp_path), log=request.getfixturevalue("real_postgres").new_address(), log_timeout_ms=10_000)


@contextmanager
def servers(data: DataSettings, n: int) -> Iterator[list[Server]]:
    """Servers on one log."""
    with ExitStack() as stack:
        made = [Server(data, f"server_{number}") for number in range(n)]
        for server in made:
            stack.callback(server.close)
        yield [server.started() for server in made]


@pytest.mark.parametrize("data", ["file", "postgres"], indirect=True)
def test_of_requests_at_several_servers_at_once_as_many_attempts_are_given_as_the_network_allows(data: DataSettings) -> None:
    cards = [f"crd_{number}" for number in range(8)]
    asked = [(card, number) for number in range(50) for card in cards]
    random.Random(3).shuffle(asked)
    with servers(data, 2) as both, ThreadPoolExecutor(16) as callers:
        answers = list(callers.map(lambda at: _decide(both[at % 2], f"pay_{asked[at][0]}_{asked[at][1]}", asked[at][0]), range(len(asked))))
    assert sum(answer["action"] == "attempt" for answer in answers) == VISA_LIMIT * len(cards)
    given = _given(data)
    assert given == dict.fromkeys(cards, VISA_LIMIT)
    assert {answer["reason"]["code"] for answer in answers if answer["action"] == "stop"} == {"network_retry_limit"}


def test_of_two_servers_that_race_for_the_last_permitted_attempt_one_gets_it(data: DataSettings) -> None:
    cards = [f"crd_{number}" for number in range(25)]
    with servers(data, 2) as both, ThreadPoolExecutor(2) as callers:
        for card in cards:
            for number in range(VISA_LIMIT - 1):
                _decide(both[number % 2], f"pay_{card}_{number}", card)
            together = threading.Barrier(2)

            def race(which: int, card: str = card, together: threading.Barrier = together) -> dict[str, Any]:
                together.wait()
                return _decide(both[which], f"pay_{card}_last_{which}", card)

            actions = sorted(answer["action"] for answer in callers.map(race, range(2)))
            assert actions == ["attempt", "stop"]
    assert _given(data) == dict.fromkeys(cards, VISA_LIMIT)


def test_a_payment_asked_about_at_another_server_gets_the_same_bytes_and_may_be_reported_there(data: DataSettings) -> None:
    with servers(data, 2) as (one, other):
        for number in range(30):
            body = {"payment": payment(f"pay_{number}", card={"card_id": f"crd_{number}", "bin": "411111", "network": "visa"})}
            first = one.client.post("/v1/decisions", json=body)
            assert other.client.post("/v1/decisions", json=body).content == first.content
            said = {"decision_id": first.json()["decision_id"], "status": "declined", "response_code": "51"}
            told = other.client.post("/v1/outcomes", json=said)
            assert told.status_code == 200
            assert one.client.post("/v1/outcomes", json=said).content == told.content
            assert one.client.post("/v1/outcomes", json={**said, "status": "approved"}).status_code == 409
            assert one.client.post("/v1/decisions", json=body).json()["attempt_number"] == 2
    counted = [one.event.outcome.decision_id for one in _events(data) if isinstance(one.event, OutcomeReported)]
    assert len(counted) == len(set(counted)) == 30


def test_each_server_ends_with_the_fold_of_the_whole_log(data: DataSettings) -> None:
    with servers(data, 2) as both:
        _load(both, n=150, seed=5)
        for server in both:
            _until_followed(server, n=int(_metric(both[0], "honour_log_events")))
        for server in both:
            server.process.send_signal(signal.SIGTERM)
        assert [server.process.wait(timeout=60) for server in both] == [0, 0]
        states = [server.state.read_bytes() for server in both]
    assert states[0] == states[1]
    log = open_log(data, read_only=True)
    assert states[0] == restore(log).to_bytes()
    assert restore(log, snapshots=Path(data.dir) / "snapshots").to_bytes() == states[0]
    log.close()
    assert list((Path(data.dir) / "snapshots").glob("*.snapshot"))


@pytest.mark.parametrize("data", ["file", "postgres"], indirect=True)
def test_when_a_server_is_killed_the_others_go_on_and_nothing_acknowledged_is_lost(data: DataSettings) -> None:
    dice = random.Random(11)
    with servers(data, 1) as (survivor,):
        kept: dict[str, bytes] = {}
        for part in range(3):
            with servers(data, 1) as (victim,):
                end = threading.Timer(dice.uniform(0.3, 1.0), victim.process.kill)
                end.start()
                kept |= _load([survivor, victim], n=400, seed=part)
                end.join()
                victim.process.wait()
            assert survivor.client.get("/readyz").status_code == 200
            kept |= _load([survivor], n=10, seed=100 + part)
    events = _events(data)
    assert [one.seq for one in events] == list(range(1, len(events) + 1))
    by_id = {one.event.decision.decision_id for one in events if isinstance(one.event, DecisionMade)}
    assert kept.keys() <= by_id
    assert len(kept) > 400
    assert max(_given(data).values()) <= VISA_LIMIT


def _load(at: list[Server], *, n: int, seed: int) -> dict[str, bytes]:
    """Decide, ask again elsewhere, report elsewhere; decisions that were acknowledged. A server that is gone answers no more."""
    dice = random.Random(seed)
    kept: dict[str, bytes] = {}

    def call(caller: int) -> None:
        for number in range(n // 8):
            card = f"crd_{seed}_{dice.randrange(40)}"
            try:
                one, other = dice.choice(at), dice.choice(at)
                body = {"payment": payment(f"pay_{seed}_{caller}_{number}", card={"card_id": card, "bin": "411111", "network": "visa"})}
                answer = one.client.post("/v1/decisions", json=body)
                assert answer.status_code == 200, answer.text
                decision = answer.json()
                kept[decision["decision_id"]] = answer.content
                if decision["action"] == "attempt":
                    assert other.client.post("/v1/decisions", json=body).content == answer.content
                    said = {"decision_id": decision["decision_id"], "status": dice.choice(["approved", "declined", "failed"])}
                    assert other.client.post("/v1/outcomes", json=said).status_code == 200
            except httpx.TransportError:
                continue

    with ThreadPoolExecutor(8) as callers:
        list(callers.map(call, range(8)))
    return kept


def _decide(server: Server, payment_id: str, card: str) -> dict[str, Any]:
    asked = payment(payment_id, card={"card_id": card, "bin": "411111", "network": "visa"})
    answer = server.client.post("/v1/decisions", json={"payment": asked})
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


def _until_followed(server: Server, *, n: int) -> None:
    while int(_metric(server, "honour_log_events")) < n:
        threading.Event().wait(0.02)


def _metric(server: Server, name: str) -> float:
    found = re.search(rf"^{name} (\S+)$", server.client.get("/metrics").text, re.MULTILINE)
    assert found is not None
    return float(found.group(1))


def _events(data: DataSettings) -> list[LoggedEvent]:
    log: EventLog = open_log(data, read_only=True)
    try:
        return list(log.read())
    finally:
        log.close()


def _given(data: DataSettings) -> dict[str, int]:
    """Attempts given to each card, counted from the log alone; the network counts them by card, merchant and amount."""
    given: dict[str, int] = defaultdict(int)
    for one in _events(data):
        if isinstance(one.event, DecisionMade) and one.event.decision.action == "attempt":
            given[one.event.payment.card.card_id] += 1
    return given

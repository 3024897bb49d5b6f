"""Retries that are due: listed over HTTP, on the command line, and posted with a signature until somebody takes them."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import msgspec
import pytest
from shop import NOON_US, SETTINGS, Fixed, ask, engine, payment

from honour.cli import retries
from honour.cli.doctor import examine
from honour.errors import BadInput
from honour.outcomes.state import State
from honour.records.attempt import Outcome
from honour.records.decision import DecisionRequest
from honour.records.event import SettingsTaken
from honour.records.instant import from_us
from honour.records.payment import Payment
from honour.records.settings import PolicySettings, RetrySettings
from honour.serving.app import Service
from honour.serving.hot_path import Engine
from honour.serving.push import SIGNATURE, DuePush, Pushed
from honour.stores.memory import MemoryLog
from honour.stores.port import EventLog
from honour.stores.sqlite import sqlite_log

DAY_US = 86_400_000_000
SECRET = "sixteen characters and more"
# Every attempt here is refused, which the fast layer would hold against the routes.
PUSHING = msgspec.structs.replace(
    SETTINGS,
    policy=PolicySettings(fast_layer=False),
    retries=RetrySettings(webhook_url="https://shop.test/due", webhook_secret=SECRET),
)


class Time:
    """Seconds that pass when they are told to, and the server's clock with them."""

    def __init__(self) -> None:
        self.s = 0.0

    def __call__(self) -> float:
        return self.s

    def now_us(self) -> int:
        return NOON_US + int(self.s * 1_000_000)


def waiting(shop: Engine, *names: str) -> None:
    """Renewals that were refused for a lack of funds and wait for a day."""
    for name in names:
        told = payment(name, initiator="merchant", usage="recurring")
        told["card"]["card_id"] = f"crd_{name}"
        request = DecisionRequest(payment=msgspec.convert(told, Payment))
        decision = shop.decide(request).answer
        shop.report_outcome(Outcome(decision_id=decision.decision_id, status="declined", response_code="51"))
        assert shop.decide(request).answer.action == "wait"


def test_what_is_due_is_listed_page_by_page_and_leaves_with_the_next_decision() -> None:
    shop = engine(model=Fixed())
    service = Service(shop)
    waiting(shop, "pay_1", "pay_2", "pay_3")
    assert ask(service, "GET", "/v1/payments").json() == {"due": [], "next": None}
    later = from_us(NOON_US + 2 * DAY_US).isoformat().replace("+00:00", "Z")
    first = ask(service, "GET", f"/v1/payments?due_before={later}&limit=2").json()
    assert [one["payment_id"] for one in first["due"]] == ["pay_1", "pay_2"]
    assert first["due"][0]["attempt_number"] == 2
    rest = ask(service, "GET", f"/v1/payments?due_before={later}&limit=2&after={first['next']}").json()
    assert ([one["payment_id"] for one in rest["due"]], rest["next"]) == (["pay_3"], None)
    asked = payment("pay_2", initiator="merchant", usage="recurring", card={"card_id": "crd_pay_2", "bin": "411111", "network": "visa"})
    assert ask(service, "POST", "/v1/decisions", json={"payment": asked, "at": later}).json()["action"] == "attempt"
    left = ask(service, "GET", f"/v1/payments?due_before={later}").json()
    assert [one["payment_id"] for one in left["due"]] == ["pay_1", "pay_3"]


@pytest.mark.parametrize("query", ["due_before=tomorrow", "due_before=2026-03-01T12:00:00", "limit=0", "limit=x", "after=12", "before=1"])
def test_a_wrong_question_is_refused_with_what_is_allowed(query: str) -> None:
    answer = ask(Service(engine()), "GET", f"/v1/payments?{query}")
    assert answer.status_code == 422
    assert query.split("=")[0] in answer.json()["detail"]


class Shop:
    """A merchant's end of the webhook: answers with the statuses given, then with 200."""

    def __init__(self, *statuses: int) -> None:
        self.statuses, self.taken = list(statuses), list[tuple[str, bytes, dict[str, str]]]()

    async def __call__(self, url: str, body: bytes, headers: dict[str, str]) -> int:
        self.taken.append((url, body, headers))
        status = self.statuses.pop(0) if self.statuses else 200
        if status == 0:
            raise OSError
        return status


def pushing(*statuses: int, log: EventLog | None = None, state: State | None = None) -> tuple[Engine, DuePush, Shop, Time]:
    time, shop = Time(), Shop(*statuses)
    kept = Engine(
        PUSHING, log=log if log is not None else MemoryLog(), state=state or State(), model=Fixed(), bundle_id="bdl", clock_us=time.now_us
    )
    return kept, DuePush(kept, send=shop, clock_s=time, pause_s=time, dice=random.Random(1)), shop, time


def looked(push: DuePush) -> bool:
    return asyncio.run(push.look())


def test_a_retry_is_posted_once_when_it_is_due_with_a_signature_that_holds() -> None:
    kept, push, shop, time = pushing()
    waiting(kept, "pay_1")
    assert not looked(push)
    time.s = 86_401
    assert looked(push)
    assert not looked(push)
    ((url, body, headers),) = shop.taken
    assert url == "https://shop.test/due"
    said = dict(part.split("=") for part in headers[SIGNATURE].split(","))
    assert said["v1"] == hmac.new(SECRET.encode(), f"{said['t']}.".encode() + body, hashlib.sha256).hexdigest()
    told = msgspec.json.decode(body, type=Pushed)
    assert (told.type, [one.payment_id for one in told.due]) == ("retries.due", ["pay_1"])


@pytest.mark.parametrize("status", [0, 500, 404, 302])
def test_what_is_not_taken_is_sent_again_after_longer_and_longer_pauses(status: int) -> None:
    kept, push, shop, time = pushing(*[status] * 12)
    waiting(kept, "pay_1")
    time.s, pauses, failed_s = 86_401.0, list[float](), 86_401.0
    while push.counted["delivered"] == 0:
        n_sent = len(shop.taken)
        looked(push)
        if len(shop.taken) > n_sent:
            pauses.append(time.s - failed_s)
            failed_s = time.s
        time.s += 0.25
    assert push.counted == {"delivered": 1, "failed": 12}
    assert pauses[2] < pauses[5] < pauses[8]
    assert max(pauses) <= 300.25
    assert len({body for _, body, _ in shop.taken}) == 1


def test_many_are_posted_in_order_and_after_a_restart_those_that_still_wait_again() -> None:
    kept, push, shop, time = pushing()
    names = [f"pay_{number:03}" for number in range(150)]
    waiting(kept, *names)
    time.s = 86_401
    while looked(push):
        pass
    sent = [[one["payment_id"] for one in json.loads(body)["due"]] for _, body, _ in shop.taken]
    assert [len(together) for together in sent] == [100, 50]
    assert [name for together in sent for name in together] == names
    state = State()
    for logged in kept.log.read():
        state.apply(logged)
    _, push, shop, time = pushing(log=kept.log, state=state)
    time.s = 86_402
    assert looked(push)
    assert json.loads(shop.taken[0][1])["due"][0]["payment_id"] == "pay_000"


def test_nothing_is_posted_without_an_address() -> None:
    kept, push, shop, time = pushing()
    kept.settings = SETTINGS
    waiting(kept, "pay_1")
    time.s = 86_401
    assert not looked(push)
    assert shop.taken == []


def test_the_key_of_signatures_is_not_written_to_the_log() -> None:
    kept, *_ = pushing()
    kept.take_settings(PUSHING)
    (taken,) = (logged.event for logged in kept.log.read())
    assert isinstance(taken, SettingsTaken)
    assert (taken.settings.retries.webhook_url, taken.settings.retries.webhook_secret) == ("https://shop.test/due", None)


def test_it_goes_over_real_http(capsys: pytest.CaptureFixture[str]) -> None:
    with _receiver() as (address, taken):
        time = Time()
        told = msgspec.structs.replace(PUSHING, retries=RetrySettings(webhook_url=address, webhook_secret=SECRET))
        kept = Engine(told, log=MemoryLog(), state=State(), model=Fixed(), bundle_id="bdl", clock_us=time.now_us)
        waiting(kept, "pay_1")
        time.s = 86_401
        assert looked(DuePush(kept, clock_s=time, pause_s=time))
    assert json.loads(taken[0]["body"])["due"][0]["payment_id"] == "pay_1"
    assert taken[0]["signature"].startswith("t=86401,v1=")
    assert capsys.readouterr().err == ""


def test_the_command_lists_what_is_due_from_the_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = sqlite_log(tmp_path / "events.db")
    shop = engine(log, model=Fixed())
    waiting(shop, "pay_1", "pay_2")
    assert shop.newest is not None
    shop.newest.result(timeout=10)
    retries.due(data=tmp_path, before=from_us(NOON_US + 2 * DAY_US), limit=1, json=True)
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert ([one["payment_id"] for one in told["due"]], told["next"] is None) == (["pay_1"], False)
    retries.due(data=tmp_path, before=from_us(NOON_US), limit=100, json=False)
    assert "pay_1" not in capsys.readouterr().out
    log.close()


def test_the_doctor_names_codes_that_no_table_knows(tmp_path: Path) -> None:
    log = sqlite_log(tmp_path / "events.db")
    shop = engine(log, model=Fixed())
    decision = shop.decide(DecisionRequest(payment=msgspec.convert(payment("pay_1"), Payment))).answer
    shop.report_outcome(Outcome(decision_id=decision.decision_id, status="declined", response_code="D51"))
    assert shop.newest is not None
    shop.newest.result(timeout=10)
    (codes,) = (finding for finding in examine(None, data_dir=tmp_path) if finding.what == "codes")
    assert codes.detail.startswith("1 answers with 1 codes that no table knows, most often visa D51 (1)")
    log.close()


def test_the_command_says_when_there_is_no_log(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no event log"):
        retries.due(data=tmp_path, before=None, limit=10, json=True)


@contextmanager
def _receiver() -> Iterator[tuple[str, list[dict[str, str]]]]:
    """A server that takes one body after another; its address and what it took."""
    taken: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"])).decode()
            taken.append({"body": body, "signature": self.headers[SIGNATURE]})
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/due", taken
    finally:
        server.shutdown()
        server.server_close()

"""A full disk: nothing is acknowledged that is not kept, the service says so, and goes on when there is room again."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import httpx
import pytest
from shop import NOON_US, Fixed, engine, payment

from honour.errors import LogUnavailable
from honour.outcomes.state import State
from honour.records.event import DecisionMade, LoggedEvent, OutcomeReported
from honour.serving.app import Service
from honour.serving.durable import Waiting
from honour.serving.recovery import restore
from honour.serving.upkeep import Upkeep
from honour.stores.memory import MemoryLog
from honour.stores.shared_log import SharedLog
from honour.stores.sqlite import SqliteRows
from honour.stores.turn import FileTurn

BYTES_MAX = 300_000


@pytest.fixture
def rows(tmp_path: Path) -> SqliteRows:
    return SqliteRows(tmp_path / "events.db", bytes_max=BYTES_MAX)


@pytest.fixture
def log(tmp_path: Path, rows: SqliteRows) -> Iterator[SharedLog]:
    opened = SharedLog(rows, turn=FileTurn(tmp_path / "events.db"))
    yield opened
    opened.close()


def test_a_full_disk_is_a_503_and_what_was_acknowledged_stays(log: SharedLog, rows: SqliteRows, tmp_path: Path) -> None:
    service = Service(engine(log, model=Fixed()))
    kept: list[str] = []

    async def go(client: httpx.AsyncClient) -> None:
        refused = await _fill(client, kept)
        assert len(kept) > 20
        assert {response.headers["retry-after"] for response in refused} == {"1"}
        assert {response.json()["type"] for response in refused} == {"/docs#log-unavailable"}
        for method, path in (("GET", "/readyz"), ("POST", "/v1/outcomes"), ("POST", "/v1/attempts"), ("POST", "/v1/events")):
            response = await client.request(method, path)
            assert (response.status_code, response.headers.get("retry-after")) == (503, "1")
        assert (await client.get("/healthz")).status_code == 200
        assert "honour_ready 0.0" in (await client.get("/metrics")).text

        upkeep = Upkeep(service, snapshots=tmp_path / "snapshots", config=None, load=None, data=None)
        assert not await upkeep.mend()  # Still full.
        assert (await client.get("/readyz")).status_code == 503
        assert _decided(log) == sorted(kept)

        rows.bytes_max = None  # There is room again.
        await upkeep.look()
        assert (await client.get("/readyz")).status_code == 200
        response = await client.post("/v1/decisions", json={"payment": _large("pay_after")})
        assert response.status_code == 200
        kept.append(response.json()["decision_id"])
        reported = await client.post("/v1/outcomes", json={"decision_id": kept[0], "status": "approved"})
        assert reported.status_code == 200

    _with_client(service, go)
    assert _decided(log) == sorted(kept)
    assert service.engine.state.to_bytes() == restore(log).to_bytes()


def test_a_retry_after_the_disk_was_full_has_the_effect_once(log: SharedLog, rows: SqliteRows, tmp_path: Path) -> None:
    service = Service(engine(log, model=Fixed()))

    async def go(client: httpx.AsyncClient) -> None:
        kept: list[str] = []
        await _fill(client, kept)
        lost = {"decision_id": kept[-1], "status": "declined"}
        assert (await client.post("/v1/outcomes", json=lost)).status_code == 503
        rows.bytes_max = None
        await Upkeep(service, snapshots=tmp_path / "snapshots", config=None, load=None, data=None).look()
        answers = [await client.post("/v1/outcomes", json=lost) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200] * 3

    _with_client(service, go)
    assert sum(isinstance(logged.event, OutcomeReported) for logged in log.read()) == 1


class Held(MemoryLog):
    """A log that takes in and is slow to make durable."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[tuple[Future[LoggedEvent], LoggedEvent]] = []

    def append(self, event: Any, *, arrived_us: int, is_new: bool = False) -> Future[LoggedEvent]:
        logged = super().append(event, arrived_us=arrived_us, is_new=is_new).result()
        future: Future[LoggedEvent] = Future()
        self.waiting.append((future, logged))
        return future


def test_a_snapshot_is_written_only_when_its_last_event_is_durable(tmp_path: Path) -> None:
    log = Held()
    service = Service(engine(log, model=Fixed()))
    service.engine.take_settings(service.engine.settings)

    async def go(is_lost: bool) -> list[Path]:
        upkeep = Upkeep(service, snapshots=tmp_path, config=None, load=None, data=None)
        writing = asyncio.create_task(upkeep._snapshot())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not list(tmp_path.iterdir())
        future, logged = log.waiting.pop()
        if is_lost:
            future.set_exception(LogUnavailable("the disk is full."))
        else:
            future.set_result(logged)
        await writing
        return list(tmp_path.iterdir())

    assert asyncio.run(go(True)) == []
    service.engine.take_settings(service.engine.settings)
    (written,) = asyncio.run(go(False))
    assert written.name == "0000000000000002.snapshot"


def test_all_who_wait_for_a_commit_that_fails_are_told() -> None:
    async def go() -> list[object]:
        waiting, durable = Waiting(), Future[LoggedEvent]()
        tasks = [asyncio.create_task(waiting.until(durable)) for _ in range(5)]
        await asyncio.sleep(0)
        assert waiting.n == 5
        tasks[0].cancel()
        await asyncio.to_thread(durable.set_exception, LogUnavailable("the disk is full."))
        said: list[object] = list(await asyncio.gather(*tasks, return_exceptions=True))
        assert waiting.n == 0
        return said

    said = asyncio.run(go())
    assert [type(one) for one in said] == [asyncio.CancelledError, *[LogUnavailable] * 4]


def test_a_snapshot_and_the_rest_of_the_log_make_the_state(tmp_path: Path) -> None:
    shop = engine(model=Fixed())
    for _ in range(3):
        shop.take_settings(shop.settings)
    assert restore(shop.log, snapshots=tmp_path).to_bytes() == shop.state.to_bytes()
    assert State().to_bytes() != shop.state.to_bytes()
    assert shop.log.last_arrived_us <= NOON_US


async def _fill(client: httpx.AsyncClient, kept: list[str]) -> list[httpx.Response]:
    """Decisions, ten at a time, until one is refused; the refused ones."""
    for batch in range(100):
        asked = [client.post("/v1/decisions", json={"payment": _large(f"pay_{batch}_{n}")}) for n in range(10)]
        responses = await asyncio.gather(*asked)
        assert {response.status_code for response in responses} <= {200, 503}
        kept += [response.json()["decision_id"] for response in responses if response.status_code == 200]
        if refused := [response for response in responses if response.status_code == 503]:
            return refused
    raise AssertionError("the log never filled up")


def _large(payment_id: str) -> dict[str, Any]:
    card = {"card_id": f"crd_{payment_id}", "bin": "411111", "network": "visa"}  # One each: no limit of a network is used up.
    return payment(payment_id, card=card, attributes={"note": "x" * 1_000})


def _decided(log: SharedLog) -> list[str]:
    return sorted(logged.event.decision.decision_id for logged in log.read() if isinstance(logged.event, DecisionMade))


def _with_client(service: Service, go: Any) -> None:
    async def run() -> None:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=service), base_url="http://honour.test") as client:
            await go(client)

    asyncio.run(run())

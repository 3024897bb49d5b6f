"""Servers, engines and payments for tests of releases."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import msgspec
from shop import SETTINGS, payment

from honour import loop
from honour.loop import DataDir
from honour.outcomes.state import State
from honour.records.attempt import Outcome
from honour.records.decision import DecisionRequest
from honour.records.payment import Payment
from honour.records.release import ReleaseAction, ReleaseChanged, ReleaseSettings
from honour.records.settings import DataSettings, Settings
from honour.serving.bundles import Bundles
from honour.serving.hot_path import Engine
from honour.stores.memory import MemoryLog

MakeBundle = Callable[..., tuple[Path, str]]


class Caller:
    """Asks about one payment after the other until it ends; a request that fails is kept."""

    def __init__(self, url: str, name: str = "a") -> None:
        self.bundles: list[str | None] = []
        self.failed: list[str] = []
        self._url, self._name, self._over = url, name, threading.Event()
        self._thread = threading.Thread(target=self._ask)
        self._thread.start()

    def __enter__(self) -> Caller:
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def wait_for(self, bundle_id: str, *, s_max: float = 200.0) -> None:
        """Until the newest decision is by this bundle."""
        until = time.monotonic() + s_max
        while self.bundles[-1:] != [bundle_id]:
            assert time.monotonic() < until, f"still {self.bundles[-1:]}, {self.failed[-1:]}"
            time.sleep(0.02)

    def _ask(self) -> None:
        with httpx.Client(base_url=self._url, timeout=60, headers={"Honour-Deadline-Ms": "60000"}) as client:
            while not self._over.is_set():
                asked = payment(
                    f"pay_{self._name}_{len(self.bundles)}",
                    card={"card_id": f"crd_{self._name}_{len(self.bundles)}", "bin": "411111", "network": "visa"},
                )
                answer = client.post("/v1/decisions", json={"payment": asked})
                if answer.status_code != 200:
                    self.failed.append(answer.text)
                self.bundles.append(answer.json().get("bundle"))
                time.sleep(0.01)


def data_folder(tmp_path: Path) -> Path:
    """A data folder with honour.toml."""
    data = tmp_path / "data"
    loop.write_settings(DataDir(data).settings, settings_of(data))
    return data


def settings_of(data: Path) -> Settings:
    """The shop's settings on a data folder; nothing counts as slow."""
    return msgspec.structs.replace(SETTINGS, data=DataSettings(dir=str(data)), release=ReleaseSettings(slow_ms=10_000.0))


def engine_on(data: Path, live: Path) -> tuple[Engine, Bundles]:
    """An engine on an empty log, with a live bundle."""
    engine = Engine(settings_of(data), log=MemoryLog(), state=State())
    engine.take_settings(engine.settings)
    Bundles(engine, data_dir=data).begin(live)
    return engine, Bundles(engine, data_dir=data)


def look(bundles: Bundles) -> None:
    """One look of a server at its bundles."""
    asyncio.run(bundles.look())


def pay(engine: Engine, *, n: int, approved: Callable[[int], bool]) -> None:
    """Payments of one attempt each, with cards of their own."""
    begin = engine.log.last_seq
    for number in range(n):
        card = {"card_id": f"crd_{begin}_{number}", "bin": "411111", "network": "visa"}
        asked = msgspec.convert(payment(f"pay_{begin}_{number}", card=card), Payment)
        decision = engine.decide(DecisionRequest(payment=asked)).answer
        engine.report_outcome(Outcome(decision_id=decision.decision_id, status="approved" if approved(number) else "declined"))


def change(action: ReleaseAction, bundle_id: str) -> ReleaseChanged:
    """A release by somebody."""
    return ReleaseChanged(action=action, bundle=bundle_id, by="somebody", why="test", at=datetime.now(tz=UTC))


def events_of(engine: Engine) -> list[Any]:
    """Every event."""
    return [logged.event for logged in engine.log.read()]


def releases_in(data: Path) -> list[ReleaseChanged]:
    """Every release in the log of a data folder."""
    with DataDir(data).log() as log:
        return [one.event for one in log.read() if isinstance(one.event, ReleaseChanged)]


def until_refused(url: str) -> None:
    """Until the server has looked at what is in the folder."""
    while 'honour_bundles_total{result="refused"} 0.0' in httpx.get(f"{url}/metrics").text:
        time.sleep(0.05)

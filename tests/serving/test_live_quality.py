"""What a server took is held against expectations by a process beside it, and told as metrics."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest
from shop import SETTINGS, ask, engine, payment

from honour.records.expectation import Expectation, QualitySettings
from honour.records.settings import DataSettings
from honour.serving import live_quality
from honour.serving.app import Service
from honour.serving.live_quality import LiveQuality
from honour.stores.memory import MemoryLog
from honour.stores.opening import seq_before
from honour.stores.sqlite import sqlite_log

pytestmark = pytest.mark.slow


def test_an_attempt_that_is_not_as_expected_is_in_the_metrics_within_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_quality, "START_AFTER_S", 0.0)
    few = Expectation(name="installments_few", kind="domain", column="installments", max=6)
    settings = msgspec.structs.replace(SETTINGS, quality=QualitySettings(expectations=(few,)))
    log = sqlite_log(tmp_path / "events.db")
    service = Service(engine(log, settings=settings))
    quality = LiveQuality(service, data=DataSettings(dir=str(tmp_path)))

    async def told() -> str:
        task = asyncio.create_task(quality.forever())
        until_s = time.monotonic() + 60.0
        try:
            while quality.figures is None and time.monotonic() < until_s:
                await asyncio.sleep(0.05)
            for number, installments in enumerate((1, 12, 7)):
                asked = payment(f"pay_{number}", installments=installments)
                await asyncio.to_thread(ask, service, "POST", "/v1/decisions", json={"payment": asked})
            while time.monotonic() < until_s and 'expectation="installments_few"' not in (text := service.metrics.text().decode()):
                await asyncio.sleep(0.05)
            while time.monotonic() < until_s and "honour_quality_events_total 3.0" not in (text := service.metrics.text().decode()):
                await asyncio.sleep(0.05)
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        return text

    text = asyncio.run(told())
    log.close()
    assert 'honour_quality_violations_total{expectation="installments_few",severity="warn"} 2.0' in text
    assert 'honour_quality_broken{expectation="installments_few",severity="warn"} 1.0' in text
    assert 'honour_quality_violations_total{expectation="route_configured",severity="warn"} 0.0' in text
    assert "honour_quality_newest_seconds" in text


def test_a_server_told_to_leave_it_out_begins_no_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_quality, "START_AFTER_S", 0.0)
    monkeypatch.setattr(live_quality, "COMMAND", ("false",))
    quality = LiveQuality(
        Service(engine(settings=msgspec.structs.replace(SETTINGS, quality=QualitySettings(live=False)))),
        data=DataSettings(dir=str(tmp_path)),
    )

    async def look() -> None:
        task = asyncio.create_task(quality.forever())
        await asyncio.sleep(0.3)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    asyncio.run(look())
    assert quality.collect() == []


def test_the_fold_begins_at_the_instant_that_it_needs() -> None:
    service = Service(engine(log := MemoryLog()))
    for number in range(9):
        ask(service, "POST", "/v1/decisions", json={"payment": payment(f"pay_{number}")})
    arrivals = [logged.arrived_us for logged in log.read()]
    for instant_us in (0, arrivals[4], arrivals[-1] + 1):
        assert seq_before(log, instant_us) == sum(arrived_us < instant_us for arrived_us in arrivals)

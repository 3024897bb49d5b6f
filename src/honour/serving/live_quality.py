"""Expectations of live events as metrics: the server that leads has a process that looks, and repeats what it says."""

from __future__ import annotations

import asyncio
import sys
import time
from contextlib import suppress

import msgspec
import structlog
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from honour.features.live import LiveFigures
from honour.records.settings import DataSettings
from honour.serving.app import Service
from honour.serving.quality_process import Task

START_AFTER_S = 5.0
"""A server that has just started has other things to do."""
PAUSE_S, PAUSE_S_MAX = 5.0, 300.0
COMMAND = (sys.executable, "-m", "honour.serving.quality_process")

_log = structlog.get_logger("honour")
Family = CounterMetricFamily | GaugeMetricFamily


class LiveQuality:
    """The figures of one server; those of a server that does not lead are absent."""

    def __init__(self, service: Service, *, data: DataSettings) -> None:
        self._engine, self._data = service.engine, data
        self.figures: LiveFigures | None = None
        service.metrics.registry.register(self)

    async def forever(self) -> None:
        """Keep the process running until cancelled; begin it anew when it ends or when what is expected has changed."""
        await asyncio.sleep(START_AFTER_S)
        pause_s = PAUSE_S
        while True:
            began_s = time.monotonic()
            if self._engine.settings.quality.live and self._engine.log.leads():
                try:
                    await self._follow()
                except (OSError, ValueError, msgspec.MsgspecError) as error:
                    _log.error("live_quality_failed", error=type(error).__name__)
                self.figures = None
            pause_s = PAUSE_S if time.monotonic() - began_s > PAUSE_S_MAX else min(PAUSE_S_MAX, 2 * pause_s)
            await asyncio.sleep(pause_s)

    async def _follow(self) -> None:
        """One process, until it ends or the settings change."""
        task = self._task()
        pipe, quiet = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
        process = await asyncio.create_subprocess_exec(*COMMAND, stdin=pipe, stdout=pipe, stderr=quiet)
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(msgspec.json.encode(task) + b"\n")  # Not in the command, which all users of the machine can see.
            await process.stdin.drain()
            while line := await process.stdout.readline():
                self.figures = msgspec.json.decode(line, type=LiveFigures)
                if self._task() != task:
                    return
            _log.error("live_quality_ended")
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    def _task(self) -> Task:
        settings = self._engine.settings
        return Task(data=self._data, quality=settings.quality, routes=tuple(route.id for route in settings.routes))

    def collect(self) -> list[Family]:
        """What Prometheus reads; nothing before the first figures."""
        now = self.figures
        if now is None:
            return []
        checked = CounterMetricFamily("honour_quality_events", "Decisions, outcomes and attempts held against expectations", now.n_checked)
        behind = GaugeMetricFamily(
            "honour_quality_behind_events", "Events that were not looked at yet", max(0, self._engine.log.last_seq - now.seq)
        )
        broken = CounterMetricFamily("honour_quality_violations", "Events that break an expectation", labels=["expectation", "severity"])
        holds = GaugeMetricFamily("honour_quality_broken", "1 while today does not hold", labels=["expectation", "severity"])
        figure = GaugeMetricFamily("honour_quality_figure", "What is held against the limit, of today", labels=["expectation"])
        for one in now.figures:
            if one.n_broken is not None:
                broken.add_metric([one.expectation, one.severity], one.n_broken)
            if one.holds is not None and one.figure is not None:
                holds.add_metric([one.expectation, one.severity], float(not one.holds))
                figure.add_metric([one.expectation], one.figure)
        families: list[Family] = [checked, behind, broken, holds, figure]
        if now.newest_us is not None:
            age_s = max(0.0, time.time() - now.newest_us / 1e6)
            families.append(GaugeMetricFamily("honour_quality_newest_seconds", "Since the newest event", age_s))
        families.append(GaugeMetricFamily("honour_quality_attempts_per_minute", "Attempts of the last whole minute", now.per_minute))
        if now.usual_per_minute is not None:
            families.append(
                GaugeMetricFamily("honour_quality_attempts_per_minute_usual", "Attempts a minute at this time of day", now.usual_per_minute)
            )
        return families

"""What a running service does besides answering: mend the log, write snapshots, take changed settings."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import structlog

from honour.errors import HonourError, LogUnavailable, StateAway
from honour.features.shared import SharedFeatures
from honour.records.settings import DataSettings, Settings
from honour.serving.app import Service
from honour.serving.bundles import owner_of
from honour.serving.hot_path import Engine
from honour.serving.recovery import keep, restore
from honour.serving.shared_state import catch_up

LOOK_EVERY_S = 1.0
FOLLOW_EVERY_S = 0.01
FOLLOWED_AT_ONCE = 100
"""Events of other processes that are folded without a pause."""

_log = structlog.get_logger("honour")


class Upkeep:
    """Looks every second, and whenever it is told to.

    snapshots  folder of snapshots
    data       where the event log is; when given, snapshots are folded from it by a process of their own, which no payment waits for
    """

    def __init__(
        self, service: Service, *, snapshots: Path, config: Path | None, load: Callable[[], Settings] | None, data: DataSettings | None
    ) -> None:
        self._service, self._engine = service, service.engine
        self._snapshots, self._config, self._load, self._data = snapshots, config, load, data
        self._written = self._engine.state.seq
        self._seen = _changed_at(config)
        self._writing: asyncio.Task[None] | None = None

    async def forever(self) -> None:
        """Look until cancelled. What goes wrong is logged and tried again: nothing here may end before the service does."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            try:
                await self.look()
            except Exception as error:
                _log.error("upkeep_failed", error=type(error).__name__)

    def look_again(self) -> None:
        """Take the settings at the next look, changed or not."""
        self._seen = -1

    async def look(self) -> None:
        """One look."""
        if self._engine.why_not_ready is not None:
            await self.mend()
            return
        await self._return_to_state()
        if self._config is not None and self._load is not None and (changed := _changed_at(self._config)) != self._seen:
            self._take(self._load)
            self._seen = changed
        if self._engine.state.seq - self._written >= self._engine.settings.data.snapshot_every and self._writing is None:
            self._written = self._engine.state.seq
            if self._engine.log.leads():
                self._writing = asyncio.create_task(self._snapshot())

    async def mend(self) -> bool:
        """Try to write again; when it works, rebuild the state from the log and accept work. True when it did."""
        self._service.stop("the event log failed")
        if not await asyncio.to_thread(self._engine.log.recover):
            return False
        features = self._engine.state.features.anew()
        state = await asyncio.to_thread(restore, self._engine.log, snapshots=self._snapshots, features=features)
        self._engine.resume(state)
        _log.info("ready_again", last_seq=self._engine.log.last_seq)
        return True

    async def _return_to_state(self) -> None:
        """Ask the shared state again once it is where the log is; the process that leads brings it there."""
        features = self._engine.state.features
        if not isinstance(features, SharedFeatures) or features.why_away is None:
            return
        try:
            if self._engine.log.leads():
                await asyncio.to_thread(catch_up, self._engine.log, features)
        except StateAway:
            return
        with self._engine.turn():
            if features.return_to_store():
                _log.info("shared_state_back", seq=features.seq)

    def _take(self, load: Callable[[], Settings]) -> None:
        try:
            self._engine.take_settings(load(), by=owner_of(self._config))
            _log.info("settings_taken", routes=[route.id for route in self._engine.settings.routes if route.enabled])
        except LogUnavailable:
            raise
        except HonourError as error:
            _log.error("settings_refused", why=str(error))

    async def _snapshot(self) -> None:
        try:
            if self._data is None:
                await self._snapshot_here()
                return
            command = (sys.executable, "-m", "honour.serving.recovery", str(self._snapshots))
            quiet = asyncio.subprocess.DEVNULL
            process = await asyncio.create_subprocess_exec(*command, stdin=asyncio.subprocess.PIPE, stdout=quiet, stderr=quiet)
            await process.communicate(msgspec.json.encode(self._data))  # Not in the command, which all users of the machine can see.
            if process.returncode != 0:
                _log.error("snapshot_failed", error=f"exit code {process.returncode}")
        except LogUnavailable as error:
            _log.error("snapshot_failed", error=type(error).__name__, why=error.message)
        except OSError as error:
            _log.error("snapshot_failed", error=type(error).__name__, why=error.strerror)
        finally:
            self._writing = None

    async def _snapshot_here(self) -> None:
        """Written only once its last event is durable: other events may take the places of those that a crash loses."""
        state, seq, newest = self._engine.state.to_bytes(), self._engine.state.seq, self._engine.newest
        schema = self._engine.state.schema
        await self._service.waiting.until(newest)
        keep(state, seq=seq, schema=schema, folder=self._snapshots)


async def following(engine: Engine) -> None:
    """Fold what other processes append, until cancelled. Decisions are exact without it; it keeps what is left to fold then small."""
    while True:
        await asyncio.sleep(FOLLOW_EVERY_S)
        try:
            while engine.why_not_ready is None and engine.follow(n_max=FOLLOWED_AT_ONCE) == FOLLOWED_AT_ONCE:
                await asyncio.sleep(0)
        except HonourError as error:
            _log.error("following_failed", error=type(error).__name__, why=error.message)
            await asyncio.sleep(LOOK_EVERY_S)


def _changed_at(path: Path | None) -> int:
    try:
        return path.stat().st_mtime_ns if path is not None else 0
    except OSError:
        return 0

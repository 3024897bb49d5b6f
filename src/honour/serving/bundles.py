"""Bundles in a running service: taken up as the log says, checked first, and given back when they do not hold.

The event log says which bundle has which part (`outcomes.stages`), so that every process on it follows. A bundle is loaded twice beside
the requests, in a process of its own and then here, and takes over between two of them. When it does not load, or a guardrail is
broken, whoever sees it first writes the rollback to the log, and all go back.
"""

from __future__ import annotations

import asyncio
import os
import pwd
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import structlog

from honour.errors import BundleRefused
from honour.policy.plan import warm
from honour.records.release import ReleaseAction, ReleaseChanged
from honour.release.bundle import Bundle, verify
from honour.release.guardrail import guarded, in_words
from honour.release.store import BundleStore
from honour.serving.decider import Decider
from honour.serving.hot_path import Engine
from honour.serving.score import Scorer

LOOK_EVERY_S = 0.5
PROBE_S_MAX = 120.0

_log = structlog.get_logger("honour")


class Bundles:
    """Keeps an engine's bundles as the log wants them.

    counted  what happened here so far: taken, refused, rolled_back
    """

    def __init__(self, engine: Engine, *, data_dir: Path, timer_ns: Callable[[], int] = time.perf_counter_ns) -> None:
        self.counted = {"taken": 0, "refused": 0, "rolled_back": 0}
        self.data_dir = data_dir
        self._engine, self._store, self._timer_ns = engine, BundleStore(data_dir), timer_ns
        self._refused: set[str] = set()
        self._seen_by_hand: tuple[tuple[str, int, int], ...] = ()

    def begin(self, bundle: Path | None) -> None:
        """Before the first request: take up the bundle that is named or was put in the data folder, else the one that the log says is live.

        Raises BundleRefused when it does not hold; where there is one to go back to, that one decides instead.
        """
        stages = self._engine.state.stages
        by_hand = self._store.id_by_hand()
        is_news = self._store.is_put_by_hand and (by_hand is None or by_hand != stages.live)
        found = bundle or (self._store.by_hand if is_news else None)
        if found is not None:
            self._promote(self._store.install(found), found=found)
        while stages.live is not None and self._engine.live.bundle_id != stages.live:
            try:
                self._take(self._loaded(stages.live), is_canary=False)
            except BundleRefused as error:
                if stages.before is None:
                    raise
                self._give_back(stages.live, by="load check", why=error.message)
        self._link()

    async def forever(self) -> None:
        """Look until cancelled. What goes wrong is logged and tried again."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            try:
                await self.look()
            except Exception as error:
                _log.error("bundles_failed", error=type(error).__name__)

    async def look(self) -> None:
        """One look: what was put in the data folder, what the log says, and whether the guardrails hold."""
        engine = self._engine
        if engine.why_not_ready is not None:
            return
        await self._look_by_hand()
        stages = engine.state.stages
        if stages.live is not None and stages.live != engine.live.bundle_id:
            await self._follow(stages.live, is_canary=False)
        if stages.canary is None:
            engine.canary = None
        elif engine.canary is None or engine.canary.bundle_id != stages.canary.bundle:
            await self._follow(stages.canary.bundle, is_canary=True)
        self._guard()
        self._link()

    def _link(self) -> None:
        if (live := self._engine.state.stages.live) is not None and live in self._store:
            self._store.link(live)

    def _guard(self) -> None:
        stages, now_us = self._engine.state.stages, self._engine.now_us
        found = guarded(stages, limits=self._engine.settings.release, now_us=now_us)
        if found is None:
            return
        bundle, guardrails = found
        broken = next((one for one in guardrails if one.is_broken), None)
        if broken is not None:
            self._give_back(bundle, by=f"guardrail {broken.name}", why=in_words(broken))

    async def _look_by_hand(self) -> None:
        """Take up a bundle that was put in the data folder, once for each state of the folder."""
        if not self._store.is_put_by_hand or (marks := self._store.marks_by_hand()) == self._seen_by_hand:
            return
        if self._store.id_by_hand() == self._engine.state.stages.live:
            return
        try:
            await asyncio.to_thread(verify, self._store.by_hand)
            await _probe(self._store.by_hand)
            bundle = await asyncio.to_thread(self._store.install, self._store.by_hand)
        except BundleRefused as error:
            # It may be on its way: what comes next changes the marks, and is looked at anew.
            self._note_refused(error.message, bundle_id=self._store.id_by_hand())
        else:
            self._promote(bundle, found=self._store.by_hand)
        self._seen_by_hand = marks

    async def _follow(self, bundle_id: str, *, is_canary: bool) -> None:
        if bundle_id not in self._store:
            if bundle_id not in self._refused:
                self._note_refused(f"{self._store.path(bundle_id)}: it is not in this data folder. Put it there.", bundle_id=bundle_id)
            return
        changes = self._engine.state.stages.changes
        try:
            await _probe(self._store.path(bundle_id))
            bundle = await asyncio.to_thread(self._loaded, bundle_id)
        except BundleRefused as error:
            if bundle_id not in self._refused:
                self._note_refused(error.message, bundle_id=bundle_id)
                self._give_back(bundle_id, by="load check", why=error.message, changes=changes)
            return
        stages = self._engine.state.stages
        if bundle_id == (stages.canary.bundle if is_canary and stages.canary is not None else stages.live):
            self._take(bundle, is_canary=is_canary)

    def _loaded(self, bundle_id: str) -> Bundle:
        bundle = self._store.load(bundle_id)
        warm(bundle.retry_model, year=datetime.now(tz=UTC).year)
        return bundle

    def _take(self, bundle: Bundle, *, is_canary: bool) -> None:
        """Between two requests: the next one is decided by it."""
        decider = Decider(bundle.bundle_id, bundle.model, bundle.retry_model, scorer=Scorer(self._timer_ns))
        if is_canary:
            self._engine.canary = decider
        else:
            self._engine.live = decider
        self._refused.discard(bundle.bundle_id)
        self.counted["taken"] += 1
        _log.info("bundle_taken", bundle=bundle.bundle_id, stage="canary" if is_canary else "live")

    def _promote(self, bundle: Bundle, *, found: Path) -> None:
        if bundle.bundle_id == self._engine.state.stages.live:
            return
        change = _change(
            "promote", bundle.bundle_id, by=owner_of(found), why=f"the folder {found.name} was put in the data folder or named"
        )
        self._engine.take_release(change, unless_changed_since=self._engine.state.stages.changes)
        _log.info("release", action=change.action, bundle=change.bundle, by=change.by, why=change.why)

    def _give_back(self, bundle_id: str, *, by: str, why: str, changes: int | None = None) -> None:
        """Write the rollback down, unless another process, or a person, was quicker."""
        stages = self._engine.state.stages
        change = _change("rollback", bundle_id, by=by, why=why)
        if self._engine.take_release(change, unless_changed_since=stages.changes if changes is None else changes) is not None:
            self.counted["rolled_back"] += 1
            _log.error("release", action=change.action, bundle=change.bundle, by=change.by, why=change.why)

    def _note_refused(self, why: str, *, bundle_id: str | None) -> None:
        if bundle_id is not None:
            self._refused.add(bundle_id)
        self.counted["refused"] += 1
        _log.error("bundle_refused", bundle=bundle_id, why=why)


def owner_of(path: Path | None) -> str:
    """Who a file or folder belongs to: as near as the operating system tells who put it there. Without one, who runs this process."""
    try:
        if path is None:
            return pwd.getpwuid(os.getuid()).pw_name
        return pwd.getpwuid(path.stat().st_uid).pw_name
    except (OSError, KeyError):
        return "unknown"


def _change(action: ReleaseAction, bundle_id: str, *, by: str, why: str) -> ReleaseChanged:
    return ReleaseChanged(action=action, bundle=bundle_id, by=by, why=why, at=datetime.now(tz=UTC))


async def _probe(folder: Path) -> None:
    """Load a bundle in a process of its own; BundleRefused when it does not hold, crashes or does not end."""
    command = (sys.executable, "-m", "honour.release.probe", str(folder))
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL)
    try:
        told, _ = await asyncio.wait_for(process.communicate(), PROBE_S_MAX)
    except TimeoutError:
        process.kill()
        await process.wait()
        raise BundleRefused(f"{folder}: loading it did not end within {PROBE_S_MAX:g} s. Train again.") from None
    if process.returncode:
        why = told.decode(errors="replace").strip() or f"{folder}: loading it ended with code {process.returncode}. Train again."
        raise BundleRefused(why)

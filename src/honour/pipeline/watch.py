"""Retraining on schedule, on drift and on demand: looks again and again whether a run is due, starts it, and says why.

What is known between two looks lies in `pipeline/watch.json`, so that a watch which ends anywhere goes on where it stood: a run that
was cut off is taken up with the same events, and a wait after a failure is kept.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple, TypeVar

import msgspec
from cronsim import CronSim, CronSimError

from honour.errors import BadSettings, HonourError
from honour.loop import DataDir
from honour.pipeline.folder import LOG, add_line, write_whole
from honour.pipeline.result import DriftReport
from honour.records.instant import from_us
from honour.records.retrain import RetrainSettings

Kind = TypeVar("Kind", bound=msgspec.Struct)

STATE, ASKED, MANIFEST = "watch.json", "asked.json", "manifest.json"
MINUTE_US = 60_000_000
TRIES_MAX = 3
"""Times that one run is taken up after it was cut off; then it counts as failed, and waits like one."""
BUSY = "a run that was started otherwise is at work"


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody wants a new model: who, why, when."""

    why: str
    by: str
    at_us: int


class Due(msgspec.Struct, frozen=True, kw_only=True):
    """A run that is to be started, or was: why, with events up to which position, and how often it was begun."""

    why: str
    to_seq: int
    n_tries: int = 0


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """What a watch knows.

    since_us    instant from which the schedule counts: the first look, then the start of the newest run
    running     begun, and not known to have ended
    n_runs      started so far
    n_failed    runs in a row that a gate stopped or an error ended; not_before_us: until when nothing starts by itself
    failed_why  how the last of them ended
    bundle      folder of the bundle that the last run registered: the newest model there is
    looked_us   instant of the last look at how it does
    """

    since_us: int
    running: Due | None = None
    n_runs: int = 0
    n_failed: int = 0
    not_before_us: int = 0
    failed_why: str = ""
    bundle: str | None = None
    looked_us: int = 0


class Ended(NamedTuple):
    """How a run ended: its exit code, the folder of the bundle that it registered, and the same in words."""

    exit_code: int
    bundle: str | None
    words: str


class Jobs(NamedTuple):
    """What a watch has others do, each in a process of its own: memory comes back, and a crash is that of the job.

    run      called with the position of the last event; None: it was cut off because the watch ends
    look     called with the folder of a bundle; None as above
    is_busy  a run that somebody started by hand is at work
    """

    run: Callable[[int], Ended | None]
    look: Callable[[Path], DriftReport | None]
    is_busy: Callable[[], bool]


class Watch:
    """The watch of one data folder.

    say  called with each line for a person; now_us: the clock
    """

    def __init__(
        self, data_dir: Path, *, limits: RetrainSettings, jobs: Jobs, now_us: Callable[[], int], say: Callable[[str], None]
    ) -> None:
        self._where, self._root = DataDir(data_dir), data_dir / "pipeline"
        self._limits, self._jobs, self._now_us, self._say = limits, jobs, now_us, say
        check_schedule(limits.schedule)
        known = self._read(STATE, Known)
        self._known, self._said = known or Known(since_us=now_us()), ""
        self._keep()

    @property
    def next_us(self) -> int | None:
        """Instant of the next run by the schedule; None without one."""
        return next_after(self._known.since_us, schedule=self._limits.schedule)

    def step(self) -> int | None:
        """Look once; start what is due. Its exit code, or None when nothing was started or it was cut off."""
        try:
            due = self._due()
        except HonourError as error:  # A log that is away, a bundle that is broken: said once, looked at again.
            self._once(f"cannot look: {error}")
            return None
        if due is None:
            return None
        if self._jobs.is_busy():
            self._once(BUSY)
            return None
        if due.n_tries >= TRIES_MAX:
            return self._failed(1, f"cut off {due.n_tries} times")
        begun = msgspec.structs.replace(due, n_tries=due.n_tries + 1)
        self._keep(running=begun, n_runs=self._known.n_runs + 1, since_us=max(self._known.since_us, self._now_us()))
        (self._root / ASKED).unlink(missing_ok=True)  # Only now: what was asked for is in the state.
        self._tell(f"run: {due.why}", to_seq=due.to_seq)
        ended = self._jobs.run(due.to_seq)
        if ended is None:
            self._tell("stopped; the run is taken up by the next watch")
            return None
        if ended.exit_code:
            return self._failed(ended.exit_code, ended.words)
        self._keep(running=None, n_failed=0, not_before_us=0, failed_why="", bundle=ended.bundle, looked_us=self._now_us())
        self._tell(ended.words)
        return 0

    def _due(self) -> Due | None:
        """What to start now. In order: what was cut off, was asked for, failed and has waited, is the first, is scheduled, drifted."""
        known, now_us = self._known, self._now_us()
        asked = self._read(ASKED, Asked)
        if known.running is not None:
            return msgspec.structs.replace(known.running, why=f"{known.running.why.removesuffix(_AGAIN)}{_AGAIN}")
        if asked is not None:
            return self._at_end(f"asked for by {asked.by}: {asked.why}")
        if now_us < known.not_before_us:
            return None
        if known.n_failed:
            return self._at_end(f"again after {known.n_failed} that failed, the last: {known.failed_why}")
        newest = self._newest()
        if newest is None and not known.n_runs:
            return self._at_end("no model is live, and none was trained here")
        if (next_us := self.next_us) is not None and now_us >= next_us:
            return self._at_end(f"schedule {self._limits.schedule!r}, due {_said(next_us)}")
        if newest is None or now_us < known.looked_us + self._limits.check_minutes * MINUTE_US:
            return None
        report = self._jobs.look(newest)
        self._keep(looked_us=now_us)
        if report is None:
            return None
        signs = {sign.name: round(sign.figure, 6) for sign in report.signs}
        add_line(self._root / LOG, event="watch", said="looked", bundle=report.bundle_id, n_later=report.n_later, signs=signs)
        past = report.past
        return self._at_end("; ".join(f"{one.name} {one.figure:.4g} > {one.limit:g}, {one.found}" for one in past)) if past else None

    def _newest(self) -> Path | None:
        """The live bundle or the last that was registered here, whichever was written later: what a new run would follow."""
        last = Path(self._known.bundle) if self._known.bundle is not None else None
        found = [folder for folder in (self._where.bundle, last) if folder is not None and (folder / MANIFEST).exists()]
        return max(found, key=lambda folder: (folder / MANIFEST).stat().st_mtime, default=None)

    def _at_end(self, why: str) -> Due | None:
        """A run with all that the log holds by now; None while it holds nothing."""
        with self._where.log() as log:
            return Due(why=why, to_seq=log.last_seq) if log.last_seq else None

    def _failed(self, exit_code: int, why: str) -> int:
        n_failed = self._known.n_failed + 1
        wait = min(self._limits.backoff_minutes * 2.0 ** min(n_failed - 1, 60), self._limits.backoff_minutes_max)
        not_before_us = self._now_us() + int(wait * MINUTE_US)
        self._keep(running=None, n_failed=n_failed, not_before_us=not_before_us, failed_why=why)
        self._tell(f"{why}. Nothing is started by itself before {_said(not_before_us)}", exit_code=exit_code, n_failed=n_failed)
        return exit_code

    def _once(self, line: str) -> None:
        """Say a line, unless it is what was said last."""
        if line != self._said:
            self._tell(line)

    def _tell(self, line: str, **more: object) -> None:
        self._said = line
        self._say(f"{_said(self._now_us())} {line}")
        add_line(self._root / LOG, event="watch", said=line, **more)

    def _keep(self, **changed: object) -> None:
        self._known = msgspec.structs.replace(self._known, **changed)
        write_whole(self._root / STATE, self._known)

    def _read(self, name: str, kind: type[Kind]) -> Kind | None:
        try:
            return msgspec.json.decode((self._root / name).read_bytes(), type=kind)
        except (FileNotFoundError, msgspec.DecodeError):
            return None


_AGAIN = "; it was cut off and goes on"


def ask(data_dir: Path, *, why: str, by: str, at_us: int) -> None:
    """Let the watch of a data folder start a run at its next look, whatever it waits for."""
    root = data_dir / "pipeline"
    root.mkdir(parents=True, exist_ok=True)
    write_whole(root / ASKED, Asked(why=why, by=by, at_us=at_us))


def check_schedule(schedule: str) -> None:
    """BadSettings for a schedule that is not five fields of cron."""
    try:
        if schedule and len(schedule.split()) != 5:
            raise CronSimError(f"it has {len(schedule.split())} fields")
        if schedule:
            CronSim(schedule, datetime.now(tz=UTC))
    except CronSimError as error:
        raise BadSettings(
            f"retrain.schedule: {schedule!r} is no schedule ({error}). Allowed: minute, hour, day of month, month and day of week in UTC, "
            "such as '0 3 * * *' for 03:00 every day, or an empty text for never."
        ) from None


def next_after(instant_us: int, *, schedule: str) -> int | None:
    """The first instant of the schedule after another, microseconds; None without a schedule.

    >>> next_after(0, schedule="0 3 * * *") == 3 * 60 * MINUTE_US
    True
    """
    if not schedule:
        return None
    return int(next(CronSim(schedule, from_us(instant_us))).timestamp()) * 1_000_000


def _said(instant_us: int) -> str:
    return f"{from_us(instant_us):%Y-%m-%d %H:%M:%S}Z"

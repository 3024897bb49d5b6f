"""Bundles in shadow: each in a process of its own, asked about decisions that were made, never waited for.

The response path appends to a queue and does no more. A thread for each challenger asks it, one decision at a time, with a limit of time
for each; a challenger that is late, ends, or says what is no answer is killed, and begun again after a pause that doubles up to a
minute. When more is decided than a challenger can say, the rest is left out and counted. What it says is written to the log in turns of
the lowest rank.
"""

from __future__ import annotations

import asyncio
import math
import os
import select
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Literal

import structlog

from honour.errors import HonourError
from honour.records.event import ShadowDecided
from honour.records.settings import Settings
from honour.serving.app import Service
from honour.serving.decider import Seen
from honour.serving.frames import Ask, Begin, Begun, Failed, answer_in, framed

Result = Literal["said", "left_out", "failed", "late", "ended", "garbage"]
WAITING_MAX = 1_000
LOOK_EVERY_S = 0.25
BEGIN_S_MAX = 120.0
_TOGETHER = 10
"""Answers that are written in one turn."""
PAUSE_S, PAUSE_S_MAX = 1.0, 60.0
COMMAND = (sys.executable, "-m", "honour.serving.challenger")

_log = structlog.get_logger("honour")


class Challenger:
    """One bundle in shadow.

    counted  decisions by what became of them: said; left out, because more came than it could say; failed in it; or it was late, ended or
             said garbage, and was killed
    """

    def __init__(self, bundle_id: str, *, folder: Path, settings: Settings, command: Sequence[str] = COMMAND) -> None:
        self.bundle_id = bundle_id
        self.counted: dict[Result, int] = {"said": 0, "left_out": 0, "failed": 0, "late": 0, "ended": 0, "garbage": 0}
        self.said: deque[ShadowDecided] = deque(maxlen=WAITING_MAX)
        self._folder, self._command, self._settings = folder, command, settings
        self._waiting: deque[Seen] = deque()
        self._wake = threading.Event()
        self._over = False
        self._process: subprocess.Popen[bytes] | None = None
        self._buffer = bytearray()
        self._tokens, self._tokens_at_s = float(settings.release.shadow_per_s_max), time.monotonic()
        self._thread = threading.Thread(target=self._work, name=f"shadow-{bundle_id[7:15]}", daemon=True)
        self._thread.start()

    def offer(self, seen: Seen) -> None:
        """Ask about a decision when there is time for it; called on the response path."""
        if len(self._waiting) >= WAITING_MAX or not self._may():
            self.counted["left_out"] += 1
            return
        self._waiting.append(seen)
        self._wake.set()

    def end(self) -> None:
        """End the process; the thread ends then by itself."""
        self._over = True
        self._wake.set()
        if (process := self._process) is not None:
            with suppress(OSError):
                process.kill()

    def _may(self) -> bool:
        per_s, now_s = self._settings.release.shadow_per_s_max, time.monotonic()
        self._tokens = min(float(per_s), self._tokens + (now_s - self._tokens_at_s) * per_s)
        self._tokens_at_s = now_s
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True

    def _work(self) -> None:
        pause_s = PAUSE_S
        while not self._over:
            try:
                self._begin()
                while not self._over:
                    self._next()
                    pause_s = PAUSE_S
            except _Ended as ended:
                if not self._over:
                    self.counted[ended.result] += 1
                    _log.error("challenger_ended", bundle=self.bundle_id, result=ended.result, again_in_s=pause_s)
            except Exception as error:  # A thread that ends would never say so.
                _log.error("challenger_failed", bundle=self.bundle_id, error=type(error).__name__)
            finally:
                self._kill()
            until_s = time.monotonic() + pause_s
            pause_s = min(PAUSE_S_MAX, 2.0 * pause_s)
            while not self._over and time.monotonic() < until_s:
                time.sleep(0.05)

    def _begin(self) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        os.set_blocking(self._process.stdin.fileno(), False)
        os.set_blocking(self._process.stdout.fileno(), False)
        self._buffer = bytearray()
        due_s = time.monotonic() + BEGIN_S_MAX
        self._write(framed(Begin(self._settings, str(self._folder), self.bundle_id)), due_s=due_s)
        if not isinstance(self._answer(due_s), Begun):
            raise _Ended("garbage")

    def _next(self) -> None:
        """Ask about the next decision, or wait for one."""
        if not self._waiting:
            self._wake.clear()
            if not self._waiting:
                self._wake.wait(1.0)
            return
        asked = ask_about(self._waiting.popleft())
        due_s = time.monotonic() + self._settings.release.shadow_ms_max / 1_000
        self._write(framed(asked), due_s=due_s)
        answer = self._answer(due_s)
        if isinstance(answer, Begun) or answer.decision_id != asked.decision_id or not _is_sound(answer, asked, self.bundle_id):
            raise _Ended("garbage")
        if isinstance(answer, Failed):
            self.counted["failed"] += 1
            return
        self.counted["said"] += 1
        self.said.append(answer)

    def _write(self, frame: bytes, *, due_s: float) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        to, left = self._process.stdin.fileno(), memoryview(frame)
        while left:
            if not select.select([], [to], [], max(0.0, due_s - time.monotonic()))[1]:
                raise _Ended("late")
            try:
                left = left[os.write(to, left) :]
            except OSError:
                raise _Ended("ended") from None

    def _answer(self, due_s: float) -> Begun | Failed | ShadowDecided:
        assert self._process is not None
        assert self._process.stdout is not None
        source = self._process.stdout.fileno()
        while True:
            try:
                answer = answer_in(self._buffer)
            except ValueError:  # What msgspec raises is one as well.
                raise _Ended("garbage") from None
            if answer is not None:
                return answer
            if not select.select([source], [], [], max(0.0, due_s - time.monotonic()))[0]:
                raise _Ended("late")
            if not (read := os.read(source, 65_536)):
                raise _Ended("ended")
            self._buffer += read

    def _kill(self) -> None:
        if (process := self._process) is None:
            return
        self._process = None
        with suppress(OSError):
            process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with suppress(OSError):
                    stream.close()


class Shadows:
    """The challengers of one server, as the log wants them."""

    def __init__(self, service: Service, *, data_dir: Path, command: Sequence[str] = COMMAND) -> None:
        self._service, self._data_dir, self._command = service, data_dir, command
        self.challengers: tuple[Challenger, ...] = ()
        self.counted: dict[Result, int] = {}
        self._settings: Settings | None = None

    async def forever(self) -> None:
        """Look until cancelled; then end every challenger."""
        try:
            while True:
                await asyncio.sleep(LOOK_EVERY_S)
                try:
                    await self.look()
                except HonourError as error:
                    _log.error("shadow_failed", error=type(error).__name__, why=error.message)
                except Exception as error:
                    _log.error("shadow_failed", error=type(error).__name__)
        finally:
            self._stop()

    async def look(self) -> None:
        """Begin and end challengers as the log says, and write down what they said."""
        engine = self._service.engine
        wanted = engine.state.stages.shadows
        if tuple(one.bundle_id for one in self.challengers) != wanted or (wanted and engine.settings is not self._settings):
            self._stop()
            self._settings = engine.settings
            self.challengers = tuple(
                Challenger(bundle_id, folder=self._data_dir, settings=engine.settings, command=self._command) for bundle_id in wanted
            )
            engine.watch = self._offer if wanted else None
        if engine.why_not_ready is None:
            for one in self.challengers:
                while one.said:
                    await self._service.queue.run("bulk", partial(self._write_down, one))

    def totals(self) -> dict[Result, int]:
        """Decisions by what became of them, of all challengers since the start."""
        totals = dict(self.counted)
        for one in self.challengers:
            for result, n in one.counted.items():
                totals[result] = totals.get(result, 0) + n
        return totals

    def _write_down(self, challenger: Challenger) -> None:
        with self._service.engine.turn():
            for _ in range(min(_TOGETHER, len(challenger.said))):
                self._service.engine.take_shadow(challenger.said.popleft())

    def _offer(self, seen: Seen) -> None:
        for one in self.challengers:
            one.offer(seen)

    def _stop(self) -> None:
        self._service.engine.watch = None
        for one in self.challengers:
            one.end()
        self.counted, self.challengers = self.totals(), ()


def ask_about(seen: Seen) -> Ask:
    """The question that a challenger gets about a decision."""
    made, features = seen.made, seen.made.features
    assert features is not None
    predicted, n = seen.predicted, len(features.candidates)
    return Ask(
        decision_id=made.decision.decision_id,
        payment=made.payment,
        at_us=made.decided_us,
        draw=made.draw,
        features=features,
        candidates=tuple((*one.candidate, one.reasons) for one in seen.considered),
        shifts=tuple(map(_shift, predicted.p_approve, predicted.p_model)) if predicted and predicted.p_model is not None else (0.0,) * n,
        follows=predicted.follows if predicted else None,
        sd=tuple(map(float, predicted.sd)) if predicted is not None and predicted.sd is not None else None,
        allowed=seen.allowed,
        history=seen.history,
    )


class _Ended(Exception):
    """A challenger has to be killed."""

    def __init__(self, result: Result) -> None:
        super().__init__(result)
        self.result: Result = result


def _shift(p_approve: float, p_model: float) -> float:
    """What the fast layer added to the log-odds of the bundle that decided."""
    return _logit(p_approve) - _logit(p_model)


def _logit(p: float) -> float:
    within = min(max(p, 1e-9), 1.0 - 1e-9)
    return math.log(within / (1.0 - within))


def _is_sound(answer: Failed | ShadowDecided, asked: Ask, bundle_id: str) -> bool:
    """An answer to this question: the bundle's own, about candidates that were asked about, with numbers that are numbers."""
    if isinstance(answer, Failed):
        return True
    known = {candidate[:3] for candidate in asked.candidates}
    told = [(one.route, one.authentication, one.credential) for one in answer.ranking]
    numbers = [number for one in answer.ranking for number in (one.p_approve, one.p_model, one.expected_value_minor) if number is not None]
    is_attempt = answer.attempt is not None
    return (
        (answer.bundle, answer.payment_id) == (bundle_id, asked.payment.payment_id)
        and set(told) <= known
        and all(map(math.isfinite, numbers))
        and is_attempt == (answer.action == "attempt")
    )

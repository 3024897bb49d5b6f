"""Waiting for the log: requests sleep until their events are durable, and wake together."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from honour.serving.deadline import Deadline
from honour.serving.queue import Asker
from honour.stores.port import Durable

MOMENT_S = 0.002
"""A commit that takes no longer is waited for before more is done."""
PAUSE_NS, PAUSE_NS_MAX = 20_000_000, 1_000_000_000
"""After one that took longer none is waited for so long: ten times as long at first; four times longer each time, half as long after each
that took a moment."""


class Settling:
    """Lets the log's writer have the core and Python's lock after each turn, until the turn is durable, if that takes a moment only.

    Whoever waits for an answer gains nothing by work that goes on meanwhile. On a core that both share, the writer stood behind that work
    at each step of a commit, until the next tick of the kernel's clock: some 4 ms, three times. Where the disk is slow, or others want the
    core too, waiting costs more than it gives, and is soon given up.
    """

    def __init__(self, *, timer_ns: Callable[[], int]) -> None:
        self._timer_ns, self._pause_ns, self._from_ns = timer_ns, PAUSE_NS, 0

    def wait(self, durable: Durable | None) -> None:
        """Return when the event is durable, or is known not to be, or after a moment; at once during a pause."""
        if durable is None or durable.done() or (began_ns := self._timer_ns()) < self._from_ns:
            return
        with suppress(TimeoutError):
            durable.exception(timeout=MOMENT_S)
        ended_ns = self._timer_ns()
        if ended_ns - began_ns < MOMENT_S * 1e9:
            self._pause_ns = max(PAUSE_NS, self._pause_ns // 2)
        else:
            self._from_ns = ended_ns + self._pause_ns
            self._pause_ns = min(PAUSE_NS_MAX, 4 * self._pause_ns)


class Waiting:
    """Requests that wait for the log's thread.

    They are looked at once the event loop has done what it does at the moment: most events are durable by then (`Settling`). One call
    into the loop wakes all others whose events one commit made durable. A request that is given up leaves the log's future alone: others
    may wait for it.

    n  requests waiting now
    """

    def __init__(self) -> None:
        self.n = 0
        self._new: list[_Waiter] = []
        self._done: deque[_Waiter] = deque()
        self._is_called = False

    async def until(self, durable: Durable | None, *, deadline: Deadline | None = None) -> None:
        """Return when the event, and all before it, are durable; LogUnavailable when it was not kept, DeadlineOver when it is late."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiter = self.add(durable, done, deadline=deadline)
        try:
            await done
        finally:
            if waiter is not None:
                self._leave(waiter)

    def add(self, durable: Durable | None, asker: Asker, *, deadline: Deadline | None = None) -> _Waiter | None:
        """Tell `asker` when that is so; at once, where it is already."""
        if durable is None:
            asker.set_result(None)
            return None
        if durable.done():
            _tell(asker, durable)
            return None
        waiter = _Waiter(asker, durable, deadline)
        self.n += 1
        if not self._new:
            loop = asyncio.get_running_loop()
            loop.call_soon(self._look, loop)
        self._new.append(waiter)
        return waiter

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        """Answer those whose events are durable; have the others woken, by the log or when their time is over."""
        new, self._new = self._new, []
        for waiter in new:
            if not waiter.is_waiting:
                continue
            if waiter.durable.done():
                self._answer(waiter)
                continue
            if waiter.deadline is not None:
                waiter.late = loop.call_later(max(0.0, waiter.deadline.left_ns() / 1e9), self._give_up, waiter, waiter.deadline)
            waiter.durable.add_done_callback(partial(self._finished, loop, waiter))

    def _finished(self, loop: asyncio.AbstractEventLoop, waiter: _Waiter, _durable: Durable) -> None:
        """In the log's thread."""
        self._done.append(waiter)
        if not self._is_called:
            self._is_called = True
            with suppress(RuntimeError):  # The loop is closed: nobody waits any more.
                loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        self._is_called = False  # First, so that what is added from now on calls again.
        while self._done:
            self._answer(self._done.popleft())

    def _answer(self, waiter: _Waiter) -> None:
        self._leave(waiter)
        if not waiter.asker.done():
            _tell(waiter.asker, waiter.durable)

    def _leave(self, waiter: _Waiter) -> None:
        """It waits no longer; may be said twice."""
        if waiter.is_waiting:
            waiter.is_waiting = False
            self.n -= 1
            if waiter.late is not None:
                waiter.late.cancel()

    def _give_up(self, waiter: _Waiter, deadline: Deadline) -> None:
        self._leave(waiter)
        if not waiter.asker.done():
            waiter.asker.set_exception(deadline.over_unkept())


class _Waiter:
    """One who waits for an event, and the timer of its deadline."""

    __slots__ = ("asker", "deadline", "durable", "is_waiting", "late")

    def __init__(self, asker: Asker, durable: Durable, deadline: Deadline | None) -> None:
        self.asker, self.durable, self.deadline = asker, durable, deadline
        self.is_waiting = True
        self.late: asyncio.TimerHandle | None = None


def _tell(asker: Asker, durable: Durable) -> None:
    if (error := durable.exception()) is None:
        asker.set_result(None)
    elif isinstance(error, Exception):
        asker.set_exception(error)
    else:
        raise error

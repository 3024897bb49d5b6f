"""Waiting for the log: requests sleep until their events are durable, and wake together."""

from __future__ import annotations

import asyncio
from functools import partial

from honour.serving.deadline import Deadline
from honour.serving.queue import Asker, call_in
from honour.stores.port import Durable

PATROL_S = 0.005
"""A commit that takes no longer needs no timers: deadlines further away are looked at so often."""


class Waiting:
    """Requests that wait for the log's thread.

    One call into the loop wakes all whose events one commit made durable. Deadlines have timers only where the log takes its time. A
    request that is given up leaves the log's future alone: others may wait for it.

    n  requests waiting now
    """

    def __init__(self) -> None:
        self.n = 0
        self._waiters: list[_Waiter] = []
        self._is_called = self._is_timed = False

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
        self._waiters.append(waiter)
        loop = asyncio.get_running_loop()
        if not self._is_called:
            self._wait(loop)
        if deadline is not None and deadline.left_ns() < PATROL_S * 1e9:
            self._time(waiter, deadline, loop)
        elif not self._is_timed:
            self._is_timed = True
            loop.call_later(PATROL_S, self._patrol, loop)
        return waiter

    def _wait(self, loop: asyncio.AbstractEventLoop) -> None:
        """Have those looked at who wait, once the event of the first is durable."""
        self._is_called = True
        self._waiters[0].durable.add_done_callback(partial(call_in, loop, self._look, loop))

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        """Answer those whose events are durable; the others wait for the next commit."""
        self._is_called = False
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if waiter.is_waiting and waiter.durable.done():
                self._answer(waiter)
            elif waiter.is_waiting:
                self._waiters.append(waiter)
        if self._waiters and not self._is_called:
            self._wait(loop)

    def _patrol(self, loop: asyncio.AbstractEventLoop) -> None:
        """Give timers to those who have been waiting for a while."""
        self._is_timed = bool(self._waiters)
        for waiter in self._waiters:
            if waiter.is_waiting and waiter.deadline is not None and waiter.late is None:
                self._time(waiter, waiter.deadline, loop)
        if self._is_timed:
            loop.call_later(PATROL_S, self._patrol, loop)

    def _time(self, waiter: _Waiter, deadline: Deadline, loop: asyncio.AbstractEventLoop) -> None:
        waiter.late = loop.call_later(max(0.0, deadline.left_ns() / 1e9), self._give_up, waiter, deadline)

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

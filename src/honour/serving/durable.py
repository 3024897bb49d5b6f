"""Waiting for the log: requests sleep until their events are durable, and wake together."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from functools import partial

from honour.serving.deadline import Deadline
from honour.serving.hot_path import Durable


class Waiting:
    """Requests that wait for the log's thread.

    One call into the event loop wakes all whose events one commit made durable. A request that is given up leaves the
    log's future alone: others may wait for it.

    n  requests waiting now
    """

    def __init__(self) -> None:
        self.n = 0
        self._done: deque[tuple[asyncio.Future[None], Durable]] = deque()
        self._is_called = False

    async def until(self, durable: Durable | None, *, deadline: Deadline | None = None) -> None:
        """Return when the event, and all before it, are durable; LogUnavailable when it was not kept, DeadlineOver when it is late."""
        if durable is None:
            return
        if durable.done():
            durable.result()
            return
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[None] = loop.create_future()
        durable.add_done_callback(partial(self._finished, loop, waiter))
        late = loop.call_later(max(0.0, deadline.left_ns() / 1e9), _give_up, waiter, deadline) if deadline is not None else None
        self.n += 1
        try:
            await waiter
        finally:
            self.n -= 1
            if late is not None:
                late.cancel()

    def _finished(self, loop: asyncio.AbstractEventLoop, waiter: asyncio.Future[None], durable: Durable) -> None:
        """In the log's thread."""
        self._done.append((waiter, durable))
        if not self._is_called:
            self._is_called = True
            with suppress(RuntimeError):  # The loop is closed: nobody waits any more.
                loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        self._is_called = False  # First, so that what is added from now on calls again.
        while self._done:
            waiter, durable = self._done.popleft()
            if waiter.done():
                continue
            if (error := durable.exception()) is not None:
                waiter.set_exception(error)
            else:
                waiter.set_result(None)


def _give_up(waiter: asyncio.Future[None], deadline: Deadline) -> None:
    if not waiter.done():
        waiter.set_exception(deadline.over_unkept())

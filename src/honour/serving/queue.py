"""The queue in front of the engine: what matters most first, and refused in time when there is more than can be done.

Decisions for payments with attempts in progress come first, then other decisions, then reports, then lines of bulk bodies. A queue
that stands is shed as in CoDel (Nichols and Jacobson, ACM Queue 10/5, 2012): when whoever is next has waited longer than
`serving.queue_delay_ms` throughout a tenth of a second, all who have are answered 503. A burst is worked off.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, TypeVar

from honour.errors import HonourError, Overloaded
from honour.records.settings import ServingSettings
from honour.serving.deadline import Deadline

Answer = TypeVar("Answer")
Rank = Literal["in_progress", "decision", "report", "bulk"]
RANKS: tuple[Rank, ...] = ("in_progress", "decision", "report", "bulk")
PATIENCE = {"in_progress": 1, "decision": 1, "report": 5, "bulk": 50}
"""How many times `serving.queue_delay_ms` each may wait: a shopper waits for decisions, a program for reports."""
INTERVAL_NS = 100_000_000
SLICE_NS = 500_000
"""Work done before sockets are looked at again."""


class _Waiting(NamedTuple):
    since_ns: int
    work: Callable[[], Any]
    deadline: Deadline | None
    done: asyncio.Future[Any]


class Queue:
    """Runs work in the event loop, one piece after the other.

    settings  gives those in force
    shed      requests refused here, by rank
    """

    def __init__(self, settings: Callable[[], ServingSettings], *, timer_ns: Callable[[], int]) -> None:
        self.shed: dict[Rank, int] = dict.fromkeys(RANKS, 0)
        self._settings, self._timer_ns = settings, timer_ns
        self._waiting: dict[Rank, deque[_Waiting]] = {rank: deque() for rank in RANKS}
        self._late_since_ns: dict[Rank, int | None] = dict.fromkeys(RANKS, None)
        self._is_called = False

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    async def run(self, rank: Rank, work: Callable[[], Answer], *, deadline: Deadline | None = None) -> Answer:
        """What `work` gives when its turn has come; Overloaded when that would take too long, DeadlineOver when it has."""
        if len(self) >= self._settings().waiting_max:
            self._make_room(rank)
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Answer] = loop.create_future()
        self._waiting[rank].append(_Waiting(self._timer_ns(), work, deadline, done))
        self._call(loop)
        return await done

    def _call(self, loop: asyncio.AbstractEventLoop) -> None:
        if not self._is_called:
            self._is_called = True
            loop.call_soon(self._work, loop)

    def _work(self, loop: asyncio.AbstractEventLoop) -> None:
        self._is_called = False
        began_ns = now_ns = self._timer_ns()
        while now_ns < began_ns + SLICE_NS:
            self._shed_late(now_ns)
            rank = next((rank for rank in RANKS if self._waiting[rank]), None)
            if rank is None:
                return
            _do(self._waiting[rank].popleft())
            now_ns = self._timer_ns()
        self._call(loop)

    def _make_room(self, rank: Rank) -> None:
        """Refuse the newest of the lowest rank, or who comes now when nobody ranks lower."""
        lowest = next(other for other in reversed(RANKS) if self._waiting[other] or other == rank)
        refused = _overloaded(f"{self._settings().waiting_max} requests wait already")
        self.shed[lowest] += 1
        if RANKS.index(lowest) <= RANKS.index(rank):
            raise refused
        _refuse(self._waiting[lowest].pop(), refused)

    def _shed_late(self, now_ns: int) -> None:
        allowed_ms = self._settings().queue_delay_ms
        for rank, waiting in self._waiting.items():
            allowed_ns = allowed_ms * PATIENCE[rank] * 1_000_000
            late_since_ns = self._late_since_ns[rank]
            if not waiting or now_ns - waiting[0].since_ns <= allowed_ns:
                self._late_since_ns[rank] = None
            elif late_since_ns is None:
                self._late_since_ns[rank] = now_ns
            elif now_ns - late_since_ns >= INTERVAL_NS:
                while waiting and now_ns - waiting[0].since_ns > allowed_ns:
                    self.shed[rank] += 1
                    _refuse(waiting.popleft(), _overloaded(f"requests wait for more than {allowed_ms * PATIENCE[rank]} ms"))


def _do(one: _Waiting) -> None:
    if one.done.done():  # Whoever waited for it is gone.
        return
    try:
        if one.deadline is not None:
            one.deadline.check()
        one.done.set_result(one.work())
    except Exception as error:
        one.done.set_exception(error)


def _refuse(one: _Waiting, error: HonourError) -> None:
    if not one.done.done():
        one.done.set_exception(error)


def _overloaded(why: str) -> Overloaded:
    return Overloaded(f"more comes in than can be done: {why}. Nothing was done; send it again later, the same key has the same effect.")

"""The queue in front of the engine: what matters most first, and refused in time when there is more than can be done.

Decisions for payments with attempts in progress come first, then other decisions, then reports, then lines of bulk bodies. A queue
that stands is shed as in CoDel (Nichols and Jacobson, ACM Queue 10/5, 2012): when whoever is next has waited longer than
`serving.queue_delay_ms` throughout a tenth of a second, all who have are answered 503. A burst is worked off.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, ExitStack, nullcontext, suppress
from functools import partial
from typing import Any, Literal, NamedTuple, Protocol, TypeVar

from honour.errors import HonourError, Overloaded
from honour.records.settings import ServingSettings
from honour.serving.deadline import Deadline
from honour.serving.steps import Steps
from honour.stores.port import Durable

Answer = TypeVar("Answer")
Rank = Literal["in_progress", "decision", "report", "bulk"]
RANKS: tuple[Rank, ...] = ("in_progress", "decision", "report", "bulk")
PATIENCE = {"in_progress": 1, "decision": 1, "report": 5, "bulk": 50}
"""How many times `serving.queue_delay_ms` each may wait: a shopper waits for decisions, a program for reports."""
INTERVAL_NS = 100_000_000
SLICE_NS = 500_000
"""Work done before sockets are looked at again."""
TOGETHER_MAX = 16
"""Pieces of work in steps that are done together."""
TOGETHER_NS = 4_000_000
"""Work after which the log makes durable what was done, also when more waits."""
SETTLES_NS = 2_000_000
"""A commit that takes longer is not waited for."""
ENOUGH = 6
"""Requests waiting for which none is waited for."""


class Asker(Protocol):
    """Who waits for what a piece of work gives: a future of asyncio, or what stands for one where that would cost too much."""

    def done(self) -> bool:
        """Nobody waits any more."""
        ...

    def set_result(self, result: Any, /) -> None:
        """What the work gave."""
        ...

    def set_exception(self, error: Exception, /) -> None:
        """Why it gave nothing."""
        ...


class _Waiting(NamedTuple):
    since_ns: int
    work: Callable[[], Any]
    deadline: Deadline | None
    asker: Asker


class Queue:
    """Runs work in the event loop, one piece after the other.

    settings  gives those in force
    turn      is taken around pieces that are done together: what they append to the log becomes durable in one commit
    newest    gives what must become durable last. While it is not, no turn begins, unless much waits or that takes long: nobody gains by
              work whose commit has to wait for the one before, more of it shares the next one, and the log's writer has the core
    shed      requests refused here, by rank
    """

    def __init__(
        self,
        settings: Callable[[], ServingSettings],
        *,
        timer_ns: Callable[[], int],
        turn: Callable[[], AbstractContextManager[object]] = nullcontext,
        newest: Callable[[], Durable | None] = lambda: None,
    ) -> None:
        self.shed: dict[Rank, int] = dict.fromkeys(RANKS, 0)
        self._settings, self._timer_ns, self._turn, self._newest = settings, timer_ns, turn, newest
        self._waiting: dict[Rank, deque[_Waiting]] = {rank: deque() for rank in RANKS}
        self._late_since_ns: dict[Rank, int | None] = dict.fromkeys(RANKS, None)
        self._is_called = False
        self._n_together = 1
        self._held: ExitStack | None = None
        self._held_since_ns = 0
        self._settles: Durable | None = None  # What the next turn waits for, and until when; whether a timer is set.
        self._settles_until_ns, self._is_timed = 0, False

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    async def run(self, rank: Rank, work: Callable[[], Answer], *, deadline: Deadline | None = None) -> Answer:
        """What `work` gives when its turn has come; Overloaded when that would take too long, DeadlineOver when it has."""
        done: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self.add(rank, work, done, deadline=deadline)
        return await done

    def add(self, rank: Rank, work: Callable[[], Any], asker: Asker, *, deadline: Deadline | None = None) -> None:
        """Tell `asker` what `work` gives when its turn has come, or why not; raises Overloaded when too many wait now.

        work  gives the result, or the steps to it: such work is done together with what waits behind it
        """
        if len(self) >= self._settings().waiting_max:
            self._make_room(rank)
        self._waiting[rank].append(_Waiting(self._timer_ns(), work, deadline, asker))
        self._call(asyncio.get_running_loop())

    def _call(self, loop: asyncio.AbstractEventLoop) -> None:
        if not self._is_called:
            self._is_called = True
            loop.call_soon(self._work, loop)

    def _work(self, loop: asyncio.AbstractEventLoop) -> None:
        """Work for a while. The turn lasts while more waits, so that one commit serves many; but not so long that any waits for it."""
        self._is_called = False
        if self._held is None:
            if not len(self) or self._is_settling(loop):
                return
            self._held, self._held_since_ns = ExitStack(), self._timer_ns()
            with suppress(HonourError):  # Each piece of work takes a turn too, and says so itself.
                self._held.enter_context(self._turn())
        is_done = self._work_on()
        if is_done or self._timer_ns() - self._held_since_ns > TOGETHER_NS:
            held, self._held = self._held, None
            held.close()
        if not is_done:
            self._call(loop)

    def _is_settling(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Whether the next turn waits for the commit of the last one; it is then called when that is over, or has taken long."""
        newest = self._newest()
        if newest is None or newest.done() or len(self) >= ENOUGH:
            return False
        if self._settles is not newest:
            self._settles, self._settles_until_ns = newest, self._timer_ns() + SETTLES_NS
            newest.add_done_callback(partial(call_in, loop, self._call, loop))
        elif self._timer_ns() >= self._settles_until_ns:
            return False
        if not self._is_timed:
            self._is_timed = True
            loop.call_later(SETTLES_NS / 1e9, self._look_again, loop)
        return True

    def _look_again(self, loop: asyncio.AbstractEventLoop) -> None:
        self._is_timed = False
        self._call(loop)

    def _work_on(self) -> bool:
        """Work for a while; True when nothing is left."""
        began_ns = now_ns = self._timer_ns()
        while now_ns < began_ns + SLICE_NS:
            self._shed_late(now_ns)
            for waiting in self._waiting.values():  # In the order of RANKS.
                if waiting:
                    self._do_next(waiting, began_ns=now_ns)
                    break
            else:
                return True
            now_ns = self._timer_ns()
        return False

    def _do_next(self, waiting: deque[_Waiting], *, began_ns: int) -> None:
        """Do the first; if it has steps, with those that wait behind it and have steps too, a step of each in turn.

        As many as fill `TOGETHER_NS` by what one took the last time: who comes meanwhile waits no longer than that.
        """
        under_way: list[tuple[_Waiting, Steps[Any]]] = []
        while waiting and len(under_way) < self._n_together:
            one = waiting.popleft()
            if (steps := _begun(one)) is None:
                break
            under_way.append((one, steps))
        if n := len(under_way):
            while under_way:
                under_way = [(one, steps) for one, steps in under_way if _goes_on(one, steps)]
            took_ns = max(1, self._timer_ns() - began_ns)
            self._n_together = min(TOGETHER_MAX, max(1, TOGETHER_NS * n // took_ns))

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
            if not waiting and self._late_since_ns[rank] is None:
                continue
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


def call_in(loop: asyncio.AbstractEventLoop, what: Callable[..., None], *args: Any) -> None:
    """Have the loop call something, from the log's thread; the last of `args` is what became durable and not handed on."""
    with suppress(RuntimeError):  # The loop is closed: nobody waits any more.
        loop.call_soon_threadsafe(what, *args[:-1])


def _begun(one: _Waiting) -> Steps[Any] | None:
    """Do the work, or say in which steps it is to be done."""
    if one.asker.done():  # Whoever waited for it is gone.
        return None
    try:
        if one.deadline is not None:
            one.deadline.check()
        result = one.work()
        if isinstance(result, Generator):
            return result
        one.asker.set_result(result)
    except Exception as error:
        one.asker.set_exception(error)
    return None


def _goes_on(one: _Waiting, steps: Steps[Any]) -> bool:
    """Do a step; False when it was the last."""
    try:
        next(steps)
        return True
    except StopIteration as end:
        one.asker.set_result(end.value)
    except Exception as error:
        one.asker.set_exception(error)
    return False


def _refuse(one: _Waiting, error: HonourError) -> None:
    if not one.asker.done():
        one.asker.set_exception(error)


def _overloaded(why: str) -> Overloaded:
    return Overloaded(f"more comes in than can be done: {why}. Nothing was done; send it again later, the same key has the same effect.")

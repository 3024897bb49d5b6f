"""No turn begins while the commit of the last one goes on, as long as little waits and the commit takes a moment only."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from typing import Any

import pytest

from honour.errors import DeadlineOver, LogUnavailable
from honour.records.settings import ServingSettings
from honour.serving.deadline import Deadline
from honour.serving.durable import Waiting
from honour.serving.queue import ENOUGH, SETTLES_NS, Queue


class Shop:
    """A queue in front of a log whose commits end when they are told to."""

    def __init__(self) -> None:
        self.now_ns, self.commit = 1, Future[Any]()
        self.queue = Queue(ServingSettings, timer_ns=lambda: self.now_ns, newest=lambda: self.commit)
        self.done: list[int] = []

    async def ask(self, n: int) -> list[asyncio.Task[None]]:
        """Ask for `n` pieces of work, and let the loop do what it does at once."""
        tasks = [asyncio.create_task(self.queue.run("decision", lambda name=name: self.done.append(name))) for name in range(n)]
        await _a_while()
        return tasks


async def _a_while() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.mark.parametrize("error", [None, LogUnavailable("the disk is full")])
def test_what_comes_while_a_commit_goes_on_is_done_once_that_is_over_however_it_ends(error: Exception | None) -> None:
    async def go() -> None:
        shop = Shop()
        tasks = await shop.ask(ENOUGH - 1)
        assert shop.done == []
        shop.commit.set_exception(error) if error is not None else shop.commit.set_result(None)
        await asyncio.gather(*tasks)
        assert shop.done == list(range(ENOUGH - 1))

    asyncio.run(go())


def test_when_much_waits_it_is_done_at_once() -> None:
    async def go() -> None:
        shop = Shop()
        await shop.ask(ENOUGH)
        assert shop.done == list(range(ENOUGH))

    asyncio.run(go())


def test_a_commit_that_takes_long_is_not_waited_for() -> None:
    async def go() -> None:
        shop = Shop()
        (task,) = await shop.ask(1)
        shop.now_ns += SETTLES_NS
        await asyncio.wait_for(task, 5)
        assert shop.done == [0]
        assert not shop.commit.done()

    asyncio.run(go())


def test_where_nothing_is_to_become_durable_nothing_is_waited_for() -> None:
    async def go() -> None:
        shop = Shop()
        shop.commit.set_result(None)
        await shop.ask(1)
        assert shop.done == [0]

    asyncio.run(go())


def test_who_waits_is_answered_with_the_commit_of_his_event_and_not_before() -> None:
    async def go() -> None:
        waiting, first, second = Waiting(), Future[Any](), Future[Any]()
        tasks = [asyncio.create_task(waiting.until(one)) for one in (first, second, first)]
        await _a_while()
        first.set_result(None)
        await _a_while()
        assert [task.done() for task in tasks] == [True, False, True]
        assert waiting.n == 1
        second.set_exception(LogUnavailable("the disk is full"))
        with pytest.raises(LogUnavailable):
            await tasks[1]
        assert waiting.n == 0

    asyncio.run(go())


@pytest.mark.parametrize("left_ms", [1, 30])
def test_a_deadline_is_kept_whether_it_is_near_or_far(left_ms: int) -> None:
    async def go() -> None:
        waiting, never = Waiting(), Future[Any]()
        deadline = Deadline(left_ms * 1_000_000, left_ms, lambda: 0)
        with pytest.raises(DeadlineOver):
            await asyncio.wait_for(waiting.until(never, deadline=deadline), 5)
        assert waiting.n == 0

    asyncio.run(go())

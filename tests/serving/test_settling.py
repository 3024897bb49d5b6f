"""The log's writer goes first after each turn, as long as that takes a moment only."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any

from honour.errors import LogUnavailable
from honour.serving.durable import MOMENT_S, PAUSE_NS, PAUSE_NS_MAX, Settling

QUICK_NS, SLOW_NS = 300_000, int(MOMENT_S * 1e9)


class Log:
    """Commits that take a while each, by which the clock moves."""

    def __init__(self) -> None:
        self.now_ns = 1
        self.settling = Settling(timer_ns=lambda: self.now_ns)

    def is_waited_for(self, took_ns: int, *, error: Exception | None = None) -> bool:
        """Whether a commit that takes so long is waited for."""
        before_ns = self.now_ns
        self.settling.wait(_Commit(self, took_ns, error))
        return self.now_ns > before_ns

    def pause_ns(self) -> int:
        """How long no commit is waited for from now on, in steps of a millisecond."""
        began_ns = self.now_ns
        while not self.is_waited_for(QUICK_NS):
            self.now_ns += 1_000_000
        return self.now_ns - QUICK_NS - began_ns


class _Commit(Future[Any]):
    def __init__(self, log: Log, took_ns: int, error: Exception | None) -> None:
        super().__init__()
        self._log, self._took_ns, self._error = log, took_ns, error

    def exception(self, timeout: float | None = None) -> BaseException | None:
        assert timeout == MOMENT_S
        self._log.now_ns += min(self._took_ns, SLOW_NS)
        if self._took_ns >= SLOW_NS:
            raise TimeoutError
        return self._error


def test_every_commit_that_takes_a_moment_is_waited_for_also_one_that_fails() -> None:
    log = Log()
    full = LogUnavailable("the disk is full")
    assert [log.is_waited_for(QUICK_NS), log.is_waited_for(QUICK_NS, error=full), log.is_waited_for(QUICK_NS)] == [True, True, True]


def test_after_one_that_takes_longer_none_is_waited_for_a_while() -> None:
    log = Log()
    assert log.is_waited_for(SLOW_NS)
    assert log.pause_ns() == PAUSE_NS


def test_the_more_are_slow_the_longer_none_is_waited_for_and_quick_ones_bring_that_back() -> None:
    log = Log()
    pauses = []
    for _ in range(5):
        assert log.is_waited_for(SLOW_NS)
        pauses.append(log.pause_ns())  # The quick one at its end halves the next.
    assert pauses == [PAUSE_NS, 2 * PAUSE_NS, 4 * PAUSE_NS, 8 * PAUSE_NS, 16 * PAUSE_NS]
    for _ in range(20):
        log.is_waited_for(SLOW_NS)
        log.now_ns += PAUSE_NS_MAX
    assert log.is_waited_for(SLOW_NS)
    assert log.pause_ns() == PAUSE_NS_MAX
    assert all(log.is_waited_for(QUICK_NS) for _ in range(10))
    assert log.is_waited_for(SLOW_NS)
    assert log.pause_ns() == PAUSE_NS


def test_where_nothing_is_to_become_durable_nothing_is_waited_for() -> None:
    log = Log()
    done: Future[Any] = Future()
    done.set_result(None)
    log.settling.wait(None)
    log.settling.wait(done)
    assert log.now_ns == 1

"""The log's writer goes first after each turn, as long as the disk is fast."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any

from honour.errors import LogUnavailable
from honour.serving.durable import GAVE_UP_NS, MOMENT_S, Settling


def test_every_commit_that_takes_a_moment_is_waited_for_also_one_that_fails() -> None:
    settling = Settling(timer_ns=lambda: 0)
    commits = [_Commit(), _Commit(LogUnavailable("the disk is full")), _Commit()]
    for commit in commits:
        settling.wait(commit)
    assert [commit.n_waits for commit in commits] == [1, 1, 1]


def test_after_a_commit_that_takes_long_none_is_waited_for_a_while_and_then_one_is_again() -> None:
    instants_ns = iter((0, GAVE_UP_NS - 1, GAVE_UP_NS))
    settling = Settling(timer_ns=lambda: next(instants_ns))
    commits = [_Commit(TimeoutError()), _Commit(), _Commit()]
    for commit in commits:
        settling.wait(commit)
    assert [commit.n_waits for commit in commits] == [1, 0, 1]


def test_where_nothing_is_to_become_durable_nothing_is_waited_for() -> None:
    commit = _Commit()
    commit.set_result(None)
    settling = Settling(timer_ns=lambda: 0)
    settling.wait(None)
    settling.wait(commit)
    assert commit.n_waits == 0


class _Commit(Future[Any]):
    """Ends like this once it is waited for, or is not done in time."""

    def __init__(self, end: Exception | None = None) -> None:
        super().__init__()
        self._end, self.n_waits = end, 0

    def exception(self, timeout: float | None = None) -> BaseException | None:
        self.n_waits += 1
        assert timeout == MOMENT_S
        if isinstance(self._end, TimeoutError):
            raise self._end
        return self._end

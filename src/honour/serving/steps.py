"""Work in steps: several pieces are done together, a step of each in turn, so that the code of a step is still in the core's caches.

One decision after the other, each step finds the caches full of the steps before it and takes some 1.5 times as long (docs/performance.md).
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TypeVar

Result = TypeVar("Result")
Steps = Generator[None, None, Result]
"""Stops after each step; what it returns is the result."""


def done_at_once(steps: Steps[Result]) -> Result:
    """The result of one piece of work alone. It must not wait for another one."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: Result = end.value
            return result


class OwnTime:
    """What a piece of work in steps takes itself, without what is done between its steps. timer_ns counts nanoseconds."""

    def __init__(self, timer_ns: Callable[[], int]) -> None:
        self._timer_ns, self._before_ns, self._since_ns = timer_ns, 0, timer_ns()

    @property
    def ns(self) -> int:
        """Nanoseconds until now; asked within a step."""
        return self._before_ns + self._timer_ns() - self._since_ns

    def of(self, steps: Steps[Result]) -> Steps[Result]:
        """The same steps, timed."""
        while True:
            self._since_ns = self._timer_ns()
            try:
                next(steps)
            except StopIteration as end:
                result: Result = end.value
                return result
            self._before_ns = self.ns
            yield

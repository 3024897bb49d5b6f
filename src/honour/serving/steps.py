"""Work in steps: several pieces are done together, a step of each in turn, so that the code of a step is still in the core's caches.

One decision after the other, each step finds the caches full of the steps before it and takes some 1.5 times as long (docs/performance.md).
"""

from __future__ import annotations

from collections.abc import Generator
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

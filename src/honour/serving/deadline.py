"""By when an answer is due: what the caller says in a header, else what the settings say, counted from the request's arrival."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from honour.errors import BadInput, DeadlineOver

HEADER = "Honour-Deadline-Ms"
DEADLINE_MS_MAX = 600_000
_NAME = HEADER.lower().encode()


class Deadline(NamedTuple):
    """An instant of a monotonic clock; timer_ns is that clock."""

    due_ns: int
    allowed_ms: int
    timer_ns: Callable[[], int]

    def left_ns(self) -> int:
        """Nanoseconds until the answer is due; negative once it is over."""
        return self.due_ns - self.timer_ns()

    def check(self) -> None:
        """Raise DeadlineOver when it is over before the work began."""
        if self.left_ns() <= 0:
            raise DeadlineOver(
                f"the deadline of {self.allowed_ms} ms was over before the request was looked at. Nothing was done; send it again."
            )

    def over_unkept(self) -> DeadlineOver:
        """What is said when the work is done and its event not durable yet."""
        return DeadlineOver(
            f"the event log did not make it durable within the deadline of {self.allowed_ms} ms. It may be kept in a moment: send the "
            "same again. A decision that was made stands, and a report has its effect once."
        )


def deadline_of(headers: Mapping[bytes, bytes], *, default_ms: int | None, timer_ns: Callable[[], int]) -> Deadline | None:
    """The deadline of a request that arrives now; None when neither the request nor the default sets one."""
    now_ns = timer_ns()
    said = headers.get(_NAME)
    if said is None:
        return None if default_ms is None else Deadline(now_ns + default_ms * 1_000_000, default_ms, timer_ns)
    if not (said.isdigit() and len(said) <= 6 and 1 <= int(said) <= DEADLINE_MS_MAX):
        raise BadInput(f"a whole number of milliseconds from 1 to {DEADLINE_MS_MAX} is expected.", path=HEADER)
    return Deadline(now_ns + int(said) * 1_000_000, int(said), timer_ns)

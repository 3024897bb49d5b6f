"""How often a key may ask: a bucket of one second's requests, filled at its rate."""

from __future__ import annotations

from collections.abc import Callable

from honour.errors import RateExceeded
from honour.serving.keys import Holder


class Rates:
    """What each key has left. timer_ns counts nanoseconds."""

    def __init__(self, *, timer_ns: Callable[[], int]) -> None:
        self._timer_ns = timer_ns
        self._left: dict[str, tuple[float, int]] = {}

    def take(self, holder: Holder) -> None:
        """Count one request; RateExceeded when there were too many."""
        if holder.per_s_max is None:
            return
        now_ns = self._timer_ns()
        left, at_ns = self._left.get(holder.name, (float(holder.per_s_max), now_ns))
        left = min(float(holder.per_s_max), left + (now_ns - at_ns) * holder.per_s_max / 1e9)
        if left < 1.0:
            self._left[holder.name] = (left, now_ns)
            raise RateExceeded(f"key {holder.name!r} may make {holder.per_s_max} requests a second. Send it again later.")
        self._left[holder.name] = (left - 1.0, now_ns)

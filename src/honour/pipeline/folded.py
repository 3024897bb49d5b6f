"""A log walked once: the newest attempts as a server had them, and the state at its end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from honour.learning.served import ServedRow, served_rows
from honour.outcomes.windows import Windows
from honour.records.event import LoggedEvent
from honour.records.settings import Settings
from honour.release.value import same_form


class Folded(NamedTuple):
    """Attempts with the features that a server had or would have had, and feature state at the end of the log."""

    served: list[ServedRow]
    state: bytes


def folded(events: Sequence[LoggedEvent], *, settings: Settings, after_us: int) -> Folded:
    """Walk `events`; attempts are those that were sent after `after_us`, with candidates on every route that is enabled."""
    routes, state = tuple(route for route in settings.routes if route.enabled), Windows()
    served = list(served_rows(events, state=state, after_us=after_us, candidates_of=same_form(routes)))
    return Folded(served, state.features.to_bytes())

"""Rows as a server would have seen them: the online fold walked over past attempts, in the order things were learned.

Judging later data and replaying policies use this, so that a figure in a report comes from the code that serves.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence

from honour.features.online import FeatureState
from honour.records.attempt import Attempt
from honour.records.event import AttemptReported, LoggedEvent, ServedFeatures
from honour.records.instant import to_us
from honour.records.route import Candidate

CandidatesOf = Callable[[Attempt], Sequence[Candidate]]


def sent_candidate(attempt: Attempt) -> tuple[Candidate, ...]:
    """The one candidate that was sent."""
    return (Candidate(attempt.route, attempt.authentication, attempt.credential),)


def served_rows(
    events: Sequence[LoggedEvent], *, state: FeatureState, candidates_of: CandidatesOf = sent_candidate
) -> Iterator[tuple[LoggedEvent, ServedFeatures]]:
    """Each attempt of `events` with the features of its candidates as of the instant it was sent.

    An attempt sees the answers of `events` that had arrived by `attempted_at` and stand before it in the log; `state` holds
    what was known before, and is folded on. Attempts whose answer is `unknown` are not yielded.
    """
    arrivals = [logged.arrived_us for logged in events]
    asked: list[tuple[int, int]] = []  # (answers seen, position)
    for position, logged in enumerate(events):
        match logged.event:
            case AttemptReported(attempt=attempt) if attempt.status != "unknown":
                asked.append((min(position, bisect_right(arrivals, to_us(attempt.attempted_at))), position))
    folded = 0
    for seen, position in sorted(asked):
        for logged in events[folded:seen]:
            _fold(state, logged)
        folded = max(folded, seen)
        attempt = _attempt(events[position])
        yield events[position], state.as_of(attempt.payment, candidates_of(attempt), at_us=to_us(attempt.attempted_at))
    for logged in events[folded:]:
        _fold(state, logged)


def _attempt(logged: LoggedEvent) -> Attempt:
    assert isinstance(logged.event, AttemptReported)
    return logged.event.attempt


def _fold(state: FeatureState, logged: LoggedEvent) -> None:
    match logged.event:
        case AttemptReported(attempt=attempt) if attempt.status != "unknown":
            state.update(
                attempt.payment,
                sent_candidate(attempt)[0],
                status=attempt.status,
                response_code=attempt.response_code,
                arrived_us=logged.arrived_us,
            )
        case _:
            pass

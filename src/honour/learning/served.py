"""Rows as a server would have seen them: the online fold walked over past attempts, in the order things were learned.

Judging later data and replaying policies use this, so that a figure in a report comes from the code that serves.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from honour.features.catalogue import CANDIDATE_FEATURES
from honour.outcomes.windows import Windows
from honour.records.attempt import Attempt
from honour.records.event import AttemptReported, DecisionMade, LoggedEvent, OutcomeReported, ServedFeatures
from honour.records.instant import to_us
from honour.records.payment import Payment
from honour.records.route import Candidate

CandidatesOf = Callable[[Attempt], Sequence[Candidate]]
Named = tuple[str, str, str]

_PLACES = tuple([feature.name for feature in CANDIDATE_FEATURES].index(name) for name in ("route", "authentication", "credential"))


class ServedRow(NamedTuple):
    """An attempt that was sent, what was known when it was, and what came back.

    served        features of its candidates; candidates: which they are, in the same order
    propensities  of the candidates, when Honour chose; None when somebody else did
    """

    payment: Payment
    at_us: int
    sent: Named
    approved: bool
    served: ServedFeatures
    candidates: tuple[Named, ...]
    propensities: tuple[float, ...] | None

    @property
    def served_sent(self) -> ServedFeatures:
        """Features of the candidate that was sent, alone."""
        at = self.candidates.index(self.sent)
        return ServedFeatures(schema=self.served.schema, payment=self.served.payment, candidates=(self.served.candidates[at],))


def sent_candidate(attempt: Attempt) -> tuple[Candidate, ...]:
    """The one candidate that was sent."""
    return (Candidate(attempt.route, attempt.authentication, attempt.credential),)


def served_rows(
    events: Sequence[LoggedEvent], *, state: Windows, after_us: int, candidates_of: CandidatesOf = sent_candidate
) -> Iterator[ServedRow]:
    """Attempts of `events` sent after `after_us`, chosen by Honour or not, that have an answer.

    An attempt that Honour did not choose sees the answers of `events` that had arrived by `attempted_at` and stand before it in the log;
    `state` holds what was known before, and is folded on to the end of `events`. One that Honour chose has its features in the log.
    """
    yield from _decided(events, after_us=after_us)
    arrivals = [logged.arrived_us for logged in events]
    asked: list[tuple[int, int, Attempt]] = []  # (answers seen, position, attempt)
    for position, logged in enumerate(events):
        match logged.event:
            case AttemptReported(attempt=attempt) if attempt.status != "unknown" and to_us(attempt.attempted_at) > after_us:
                asked.append((min(position, bisect_right(arrivals, to_us(attempt.attempted_at))), position, attempt))
            case _:
                pass
    folded = 0
    for seen, _, attempt in sorted(asked, key=lambda one: one[:2]):
        for logged in events[folded:seen]:
            state.apply(logged)
        folded, at_us = max(folded, seen), to_us(attempt.attempted_at)
        candidates = tuple(candidates_of(attempt))
        served = state.features.as_of(attempt.payment, candidates, at_us=at_us)
        sent = sent_candidate(attempt)[0]
        yield ServedRow(attempt.payment, at_us, sent, attempt.status == "approved", served, candidates, None)
    for logged in events[folded:]:
        state.apply(logged)


def _decided(events: Sequence[LoggedEvent], *, after_us: int) -> Iterator[ServedRow]:
    """Decisions of Honour that were followed and answered."""
    made: dict[str, DecisionMade] = {}
    for logged in events:
        match logged.event:
            case DecisionMade() as one if one.decision.attempt is not None and one.features is not None and one.decided_us > after_us:
                made[one.decision.decision_id] = one
            case OutcomeReported(outcome=outcome) if outcome.status != "unknown" and outcome.decision_id in made:
                one = made.pop(outcome.decision_id)
                row = _decided_row(one, approved=outcome.status == "approved")
                if row is not None:
                    yield row
            case _:
                pass


def _decided_row(made: DecisionMade, *, approved: bool) -> ServedRow | None:
    chosen, features = made.decision.attempt, made.features
    if chosen is None or features is None:
        return None
    route, authentication, credential = _PLACES
    candidates = tuple((str(row[route]), str(row[authentication]), str(row[credential])) for row in features.candidates)
    propensity = {(one.route, one.authentication, one.credential): one.propensity for one in made.decision.ranking}
    sent = (chosen.route, chosen.authentication, chosen.credential)
    known = tuple(propensity[candidate] for candidate in candidates)  # type: ignore[index]  # the same names, as plain text
    return ServedRow(made.payment, made.decided_us, sent, approved, features, candidates, known)

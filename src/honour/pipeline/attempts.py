"""Attempts of a log, chosen by Honour or reported, as data quality looks at them."""

from __future__ import annotations

from collections.abc import Iterable

from honour.records.attempt import Attempt
from honour.records.event import AttemptReported, DecisionMade, LoggedEvent, OutcomeReported
from honour.records.instant import from_us


def attempts_of(events: Iterable[LoggedEvent]) -> tuple[list[Attempt], int]:
    """Attempts in order of time, and the instant at which the newest answer arrived (0 when there is none)."""
    attempts: list[Attempt] = []
    made: dict[str, DecisionMade] = {}
    newest_us = 0
    for logged in events:
        match logged.event:
            case AttemptReported(attempt=attempt):
                attempts.append(attempt)
                newest_us = newest_us if attempt.status == "unknown" else logged.arrived_us
            case DecisionMade() as one if one.decision.attempt is not None:
                made[one.decision.decision_id] = one
            case OutcomeReported(outcome=outcome) if outcome.status != "unknown" and outcome.decision_id in made:
                attempts.append(_sent(made.pop(outcome.decision_id), answer=logged.event))
                newest_us = logged.arrived_us
            case _:
                pass
    attempts.sort(key=lambda attempt: attempt.attempted_at)
    return attempts, newest_us


def _sent(made: DecisionMade, *, answer: OutcomeReported) -> Attempt:
    chosen, outcome = made.decision.attempt, answer.outcome
    assert chosen is not None
    return Attempt(
        attempt_id=made.decision.decision_id,
        payment=made.payment,
        route=chosen.route,
        attempted_at=from_us(made.decided_us),
        status=outcome.status,
        authentication=chosen.authentication,
        credential=chosen.credential,
        response_code=outcome.response_code,
        latency_ms=outcome.latency_ms,
    )

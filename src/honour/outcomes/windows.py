"""Feature windows alone, as a fold of the log: what looks back on a whole log needs nothing else of its state."""

from __future__ import annotations

from honour.features.online import FeatureState
from honour.records.attempt import Attempt, Outcome
from honour.records.event import AttemptReported, DecisionMade, LoggedEvent, OutcomeReported
from honour.records.payment import Payment
from honour.records.route import Candidate


class Windows:
    """The same `features` as `State` has of the same events, in about half the time."""

    def __init__(self) -> None:
        self.features = FeatureState()
        self._decided: dict[str, tuple[Payment, Candidate]] = {}  # Those whose outcome is not known yet.

    def apply(self, logged: LoggedEvent) -> None:
        """Fold one event, in the order of the log."""
        match logged.event:
            case AttemptReported(attempt=attempt):
                candidate = Candidate(attempt.route, attempt.authentication, attempt.credential)
                self._answered(attempt.payment, candidate, attempt, arrived_us=logged.arrived_us)
            case DecisionMade(decision=decision) as made if decision.attempt is not None:
                chosen = decision.attempt
                candidate = Candidate(chosen.route, chosen.authentication, chosen.credential)
                self._decided[decision.decision_id] = (made.payment, candidate)
            case OutcomeReported(outcome=outcome) if outcome.status != "unknown":
                self._answered(*self._decided.pop(outcome.decision_id), outcome, arrived_us=logged.arrived_us)
            case _:
                pass

    def _answered(self, payment: Payment, candidate: Candidate, answer: Outcome | Attempt, *, arrived_us: int) -> None:
        self.features.update(
            payment,
            candidate,
            status=answer.status,
            response_code=answer.response_code,
            arrived_us=arrived_us,
            latency_ms=answer.latency_ms,
        )

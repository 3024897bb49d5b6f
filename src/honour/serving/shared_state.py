"""The shared online state, brought to where the log stands: before a server starts, and after the store was away."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice

import msgspec

from honour.errors import BadSettings, LogContractBroken
from honour.features.shared import FED_AT_ONCE, AnswerAt, SharedFeatures
from honour.records.attempt import Attempt, Outcome
from honour.records.event import AttemptReported, DecisionMade, LoggedEvent, OutcomeReported
from honour.records.payment import Payment
from honour.records.route import Candidate
from honour.records.settings import DataSettings
from honour.serving.recovery import features_of
from honour.stores.opening import open_log
from honour.stores.port import EventLog

Step = Callable[[str, int, int | None], None]


def catch_up(log: EventLog, features: SharedFeatures, *, step: Step | None = None) -> int:
    """Fold the durable answers after those in the store into it; how many they were. StateAway when the store goes away.

    A store that stands after the end of the log is of another log, or of events that were lost: it is emptied and filled again.
    Changes what `features` are asked from, not what they hold.
    """
    feeder = features.feeder()
    if feeder.seq > log.last_seq:
        features.clear()
        feeder = features.feeder()
    n_fed, found = 0, answers(log, after_seq=feeder.seq)
    while chunk := list(islice(found, FED_AT_ONCE)):
        feeder.feed(chunk)
        feeder.check()
        n_fed += len(chunk)
        if step is not None:
            step("filling the shared state", chunk[-1].seq, log.last_seq)
    return n_fed


class Filled(msgspec.Struct, frozen=True, kw_only=True):
    """n_answers: folded now; stands_at: the last answer in the shared state, by its place in the log."""

    n_answers: int
    stands_at: int


def backfill(data: DataSettings, *, step: Step | None = None) -> Filled:
    """Fill the shared state that the settings name from the log that they name."""
    features = features_of(data)
    if not isinstance(features, SharedFeatures):
        raise BadSettings("data.state is not set: every process fills its own state from the log when it starts, there is nothing to fill.")
    log = open_log(data, read_only=True)
    try:
        n_answers = catch_up(log, features, step=step)
    finally:
        log.close()
    return Filled(n_answers=n_answers, stands_at=features.stands_at())


def answers(log: EventLog, *, after_seq: int) -> Iterator[AnswerAt]:
    """Final answers in the order of the log, each with its payment and candidate."""
    decisions: dict[str, DecisionMade] = {}
    for logged in log.read(after_seq=after_seq):
        match logged.event:
            case DecisionMade(decision=decision) as made if decision.attempt is not None:
                decisions[decision.decision_id] = made
            case OutcomeReported(outcome=outcome) if outcome.status != "unknown":
                known = (
                    decisions.pop(outcome.decision_id) if outcome.decision_id in decisions else _decision(log, logged, outcome.decision_id)
                )
                chosen = known.decision.attempt
                assert chosen is not None
                candidate = Candidate(chosen.route, chosen.authentication, chosen.credential)
                yield _answer(logged, known.payment, candidate, outcome)
            case AttemptReported(attempt=attempt) if attempt.status != "unknown":
                candidate = Candidate(attempt.route, attempt.authentication, attempt.credential)
                yield _answer(logged, attempt.payment, candidate, attempt)
            case _:
                pass


def _decision(log: EventLog, logged: LoggedEvent, decision_id: str) -> DecisionMade:
    found = log.find(f"decision:{decision_id}")
    if found is None or not isinstance(found.event, DecisionMade) or found.event.decision.attempt is None:
        raise LogContractBroken(f"event {logged.seq}: outcome of decision {decision_id}, which the log does not hold with an attempt.")
    return found.event


def _answer(logged: LoggedEvent, payment: Payment, candidate: Candidate, answer: Outcome | Attempt) -> AnswerAt:
    return AnswerAt(logged.seq, payment, candidate, answer.status, answer.response_code, logged.arrived_us, answer.latency_ms)

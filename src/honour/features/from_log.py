"""Answers and training rows out of the log, as Arrow tables for the SQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow ships no types

from honour.errors import LogContractBroken
from honour.features.answer import whole_ms
from honour.features.columns import CANDIDATE_COLUMNS, PAYMENT_COLUMNS, Row, read_payment
from honour.records.attempt import Attempt, Outcome
from honour.records.event import AttemptReported, DecisionMade, LoggedEvent, OutcomeReported
from honour.records.instant import to_us

_ARROW = {"text": pa.string(), "integer": pa.int64(), "real": pa.float64()}
ROW_COLUMNS: dict[str, pa.DataType] = {
    **{name: _ARROW[kind] for name, kind in PAYMENT_COLUMNS.items()},
    **dict.fromkeys(CANDIDATE_COLUMNS, pa.string()),
}
"""Columns of payment and candidate in the order of a row, with their Arrow types."""

ANSWER_COLUMNS = {
    "seq": pa.int64(),
    "arrived_us": pa.int64(),
    "status": pa.string(),
    "response_code": pa.string(),
    "latency_ms": pa.int64(),
}
INSTANT_COLUMNS = {"row_id": pa.int64(), "seq": pa.int64(), "at_us": pa.int64()}
"""Columns of answers and of questions beside those of a row."""

_TRAINING_COLUMNS = {
    **INSTANT_COLUMNS,
    "source": pa.string(),
    "status": pa.string(),
    "propensity": pa.float64(),
}


class LogReader:
    """Collects answers and training rows from the log in one pass."""

    def __init__(self) -> None:
        self._rows: list[tuple[Any, ...]] = []
        self._answers: list[tuple[Any, ...]] = []
        self._waiting: dict[str, tuple[int, DecisionMade]] = {}

    def read(self, logged: LoggedEvent) -> None:
        """Take one event; anything but decisions, outcomes and attempts is passed over."""
        match logged.event:
            case DecisionMade() as made:
                if made.decision.attempt is not None:
                    self._waiting[made.decision.decision_id] = (logged.seq, made)
            case OutcomeReported(outcome=outcome) if outcome.status != "unknown":
                self._read_outcome(logged, outcome)
            case AttemptReported(attempt=attempt) if attempt.status != "unknown":
                self._read_attempt(logged, attempt)
            case _:
                pass

    def answers(self) -> pa.Table:
        """The answers read so far."""
        return table_of(self._answers, ANSWER_COLUMNS)

    def spine(self) -> pa.Table:
        """One row per answer read so far, as of the instant its attempt was decided or sent."""
        return table_of(self._rows, _TRAINING_COLUMNS)

    def _read_outcome(self, logged: LoggedEvent, outcome: Outcome) -> None:
        seq, made = self._waiting.pop(outcome.decision_id, (0, None))
        if made is None or made.decision.attempt is None:
            raise LogContractBroken(
                f"event {logged.seq}: outcome of decision {outcome.decision_id}, which the log does not hold before it with an attempt "
                "and no final outcome; an outcome follows its decision, and the first final one stands. Read the log from its start."
            )
        chosen = made.decision.attempt
        row = (*read_payment(made.payment), chosen.route, chosen.authentication, chosen.credential)
        self._answered(logged, row, outcome)
        self._rows.append((len(self._rows), seq, made.decided_us, "decision", outcome.status, chosen.propensity, *row))

    def _read_attempt(self, logged: LoggedEvent, attempt: Attempt) -> None:
        row = (*read_payment(attempt.payment), attempt.route, attempt.authentication, attempt.credential)
        self._answered(logged, row, attempt)
        self._rows.append((len(self._rows), logged.seq, to_us(attempt.attempted_at), "attempt", attempt.status, None, *row))

    def _answered(self, logged: LoggedEvent, row: Row, answer: Outcome | Attempt) -> None:
        self._answers.append((logged.seq, logged.arrived_us, answer.status, answer.response_code, whole_ms(answer.latency_ms), *row))


def table_of(rows: Sequence[tuple[Any, ...]], first: dict[str, pa.DataType]) -> pa.Table:
    """Arrow table of rows whose columns are `first` and then those of payment and candidate."""
    types = first | ROW_COLUMNS
    columns = zip(*rows, strict=True) if rows else [()] * len(types)
    return pa.table({name: pa.array(column, type=kind) for (name, kind), column in zip(types.items(), columns, strict=True)})

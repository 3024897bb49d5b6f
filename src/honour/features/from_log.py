"""Answered attempts out of the log, as the Arrow table that the SQL reads and a lake keeps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow ships no types

from honour.errors import LogContractBroken
from honour.features.answer import whole_ms
from honour.features.columns import CANDIDATE_COLUMNS, PAYMENT_COLUMNS, Row, read_payment
from honour.records.attempt import Attempt, Outcome
from honour.records.event import AttemptReported, DecisionMade, LoggedEvent, OutcomeReported
from honour.records.instant import to_us

ARROW_TYPES = {"text": pa.string(), "integer": pa.int64(), "real": pa.float64()}
"""Types of columns by what they hold."""
ROW_COLUMNS: dict[str, pa.DataType] = {
    **{name: ARROW_TYPES[kind] for name, kind in PAYMENT_COLUMNS.items()},
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

ATTEMPT_COLUMNS: dict[str, pa.DataType] = {
    "seq": pa.int64(),
    "arrived_us": pa.int64(),
    "asked_seq": pa.int64(),
    "at_us": pa.int64(),
    "source": pa.string(),
    "attempt_id": pa.string(),
    "status": pa.string(),
    "response_code": pa.string(),
    "latency_ms": pa.int64(),
    "propensity": pa.float64(),
    **ROW_COLUMNS,
}
"""An answered attempt, named by its decision where Honour chose it.

seq, arrived_us  place and arrival of its answer; asked_seq, at_us: place and instant as of which it was decided, or sent
"""

DecisionOf = Callable[[str], LoggedEvent | None]


class LogReader:
    """Collects answered attempts from the log in one pass.

    decision_of  finds a decision that was made before the first event read; absent, the log is read from its start
    """

    def __init__(self, decision_of: DecisionOf | None = None) -> None:
        self._rows: list[tuple[Any, ...]] = []
        self._waiting: dict[str, tuple[int, DecisionMade]] = {}
        self._decision_of = decision_of

    def __len__(self) -> int:
        return len(self._rows)

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

    def attempts(self) -> pa.Table:
        """The attempts whose answers were read so far, in the order of their answers; columns `ATTEMPT_COLUMNS`."""
        return table_of(self._rows, ATTEMPT_COLUMNS)

    def take(self) -> pa.Table:
        """`attempts`, and forget them."""
        taken, self._rows = self.attempts(), []
        return taken

    def _read_outcome(self, logged: LoggedEvent, outcome: Outcome) -> None:
        seq, made = self._waiting.pop(outcome.decision_id, (0, None))
        if made is None and self._decision_of is not None and (found := self._decision_of(outcome.decision_id)) is not None:
            seq, made = found.seq, found.event if isinstance(found.event, DecisionMade) else None
        if made is None or made.decision.attempt is None:
            raise LogContractBroken(
                f"event {logged.seq}: outcome of decision {outcome.decision_id}, which the log does not hold before it with an attempt "
                "and no final outcome; an outcome follows its decision, and the first final one stands. Read the log from its start."
            )
        chosen = made.decision.attempt
        row = (*read_payment(made.payment), chosen.route, chosen.authentication, chosen.credential)
        self._answered(logged, row, outcome, asked=(seq, made.decided_us, "decision", outcome.decision_id), propensity=chosen.propensity)

    def _read_attempt(self, logged: LoggedEvent, attempt: Attempt) -> None:
        row = (*read_payment(attempt.payment), attempt.route, attempt.authentication, attempt.credential)
        self._answered(
            logged, row, attempt, asked=(logged.seq, to_us(attempt.attempted_at), "attempt", attempt.attempt_id), propensity=None
        )

    def _answered(
        self, logged: LoggedEvent, row: Row, answer: Outcome | Attempt, *, asked: tuple[int, int, str, str], propensity: float | None
    ) -> None:
        told = (answer.status, answer.response_code, whole_ms(answer.latency_ms))
        self._rows.append((logged.seq, logged.arrived_us, *asked, *told, propensity, *row))


def table_of(rows: Sequence[tuple[Any, ...]], types: dict[str, pa.DataType]) -> pa.Table:
    """Arrow table of rows whose columns are `types`."""
    columns = zip(*rows, strict=True) if rows else [()] * len(types)
    return pa.table({name: pa.array(column, type=kind) for (name, kind), column in zip(types.items(), columns, strict=True)})

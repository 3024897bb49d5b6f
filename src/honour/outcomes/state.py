"""Everything a decision needs to know of the past, as one fold of the log (docs/adr/0003)."""

from __future__ import annotations

import msgspec

from honour.approval.fast_layer import FastLayer
from honour.approval.followed import Followed, Plain
from honour.features.catalogue import SCHEMA_ID
from honour.features.online import FeatureState
from honour.features.shared import SharedFeatures
from honour.networks.retry_limit import RetryCounter
from honour.networks.table import tables_id
from honour.outcomes.due import DueRetries
from honour.outcomes.match import PaymentBook
from honour.outcomes.stages import Stages
from honour.outcomes.uncollected import uncollected
from honour.records.attempt import Attempt, Outcome
from honour.records.decision import Decision
from honour.records.event import AttemptReported, DecisionMade, LoggedEvent, OutcomeReported
from honour.records.instant import to_us
from honour.records.payment import Payment
from honour.records.route import Candidate

STATE_SCHEMA = f"9:{SCHEMA_ID}:{tables_id()}"
"""Names what the bytes of a state mean; a snapshot of another one is not read."""

SHARED_SCHEMA = f"shared:{STATE_SCHEMA}"
"""The same, of a state whose cards and payments are in a store that servers share."""


class State:
    """Feature windows, payment book, retry counters, retries that wait, the fast layer, what follows, and which bundle has which part.

    `apply` is the only way it changes.

    features  without answers; absent, all of them are kept in this process
    """

    def __init__(self, features: FeatureState | SharedFeatures | None = None) -> None:
        self.features = features if features is not None else FeatureState()
        self.book = PaymentBook()
        self.retries = RetryCounter()
        self.due = DueRetries()
        self.fast = FastLayer()
        self.followed = Followed()
        self.stages = Stages()
        self.seq = 0

    def apply(self, logged: LoggedEvent) -> None:
        """Fold one event, in the order of the log."""
        arrived_us = logged.arrived_us
        match logged.event:
            case DecisionMade(decision=decision) as made if (chosen := decision.attempt) is not None:
                self.retries.reserve(made.payment, attempt=f"decision:{decision.decision_id}", arrived_us=arrived_us)
                sent = Candidate(chosen.route, chosen.authentication, chosen.credential)
                self.fast.sent(decision.decision_id, sent, at_us=arrived_us)
                if made.payment.initiator == "customer":
                    self._expects(decision, sent, arrived_us)
            case OutcomeReported(outcome=outcome):
                opened = self.book.opened(outcome.decision_id)
                self._answered(opened.payment, opened.candidate, outcome, f"decision:{outcome.decision_id}", arrived_us, seq=logged.seq)
                self.fast.answered(outcome.decision_id, status=outcome.status, at_us=arrived_us)
                self.followed.answered(outcome.decision_id, status=outcome.status, at_us=arrived_us)
                if opened.p_model is not None:
                    self.fast.update(
                        opened.payment,
                        opened.candidate,
                        p_model=opened.p_model,
                        status=outcome.status,
                        response_code=outcome.response_code,
                        arrived_us=arrived_us,
                    )
            case AttemptReported(attempt=attempt):
                candidate = Candidate(attempt.route, attempt.authentication, attempt.credential)
                if (awaited := self.book.awaited(attempt.payment.payment_id)) is not None:
                    self.fast.answered(awaited, status="abandoned", at_us=arrived_us)  # The merchant went its own way.
                self._answered(attempt.payment, candidate, attempt, f"attempt:{attempt.attempt_id}", arrived_us, seq=logged.seq)
            case _:
                pass
        self.book.apply(logged)
        self.due.apply(logged)
        self.stages.apply(logged)
        self.seq = logged.seq

    @property
    def schema(self) -> str:
        """What its bytes mean."""
        return SHARED_SCHEMA if isinstance(self.features, SharedFeatures) else STATE_SCHEMA

    def to_bytes(self) -> bytes:
        """The state as bytes; equal for equal logs, whatever snapshots lay between."""
        folds = (self.features, self.book, self.retries, self.due, self.fast, self.stages)
        return msgspec.msgpack.encode((self.seq, *(fold.to_bytes() for fold in folds), self.followed.to_plain()))

    @classmethod
    @uncollected()
    def from_bytes(cls, data: bytes, *, features: FeatureState | SharedFeatures | None = None) -> State:
        """The state that `to_bytes` wrote, under the same schema, with features kept in the same way."""
        state = cls(features)
        kinds = tuple[int, bytes, bytes, bytes, bytes, bytes, bytes, Plain]
        state.seq, told, book, retries, due, fast, stages, followed = msgspec.msgpack.decode(data, type=kinds)
        state.features.load(told)
        state.book = PaymentBook.from_bytes(book)
        state.retries = RetryCounter.from_bytes(retries)
        state.due = DueRetries.from_bytes(due)
        state.fast = FastLayer.from_bytes(fast)
        state.stages = Stages.from_bytes(stages)
        state.followed = Followed(followed)
        return state

    def _expects(self, decision: Decision, sent: Candidate, arrived_us: int) -> None:
        """What a refusal of the attempt is thought to leave open, where the decision was corrected by what came of earlier ones."""
        chosen = next((one for one in decision.ranking if (one.route, one.authentication, one.credential) == sent), None)
        if chosen is not None and chosen.p_recovered is not None and chosen.p_model is not None:
            self.followed.decided(
                decision.decision_id, decision.payment_id, form=sent.authentication, p_recovered=chosen.p_recovered, at_us=arrived_us
            )

    def _answered(self, payment: Payment, candidate: Candidate, answer: Outcome | Attempt, name: str, arrived_us: int, *, seq: int) -> None:
        if answer.status == "unknown":
            if isinstance(answer, Attempt):
                self.retries.reserve(payment, attempt=name, arrived_us=arrived_us)
            return
        self.features.update(
            payment,
            candidate,
            status=answer.status,
            response_code=answer.response_code,
            arrived_us=arrived_us,
            latency_ms=answer.latency_ms,
            seq=seq,
        )
        self.retries.update(
            payment,
            candidate=candidate,
            status=answer.status,
            response_code=answer.response_code,
            merchant_advice_code=answer.merchant_advice_code,
            arrived_us=arrived_us,
            attempt=name,
            sent_us=to_us(answer.attempted_at) if isinstance(answer, Attempt) else None,
        )

"""The payment book: which decision of a payment is pending, what was answered, and which report belongs to which decision."""

from __future__ import annotations

import msgspec

from honour.errors import Contradiction, UnknownReference
from honour.policy.decide import History
from honour.records.attempt import Attempt, Outcome
from honour.records.decision import Decision
from honour.records.event import AttemptReported, DecisionMade, DisputeReported, Event, LoggedEvent, OutcomeReported
from honour.records.payment import Payment
from honour.records.route import Candidate

REMEMBERED_US = 121 * 86_400_000_000
"""Payments are remembered this long after their last event: longer than any retry horizon (120 days)."""


class Open(msgspec.Struct, frozen=True):
    """A decision to attempt, as far as reports need it; `replayed` decisions live on the caller's timeline."""

    payment: Payment
    candidate: Candidate
    decided_us: int
    replayed: bool


class _Payment(msgspec.Struct):
    """One payment. A pending decision is one to attempt whose outcome is not known; answers are in order of arrival."""

    last_us: int
    first_us: int | None = None
    pending: Decision | None = None
    routes_tried: list[str] = []
    approved: bool = False
    decisions: dict[str, tuple[Open, Outcome | None]] = {}
    attempts: dict[str, str] = {}


class PaymentBook:
    """A fold of the log: the same events give the same book, and the same bytes."""

    def __init__(self) -> None:
        self._payments: dict[str, _Payment] = {}
        self._payment_of: dict[str, str] = {}
        self._last_us = 0

    def __contains__(self, payment_id: str) -> bool:
        return payment_id in self._payments

    def pending(self, payment_id: str) -> Decision | None:
        """The decision to attempt whose outcome is not known yet."""
        known = self._payments.get(payment_id)
        return known.pending if known else None

    def history(self, payment_id: str) -> History:
        """What was answered on the payment so far."""
        known = self._payments.get(payment_id)
        if known is None:
            return History()
        tried = tuple(known.routes_tried)
        return History(n_answered=len(tried), approved=known.approved, first_us=known.first_us, routes_tried=tried)

    def opened(self, decision_id: str) -> Open:
        """The decision a report names; UnknownReference when there is none to attempt with this id."""
        payment_id = self._payment_of.get(decision_id)
        if payment_id is None:
            raise UnknownReference(
                f"decision_id {decision_id!r} names no decision to attempt. Report outcomes only for decisions whose action was "
                "attempt; report attempts that Honour did not choose to /v1/attempts."
            )
        return self._payments[payment_id].decisions[decision_id][0]

    def standing(self, outcome: Outcome) -> Outcome | None:
        """The outcome that already stands for this decision, when it says the same; None when this one is news.

        Raises Contradiction when it says something else. `unknown` stands until an answer settles it.
        """
        stands = self._payments[self._payment_of[outcome.decision_id]].decisions[outcome.decision_id][1]
        if stands is None or (stands.status == "unknown" and outcome.status != "unknown"):
            return None
        if outcome.status == "unknown" or _answer(stands) == _answer(outcome):
            return stands
        raise Contradiction(
            f"decision {outcome.decision_id!r} was reported {_said(stands)} before; {_said(outcome)} contradicts it. The first stands."
        )

    def attempt_stands(self, attempt: Attempt) -> bool:
        """This attempt was reported before with the same answer; Contradiction when with another."""
        known = self._payments.get(attempt.payment.payment_id)
        stands = known.attempts.get(attempt.attempt_id) if known else None
        if stands is None or (stands == "unknown" and attempt.status != "unknown"):
            return False
        if attempt.status in ("unknown", stands):
            return True
        raise Contradiction(f"attempt {attempt.attempt_id!r} was reported {stands} before; {attempt.status} contradicts it. The first stands.")

    def apply(self, logged: LoggedEvent) -> None:
        """Fold one event."""
        self._last_us = logged.arrived_us
        event: Event = logged.event
        match event:
            case DecisionMade():
                self._decided(event, arrived_us=logged.arrived_us)
            case OutcomeReported():
                self._outcome(event, arrived_us=logged.arrived_us)
            case AttemptReported():
                self._attempt(event.attempt, arrived_us=logged.arrived_us)
            case DisputeReported() if event.dispute.payment_id in self._payments:
                self._payments[event.dispute.payment_id].last_us = logged.arrived_us
            case _:
                pass

    def to_bytes(self) -> bytes:
        """The book as MessagePack; payments too old to be asked about are forgotten, in memory as well."""
        oldest_us = self._last_us - REMEMBERED_US
        for payment_id, known in list(self._payments.items()):
            if known.last_us < oldest_us:
                del self._payments[payment_id]
                for decision_id in known.decisions:
                    del self._payment_of[decision_id]
        return msgspec.msgpack.encode((self._last_us, sorted(self._payments.items())))

    @classmethod
    def from_bytes(cls, data: bytes) -> PaymentBook:
        """The book that `to_bytes` wrote."""
        book = cls()
        book._last_us, payments = msgspec.msgpack.decode(data, type=tuple[int, list[tuple[str, _Payment]]])
        book._payments = dict(payments)
        book._payment_of = {decision_id: payment_id for payment_id, known in payments for decision_id in known.decisions}
        return book

    def _known(self, payment_id: str, *, arrived_us: int) -> _Payment:
        known = self._payments.get(payment_id)
        if known is None:
            known = self._payments[payment_id] = _Payment(last_us=arrived_us)
        known.last_us = arrived_us
        return known

    def _decided(self, made: DecisionMade, *, arrived_us: int) -> None:
        decision, chosen = made.decision, made.decision.attempt
        known = self._known(decision.payment_id, arrived_us=arrived_us)
        if chosen is None:
            return
        candidate = Candidate(chosen.route, chosen.authentication, chosen.credential)
        known.pending = decision
        known.first_us = made.decided_us if known.first_us is None else known.first_us
        known.decisions[decision.decision_id] = (Open(made.payment, candidate, made.decided_us, made.replayed), None)
        self._payment_of[decision.decision_id] = decision.payment_id

    def _outcome(self, event: OutcomeReported, *, arrived_us: int) -> None:
        outcome = event.outcome
        known = self._known(event.payment_id, arrived_us=arrived_us)
        opened, _ = known.decisions[outcome.decision_id]
        known.decisions[outcome.decision_id] = (opened, outcome)
        if outcome.status == "unknown":
            return
        if known.pending is not None and known.pending.decision_id == outcome.decision_id:
            known.pending = None
        known.routes_tried.append(opened.candidate.route)
        known.approved = known.approved or outcome.status == "approved"

    def _attempt(self, attempt: Attempt, *, arrived_us: int) -> None:
        """The merchant went its own way: a decision that was pending is no longer waited for."""
        known = self._known(attempt.payment.payment_id, arrived_us=arrived_us)
        known.attempts[attempt.attempt_id] = attempt.status
        known.first_us = arrived_us if known.first_us is None else known.first_us
        known.pending = None
        if attempt.status != "unknown":
            known.routes_tried.append(attempt.route)
            known.approved = known.approved or attempt.status == "approved"


def _answer(outcome: Outcome) -> tuple[str, str | None, str | None]:
    return (outcome.status, outcome.response_code, outcome.merchant_advice_code)


def _said(outcome: Outcome) -> str:
    codes = [code for code in (outcome.response_code, outcome.merchant_advice_code) if code]
    return f"{outcome.status} ({', '.join(codes)})" if codes else outcome.status

"""The payment book: which decision of a payment is pending, what was answered, and which report belongs to which decision."""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

import msgspec

from honour.errors import Contradiction, UnknownReference
from honour.policy.outlook import History
from honour.records.attempt import Attempt, Dispute, Outcome, Status
from honour.records.decision import Decision
from honour.records.event import AttemptReported, DecisionMade, DisputeReported, LoggedEvent, OutcomeReported
from honour.records.instant import to_us
from honour.records.payment import Payment
from honour.records.route import Candidate, CredentialForm

REMEMBERED_US = 121 * 86_400_000_000
"""Payments are remembered this long after their last event: longer than any retry horizon (120 days)."""

_FORGET_AT_MOST = 2  # Payments checked for age per event: more than one, so that forgetting keeps up with adding.

AttemptFacts = tuple[str, str | None, str | None, str, str, str]


class Open(msgspec.Struct, frozen=True, array_like=True):
    """A decision to attempt, as far as its outcome needs it; `replayed` decisions live on the caller's timeline.

    p_model  what the trained model alone said of the candidate; None when none did, or a plan gave the level
    """

    payment: Payment
    candidate: Candidate
    decided_us: int
    replayed: bool
    p_model: float | None = None


class _Decided(NamedTuple):
    """A decision to attempt. `opened` is dropped with the final outcome: nothing asks for it any more."""

    opened: Open | None
    outcome: Outcome | None


class _Payment(msgspec.Struct, array_like=True):
    """One payment. A pending decision is one to attempt whose outcome is not known; answers are in order of arrival."""

    last_us: int
    merchant_id: str | None = None
    first_us: int | None = None
    pending: Decision | None = None
    routes_tried: list[str] = []
    approved: bool = False
    decisions: dict[str, _Decided] = {}
    attempts: dict[str, AttemptFacts] = {}
    disputes: dict[str, Dispute] = {}
    last_answer: tuple[Status, str | None, int, CredentialForm] | None = None


class PaymentBook:
    """A fold of the log: the same events give the same book, and the same bytes."""

    def __init__(self) -> None:
        self._payments: OrderedDict[str, _Payment] = OrderedDict()  # The one touched longest ago first.
        self._payment_of: dict[str, str] = {}
        self._last_us = 0

    def __contains__(self, payment_id: str) -> bool:
        return self._find(payment_id) is not None

    def pending(self, payment: Payment) -> Decision | None:
        """The decision to attempt whose outcome is not known yet; Contradiction when the id is used for something else meanwhile."""
        known = self._find(payment.payment_id)
        if known is None:
            return None
        self._check_merchant(payment, known)
        if known.pending is None:
            return None
        asked = self.opened(known.pending.decision_id).payment
        for name, before, now in (
            ("amount_minor", asked.amount_minor, payment.amount_minor),
            ("currency", asked.currency, payment.currency),
            ("card.card_id", asked.card.card_id, payment.card.card_id),
        ):
            if before != now:
                raise Contradiction(
                    f"payment_id {payment.payment_id!r} has a decision pending, {known.pending.decision_id!r}, and {name} differs from "
                    "what was asked then. Report its outcome first (abandoned, if it was never sent), or use another payment_id."
                )
        return known.pending

    def check_merchant(self, payment: Payment) -> None:
        """Raise Contradiction when the payment_id belongs to another merchant."""
        if (known := self._find(payment.payment_id)) is not None:
            self._check_merchant(payment, known)

    def merchant_of(self, payment_id: str) -> str | None:
        """Whose payment it is, or None where that is not known."""
        known = self._find(payment_id)
        return known.merchant_id if known is not None else None

    def merchant_of_decision(self, decision_id: str) -> str | None:
        """Whose decision to attempt it is, or None where that is not known."""
        payment_id = self._payment_of.get(f"decision:{decision_id}")
        return self.merchant_of(payment_id) if payment_id is not None else None

    def is_in_progress(self, payment_id: str) -> bool:
        """An attempt of it was decided or answered, and none approved: somebody waits for what comes next."""
        known = self._find(payment_id)
        return known is not None and not known.approved and (known.pending is not None or bool(known.routes_tried))

    def history(self, payment_id: str) -> History:
        """What was answered on the payment so far."""
        known = self._find(payment_id)
        if known is None:
            return History()
        tried = tuple(known.routes_tried)
        status, code, last_us, credential = known.last_answer or (None, None, None, None)
        return History(len(tried), known.approved, known.first_us, tried, status, code, last_us, credential)

    def awaited(self, payment_id: str) -> str | None:
        """The decision of this payment whose outcome is waited for."""
        known = self._find(payment_id)
        return known.pending.decision_id if known and known.pending else None

    def opened(self, decision_id: str) -> Open:
        """The decision to attempt with this id, which has no final outcome yet."""
        opened = self._decided(decision_id)[1].opened
        if opened is None:
            raise Contradiction(f"decision_id {decision_id!r} has a final outcome; the first stands.")
        return opened

    def standing(self, outcome: Outcome) -> Outcome | None:
        """The outcome that already stands for this decision, when it says the same; None when this one is news.

        Raises UnknownReference when nothing is to be attempted under this id, and Contradiction when another outcome stands.
        `unknown` stands until an answer settles it, and says nothing against one.
        """
        stands = self._decided(outcome.decision_id)[1].outcome
        if stands is None or (stands.status == "unknown" and outcome.status != "unknown"):
            return None
        if outcome.status == "unknown" or _answer(stands) == _answer(outcome):
            return stands
        raise Contradiction(
            f"outcome of decision {outcome.decision_id!r} is {_said(stands)}; {_said(outcome)} contradicts it and was not kept."
        )

    def attempt_stands(self, attempt: Attempt) -> bool | None:
        """Whether this attempt stands with the same answer (True) or its answer was not known yet (False); None when it is news."""
        payment_id = self._payment_of.get(f"attempt:{attempt.attempt_id}")
        known = self._find(payment_id) if payment_id is not None else None
        if payment_id is None or known is None:
            return None
        return same_attempt(attempt, payment_id=payment_id, stands=known.attempts[attempt.attempt_id])

    def dispute_stands(self, dispute: Dispute) -> Dispute | None:
        """The dispute of this id, when it says the same; None when this one is news."""
        payment_id = self._payment_of.get(f"dispute:{dispute.dispute_id}")
        known = self._find(payment_id) if payment_id is not None else None
        return same_dispute(dispute, stands=known.disputes[dispute.dispute_id]) if known is not None else None

    def apply(self, logged: LoggedEvent) -> None:
        """Fold one event. What was known when it was accepted is known here: age counts from the event before it."""
        arrived_us = logged.arrived_us
        match logged.event:
            case DecisionMade() as made:
                self._decide(made, arrived_us=arrived_us)
            case OutcomeReported() as reported:
                self._settle(reported, arrived_us=arrived_us)
            case AttemptReported(attempt=attempt):
                self._attempt(attempt, arrived_us=arrived_us)
            case DisputeReported(dispute=dispute):
                self._known(dispute.payment_id, arrived_us=arrived_us).disputes[dispute.dispute_id] = dispute
                self._payment_of[f"dispute:{dispute.dispute_id}"] = dispute.payment_id
            case _:
                pass
        self._last_us = arrived_us
        for _ in range(_FORGET_AT_MOST):
            if not self._payments or not self._is_over(self._payments[oldest := next(iter(self._payments))]):
                break
            self._forget(oldest)

    def to_bytes(self) -> bytes:
        """The book as MessagePack, without payments too old to be asked about."""
        live = [(payment_id, known) for payment_id, known in self._payments.items() if not self._is_over(known)]
        return msgspec.msgpack.encode((self._last_us, live))

    @classmethod
    def from_bytes(cls, data: bytes) -> PaymentBook:
        """The book that `to_bytes` wrote."""
        book = cls()
        book._last_us, payments = msgspec.msgpack.decode(data, type=tuple[int, list[tuple[str, _Payment]]])
        book._payments = OrderedDict(payments)
        book._payment_of = {key: payment_id for payment_id, known in payments for key in _keys(known)}
        return book

    def _is_over(self, known: _Payment) -> bool:
        """Old payments are forgotten by the clock of the log, not when memory is tidied: a restart changes nothing."""
        return known.last_us < self._last_us - REMEMBERED_US

    def _find(self, payment_id: str) -> _Payment | None:
        known = self._payments.get(payment_id)
        return None if known is None or self._is_over(known) else known

    def _check_merchant(self, payment: Payment, known: _Payment) -> None:
        if known.merchant_id not in (None, payment.merchant_id):
            raise Contradiction(
                f"payment_id {payment.payment_id!r} belongs to another merchant; it must be unique among all merchants. "
                "Put the merchant's id in front of it."
            )

    def _decided(self, decision_id: str) -> tuple[str, _Decided]:
        payment_id = self._payment_of.get(f"decision:{decision_id}")
        known = self._find(payment_id) if payment_id is not None else None
        if payment_id is None or known is None:
            raise unknown_decision(decision_id)
        return payment_id, known.decisions[decision_id]

    def _known(self, payment_id: str, *, arrived_us: int) -> _Payment:
        """The payment, moved to the end of those that were touched."""
        if self._find(payment_id) is None and payment_id in self._payments:
            self._forget(payment_id)
        known = self._payments.setdefault(payment_id, _Payment(last_us=arrived_us))
        known.last_us = arrived_us
        self._payments.move_to_end(payment_id)
        return known

    def _forget(self, payment_id: str) -> None:
        for key in _keys(self._payments.pop(payment_id)):
            if self._payment_of.get(key) == payment_id:
                del self._payment_of[key]

    def _decide(self, made: DecisionMade, *, arrived_us: int) -> None:
        decision, chosen = made.decision, made.decision.attempt
        known = self._known(decision.payment_id, arrived_us=arrived_us)
        known.merchant_id = made.payment.merchant_id
        if chosen is None:
            return
        candidate = Candidate(chosen.route, chosen.authentication, chosen.credential)
        known.pending = decision
        known.decisions[decision.decision_id] = _Decided(
            Open(made.payment, candidate, made.decided_us, made.replayed, _p_model(decision, candidate)), None
        )
        self._payment_of[f"decision:{decision.decision_id}"] = decision.payment_id

    def _settle(self, event: OutcomeReported, *, arrived_us: int) -> None:
        outcome, opened = event.outcome, self.opened(event.outcome.decision_id)
        known = self._known(event.payment_id, arrived_us=arrived_us)
        is_final = outcome.status != "unknown"
        known.decisions[outcome.decision_id] = _Decided(None if is_final else opened, outcome)
        if not is_final:
            return
        if known.pending is not None and known.pending.decision_id == outcome.decision_id:
            known.pending = None
        _answered(known, candidate=opened.candidate, answer=outcome, attempted_us=opened.decided_us, arrived_us=arrived_us)

    def _attempt(self, attempt: Attempt, *, arrived_us: int) -> None:
        """The merchant went its own way: a decision that was pending is no longer waited for."""
        payment_id = attempt.payment.payment_id
        known = self._known(payment_id, arrived_us=arrived_us)
        known.merchant_id = attempt.payment.merchant_id
        known.attempts[attempt.attempt_id] = facts_of(attempt)
        self._payment_of[f"attempt:{attempt.attempt_id}"] = payment_id
        known.pending = None
        if attempt.status != "unknown":
            attempted_us = to_us(attempt.attempted_at)
            candidate = Candidate(attempt.route, attempt.authentication, attempt.credential)
            _answered(known, candidate=candidate, answer=attempt, attempted_us=attempted_us, arrived_us=arrived_us)


def _p_model(decision: Decision, candidate: Candidate) -> float | None:
    return next((one.p_model for one in decision.ranking if (one.route, one.authentication, one.credential) == candidate), None)


def unknown_decision(decision_id: str) -> UnknownReference:
    """What is said of a decision that is not there."""
    return UnknownReference(
        f"decision_id {decision_id!r} names no decision to attempt. Report outcomes only for decisions whose action was "
        "attempt, within 120 days; report attempts that Honour did not choose to /v1/attempts."
    )


def unknown_payment(payment_id: str) -> UnknownReference:
    """What is said of a payment that is not there."""
    return UnknownReference(f"payment_id {payment_id!r} names no payment in the log. Report the payment_id that was decided on.")


def same_attempt(attempt: Attempt, *, payment_id: str, stands: AttemptFacts) -> bool:
    """True when it says what stands, False when it settles what was unknown; Contradiction otherwise."""
    told = facts_of(attempt)
    same_way = payment_id == attempt.payment.payment_id and stands[3:] == told[3:]
    if same_way and stands[0] == "unknown" and attempt.status != "unknown":
        return False
    if same_way and (attempt.status == "unknown" or stands == told):
        return True
    raise Contradiction(
        f"attempt {attempt.attempt_id!r} is {_told(stands)} of payment {payment_id!r}; {_told(told)} of {attempt.payment.payment_id!r} "
        "contradicts it and was not kept."
    )


def same_dispute(dispute: Dispute, *, stands: Dispute) -> Dispute:
    """The dispute that stands; Contradiction when it is about something else."""
    if (stands.payment_id, stands.kind, stands.amount_minor) != (dispute.payment_id, dispute.kind, dispute.amount_minor):
        raise Contradiction(
            f"dispute {dispute.dispute_id!r} is a {stands.kind} of payment {stands.payment_id!r}; this contradicts it and was not kept."
        )
    return stands


def facts_of(attempt: Attempt) -> AttemptFacts:
    """What must not change when an attempt is reported again: its answer, and how it was sent."""
    return (*_answer(attempt), attempt.route, attempt.authentication, attempt.credential)


def _told(facts: AttemptFacts) -> str:
    return f"{facts[0]} on {facts[3]}"


def _keys(known: _Payment) -> list[str]:
    named = (("decision", known.decisions), ("attempt", known.attempts), ("dispute", known.disputes))
    return [f"{kind}:{name}" for kind, names in named for name in names]


def _answered(known: _Payment, *, candidate: Candidate, answer: Outcome | Attempt, attempted_us: int, arrived_us: int) -> None:
    known.first_us = attempted_us if known.first_us is None else min(known.first_us, attempted_us)
    known.routes_tried.append(candidate.route)
    known.approved = known.approved or answer.status == "approved"
    known.last_answer = (answer.status, answer.response_code, arrived_us, candidate.credential)


def _answer(told: Outcome | Attempt) -> tuple[str, str | None, str | None]:
    """As it was reported: a code map that changes makes no contradiction of what was said."""
    if told.acquirer_code is not None:
        return (told.status, told.acquirer_code, None)
    return (told.status, told.response_code, told.merchant_advice_code)


def _said(outcome: Outcome) -> str:
    codes = [code for code in (outcome.response_code, outcome.merchant_advice_code) if code]
    return f"{outcome.status} ({', '.join(codes)})" if codes else outcome.status

"""The engine: decide, record, learn. Six hops from a request to its answer, without HTTP and without waiting.

Single-threaded: one thread calls it. Every method validates first, then appends to the log, folds the event into the state, and
returns the answer with a future that is done when the event is durable. Answer only then.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Generic, NamedTuple, Protocol, TypeVar

import msgspec
import numpy as np
import structlog
from numpy.typing import NDArray

from honour.errors import BadInput, LogUnavailable, UnknownReference
from honour.networks.retry_limit import Allowed
from honour.outcomes.state import State
from honour.policy.decide import Decided, History, decide
from honour.policy.eligible import Considered, consider
from honour.policy.explore import draw_for
from honour.records.attempt import Attempt, Dispute, Outcome
from honour.records.decision import Decision, DecisionRequest, RetryAllowance
from honour.records.domain import check_payment
from honour.records.event import AttemptReported, DecisionMade, DisputeReported, Event, LoggedEvent, OutcomeReported, ServedFeatures, SettingsTaken
from honour.records.instant import from_us, to_us
from honour.records.payment import Payment
from honour.records.settings import Settings
from honour.stores.port import EventLog

Answer = TypeVar("Answer")
Durable = Future[LoggedEvent]
_log = structlog.get_logger("honour")


class Model(Protocol):
    """What the engine asks of a bundle's model."""

    def predict_many(self, served: ServedFeatures) -> NDArray[np.float64]: ...


class Answered(NamedTuple, Generic[Answer]):
    """An answer, and the newest event that must be durable before it leaves; None when nothing was ever taken in."""

    answer: Answer
    durable: Durable | None


class Engine:
    """Decides and learns on one event log.

    state      what the log says so far (`serving.recovery.restore`)
    model      P(approve); None answers in the static order
    bundle_id  names the model in decisions
    clock_us   microseconds since 1970
    """

    def __init__(
        self,
        settings: Settings,
        *,
        log: EventLog,
        state: State,
        model: Model | None = None,
        bundle_id: str | None = None,
        clock_us: Callable[[], int] = lambda: time.time_ns() // 1_000,
    ) -> None:
        self.settings, self.log, self.state = settings, log, state
        self.model, self.bundle_id, self._clock_us = model, bundle_id, clock_us
        self.n_model_failures = 0
        self._newest: Durable | None = None  # Durable last: what waits for it waits for everything before it.

    def decide(self, request: DecisionRequest) -> Answered[Decision]:
        """What should happen next to a payment. Asked again before its outcome is known, the same decision."""
        started = time.perf_counter_ns()
        payment = self._completed(request.payment)
        self._check_routes(request.routes)
        if (pending := self.state.book.pending(payment.payment_id)) is not None:
            return Answered(pending, self._newest)
        at_us = max(self.log.last_arrived_us, self._clock_us() if request.at is None else to_us(request.at))
        allowed = self.state.retries.allowed(payment, at_us=at_us)
        history = self.state.book.history(payment.payment_id)
        considered = consider(payment, routes=self.settings.routes, requested=request.routes, blocked=allowed.blocked, at_us=at_us)
        features, p_approve = self._scored(payment, [one for one in considered if one.eligible], at_us=at_us)
        draw = draw_for(self.settings.policy.salt, payment.payment_id, history.n_answered + 1)
        decided = decide(
            payment,
            considered=considered,
            p_approve=p_approve,
            terms=self.settings.terms_of(payment.merchant_id),
            allowed=allowed,
            history=history,
            fallback_order=self.settings.policy.fallback_order,
            draw=draw,
            at_us=at_us,
        )
        decision = self._rendered(payment, decided, allowed=allowed, history=history, scored=p_approve is not None, started_ns=started)
        made = DecisionMade(
            payment=payment,
            decision=decision,
            decided_us=at_us,
            draw=draw,
            routes=request.routes,
            replayed=request.at is not None,
            features=features,
        )
        return Answered(decision, self._take_in(made, arrived_us=at_us))

    def report_outcome(self, outcome: Outcome) -> Answered[Outcome]:
        """Record what came back for a decision. The same again is answered with what stands; a contradiction is refused."""
        opened = self.state.book.opened(outcome.decision_id)
        if (stands := self.state.book.standing(outcome)) is not None:
            return Answered(stands, self._newest)
        if outcome.at is not None:
            arrived_us = to_us(outcome.at)
        elif opened.replayed:
            arrived_us = max(opened.decided_us, to_us(outcome.happened_at) if outcome.happened_at else 0)
        else:
            arrived_us = self._clock_us()
        event = OutcomeReported(payment_id=opened.payment.payment_id, outcome=outcome)
        return Answered(outcome, self._take_in(event, arrived_us=arrived_us))

    def report_attempt(self, attempt: Attempt) -> Answered[Attempt]:
        """Record an attempt that Honour did not choose. Its arrival is its answer's instant, never before the log's end."""
        payment = self._completed(attempt.payment, at="$.payment")
        if self.state.book.attempt_stands(attempt):
            return Answered(attempt, self._newest)
        happened_at = attempt.happened_at or attempt.attempted_at
        if to_us(happened_at) > self._clock_us() + 86_400_000_000:
            raise BadInput(f"{happened_at.isoformat()} is more than a day ahead of the server's clock.", path="$.happened_at")
        event = AttemptReported(attempt=attempt if payment is attempt.payment else msgspec.structs.replace(attempt, payment=payment))
        return Answered(attempt, self._take_in(event, arrived_us=to_us(happened_at)))

    def report_dispute(self, dispute: Dispute) -> Answered[Dispute]:
        """Record a chargeback or fraud report about a payment that the log knows."""
        if dispute.payment_id not in self.state.book and not self.log.story(dispute.payment_id):
            raise UnknownReference(f"payment_id {dispute.payment_id!r} names no payment in the log.")
        if self.log.find(f"dispute:{dispute.dispute_id}") is not None:
            return Answered(dispute, self._newest)
        return Answered(dispute, self._take_in(DisputeReported(dispute=dispute), arrived_us=self._clock_us()))

    def take_settings(self, settings: Settings) -> Durable:
        """Decide by these settings from now on; they are written to the log."""
        durable = self._take_in(SettingsTaken(settings=_without_salt(settings)), arrived_us=self.log.last_arrived_us)
        self.settings = settings
        return durable

    def _scored(
        self, payment: Payment, eligible: Sequence[Considered], *, at_us: int
    ) -> tuple[ServedFeatures | None, NDArray[np.float64] | None]:
        """Features and probabilities of the eligible candidates; None where there is no model or it fails, and the static order decides."""
        if self.model is None or not eligible:
            return None, None
        try:
            features = self.state.features.as_of(payment, [one.candidate for one in eligible], at_us=at_us)
            p_approve = self.model.predict_many(features)
            if not np.all((p_approve >= 0.0) & (p_approve <= 1.0)):
                raise ValueError("a probability outside [0, 1]")
        except Exception as error:  # A payment is never lost to a model: whatever breaks there, the static order answers.
            self.n_model_failures += 1
            _log.error("model_failed", error=type(error).__name__)
            return None, None
        return features, p_approve

    def _rendered(
        self, payment: Payment, decided: Decided, *, allowed: Allowed, history: History, scored: bool, started_ns: int
    ) -> Decision:
        name = f"{payment.payment_id}\x1f{history.n_answered}\x1f{self.log.last_seq}"
        ends_us = allowed.window_ends_us
        return Decision(
            decision_id=f"dec_{hashlib.blake2b(name.encode(), digest_size=12).hexdigest()}",
            payment_id=payment.payment_id,
            attempt_number=history.n_answered + 1,
            action=decided.action,
            attempt=decided.chosen,
            wait_until=None,
            reason=decided.reason,
            ranking=decided.ranking,
            retry=RetryAllowance(
                attempts_left=allowed.attempts_left, window_ends_at=from_us(ends_us) if ends_us is not None else None, rule=allowed.rule
            ),
            experiment=None,
            stage="live" if scored or decided.chosen is None else "fallback",
            bundle=self.bundle_id if scored else None,
            elapsed_us=(time.perf_counter_ns() - started_ns) // 1_000,
        )

    def _take_in(self, event: Event, *, arrived_us: int) -> Durable:
        """Append and fold. The log may raise an earlier arrival to its last; the state folds what the log wrote."""
        if (why := self.log.why_unavailable) is not None:
            raise LogUnavailable(f"the event log keeps nothing at present: {why}. Send it again; the service is ready again by itself.")
        arrived_us = max(arrived_us, self.log.last_arrived_us)
        durable = self.log.append(event, arrived_us=arrived_us)
        self.state.apply(LoggedEvent(seq=self.log.last_seq, arrived_us=arrived_us, event=event))
        self._newest = durable
        return durable

    def _completed(self, payment: Payment, *, at: str = "$.payment") -> Payment:
        """The payment, checked, with the merchant's country and category where it does not say them."""
        check_payment(payment, at=at)
        terms = self.settings.terms_of(payment.merchant_id)
        country, mcc = payment.merchant_country or terms.country, payment.mcc or terms.mcc
        if (country, mcc) == (payment.merchant_country, payment.mcc):
            return payment
        return msgspec.structs.replace(payment, merchant_country=country, mcc=mcc)

    def _check_routes(self, routes: Sequence[str] | None) -> None:
        known = [route.id for route in self.settings.routes]
        for at, route_id in enumerate(routes or ()):
            if route_id not in known:
                raise BadInput(f"no route {route_id!r} is configured; allowed: {', '.join(known) or 'none'}.", path=f"$.routes[{at}]")


def _without_salt(settings: Settings) -> Settings:
    """The settings as the log may hold them: the salt is a secret."""
    return msgspec.structs.replace(settings, policy=msgspec.structs.replace(settings.policy, salt=""))

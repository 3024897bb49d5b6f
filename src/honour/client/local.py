"""What is done while the service is away: the caller's static order, one route after the other, reported later as what it was.

Only where a shopper waits. A payment that the merchant started waits for the service: nobody here knows what the networks still allow.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, TypeVar

import msgspec

from honour.errors import UnknownReference
from honour.records.attempt import Attempt, Outcome
from honour.records.decision import Action, ChosenAttempt, Decision, Reason, RetryAllowance
from honour.records.payment import Payment

Value = TypeVar("Value")

PREFIX = "local_"
KEPT_MAX = 10_000
_WAIT = timedelta(minutes=5)
_LETTERS = str.maketrans("0123456789", "ghijklmnop")


class _Made(NamedTuple):
    payment: Payment
    attempt: ChosenAttempt
    at: datetime


class LocalFallback:
    """Decisions of one client that the service does not know of; the oldest are forgotten.

    static_order  routes to try in order; empty: there is no fallback
    """

    def __init__(self, static_order: Sequence[str]) -> None:
        self.static_order = tuple(static_order)
        self._made: OrderedDict[str, _Made] = OrderedDict()
        self._heard: OrderedDict[str, datetime] = OrderedDict()
        self._tried: OrderedDict[str, tuple[str, ...]] = OrderedDict()

    def decide(self, payment: Payment, *, routes: Sequence[str] | None, now: datetime | None = None) -> Decision:
        """The first route of the static order that this client did not try for the payment yet; `stage` is "fallback"."""
        now = now or datetime.now(tz=UTC)
        tried = self._tried.get(payment.payment_id, ())
        left = [route for route in self.static_order if route not in tried and (routes is None or route in routes)]
        if payment.initiator == "merchant":
            why = Reason(code="service_away", detail="The service is away; a payment without a shopper waits for it.")
            return self._decision(payment, "wait", None, why, n_tried=len(tried), wait_until=now + _WAIT)
        if not left:
            why = Reason(code="service_away", detail="The service is away, and every route of the static order was tried.")
            return self._decision(payment, "stop", None, why, n_tried=len(tried))
        attempt = ChosenAttempt(route=left[0], authentication="none", credential="pan", propensity=1.0)
        why = Reason(code="service_away", detail="The service is away; the caller's static order.")
        decision = self._decision(payment, "attempt", attempt, why, n_tried=len(tried))
        _kept(self._tried, payment.payment_id, (*tried, left[0]))
        _kept(self._made, decision.decision_id, _Made(payment, attempt, now))
        return decision

    def as_attempt(self, outcome: Outcome) -> Attempt:
        """What came back for a decision of this fallback, as an attempt that Honour did not choose."""
        made = self._made.get(outcome.decision_id)
        if made is None:
            raise UnknownReference(
                f"decision_id {outcome.decision_id!r} was made by the fallback of another client, or too long ago. "
                "Report the attempt with report_attempt."
            )
        told = {name: getattr(outcome, name) for name in outcome.__struct_fields__ if name in Attempt.__struct_fields__}
        return Attempt(
            attempt_id=outcome.decision_id,
            payment=made.payment,
            route=made.attempt.route,
            authentication=made.attempt.authentication,
            credential=made.attempt.credential,
            attempted_at=made.at,
            **(told | {"happened_at": self._heard_at(outcome)}),
        )

    def _heard_at(self, outcome: Outcome) -> datetime:
        """When the answer came, the same however often it is reported."""
        if outcome.decision_id not in self._heard:
            _kept(self._heard, outcome.decision_id, datetime.now(tz=UTC))
        return outcome.happened_at or self._heard[outcome.decision_id]

    def _decision(
        self,
        payment: Payment,
        action: Action,
        attempt: ChosenAttempt | None,
        why: Reason,
        *,
        n_tried: int,
        wait_until: datetime | None = None,
    ) -> Decision:
        return Decision(
            decision_id=PREFIX + secrets.token_hex(12).translate(_LETTERS),
            payment_id=payment.payment_id,
            attempt_number=n_tried + 1,
            action=action,
            attempt=attempt,
            wait_until=wait_until,
            reason=why,
            ranking=(),
            retry=RetryAllowance(attempts_left=None, window_ends_at=None, rule=None),
            experiment=None,
            stage="fallback",
            bundle=None,
            elapsed_us=0,
        )


def is_local(decision_id: str) -> bool:
    """The service does not know of this decision."""
    return decision_id.startswith(PREFIX)


def outcome_of(attempt: Attempt, *, decision_id: str) -> Outcome:
    """What the service took for a local decision, as the outcome that was reported."""
    told = {name: getattr(attempt, name) for name in Outcome.__struct_fields__ if name in Attempt.__struct_fields__}
    return msgspec.structs.replace(Outcome(decision_id=decision_id, status=attempt.status), **told)


def _kept(kept: OrderedDict[str, Value], key: str, value: Value) -> None:
    kept[key] = value
    kept.move_to_end(key)
    while len(kept) > KEPT_MAX:
        kept.popitem(last=False)

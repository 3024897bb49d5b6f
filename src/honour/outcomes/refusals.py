"""Refusals of a merchant's own payments, and the retries that were made: what a budget of retries is worked out on. A fold of the log."""

from __future__ import annotations

from honour.networks.retry_limit import RetryCounter
from honour.policy.budget import Refused
from honour.policy.eligible import consider
from honour.policy.outlook import Asked, History, forms_of
from honour.records.attempt import Attempt, Outcome
from honour.records.event import AttemptReported, DecisionMade, LoggedEvent, OutcomeReported
from honour.records.payment import Payment
from honour.records.route import Candidate
from honour.records.settings import Settings


class Refusals:
    """First refusals of the payments that `merchant_id` started, from `since_us` on, with what might still be sent then.

    refused       each with its routes, forms, pauses and limits as the networks' rules left them at that instant
    n_retries     attempts after a refusal that Honour decided on
    n_other       those that it did not choose
    """

    def __init__(self, settings: Settings, *, merchant_id: str, since_us: int) -> None:
        self.refused: list[Refused] = []
        self.n_retries = self.n_other = 0
        self._settings, self._merchant_id, self._since_us = settings, merchant_id, since_us
        self._terms = settings.terms_of(merchant_id)
        self._counter = RetryCounter()
        self._opened: dict[str, tuple[Payment, Candidate, int]] = {}
        self._n_answered: dict[str, int] = {}

    def apply(self, logged: LoggedEvent) -> None:
        """Fold one event."""
        match logged.event:
            case DecisionMade(payment=payment, decision=decision, decided_us=at_us) if decision.attempt is not None:
                if self._is_theirs(payment):
                    chosen = decision.attempt
                    self._opened[decision.decision_id] = (
                        payment,
                        Candidate(chosen.route, chosen.authentication, chosen.credential),
                        decision.attempt_number - 1,
                    )
                    self.n_retries += decision.attempt_number > 1 and at_us >= self._since_us
            case OutcomeReported(outcome=outcome) if outcome.status != "unknown" and outcome.decision_id in self._opened:
                payment, candidate, n_before = self._opened.pop(outcome.decision_id)
                self._answered(payment, candidate, outcome, n_before=n_before, arrived_us=logged.arrived_us)
            case AttemptReported(attempt=attempt) if attempt.status != "unknown" and self._is_theirs(attempt.payment):
                n_before = self._n_answered.get(attempt.payment.payment_id, 0)
                self.n_other += n_before > 0 and logged.arrived_us >= self._since_us
                candidate = Candidate(attempt.route, attempt.authentication, attempt.credential)
                self._answered(attempt.payment, candidate, attempt, n_before=n_before, arrived_us=logged.arrived_us)
            case _:
                pass

    def _is_theirs(self, payment: Payment) -> bool:
        return payment.merchant_id == self._merchant_id and payment.initiator == "merchant"

    def _answered(self, payment: Payment, candidate: Candidate, answer: Outcome | Attempt, *, n_before: int, arrived_us: int) -> None:
        self._n_answered[payment.payment_id] = n_before + 1
        self._counter.update(
            payment,
            candidate=candidate,
            status=answer.status,
            response_code=answer.response_code,
            merchant_advice_code=answer.merchant_advice_code,
            arrived_us=arrived_us,
        )
        if answer.status == "approved" or n_before or arrived_us < self._since_us:
            return
        allowed = self._counter.allowed(payment, at_us=arrived_us, reading=self._terms.disputed_rules)
        if allowed.blocked:
            return
        history = History(1, False, arrived_us, (candidate.route,), answer.status, answer.response_code, arrived_us, candidate.credential)
        considered = consider(
            payment,
            routes=self._settings.routes,
            requested=None,
            allowed=allowed,
            last_code=answer.response_code,
            refused=True,
        )
        asked = Asked(payment, considered, self._terms, allowed, history, arrived_us)
        if forms := tuple(forms_of(asked)):
            self.refused.append(Refused(payment, history.before, arrived_us, asked.until_us, forms, allowed.attempts_left))

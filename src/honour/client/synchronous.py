"""The synchronous client."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime
from types import TracebackType
from typing import TypeVar

import httpx

from honour.client.exchange import DEFAULTS, Exchange, Options, Pause, Received, exchange, payment_path
from honour.client.local import LocalFallback, is_local, outcome_of
from honour.client.story import PaymentStory
from honour.errors import ServiceAway
from honour.records.attempt import Attempt, Dispute, Outcome
from honour.records.decision import Decision, DecisionRequest
from honour.records.payment import Payment

Answer = TypeVar("Answer")


class Client:
    """Asks Honour over HTTP; connections are kept and used again. Threads may share one.

    url           of the service, such as http://127.0.0.1:8080
    static_order  routes to try in order while the service is away; empty: ServiceAway is raised then
    options       key, deadlines and retries
    http          an httpx client of one's own, for certificates and proxies; its owner closes it

    Raises what the service answers: BadInput, CardNumberRefused, KeyRefused, NotPermitted, UnknownReference, Contradiction, ...
    """

    def __init__(
        self, url: str, *, static_order: Sequence[str] = (), options: Options = DEFAULTS, http: httpx.Client | None = None
    ) -> None:
        self._options, self._fallback, self._is_mine = options, LocalFallback(static_order), http is None
        self._url, self._http = url.rstrip("/"), http or httpx.Client()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the connections."""
        if self._is_mine:
            self._http.close()

    def decide(
        self, payment: Payment, *, routes: Sequence[str] | None = None, at: datetime | None = None, deadline_ms: int | None = None
    ) -> Decision:
        """What should happen next to a payment. Asked again before its outcome is known, the same decision.

        While the service is away, the next route of `static_order`, with `stage` "fallback" and a decision_id that begins with `local_`:
        report its outcome as any other, it is sent as an attempt that Honour did not choose.
        """
        request = DecisionRequest(payment=payment, routes=tuple(routes) if routes is not None else None, at=at)
        allowed_ms = deadline_ms or self._options.deadline_ms
        try:
            return self._run(exchange("POST", "/v1/decisions", body=request, kind=Decision, allowed_ms=allowed_ms, options=self._options))
        except ServiceAway:
            if not self._fallback.static_order:
                raise
            return self._fallback.decide(payment, routes=routes)

    def report_outcome(self, outcome: Outcome) -> Outcome:
        """Report what came back for a decision. The same again is fine; a contradicting one is refused and the first stands."""
        if is_local(outcome.decision_id):
            taken = self.report_attempt(self._fallback.as_attempt(outcome))
            return outcome_of(taken, decision_id=outcome.decision_id)
        return self._report("/v1/outcomes", outcome, Outcome)

    def report_attempt(self, attempt: Attempt) -> Attempt:
        """Report an attempt that Honour did not choose."""
        return self._report("/v1/attempts", attempt, Attempt)

    def dispute(self, dispute: Dispute) -> Dispute:
        """Report a chargeback or fraud report."""
        return self._report("/v1/disputes", dispute, Dispute)

    def payment(self, payment_id: str) -> PaymentStory:
        """Everything the log holds of one payment."""
        asked = exchange("GET", payment_path(payment_id), kind=PaymentStory, allowed_ms=self._options.report_ms, options=self._options)
        return self._run(asked)

    def _report(self, path: str, body: object, kind: type[Answer]) -> Answer:
        return self._run(exchange("POST", path, body=body, kind=kind, allowed_ms=self._options.report_ms, options=self._options))

    def _run(self, asked: Exchange[Answer]) -> Answer:
        try:
            step = next(asked)
            while True:
                received: Received | None = None
                if isinstance(step, Pause):
                    time.sleep(step.seconds)
                else:
                    try:
                        answer = self._http.request(
                            step.method, self._url + step.path, headers=step.headers, content=step.content, timeout=step.timeout_s
                        )
                        received = Received(answer.status_code, answer.content, answer.headers.get("retry-after"))
                    except httpx.TransportError:
                        received = None
                step = asked.send(received)
        except StopIteration as done:
            value: Answer = done.value
            return value

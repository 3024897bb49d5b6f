"""A client of Honour's HTTP service, sync and async: decide, report, and go on without it when it is away.

    from honour.client import Client, Outcome, Payment

    with Client("http://127.0.0.1:8080", static_order=("acq_br_1", "acq_us_2")) as honour:
        decision = honour.decide(payment)
        if decision.attempt is not None:
            answer = send(payment, decision.attempt)
            honour.report_outcome(Outcome(decision_id=decision.decision_id, status=answer.status, response_code=answer.code))

Importing it loads httpx, msgspec and Honour's records, and nothing that decides or trains.
"""

from honour.client.asynchronous import AsyncClient
from honour.client.exchange import Options
from honour.client.story import PaymentEvent, PaymentStory
from honour.client.synchronous import Client
from honour.errors import HonourError, ServiceAway
from honour.records.attempt import Attempt, Dispute, Outcome
from honour.records.decision import Decision, DecisionRequest
from honour.records.payment import Card, Customer, Payment

__all__ = [
    "AsyncClient",
    "Attempt",
    "Card",
    "Client",
    "Customer",
    "Decision",
    "DecisionRequest",
    "Dispute",
    "HonourError",
    "Options",
    "Outcome",
    "Payment",
    "PaymentEvent",
    "PaymentStory",
    "ServiceAway",
]

"""Outcomes, attempts and disputes: what came back after an attempt was sent."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from honour.records.instant import Instant
from honour.records.payment import Identifier, Payment
from honour.records.route import Authentication, CredentialForm, NonNegative

Status = Literal["approved", "declined", "failed", "abandoned", "unknown"]
Code = Annotated[str, msgspec.Meta(max_length=32)]
AuthenticationResult = Literal["authenticated", "attempted", "failed", "abandoned", "not_authenticated", "frictionless"]


class Outcome(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of POST /v1/outcomes: what came back for one decision.

    status      approved | declined (the issuer said no) | failed (never reached the issuer)
                | abandoned (the shopper left the challenge) | unknown (no answer yet; a later report may settle it)
    acquirer_code  the acquirer's own code; a code map of the settings translates it, or a response_code that is one
    happened_at event time; absent, the server's clock. `at` is the arrival time of a replay.
    """

    decision_id: Identifier
    status: Status
    response_code: Code | None = None
    merchant_advice_code: Code | None = None
    authentication_result: AuthenticationResult | None = None
    happened_at: Instant | None = None
    latency_ms: NonNegative | None = None
    cost_minor: float | None = None
    acquirer_code: Code | None = None
    at: Instant | None = None


class Attempt(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of POST /v1/attempts: an attempt that Honour did not choose (history, a forced route), with its outcome.

    It counts for learning and for retry limits and is left out of off-policy evaluation of Honour's own log.
    attempted_at  when it was sent; features are taken as of this instant
    acquirer_code the acquirer's own code, as in an outcome
    happened_at   when its answer came back; absent, the same as attempted_at
    """

    attempt_id: Identifier
    payment: Payment
    route: Identifier
    attempted_at: Instant
    status: Status
    authentication: Authentication = "none"
    credential: CredentialForm = "pan"
    response_code: Code | None = None
    merchant_advice_code: Code | None = None
    authentication_result: AuthenticationResult | None = None
    happened_at: Instant | None = None
    latency_ms: NonNegative | None = None
    cost_minor: float | None = None
    acquirer_code: Code | None = None


class Dispute(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of POST /v1/disputes: a chargeback or fraud report about a payment."""

    dispute_id: Identifier
    payment_id: Identifier
    kind: Literal["chargeback", "fraud_report", "retrieval_request"] = "chargeback"
    reason_code: Code | None = None
    amount_minor: Annotated[int, msgspec.Meta(ge=0, le=10**12)] | None = None
    happened_at: Instant | None = None

"""What callers ask, checked against the settings: the payment completed, routes that are configured, instants that can be."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from honour.errors import BadInput
from honour.records.domain import check_payment
from honour.records.instant import EPOCH, to_us
from honour.records.payment import Payment
from honour.records.settings import Settings

LATEST = datetime(2100, 1, 1, tzinfo=UTC)
"""A caller's timeline ends here: windows of months must still have an end that can be written down."""
DEADLINE = "$.payment.deadline_at"


def completed(payment: Payment, settings: Settings) -> Payment:
    """The payment, checked, with the merchant's country and category where it does not say them."""
    check_payment(payment)
    if payment.deadline_at is not None and payment.deadline_at < EPOCH:
        raise BadInput(f"{payment.deadline_at.isoformat()} is before 1970; send the instant until which it may be paid.", path=DEADLINE)
    terms = settings.terms_of(payment.merchant_id)
    country, mcc = payment.merchant_country or terms.country, payment.mcc or terms.mcc
    if (country, mcc) == (payment.merchant_country, payment.mcc):
        return payment
    return msgspec.structs.replace(payment, merchant_country=country, mcc=mcc)


def check_routes(routes: Sequence[str] | None, settings: Settings) -> None:
    """Raise BadInput for a route that is not configured."""
    if routes is None:
        return
    known = [route.id for route in settings.routes]
    for at, route_id in enumerate(routes):
        if route_id not in known:
            raise BadInput(f"no route {route_id!r} is configured; allowed: {', '.join(known) or 'none'}.", path=f"$.routes[{at}]")


def on_timeline(at: datetime, *, path: str) -> int:
    """An instant that a caller gives, in microseconds."""
    if at > LATEST:
        raise BadInput(f"{at.isoformat()} is after {LATEST:%Y-%m-%d}; send the instant at which it happened.", path=path)
    return to_us(at)

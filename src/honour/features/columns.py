"""What features may read: the columns of a payment and of a candidate, in the order of a row."""

from __future__ import annotations

from typing import Literal

from honour.networks.exemption import sca_scope
from honour.records.payment import Payment

Kind = Literal["number", "category"]

PAYMENT_COLUMNS: dict[str, Literal["text", "integer", "real"]] = {
    "payment_id": "text",
    "merchant_id": "text",
    "amount_minor": "integer",
    "currency": "text",
    "card_id": "text",
    "bin": "text",
    "network": "text",
    "funding": "text",
    "issuer": "text",
    "issuer_country": "text",
    "mcc": "text",
    "merchant_country": "text",
    "channel": "text",
    "initiator": "text",
    "usage": "text",
    "installments": "integer",
    "risk_score": "real",
    "has_network_token": "integer",
    "shopper_country": "text",
    "sca_scope": "text",
    "expires_month": "integer",
}
"""What a feature may read of a payment, in the order of `read_payment`. A month is counted from January 1970."""

CANDIDATE_COLUMNS = ("route", "authentication", "credential")
"""What a feature may read of a candidate."""

CLOCK_COLUMNS = ("local_hour_of_week",)
"""What an entity may be made of beside them: the shopper's clock, Monday 0 h is 0, Sunday 23 h is 167. Of an answer, when it arrived."""

Row = tuple[str | int | float | None, ...]
"""Payment columns, then candidate columns, where an entity is looked up then clock columns."""

_attributes: list[tuple[str, Kind]] = []  # Attributes of payments that are columns: key and kind, in the order of the row.


def read_attribute(key: str, *, column: str, kind: Kind) -> None:
    """Make a column of an attribute of payments, before anything reads one."""
    if column not in PAYMENT_COLUMNS:
        PAYMENT_COLUMNS[column] = "text" if kind == "category" else "real"
        _attributes.append((key, kind))


def read_payment(payment: Payment) -> Row:
    """Values of `PAYMENT_COLUMNS`. The shopper's country is the customer's, else the issuer's, else the merchant's."""
    known = _read_columns(payment)
    if not _attributes:
        return known
    return (*known, *(_as_column(payment.attributes.get(key), kind=kind) for key, kind in _attributes))


def _as_column(value: object, *, kind: Kind) -> str | float | None:
    """An attribute as a column holds it; a text where a number is declared is not known, as is the other way round."""
    if kind == "category":
        return value if isinstance(value, str) else {True: "true", False: "false"}[value] if isinstance(value, bool) else None
    return float(value) if isinstance(value, int | float) else None


def _read_columns(payment: Payment) -> Row:
    card, customer = payment.card, payment.customer
    return (
        payment.payment_id,
        payment.merchant_id,
        payment.amount_minor,
        payment.currency,
        card.card_id,
        card.bin,
        card.network,
        card.funding,
        card.issuer,
        card.issuer_country,
        payment.mcc,
        payment.merchant_country,
        payment.channel,
        payment.initiator,
        payment.usage,
        payment.installments,
        payment.risk_score,
        int(card.network_token),
        (customer.country if customer else None) or card.issuer_country or payment.merchant_country,
        sca_scope(payment),
        _month_number(card.expires) if card.expires else None,
    )


def _month_number(month: str) -> int:
    """Months from January 1970 to a month as a card says it, "2026-03"."""
    return 12 * (int(month[:4]) - 1970) + int(month[5:]) - 1

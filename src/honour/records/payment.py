"""Payment, card and customer: what a shopper wants to pay, and with what."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from honour.records.instant import Instant

Identifier = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
AmountMinor = Annotated[int, msgspec.Meta(ge=0, le=10**12)]
Country = Annotated[str, msgspec.Meta(pattern="^[A-Z]{2}$")]
"""ISO 3166-1 alpha-2 code; that the country exists is checked by `records.domain`."""
Currency = Annotated[str, msgspec.Meta(pattern="^[A-Z]{3}$")]
"""ISO 4217 code; that the currency exists is checked by `records.domain`."""

Network = Literal[
    "visa", "mastercard", "amex", "discover", "diners", "jcb", "unionpay", "elo", "hipercard", "cartes_bancaires", "maestro", "other"
]
Funding = Literal["credit", "debit", "prepaid"]
Initiator = Literal["customer", "merchant"]
Usage = Literal["one_off", "recurring", "unscheduled", "installment"]


class Card(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is known of a card without its number: a reference, the issuer's range (BIN) and what was read from it."""

    card_id: Identifier
    bin: Annotated[str, msgspec.Meta(pattern="^[0-9]{6,8}$")]
    network: Network
    funding: Funding | None = None
    issuer: Annotated[str, msgspec.Meta(max_length=64)] | None = None
    issuer_country: Country | None = None
    expires: Annotated[str, msgspec.Meta(pattern="^[0-9]{4}-(0[1-9]|1[0-2])$")] | None = None
    network_token: bool = False


class Customer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The shopper, as a reference."""

    customer_id: Identifier | None = None
    country: Country | None = None


class Payment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One thing a shopper wants to pay; may take several attempts. Amounts are integers in minor units of `currency`."""

    payment_id: Identifier
    merchant_id: Identifier
    amount_minor: AmountMinor
    currency: Currency
    card: Card
    created_at: Instant | None = None
    merchant_country: Country | None = None
    mcc: Annotated[str, msgspec.Meta(pattern="^[0-9]{4}$")] | None = None
    initiator: Initiator = "customer"
    usage: Usage = "one_off"
    installments: Annotated[int, msgspec.Meta(ge=1, le=99)] = 1
    channel: Annotated[str, msgspec.Meta(max_length=32)] | None = None
    deadline_at: Instant | None = None
    risk_score: float | None = None
    customer: Customer | None = None
    attributes: dict[str, float | int | str | bool | None] = {}

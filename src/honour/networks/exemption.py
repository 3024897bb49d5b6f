"""Which exemptions from strong customer authentication the law lets an acquirer claim for a payment.

Low value: RTS Article 16. Transaction risk analysis: Article 18, by the acquirer's fraud rate. Only for amounts in currencies that
the law names; payments that the merchant starts are out of its scope and claim nothing.
"""

from __future__ import annotations

import csv
from functools import cache
from importlib import resources
from typing import Literal

import msgspec

from honour.errors import LogContractBroken
from honour.networks.region import EUROPE
from honour.records.payment import Payment
from honour.records.route import Authentication

SCAScope = Literal["outside", "low_value", "in_scope"]
LIMITED = ("exemption_low_value", "exemption_tra")
"""Exemptions that end at an amount."""


class ExemptionLimit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Up to which amount an exemption may be claimed; for transaction risk analysis, up to which fraud rate of the acquirer."""

    authentication: Authentication
    currency: str
    fraud_bps_max: float | None
    amount_minor_max: int
    source: str
    seen_on: str
    effective_from: str
    disputed: bool


@cache
def limits() -> tuple[ExemptionLimit, ...]:
    """The limits that ship with Honour."""
    text = resources.files("honour.networks").joinpath("tables", "exemption_limits.csv").read_text(encoding="utf-8")
    rows = [
        {key: value if value or key in ("seen_on", "effective_from") else None for key, value in row.items()}
        for row in csv.DictReader(text.splitlines())
    ]
    try:
        return tuple(msgspec.convert(row, ExemptionLimit, strict=False) for row in rows)
    except msgspec.ValidationError as error:
        raise LogContractBroken(f"networks/tables/exemption_limits.csv: {error}. Restore the table that ships with Honour.") from None


def may_claim(authentication: Authentication, *, payment: Payment, tra_fraud_bps: float | None) -> bool:
    """Whether this exemption may be claimed for `payment`; True for anything that is no exemption.

    tra_fraud_bps  fraud rate that the acquirer of the route vouches for, basis points; None when it offers no risk analysis
    """
    if not authentication.startswith("exemption"):
        return True
    if payment.initiator == "merchant":
        return False
    if authentication not in LIMITED:
        return True
    return payment.amount_minor <= _amount_minor_max(authentication, payment.currency, tra_fraud_bps)


def sca_scope(payment: Payment) -> SCAScope | None:
    """How the law on strong customer authentication sees a payment; None when the issuer's country is not known.

    outside    the issuer is not European, or the merchant started it
    low_value  small enough for the low-value exemption in its currency
    in_scope   authentication or another exemption is needed, if the acquirer is European too
    """
    country = payment.card.issuer_country
    if country is None:
        return None
    if country not in EUROPE or payment.initiator == "merchant":
        return "outside"
    return "low_value" if payment.amount_minor <= _amount_minor_max("exemption_low_value", payment.currency, None) else "in_scope"


@cache
def _amount_minor_max(authentication: Authentication, currency: str, fraud_bps: float | None) -> int:
    """The largest amount that any row allows; -1 when none does."""
    return max(
        (
            limit.amount_minor_max
            for limit in limits()
            if limit.authentication == authentication
            and limit.currency == currency
            and (limit.fraud_bps_max is None or (fraud_bps is not None and fraud_bps <= limit.fraud_bps_max))
        ),
        default=-1,
    )

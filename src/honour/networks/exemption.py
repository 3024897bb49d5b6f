"""Which exemptions from strong customer authentication the law lets an acquirer claim for a payment.

Low value: RTS Article 16. Transaction risk analysis: Article 18, by the acquirer's fraud rate. Only for amounts in currencies that
the law names; payments that the merchant starts are out of its scope and claim nothing.
"""

from __future__ import annotations

import csv
from functools import cache
from importlib import resources

import msgspec

from honour.errors import LogContractBroken
from honour.records.payment import Payment
from honour.records.route import Authentication

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

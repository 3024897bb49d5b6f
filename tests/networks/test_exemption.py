"""Exemptions end where the regulation says: RTS Article 16 (low value) and Article 18 (risk analysis by fraud rate)."""

from __future__ import annotations

import msgspec
import pytest

from honour.networks.exemption import limits, may_claim
from honour.records.payment import Card, Payment
from honour.records.route import Authentication

PAYMENT = Payment(
    payment_id="pay_1", merchant_id="mer_1", amount_minor=3_000, currency="EUR", card=Card(card_id="crd_1", bin="411111", network="visa")
)


def _may(authentication: Authentication, amount_minor: int, *, currency: str = "EUR", fraud_bps: float | None = None) -> bool:
    payment = msgspec.structs.replace(PAYMENT, amount_minor=amount_minor, currency=currency)
    return may_claim(authentication, payment=payment, tra_fraud_bps=fraud_bps)


def test_low_value_ends_at_thirty_euros() -> None:
    assert _may("exemption_low_value", 3_000)
    assert not _may("exemption_low_value", 3_001)


@pytest.mark.parametrize(("fraud_bps", "euros"), [(13.0, 100), (6.0, 250), (1.0, 500)])
def test_risk_analysis_ends_at_the_amount_of_the_acquirers_fraud_rate(fraud_bps: float, euros: int) -> None:
    assert _may("exemption_tra", euros * 100, fraud_bps=fraud_bps)
    assert not _may("exemption_tra", euros * 100 + 1, fraud_bps=fraud_bps)


def test_an_acquirer_without_a_fraud_rate_or_with_one_too_high_claims_nothing() -> None:
    assert not _may("exemption_tra", 100, fraud_bps=None)
    assert not _may("exemption_tra", 100, fraud_bps=13.1)


def test_currencies_outside_the_law_and_payments_that_the_merchant_starts_claim_nothing() -> None:
    assert not _may("exemption_low_value", 100, currency="BRL")
    renewal = msgspec.structs.replace(PAYMENT, initiator="merchant")
    assert not may_claim("exemption_low_value", payment=renewal, tra_fraud_bps=None)
    assert may_claim("three_ds", payment=renewal, tra_fraud_bps=None)


def test_every_row_names_its_source() -> None:
    assert all(limit.source for limit in limits())

"""Demands for authentication: which codes of which network, where; every row with its source."""

from __future__ import annotations

import pytest

from honour.networks.step_up import asks_for_authentication, step_ups
from honour.records.payment import Card, Network, Payment


@pytest.mark.parametrize(
    ("network", "code", "country", "asks"),
    [
        ("visa", "1A", "DE", True),
        ("mastercard", "65", "GB", True),
        ("mastercard", "65", "BR", False),  # There, a velocity limit.
        ("visa", "65", "DE", False),
        ("visa", "05", "DE", False),
        ("cartes_bancaires", "A1", "FR", True),
        ("visa", None, "DE", False),
    ],
)
def test_codes_that_ask_for_authentication(network: Network, code: str | None, country: str, asks: bool) -> None:
    card = Card(card_id="crd_1", bin="411111", network=network, issuer_country=country)
    payment = Payment(payment_id="pay_1", merchant_id="mer_1", amount_minor=100, currency="EUR", card=card)
    assert asks_for_authentication(payment, code) is asks


def test_every_row_names_its_source() -> None:
    assert all(row.source and row.meaning for row in step_ups().values())

"""Currencies and countries that do not exist are refused with their place."""

from __future__ import annotations

import msgspec
import pytest

from honour.errors import BadInput
from honour.records.domain import COUNTRIES, CURRENCIES, check_payment
from honour.records.payment import Card, Customer, Payment

PAYMENT = Payment(
    payment_id="pay_1",
    merchant_id="mer_1",
    amount_minor=1,
    currency="EUR",
    card=Card(card_id="crd_1", bin="411111", network="visa", issuer_country="DE"),
    merchant_country="AT",
    customer=Customer(country="XK"),
)


def test_a_payment_of_this_world_passes() -> None:
    check_payment(PAYMENT)
    check_payment(msgspec.structs.replace(PAYMENT, customer=None, merchant_country=None))


@pytest.mark.parametrize("currency", ["EUU", "XXX", "XTS", "DEM"])
def test_a_currency_that_does_not_exist_is_refused(currency: str) -> None:
    with pytest.raises(BadInput, match=f"'{currency}' is no ISO 4217 currency") as refused:
        check_payment(msgspec.structs.replace(PAYMENT, currency=currency))
    assert refused.value.path == "$.payment.currency"


@pytest.mark.parametrize(
    ("payment", "path"),
    [
        (msgspec.structs.replace(PAYMENT, merchant_country="UK"), "$.p.merchant_country"),
        (msgspec.structs.replace(PAYMENT, customer=Customer(country="ZZ")), "$.p.customer.country"),
        (msgspec.structs.replace(PAYMENT, card=msgspec.structs.replace(PAYMENT.card, issuer_country="EU")), "$.p.card.issuer_country"),
    ],
)
def test_a_country_that_does_not_exist_is_refused_where_it_stands(payment: Payment, path: str) -> None:
    with pytest.raises(BadInput, match="is no ISO 3166-1 alpha-2 country") as refused:
        check_payment(payment, at="$.p")
    assert refused.value.path == path


def test_minor_units_differ_by_currency() -> None:
    assert {code: CURRENCIES[code] for code in ("EUR", "JPY", "KWD", "CLP", "HUF")} == {"EUR": 2, "JPY": 0, "KWD": 3, "CLP": 0, "HUF": 2}
    assert len(COUNTRIES) == 250

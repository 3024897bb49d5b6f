"""What exists: currencies and countries by their standards, checked beyond the shape that the types already hold."""

from __future__ import annotations

import pycountry
from iso4217 import Currency as Iso4217

from honour.errors import BadInput
from honour.records.payment import Payment

CURRENCIES: dict[str, int] = {currency.code: currency.exponent or 0 for currency in Iso4217 if currency.code not in ("XTS", "XXX")}
"""ISO 4217 code to the number of decimals of its minor unit; without the codes for testing and for no currency."""

COUNTRIES: frozenset[str] = frozenset(country.alpha_2 for country in pycountry.countries) | {"XK"}
"""ISO 3166-1 alpha-2 codes, and XK, which networks use for Kosovo."""


def check_payment(payment: Payment, *, at: str = "$.payment") -> None:
    """Raise BadInput, naming the field under the path `at`, for a currency or country that does not exist."""
    if payment.currency not in CURRENCIES:
        raise BadInput(f"{payment.currency!r} is no ISO 4217 currency; send a code such as EUR or BRL.", path=f"{at}.currency")
    customer = payment.customer
    for country, where in (
        (payment.merchant_country, "merchant_country"),
        (payment.card.issuer_country, "card.issuer_country"),
        (customer.country if customer else None, "customer.country"),
    ):
        if country is not None and country not in COUNTRIES:
            raise BadInput(f"{country!r} is no ISO 3166-1 alpha-2 country; send a code such as DE or BR.", path=f"{at}.{where}")

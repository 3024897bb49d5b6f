"""Where a rule holds: everywhere, in a country, or in Europe."""

from __future__ import annotations

from honour.records.payment import Payment

EUROPE = frozenset(
    (
        *("AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GB", "GR", "HR", "HU", "IE"),
        *("IS", "IT", "LI", "LT", "LU", "LV", "MT", "NL", "NO", "PL", "PT", "RO", "SE", "SI", "SK"),
    )
)
"""Where strong customer authentication is law: issuers' countries of the EEA and the United Kingdom."""

Countries = tuple[str | None, str | None]
"""The issuer's country and the merchant's."""


def countries_of(payment: Payment) -> Countries:
    """The two countries that rules ask about."""
    return payment.card.issuer_country, payment.merchant_country


def holds_in(region: str, countries: Countries) -> bool:
    """Whether a rule of `region` holds: empty is everywhere, EUROPE goes by the issuer, a country by issuer or merchant.

    >>> holds_in("BR", ("DE", "BR")), holds_in("EUROPE", ("BR", "DE"))
    (True, False)
    """
    return not region or (countries[0] in EUROPE if region == "EUROPE" else region in countries)

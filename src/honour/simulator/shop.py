"""Shops: the merchants of the world, where their shoppers live, and what they pay."""

from __future__ import annotations

import math
from bisect import bisect
from itertools import accumulate

import msgspec

from honour.records.payment import Usage
from honour.records.route import Merchant
from honour.simulator import table
from honour.simulator.land import LANDS

COUNTRIES = tuple(LANDS)
HOURS = (1.2, 0.8, 0.5, 0.4, 0.4, 0.7, 1.5, 2.6, 3.8, 5.0, 6.0, 6.4, 6.3, 5.9, 5.6, 5.5, 5.6, 6.0, 6.6, 7.2, 7.3, 6.4, 4.8, 2.9)
"""Share of a day's payments in each local hour."""
WEEKDAYS = (1.02, 0.98, 0.97, 0.98, 1.03, 1.0, 1.02)
"""Payments of each weekday, Monday first, against the mean."""


class Shop(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A merchant; tables/shops.toml says what each value means."""

    id: str
    country: str
    mcc: str
    margin_bps: float
    amount_usd: float
    spread: float
    share: float
    markets: dict[str, float]
    recurring: float = 0.0
    risk: float = 0.0
    fraud: float = 0.0

    @property
    def terms(self) -> Merchant:
        """What its settings say."""
        return Merchant(country=self.country, mcc=self.mcc, margin_bps=self.margin_bps)

    def usage_of(self, *, recurring: bool) -> Usage:
        """What the merchant calls a payment of its own or of a shopper."""
        return "recurring" if recurring or self.recurring else "one_off"


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    shops: tuple[Shop, ...]


SHOPS: tuple[Shop, ...] = table.read("shops", as_type=_Table).shops
SHOP_BY_ID = {shop.id: shop for shop in SHOPS}


def merchants() -> dict[str, Merchant]:
    """Terms of the merchants by id, as their settings say them."""
    return {shop.id: shop.terms for shop in SHOPS}


def shops_with(recurring_share: float | None) -> tuple[Shop, ...]:
    """The shops, those with subscriptions making up `recurring_share` of all payments."""
    if recurring_share is None:
        return SHOPS
    usual = math.fsum(shop.share for shop in SHOPS if shop.recurring) / math.fsum(shop.share for shop in SHOPS)
    return tuple(
        msgspec.structs.replace(
            shop, share=shop.share * (recurring_share / usual if shop.recurring else (1.0 - recurring_share) / (1.0 - usual))
        )
        for shop in SHOPS
    )


class Mix:
    """Who shops where: shares of countries by hour and of shops by country."""

    def __init__(self, shops: tuple[Shop, ...]) -> None:
        sizes = {country: math.fsum(shop.share * shop.markets.get(country, 0.0) for shop in shops) for country in COUNTRIES}
        self._size = {country: size for country, size in sizes.items() if size > 0.0}  # Where nobody shops, nothing can be cut into parts.
        self._countries = tuple(self._size)
        self._shops = {country: _shops_of(country, shops) for country in self._countries}
        self._country_bounds = [bounds_of(self._weights(hour)) for hour in range(24)]
        total = math.fsum(self._size.values())
        self.hour_weights = tuple(math.fsum(self._weights(hour)) / total for hour in range(24))
        self.shares = {shop.id: math.fsum(shop.share * share for share in shop.markets.values()) / total for shop in shops}

    def country(self, hour: int, *, uniform: float) -> str:
        """Where the shopper is in an hour of the day, UTC: countries where it is day shop more."""
        return self._countries[bisect(self._country_bounds[hour], uniform)]

    def shop(self, country: str, *, uniform: float) -> Shop:
        """Where a shopper of `country` pays."""
        bounds, shops = self._shops[country]
        return shops[bisect(bounds, uniform)]

    def _weights(self, hour: int) -> list[float]:
        return [self._size[country] * HOURS[(hour + LANDS[country].utc_offset_h) % 24] for country in self._countries]


def bounds_of(shares: list[float]) -> list[float]:
    """Upper bounds of the parts into which shares cut the interval from 0 to 1, the last left open."""
    total = math.fsum(shares)
    return [bound / total for bound in list(accumulate(shares))[:-1]]


def _shops_of(country: str, shops: tuple[Shop, ...]) -> tuple[list[float], list[Shop]]:
    there = [shop for shop in shops if country in shop.markets]
    return bounds_of([shop.share * shop.markets[country] for shop in there]), there

"""Markets: what is bought where and when, as the merchant sees it, and what it does not see."""

from __future__ import annotations

import math
from bisect import bisect
from functools import lru_cache

from honour.errors import BadInput
from honour.records.instant import from_us
from honour.records.payment import Customer, Payment
from honour.records.route import Merchant
from honour.simulator.cause import Truth
from honour.simulator.draw import Draws, logistic, normal
from honour.simulator.issuer import LANDS, Issuer
from honour.simulator.scenario import DAY_US, Scenario
from honour.simulator.shopper import HOURS, SHOPS, Cardholder, Population, Shop, bounds_of, usage_of

HOUR_US = 3_600_000_000
COUNTRIES = tuple(LANDS)
PAYMENT_RISK = 0.8
"""Spread of what issuers hold against one payment, in logit."""
STUBBORN_SHARE, STUBBORN_RISK = 0.025, 5.0
"""Share of payments that an issuer refuses almost however it is asked, and the logit it adds to them."""
RISK_SCORE_ERROR = 1.0
"""Spread of the merchant's risk score around the truth, in logit."""


class Market:
    """Everyone who pays, and every payment of a scenario."""

    def __init__(self, scenario: Scenario, *, seed: int, stream: int, issuers: tuple[Issuer, ...]) -> None:
        self._scenario = scenario
        self._prefix = f"pay_{seed}_{stream}_"
        self._people = Population(seed, issuers=issuers, first_day=scenario.start_us // DAY_US)
        self._payment_draws = Draws(seed, purpose=f"{stream}/payment")
        self._truth_draws = Draws(seed, purpose=f"{stream}/truth")
        self.truth = lru_cache(maxsize=4_096)(self._draw_truth)
        self._shops = {country: _shops_of(country) for country in COUNTRIES}
        self._country_bounds = [_country_bounds(hour) for hour in range(24)]
        self._busy = _busy_bounds()

    def holder(self, payment: Payment) -> Cardholder:
        """Who pays with the card of `payment`."""
        try:
            return self._people.of(payment.card.card_id)
        except KeyError:
            raise BadInput(
                f"payment.card.card_id: {payment.card.card_id!r} is not a card of this world; play payments that the world made.",
                path="$.payment.card.card_id",
            ) from None

    def payment(self, number: int) -> Payment:
        """Payment `number` (from 0) of the scenario."""
        payment_id = f"{self._prefix}{number}"
        u = self._payment_draws.of(payment_id)
        v = self._payment_draws.of(payment_id + "/more")
        at_us = self._instant(number, within=u[0])
        country = self._country(at_us, uniform=u[1])
        bounds, shops = self._shops[country]
        shop = shops[bisect(bounds, u[2])]
        holder = self._people.pick(country, uniform=u[3])
        land = LANDS[country]
        recurring = u[4] < shop.recurring
        # Subscriptions come at three prices, and a card keeps its own.
        size = (-1.0, 0.0, 1.2)[int(holder.taste * 3)] if shop.recurring else normal(u[5])
        credit = holder.card.funding == "credit"
        truth = self.truth(payment_id)
        return Payment(
            payment_id=payment_id,
            merchant_id=shop.id,
            amount_minor=max(100, round(100.0 * land.price_level * shop.amount_usd * math.exp(shop.spread * size))),
            currency=land.currency,
            card=holder.card,
            created_at=from_us(at_us),
            merchant_country=shop.country,
            mcc=shop.mcc,
            initiator="merchant" if recurring else "customer",
            usage=usage_of(shop, recurring=recurring),
            installments=2 + int(v[0] * v[0] * 11) if country == "BR" and credit and not shop.recurring and v[1] < 0.45 else 1,
            channel=None if recurring else "app" if v[2] < 0.4 else "web",
            risk_score=None if recurring else round(logistic(truth.risk + holder.risk - 3.0 + RISK_SCORE_ERROR * normal(u[6])), 3),
            customer=Customer(customer_id="cus" + holder.card.card_id[3:], country=country),
        )

    def _instant(self, number: int, *, within: float) -> int:
        """Instant of payment `number`: in the order of numbers, denser in busy hours."""
        days = (number + within) / self._scenario.n_payments * self._scenario.days
        whole = int(days)
        share = days - whole
        # The last day may be a part of a day; a fraction of it is then a fraction of a whole day's payments, which keeps the order.
        hour = bisect(self._busy, share) - 1
        low, high = self._busy[hour], self._busy[hour + 1]
        return self._scenario.start_us + whole * DAY_US + int((hour + (share - low) / (high - low)) * HOUR_US)

    def _country(self, at_us: int, *, uniform: float) -> str:
        """Where the shopper is: countries where it is day shop more."""
        bounds = self._country_bounds[at_us // HOUR_US % 24]
        return COUNTRIES[bisect(bounds, uniform)]

    def _draw_truth(self, payment_id: str) -> Truth:
        u = self._truth_draws.of(payment_id)
        stubborn = STUBBORN_RISK if u[1] < STUBBORN_SHARE else 0.0
        return Truth(risk=PAYMENT_RISK * normal(u[0]) + stubborn, mistyped=u[2] < 0.008, patience_s=45.0 * math.exp(0.9 * normal(u[3])))


def merchants() -> dict[str, Merchant]:
    """Terms of the merchants by id, as their settings say them."""
    return {shop.id: shop.terms for shop in SHOPS}


def _shops_of(country: str) -> tuple[list[float], list[Shop]]:
    """The merchants that shoppers of `country` pay at, and the bounds of their shares."""
    shops = [shop for shop in SHOPS if country in shop.markets]
    return bounds_of([shop.share * shop.markets[country] for shop in shops]), shops


def _country_bounds(hour: int) -> list[float]:
    """Bounds of the countries' shares of the payments made in an hour of the day, UTC."""
    size = {country: math.fsum(shop.share * shop.markets.get(country, 0.0) for shop in SHOPS) for country in COUNTRIES}
    return bounds_of([size[country] * HOURS[(hour + LANDS[country].utc_offset_h) % 24] for country in COUNTRIES])


def _busy_bounds() -> list[float]:
    """Share of a day's payments made before each full hour of the day, UTC, from 0 to 1."""
    size = {country: math.fsum(shop.share * shop.markets.get(country, 0.0) for shop in SHOPS) for country in COUNTRIES}
    weights = [math.fsum(size[c] * HOURS[(hour + LANDS[c].utc_offset_h) % 24] for c in COUNTRIES) for hour in range(24)]
    return [0.0, *bounds_of(weights), 1.0]

"""Markets: what is bought where and when, as the merchant sees it, and what it does not see."""

from __future__ import annotations

import math
from bisect import bisect
from functools import lru_cache
from itertools import accumulate
from typing import NamedTuple

import msgspec

from honour.errors import BadInput
from honour.records.instant import from_us
from honour.records.payment import Card, Customer, Payment
from honour.simulator.cause import Truth
from honour.simulator.draw import Draws, Uniforms, logistic, normal
from honour.simulator.event import BinMigration, CardTesting, Peak
from honour.simulator.issuer import Issuer
from honour.simulator.land import LANDS
from honour.simulator.scenario import DAY_US, Scenario
from honour.simulator.shop import SHOP_BY_ID, WEEKDAYS, Mix, Shop, shops_with
from honour.simulator.shopper import Cardholder, Population

HOUR_US = 3_600_000_000
PAYMENT_RISK = 2.0
"""Spread of what issuers hold against one payment, in logit."""
STUBBORN_SHARE, STUBBORN_RISK = 0.01, 5.0
"""Share of payments that an issuer refuses almost however it is asked, and the logit it adds to them."""
FRAUD_RISK, TESTING_RISK = 2.0, 3.5
"""Logit that issuers add to what is not the cardholder's, and to thieves trying cards: they see a part of it."""
RISK_SCORE_ERROR = 1.0
"""Spread of the merchant's risk score around the truth, in logit."""


class _Started(NamedTuple):
    """When and by whom a payment was started. `tests` when thieves try a card."""

    at_us: int
    country: str
    shop: Shop
    recurring: bool
    tests: bool


class Market:
    """Everyone who pays, and every payment of a scenario."""

    def __init__(self, scenario: Scenario, *, seed: int, stream: int, issuers: tuple[Issuer, ...]) -> None:
        self._scenario = scenario
        self._prefix = f"pay_{seed}_{stream}_"
        self._people = Population(
            seed, issuers=issuers, first_day=scenario.start_us // DAY_US, funds_tight=scenario.funds_tight, stale_days=scenario.stale_days
        )
        self._payment_draws = Draws(seed, purpose=f"{stream}/payment")
        self._truth_draws = Draws(seed, purpose=f"{stream}/truth")
        self._mix = Mix(shops_with(scenario.recurring_share))
        self._attacks = tuple(event for event in scenario.events if isinstance(event, CardTesting))
        self._migrations = {event.issuer: event for event in scenario.events if isinstance(event, BinMigration)}
        self._hours = _hour_bounds(scenario, mix=self._mix)
        self._started = lru_cache(maxsize=65_536)(self._start)
        self.truth = lru_cache(maxsize=65_536)(self._draw_truth)
        self.payment = lru_cache(maxsize=65_536)(self._make_payment)
        """Payment of a number, from 0."""

    def holder(self, payment: Payment) -> Cardholder:
        """Who pays with the card of `payment`."""
        try:
            return self._people.of(payment.card.card_id)
        except KeyError:
            raise BadInput(
                f"payment.card.card_id: {payment.card.card_id!r} is not a card of this world; play payments that the world made.",
                path="$.payment.card.card_id",
            ) from None

    def _make_payment(self, number: int) -> Payment:
        payment_id = f"{self._prefix}{number}"
        u, v = self._draws_of(payment_id)
        started = self._started(number)
        country, shop, recurring = started.country, started.shop, started.recurring
        billing_day = min(28, from_us(started.at_us).day) if recurring else None
        holder = self._people.pick(country, uniform=u[3] if not started.tests else math.sqrt(u[3]), billing_day=billing_day)
        land, truth = LANDS[country], self.truth(payment_id)
        # Subscriptions come at three prices, and a card keeps its own.
        size = (-1.0, 0.0, 1.2)[int(holder.taste * 3)] if recurring else normal(u[5])
        amount_usd = 1.0 + u[5] if started.tests else shop.amount_usd * math.exp(shop.spread * size)
        credit = holder.card.funding == "credit"
        return Payment(
            payment_id=payment_id,
            merchant_id=shop.id,
            amount_minor=max(100, round(100.0 * land.price_level * amount_usd)),
            currency=land.currency,
            card=self._card(holder, at_us=started.at_us),
            created_at=from_us(started.at_us),
            merchant_country=shop.country,
            mcc=shop.mcc,
            initiator="merchant" if recurring else "customer",
            usage=shop.usage_of(recurring=recurring),
            installments=2 + int(v[0] * v[0] * 11) if country == "BR" and credit and not shop.recurring and v[1] < 0.45 else 1,
            channel=None if recurring else "app" if v[2] < 0.4 else "web",
            risk_score=None if recurring else round(logistic(truth.risk + holder.risk - 3.0 + RISK_SCORE_ERROR * normal(u[6])), 3),
            customer=Customer(customer_id="cus" + holder.card.card_id[3:], country=country),
        )

    def _draws_of(self, payment_id: str) -> tuple[Uniforms, Uniforms]:
        return self._payment_draws.of(payment_id), self._payment_draws.of(payment_id + "/more")

    def _start(self, number: int) -> _Started:
        uniforms, more = self._draws_of(f"{self._prefix}{number}")
        at_us = self._instant(number, within=uniforms[0])
        country = self._mix.country(at_us // HOUR_US % 24, uniform=uniforms[1])
        attack = self._attack(number, at_us=at_us)
        if attack is not None:
            shop = SHOP_BY_ID[attack.merchant]
            markets = tuple(shop.markets)
            return _Started(at_us, country if country in shop.markets else markets[int(uniforms[1] * len(markets))], shop, False, True)
        shop = self._mix.shop(country, uniform=uniforms[2])
        return _Started(at_us, country, shop, more[4] < shop.recurring, False)

    def _attack(self, number: int, *, at_us: int) -> CardTesting | None:
        """The attack that payment `number` is part of, if any."""
        day = (at_us - self._scenario.start_us) / DAY_US
        for attack in self._attacks:
            if attack.holds(day):
                extra = attack.factor * self._mix.shares[attack.merchant]
                if self._truth_draws.of(f"{self._prefix}{number}/testing")[0] < extra / (1.0 + extra):
                    return attack
        return None

    def _card(self, holder: Cardholder, *, at_us: int) -> Card:
        migration = self._migrations.get(holder.issuer.id)
        moved = migration is not None and migration.holds((at_us - self._scenario.start_us) / DAY_US) and holder.moves < migration.share
        return msgspec.structs.replace(holder.card, bin=holder.range.moved_bin) if moved else holder.card

    def _instant(self, number: int, *, within: float) -> int:
        """Instant of payment `number`: in the order of numbers, denser in busy hours."""
        share = (number + within) / self._scenario.n_payments
        hour = min(bisect(self._hours, share), len(self._hours) - 1)
        low, high = self._hours[hour - 1] if hour else 0.0, self._hours[hour]
        hours = min(hour + (share - low) / (high - low), self._scenario.days * 24.0 - 1e-6)
        return self._scenario.start_us + int(hours * HOUR_US)

    def _draw_truth(self, payment_id: str) -> Truth:
        u = self._truth_draws.of(payment_id)
        started = self._started(int(payment_id.rpartition("_")[2]))
        stolen = not started.recurring and u[4] < started.shop.fraud
        risk = PAYMENT_RISK * normal(u[0]) + (STUBBORN_RISK if u[1] < STUBBORN_SHARE else 0.0)
        return Truth(
            risk=risk + (TESTING_RISK if started.tests else FRAUD_RISK if stolen else 0.0),
            mistyped=u[2] < 0.008,
            patience_s=1.0 if started.tests else 45.0 * math.exp(0.9 * normal(u[3])),
            fraud=stolen or started.tests,
            disputed_us=started.at_us + int((5.0 + 35.0 * u[5]) * DAY_US),
        )


def _hour_bounds(scenario: Scenario, *, mix: Mix) -> list[float]:
    """Share of the scenario's payments made up to the end of each hour; the last part of an hour counts as its part."""
    n_hours = max(1, math.ceil(scenario.days * 24.0 - 1e-9))
    weights = []
    for hour in range(n_hours):
        day = (hour + 0.5) / 24.0
        weight = mix.hour_weights[hour % 24] * WEEKDAYS[(scenario.start.weekday() + hour // 24) % 7]
        for event in scenario.events:
            if isinstance(event, Peak) and event.holds(day):
                weight *= event.factor
            if isinstance(event, CardTesting) and event.holds(day):
                weight *= 1.0 + event.factor * mix.shares[event.merchant]
        weights.append(weight * min(1.0, scenario.days * 24.0 - hour))
    total = math.fsum(weights)
    bounds = [done / total for done in accumulate(weights)]
    bounds[-1] = 1.0
    return bounds

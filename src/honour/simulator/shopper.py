"""Shoppers: their cards and funds."""

from __future__ import annotations

import math
from bisect import bisect
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache

from honour.records.payment import Card, Initiator
from honour.simulator.draw import Draws, between, normal, normal_share
from honour.simulator.issuer import BinRange, Issuer
from honour.simulator.land import LANDS
from honour.simulator.shop import SHOPS, bounds_of

EPOCH_DAY = date(1970, 1, 1)
CARDS_PER_COUNTRY = 5_000
CARD_RISK = 0.6
"""Spread of what issuers hold against one card, in logit."""
CARE: dict[Initiator, float] = {"customer": 0.9, "merchant": -1.55}
"""Logarithm by which shoppers buy below their means; a renewal comes whether there is money or not."""
EXPIRY_CYCLE, LIFE_CYCLE = 1_461, 5_000
"""Days from one expiry date, or one loss, of a card to the next."""
FUNDS_SPREAD = 0.62
"""Standard deviation of the logarithm of available funds around their monthly course."""
FUNDS_MEMORY = 0.7
"""Correlation of that deviation from one day to the next: who is short today is often short tomorrow."""
RENEWED_SHARE = 0.65
"""Share of replaced cards that the account updater knows of: networks.md section 6, vendors say 60 to 80 %."""
_DAYS_BACK = 16


@dataclass(frozen=True, slots=True)
class Cardholder:
    """A card, its issuer and range, and what nobody outside sees of it.

    salary      reaches the account on each payday, minor units of the country's currency
    lasts_days  days until it is spent down to `rest`, a share of it
    renewed     its issuer tells the networks' account updater of the new date and number
    abroad      the card works with acquirers abroad
    blocked     trades (MCC) that it is blocked for, if any
    ends_day    day since 1970 on which the card is closed or reported stolen; far away for most
    risk        logit added to refusals of every payment
    taste       which price of a subscription it pays, in (0, 1)
    moves       place in the order in which an issuer's migration takes its cards, in (0, 1)
    """

    card: Card
    issuer: Issuer
    range: BinRange
    salary: float
    lasts_days: float
    rest: float
    payday: int
    abroad: bool
    blocked: str | None
    ends_day: int
    stolen: bool
    expires_day: int
    renewed: bool
    risk: float
    taste: float
    moves: float

    def funds_level(self, day: int) -> float:
        """Median of what is available on `day` (days since 1970, local), minor units."""
        since = days_since_payday(day, paydays=self._paydays)
        return self.salary * (self.rest + (1.0 - self.rest) * max(0.0, 1.0 - since / self.lasts_days))

    def p_short(self, amount_minor: int, *, day: int, initiator: Initiator) -> float:
        """Share of worlds in which `amount_minor` is not available on `day`: the closed form of the funds process."""
        return normal_share((math.log(amount_minor / self.funds_level(day)) - CARE[initiator]) / FUNDS_SPREAD)

    def is_short(self, amount_minor: int, *, day: int, initiator: Initiator, z: float) -> bool:
        """Whether it is not available when this day's luck is the standard normal number `z`."""
        return amount_minor > self.funds_level(day) * math.exp(CARE[initiator] + FUNDS_SPREAD * z)

    @property
    def _paydays(self) -> tuple[int, ...]:
        return LANDS[self.issuer.country].paydays if self.payday == 0 else (self.payday,)


class Fortune:
    """The luck of each card with its funds: a stationary normal process with memory from day to day."""

    def __init__(self, draws: Draws) -> None:
        self._draws = draws
        self._shocks = lru_cache(maxsize=65_536)(self._draw)
        weights = [FUNDS_MEMORY**back for back in range(_DAYS_BACK)]
        size = math.sqrt(math.fsum(weight * weight for weight in weights))
        self._weights = [weight / size for weight in weights]
        self.of = lru_cache(maxsize=65_536)(self._of)

    def _of(self, card_id: str, day: int) -> float:
        """The standard normal number of a card and day; neighbouring days are correlated."""
        total = 0.0
        for back, weight in enumerate(self._weights):
            block, place = divmod(day - back, 8)
            total += weight * self._shocks(card_id, block)[place]
        return total

    def _draw(self, card_id: str, block: int) -> tuple[float, ...]:
        return tuple(normal(uniform) for uniform in self._draws.of(f"{card_id}/{block}"))


@lru_cache(maxsize=65_536)
def days_since_payday(day: int, *, paydays: tuple[int, ...]) -> int:
    """Days from the last payday up to `day` (days since 1970).

    >>> days_since_payday((date(2026, 3, 10) - date(1970, 1, 1)).days, paydays=(1, 15))
    9
    """
    today = EPOCH_DAY + timedelta(days=day)
    before = today.replace(day=1) - timedelta(days=1)
    return min((today - paid).days for payday in paydays for paid in (_on(today, payday), _on(before, payday)) if paid <= today)


class Population:
    """Everyone who pays: cards by country and number, the same whenever they are asked for.

    funds_tight  added to how tight funds are in every country
    stale_days   days for which an old card is still on file
    """

    def __init__(self, seed: int, *, issuers: tuple[Issuer, ...], first_day: int, funds_tight: float = 0.0, stale_days: int = 25) -> None:
        self._draws = Draws(seed, purpose="cardholder")
        self._first_day = first_day
        self._funds_tight = funds_tight
        self._stale_days = stale_days
        self._known: dict[str, Cardholder] = {}
        self._issuers = {country: [issuer for issuer in issuers if issuer.country == country] for country in LANDS}
        self._issuer_bounds = {country: bounds_of([issuer.share for issuer in members]) for country, members in self._issuers.items()}

    def pick(self, country: str, *, uniform: float, billing_day: int | None = None) -> Cardholder:
        """A cardholder of `country`; low numbers shop more often. With a billing day (1 to 28), one who is billed on it."""
        number = int(CARDS_PER_COUNTRY * uniform * uniform)
        if billing_day is not None:
            number = min(CARDS_PER_COUNTRY // 28 - 1, number // 28) * 28 + billing_day - 1
        return self.of(f"crd_{country.lower()}_{number}")

    def of(self, card_id: str) -> Cardholder:
        """The cardholder of a card; KeyError when it is not of this world."""
        known = self._known.get(card_id)
        if known is None:
            known = self._known[card_id] = self._make(card_id)
        return known

    def _make(self, card_id: str) -> Cardholder:
        prefix, country, number = card_id.split("_") if card_id.count("_") == 2 else ("", "", "")
        country = country.upper()
        if prefix != "crd" or country not in LANDS or not number.isascii() or not number.isdigit() or int(number) >= CARDS_PER_COUNTRY:
            raise KeyError(card_id)
        u = self._draws.of(card_id)
        v = self._draws.of(card_id + "/more")
        w = self._draws.of(card_id + "/funds")
        issuer = self._issuers[country][bisect(self._issuer_bounds[country], u[0])]
        span = issuer.ranges[bisect(bounds_of([range_.share for range_ in issuer.ranges]), u[1])]
        expires = EPOCH_DAY + timedelta(days=_next(int(u[2] * EXPIRY_CYCLE), after=self._first_day - self._stale_days, cycle=EXPIRY_CYCLE))
        return Cardholder(
            card=Card(
                card_id=card_id,
                bin=span.bin,
                network=span.network,
                funding=span.funding,
                issuer=issuer.id,
                issuer_country=country,
                expires=f"{expires.year:04d}-{expires.month:02d}",
                network_token=u[3] < 0.45 and span.network != "cartes_bancaires",
            ),
            issuer=issuer,
            range=span,
            salary=self._salary(country, funding=span.funding, z=normal(w[0])),
            lasts_days=between(w[1], 9.0, 45.0),
            rest=0.3 * w[2] ** 3,
            payday=0 if w[3] < 0.7 else 1 + int(w[4] * 28),
            abroad=v[0] >= LANDS[country].abroad_closed,
            blocked=SHOPS[int(v[1] * len(SHOPS))].mcc if v[2] < 0.05 else None,
            ends_day=_next(int(v[3] * LIFE_CYCLE), after=self._first_day - self._stale_days, cycle=LIFE_CYCLE),
            stolen=v[4] < 0.2,
            expires_day=(_month_after(expires) - EPOCH_DAY).days,
            renewed=w[5] < RENEWED_SHARE,
            risk=CARD_RISK * normal(v[5]),
            taste=v[6],
            moves=v[7],
        )

    def _salary(self, country: str, *, funding: str, z: float) -> float:
        """What a payday brings, minor units: a few hundred times what is small there, with a credit line it is larger."""
        land = LANDS[country]
        size = {"credit": 3_600.0, "debit": 950.0, "prepaid": 800.0}[funding]
        return 100.0 * land.price_level * size * math.exp(0.8 * z - land.funds_tight - self._funds_tight)


def _next(phase: int, *, after: int, cycle: int) -> int:
    """First day after `after` that is `phase` within a cycle: the same card has the same days in worlds that start later."""
    return after + 1 + (phase - after - 1) % cycle


def _on(month: date, day: int) -> date:
    """Day `day` of the month of `month`."""
    return month.replace(day=day)


def _month_after(day: date) -> date:
    return (day.replace(day=1) + timedelta(days=32)).replace(day=1)

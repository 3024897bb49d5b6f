"""Issuers: who gave out the cards, and how each of them judges."""

from __future__ import annotations

from dataclasses import dataclass

from honour.records.payment import Funding, Network
from honour.simulator.draw import Draws, between, normal
from honour.simulator.land import LANDS

_FIRST_DIGITS: dict[Network, str] = {"visa": "4", "mastercard": "5", "elo": "636", "amex": "37", "cartes_bancaires": "49"}
_MOVED = 5
"""Added to the digit of a range when its cards move to another one."""


@dataclass(frozen=True, slots=True)
class BinRange:
    """A range of cards of one issuer: leading digits, network, funding, share of the issuer's cards.

    moved_bin  the digits that replace them when the issuer migrates
    """

    bin: str
    moved_bin: str
    network: Network
    funding: Funding
    share: float


@dataclass(frozen=True, slots=True)
class Issuer:
    """One issuer. Logits add to the chance of being refused on judgement: positive is worse for the payment.

    candour       share of refusals whose real reason is told; the others come back as 05
    soft          share of unauthenticated European attempts above the low-value limit that are sent back for authentication
    refuses       share of claimed exemptions that it does not grant
    frictionless  share of authentications that need no challenge, completion of challenges that shoppers pass
    stretch       logit per e-fold of the amount above what is usual at the merchant
    night_risk    logit added between midnight and six, local time of the cardholder
    fatigue       logit added by each earlier attempt of the same payment
    velocity_max  purchases and attempts of a card on one day above which it refuses
    stand_in      share of small amounts that the network approves or judges for it while it does not answer
    night_hour    local hour of maintenance; fault_rate: share of hours in which most of its answers are missing
    consolidates  sends the Mastercard codes 79, 82 and 83 for the finer ones
    """

    id: str
    country: str
    ranges: tuple[BinRange, ...]
    share: float
    appetite: float
    candour: float
    soft: float
    refuses: float
    frictionless: float
    completion: float
    authentication: float
    token: float
    abroad: float
    stretch: float
    night_risk: float
    fatigue: float
    velocity_max: int
    stand_in: float
    night_hour: int
    fault_rate: float
    advises: bool
    consolidates: bool


def make_issuers(seed: int) -> tuple[Issuer, ...]:
    """The issuers of the world of this seed, country by country.

    >>> len(make_issuers(1))
    160
    """
    draws = Draws(seed, purpose="issuer")
    return tuple(_issuer(country, number, draws) for country, land in LANDS.items() for number in range(1, land.n_issuers + 1))


def _issuer(country: str, number: int, draws: Draws) -> Issuer:
    land = LANDS[country]
    name = f"issuer_{country.lower()}_{number}"
    u = draws.of(name)
    v = draws.of(name + "/more")
    w = draws.of(name + "/habits")
    return Issuer(
        id=name,
        country=country,
        ranges=_ranges(country, number),
        share=1.0 / number,  # A large issuer, a half, a third: few issuers hold most cards of a country.
        appetite=0.35 * normal(u[0]),
        candour=between(u[1], 0.3, 0.7),
        soft=between(u[2], 0.35, 0.85) if land.sca else 0.0,
        refuses=between(w[0], 0.05, 0.15) if land.sca else 0.0,
        frictionless=min(0.95, max(0.1, land.frictionless + 0.12 * normal(u[3]))),
        completion=min(0.97, max(0.4, land.completion + 0.05 * normal(u[4]))),
        authentication=land.authentication + 0.5 * normal(u[5]),
        token=-0.6 + 0.5 * normal(u[6]),
        abroad=land.abroad + 0.3 * normal(u[7]),
        stretch=between(w[1], 0.0, 0.5),
        night_risk=between(w[2], 0.0, 0.6),
        fatigue=between(v[0], 0.3, 0.7),
        velocity_max=5 + int(7 * w[3]),
        stand_in=between(w[4], 0.0, 0.8),
        night_hour=1 + int(v[1] * 4),
        fault_rate=0.0015 * between(w[5], 0.2, 2.0),
        advises=v[2] < 0.7,
        consolidates=w[6] < 0.35,
    )


def _ranges(country: str, number: int) -> tuple[BinRange, ...]:
    order = list(LANDS).index(country)
    return tuple(
        BinRange(_bin(network, order, number, place), _bin(network, order, number, place + _MOVED), network, funding, share)
        for place, (network, funding, share) in enumerate(LANDS[country].ranges)
    )


def _bin(network: Network, order: int, number: int, place: int) -> str:
    digits = _FIRST_DIGITS[network]
    return digits + f"{order}{number:02d}{place}950"[: 8 - len(digits)]

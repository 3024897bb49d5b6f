"""Issuers: who gave out the cards, how each of them judges, and what it tells of its reasons."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from honour.records.payment import Funding, Network
from honour.simulator.draw import Draws, between, normal

Cause = Literal[
    "unsupported", "route", "authentication", "issuer_down", "lifecycle", "abroad", "blocked", "funds", "sca", "judgement", "degraded"
]
"""Why an attempt is not approved, as only the world knows it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Land:
    """What the issuers and shoppers of one country have in common. Levels: networks.md 7.7 as far as published.

    utc_offset_h     local standard time; summer time is not modelled
    usd_per_unit     fixed rate for adding up margins of several currencies
    price_level      amounts of the same goods, local units per US dollar
    judgement        logit at which a plain domestic attempt of a plain card is refused
    abroad_closed    share of cards that are not enabled for acquirers abroad
    funds_tight      how far salaries are from covering a month; larger is tighter
    authentication   logit that a passed authentication adds to being refused; negative helps
    sca              authentication is required by law when the acquirer is in Europe too
    """

    currency: str
    utc_offset_h: int
    usd_per_unit: float
    price_level: float
    judgement: float
    abroad_closed: float
    abroad: float
    funds_tight: float
    authentication: float
    frictionless: float
    completion: float
    sca: bool
    paydays: tuple[int, ...]


LANDS: dict[str, Land] = {
    "BR": Land(
        currency="BRL",
        utc_offset_h=-3,
        usd_per_unit=0.18,
        price_level=2.8,
        judgement=-3.5,
        abroad_closed=0.36,
        abroad=2.0,
        funds_tight=1.25,
        authentication=-2.0,
        frictionless=0.55,
        completion=0.76,
        sca=False,
        paydays=(6,),
    ),
    "DE": Land(
        currency="EUR",
        utc_offset_h=1,
        usd_per_unit=1.08,
        price_level=0.95,
        judgement=-4.4,
        abroad_closed=0.025,
        abroad=1.6,
        funds_tight=-1.3,
        authentication=-1.8,
        frictionless=0.62,
        completion=0.84,
        sca=True,
        paydays=(28,),
    ),
    "FR": Land(
        currency="EUR",
        utc_offset_h=1,
        usd_per_unit=1.08,
        price_level=0.95,
        judgement=-4.9,
        abroad_closed=0.03,
        abroad=1.9,
        funds_tight=-1.3,
        authentication=-1.8,
        frictionless=0.5,
        completion=0.86,
        sca=True,
        paydays=(28,),
    ),
    "GB": Land(
        currency="GBP",
        utc_offset_h=0,
        usd_per_unit=1.27,
        price_level=0.85,
        judgement=-4.9,
        abroad_closed=0.025,
        abroad=1.5,
        funds_tight=-1.7,
        authentication=-1.8,
        frictionless=0.68,
        completion=0.86,
        sca=True,
        paydays=(27,),
    ),
    "US": Land(
        currency="USD",
        utc_offset_h=-5,
        usd_per_unit=1.0,
        price_level=1.0,
        judgement=-4.2,
        abroad_closed=0.025,
        abroad=1.5,
        funds_tight=0.85,
        authentication=0.5,
        frictionless=0.54,
        completion=0.75,
        sca=False,
        paydays=(1, 15),
    ),
}
EUROPE = ("DE", "FR", "GB")

_FIRST_DIGITS: dict[Network, str] = {"visa": "4", "mastercard": "5", "elo": "636", "amex": "37", "cartes_bancaires": "49"}
# Networks and funding of the ranges that issuers of a country give out, the first being the commonest.
_RANGES: dict[str, tuple[tuple[Network, Funding, float], ...]] = {
    "BR": (
        ("visa", "credit", 0.3),
        ("mastercard", "credit", 0.38),
        ("elo", "credit", 0.12),
        ("visa", "debit", 0.12),
        ("mastercard", "prepaid", 0.08),
    ),
    "DE": (("visa", "credit", 0.3), ("mastercard", "credit", 0.3), ("visa", "debit", 0.25), ("mastercard", "debit", 0.15)),
    "FR": (("cartes_bancaires", "debit", 0.3), ("visa", "debit", 0.3), ("mastercard", "credit", 0.25), ("visa", "credit", 0.15)),
    "GB": (("visa", "debit", 0.4), ("mastercard", "credit", 0.3), ("visa", "credit", 0.2), ("mastercard", "prepaid", 0.1)),
    "US": (
        ("visa", "credit", 0.3),
        ("mastercard", "credit", 0.25),
        ("visa", "debit", 0.23),
        ("amex", "credit", 0.14),
        ("mastercard", "prepaid", 0.08),
    ),
}
_N_ISSUERS = {"BR": 6, "DE": 4, "FR": 4, "GB": 4, "US": 7}


@dataclass(frozen=True, slots=True)
class BinRange:
    """A range of cards of one issuer: its leading digits, network and funding, and its share of the issuer's cards."""

    bin: str
    network: Network
    funding: Funding
    share: float


@dataclass(frozen=True, slots=True)
class Issuer:
    """One issuer. Logits add to the chance of being refused on judgement: positive is worse for the payment.

    candour     share of refusals whose real reason is told; the others come back as 05
    soft        share of unauthenticated European attempts sent back for authentication
    night_hour  local hour of maintenance
    fatigue     logit added by each earlier attempt of the same payment
    """

    id: str
    country: str
    ranges: tuple[BinRange, ...]
    share: float
    appetite: float
    candour: float
    soft: float
    frictionless: float
    completion: float
    authentication: float
    token: float
    abroad: float
    fatigue: float
    night_hour: int
    advises: bool


def make_issuers(seed: int) -> tuple[Issuer, ...]:
    """The issuers of the world of this seed, country by country.

    >>> len(make_issuers(1))
    25
    """
    draws = Draws(seed, purpose="issuer")
    return tuple(_issuer(country, number, draws) for country in LANDS for number in range(1, _N_ISSUERS[country] + 1))


def told_code(cause: Cause, *, issuer: Issuer, network: Network, detail: str, uniforms: tuple[float, float]) -> str:
    """Response code that `issuer` sends for `cause`; often 05, whatever the real reason.

    detail    of a lifecycle cause: expired | closed | stolen | security_code
    uniforms  two draws of this attempt
    """
    tells, which = uniforms
    if cause == "issuer_down":
        return "91" if which < 0.7 else "96"
    if cause == "sca":
        return "65" if network == "mastercard" else "1A"
    if cause == "lifecycle":
        if detail == "security_code":
            return "N7" if network == "visa" else "63"
        return {"expired": "54", "closed": "14", "stolen": "41" if which < 0.6 else "43"}[detail]
    if cause == "degraded" or tells > issuer.candour + (0.12 if cause == "funds" else 0.0):
        return "05"
    if cause == "funds":
        return "51" if which < 0.94 else "61"
    if cause in ("abroad", "blocked"):
        return "62" if which < (0.8 if cause == "abroad" else 0.3) else "57"
    return "59" if which < 0.55 else "63" if which < 0.8 else "57" if which < 0.9 else "65" if network != "mastercard" else "61"


def advice_for(code: str, *, issuer: Issuer, network: Network, uniform: float) -> str | None:
    """Merchant advice code sent with a response code: Mastercard only, and only by issuers that send it."""
    if network != "mastercard" or not issuer.advises:
        return None
    if code == "51":
        return ("24", "25", "26", "27", "28", "29", "30")[int(uniform * 7)]
    if code in ("14", "41", "43", "57"):
        return "03"
    if code == "54":
        return "01"
    return "02" if code in ("05", "59", "61", "62", "63", "91", "96") and uniform < 0.5 else None


def _issuer(country: str, number: int, draws: Draws) -> Issuer:
    land = LANDS[country]
    name = f"issuer_{country.lower()}_{number}"
    u = draws.of(name)
    v = draws.of(name + "/more")
    return Issuer(
        id=name,
        country=country,
        ranges=_ranges(country, number),
        share=1.0 / number,  # A large issuer, a half, a third: few issuers hold most cards of a country.
        appetite=0.35 * normal(u[0]),
        candour=between(u[1], 0.3, 0.7),
        soft=between(u[2], 0.0, 0.08) if land.sca else 0.0,
        frictionless=min(0.95, max(0.1, land.frictionless + 0.12 * normal(u[3]))),
        completion=min(0.97, max(0.4, land.completion + 0.05 * normal(u[4]))),
        authentication=land.authentication + 0.5 * normal(u[5]),
        token=-0.6 + 0.5 * normal(u[6]),
        abroad=land.abroad + 0.3 * normal(u[7]),
        fatigue=between(v[0], 0.3, 0.7),
        night_hour=1 + int(v[1] * 4),
        advises=v[2] < 0.7,
    )


def _ranges(country: str, number: int) -> tuple[BinRange, ...]:
    order = list(LANDS).index(country)
    ranges = []
    for place, (network, funding, share) in enumerate(_RANGES[country]):
        digits = _FIRST_DIGITS[network]
        ranges.append(
            BinRange(bin=digits + f"{order}{number}{place}9500"[: 8 - len(digits)], network=network, funding=funding, share=share)
        )
    return tuple(ranges)

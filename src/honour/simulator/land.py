"""Lands: what issuers and shoppers of one country have in common."""

from __future__ import annotations

import msgspec

from honour.records.payment import Funding, Network
from honour.simulator import table


class Land(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One country; tables/lands.toml says what each value means."""

    currency: str
    n_issuers: int
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
    ranges: tuple[tuple[Network, Funding, float], ...]


LANDS: dict[str, Land] = table.read("lands", as_type=dict[str, Land])
EUROPE = frozenset(country for country, land in LANDS.items() if land.sca)
USD_PER_UNIT = {land.currency: land.usd_per_unit for land in LANDS.values()}


def distance(acquirer_country: str, issuer_country: str) -> float:
    """0 domestic, 0.25 within Europe, 1 across any other border.

    >>> distance("DE", "FR")
    0.25
    """
    if acquirer_country == issuer_country:
        return 0.0
    return 0.25 if acquirer_country in EUROPE and issuer_country in EUROPE else 1.0

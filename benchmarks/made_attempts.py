"""Attempts of a made-up market as a lake holds them, any number of them: what `make bench-features` is run on.

Ninety days; a payment has one to four attempts, a card several payments; issuers, BINs and merchants are of very unequal size. An answer
arrives after a second or so, one in a hundred hours later. Nothing of it is real, and approvals depend on little: it measures
time and memory, not models.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow ships no types
from numpy.typing import NDArray

DAYS = 90
DAY_US = 86_400_000_000
FROM_US = 1_767_225_600_000_000
"""2026-01-01."""
FROM_MONTH = 56 * 12
"""The month of it, counted from January 1970."""

COUNTRIES = ("US", "DE", "FR", "GB", "BR", "IN", "ES", "IT", "NL", "PL", "MX", "JP", "CA", "AU", "SE", "AT")
ROUTES = ("acq_eu_1", "acq_eu_2", "acq_us_1", "acq_us_2", "acq_br_1", "acq_in_1")


def made_attempts(n: int, *, seed: int = 1) -> pa.Table:
    """`n` attempts in the order in which their answers arrived, with the columns of a lake."""
    draw = np.random.default_rng(seed)
    payment = np.sort(draw.integers(0, max(1, int(n * 0.8)), n))
    number = _number_within(payment)
    n_payments = int(payment[-1]) + 1
    began_us = FROM_US + np.sort(draw.integers(0, DAYS * DAY_US, n_payments))
    at_us = began_us[payment] + number * draw.integers(2_000_000, 40_000_000, n)
    late = draw.random(n) < 0.01
    arrived_us = at_us + np.where(late, draw.integers(60_000_000, 6 * 3_600_000_000, n), draw.integers(300_000, 3_000_000, n))
    order = np.argsort(arrived_us, kind="stable")
    payment, number, at_us, arrived_us = payment[order], number[order], at_us[order], arrived_us[order]
    of_payment = _payments(n_payments, draw)
    columns = {name: column.take(pa.array(payment)) for name, column in of_payment.items()}
    route = _skewed(len(ROUTES), n, draw)
    approved = draw.random(n) < 0.55 + 0.05 * (route % 5) - 0.1 * (number > 0)
    status = np.where(approved, 0, np.where(draw.random(n) < 0.05, 2, 1))
    code = np.where(approved, 0, 1 + _skewed(8, n, draw))
    return pa.table(
        {
            "seq": pa.array(np.arange(1, n + 1)),
            "arrived_us": pa.array(arrived_us),
            "asked_seq": pa.array(np.searchsorted(arrived_us, at_us, side="right") + 1),
            "at_us": pa.array(at_us),
            "source": _named(np.zeros(n, dtype=np.int64), ("attempt",)),
            "attempt_id": _numbered("att_", np.arange(n), n),
            "status": _named(status, ("approved", "declined", "failed")),
            "response_code": _named(code, ("00", "05", "51", "54", "14", "91", "61", "65", "57")),
            "latency_ms": pa.array((arrived_us - at_us) // 1000),
            "propensity": pa.nulls(n, pa.float64()),
            **columns,
            "route": _named(route, ROUTES),
            "authentication": _named(draw.integers(0, 3, n), ("none", "exemption", "challenge")),
            "credential": _named(draw.integers(0, 2, n), ("pan", "network_token")),
        }
    )


def _payments(n: int, draw: np.random.Generator) -> dict[str, Any]:
    n_cards = max(1, n // 6)
    card = _skewed(n_cards, n, draw)
    bin_ = _skewed(3_000, n_cards, draw)[card]
    issuer = bin_ % 400
    country = issuer % len(COUNTRIES)
    merchant = _skewed(60, n, draw)
    countries = _named(country, COUNTRIES)
    return {
        "payment_id": _numbered("pay_", np.arange(n), n),
        "merchant_id": _named(merchant, [f"mer_{at}" for at in range(60)]),
        "amount_minor": pa.array(np.exp(draw.normal(8.3, 1.1, n)).astype(np.int64) + 1),
        "currency": _named(country, [("USD", "EUR", "BRL", "GBP")[at % 4] for at in range(len(COUNTRIES))]),
        "card_id": _numbered("crd_", card, n_cards),
        "bin": _named(bin_, [f"{400_000 + at}" for at in range(3_000)]),
        "network": _named(bin_ % 3, ("visa", "mastercard", "amex")),
        "funding": _named(bin_ % 5 % 3, ("credit", "debit", "prepaid")),
        "issuer": _named(issuer, [f"issuer {at}" for at in range(400)]),
        "issuer_country": countries,
        "mcc": _named(merchant % 7, ("5411", "5812", "5999", "4816", "5732", "7995", "5817")),
        "merchant_country": _named(merchant % len(COUNTRIES), COUNTRIES),
        "channel": _named(draw.integers(0, 2, n), ("web", "app")),
        "initiator": _named((draw.random(n) < 0.3).astype(np.int64), ("customer", "merchant")),
        "usage": _named(draw.integers(0, 2, n), ("one_off", "subscription")),
        "installments": pa.nulls(n, pa.int64()),
        "risk_score": pa.array(draw.random(n)),
        "has_network_token": pa.array(draw.integers(0, 2, n)),
        "shopper_country": countries,
        "sca_scope": _named(draw.integers(0, 3, n), ("in_scope", "exempt", "out_of_scope")),
        "expires_month": pa.array(FROM_MONTH + draw.integers(-3, 48, n)),
    }


def _number_within(payment: NDArray[np.int64]) -> NDArray[np.int64]:
    """0, 1, ... along the rows of each payment."""
    first = np.flatnonzero(np.r_[True, payment[1:] != payment[:-1]])
    return np.arange(len(payment)) - np.repeat(first, np.diff(np.r_[first, len(payment)]))


def _skewed(n_values: int, n: int, draw: np.random.Generator) -> NDArray[np.int64]:
    """Numbers below `n_values`, the small ones far more often."""
    return (n_values * draw.random(n) ** 3).astype(np.int64)


def _named(codes: NDArray[np.int64], names: Any) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32)), pa.array(list(names))).cast(pa.string())


def _numbered(prefix: str, numbers: NDArray[np.int64], n: int) -> pa.Array:
    names = pa.array(np.char.add(prefix, np.char.zfill(np.arange(n).astype("U9"), 9)))
    return pa.DictionaryArray.from_arrays(pa.array(numbers.astype(np.int32)), names).cast(pa.string())

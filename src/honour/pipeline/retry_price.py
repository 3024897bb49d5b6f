"""From an installation's log to the price of a retry that keeps a merchant's budget."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from honour.approval.retry_model import RetryModel
from honour.errors import BadInput
from honour.outcomes.refusals import Refusals
from honour.policy.budget import Refused, corrected_budget, n_expected, price_of_budget
from honour.records.settings import Settings
from honour.release.bundle import load_bundle
from honour.stores.opening import open_log

MONTH_DAYS = 30.0
DAY_US = 86_400_000_000
SAMPLE = 400
"""Refusals that are planned anew; of more, as many evenly spread over the days are taken."""
MADE_MIN = 30
"""Retries of Honour's own without which nothing is corrected: fewer say little."""


class RetryPrice(msgspec.Struct, frozen=True, kw_only=True):
    """A price and what is expected of it, per month of 30 days; money in minor units.

    n_refused   refusals that it was worked out on
    n_planned   retries that plans at the price in force expected, n_made those that were made; None while too few were
    gap_minor   no plans within the budget are worth more than this above `value_minor`
    """

    retry_price_minor: float
    n_expected: float
    value_minor: float
    n_free: float
    value_free_minor: float
    gap_minor: float
    n_refused: int
    n_planned: float | None
    n_made: float | None


def live_retry_model(folder: Path) -> RetryModel:
    """What the live bundle of a data folder says of retries; BadInput when it says nothing."""
    bundle = folder / "bundle"
    model = load_bundle(bundle).retry_model if bundle.is_dir() else None
    if model is None or model.retry is None:
        raise BadInput(f"{bundle}: no model of retries; train on a history with retries of refused payments first.", path="--data")
    return model


def retry_price(
    settings: Settings,
    *,
    model: RetryModel,
    merchant_id: str,
    retries_per_month: float,
    days: float,
    step: Callable[[str, int, int | None], object],
) -> RetryPrice:
    """The price of a retry at which this merchant's own payments take at most so many retries in a month.

    Where Honour made retries already, plans are held against them: `corrected_budget`. BadInput without refusals in the last `days`.
    """
    refusals = _folded(settings, merchant_id=merchant_id, days=days, step=step)
    if not refusals.refused:
        raise BadInput(
            f"--merchant {merchant_id!r}: the last {days:g} days of the log have no refusal of a payment that it started. "
            "Name another merchant, or more --days.",
            path="--merchant",
        )
    asked = _spread(refusals.refused)
    terms = settings.terms_of(merchant_id)
    monthly = MONTH_DAYS / days * len(refusals.refused) / len(asked)
    n_max, n_planned, n_made = retries_per_month / monthly, None, None
    if refusals.n_retries >= MADE_MIN:
        n_planned = n_expected(asked, model=model, terms=terms, price_minor=terms.retry_price_minor) * monthly
        n_made = refusals.n_retries * MONTH_DAYS / days
        n_max = corrected_budget(n_max, n_planned=n_planned, n_made=n_made)
    more = retries_per_month / (n_max * monthly) if n_max else 1.0  # Retries made for each that plans expect.
    found = price_of_budget(asked, n_max=n_max, model=model, terms=terms, step=lambda done, total: step("pricing", done, total))
    return RetryPrice(
        retry_price_minor=found.price_minor,
        n_expected=found.n_retries * monthly * more,
        value_minor=found.value_minor * monthly,
        n_free=found.n_free * monthly * more,
        value_free_minor=found.value_free_minor * monthly,
        gap_minor=found.gap_minor * monthly,
        n_refused=len(refusals.refused),
        n_planned=n_planned,
        n_made=n_made,
    )


def _folded(settings: Settings, *, merchant_id: str, days: float, step: Callable[[str, int, int | None], object]) -> Refusals:
    log = open_log(settings.data, read_only=True)
    try:
        refusals = Refusals(settings, merchant_id=merchant_id, since_us=log.last_arrived_us - round(days * DAY_US))
        for done, logged in enumerate(log.read()):
            refusals.apply(logged)
            if done % 1_000 == 0:
                step("reading the log", done, log.last_seq)
    finally:
        log.close()
    return refusals


def _spread(refused: list[Refused]) -> list[Refused]:
    n = len(refused)
    return refused if n <= SAMPLE else [refused[at * n // SAMPLE] for at in range(SAMPLE)]

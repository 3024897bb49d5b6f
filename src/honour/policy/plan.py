"""The plan of a refused payment: over the hours that are left and the attempts that are allowed, when to try again, or never.

Dynamic programming over hourly slots, solved anew after every answer. Value of having been refused at slot t with k attempts left:

    V_0(t) = 0
    V_k(t) = max(0, max over u > t of  p(u, u - t) D(u) W - c + (1 - p(u, u - t)) (V_(k-1)(u) - d))

with p the retry model's chance at slot u after a delay of u - t hours, D what is left of an approval's worth after waiting (shoppers
churn), W that worth, c the price of an attempt and d that of a refusal. Holding a budget of retries over many payments is one number
added to c (Lagrange: `retry_price_minor`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from honour.approval.retry_model import HOUR_US, Before, RetryModel, local_place
from honour.features.calendar import EPOCH_DAY, is_holiday
from honour.records.payment import Payment
from honour.records.route import Merchant

ATTEMPTS_AHEAD = 5
"""Attempts that a plan looks ahead; it is made anew after each."""
NEVER = -1e18


class Worth(NamedTuple):
    """What is at stake, minor units: an approval, an attempt whatever its answer, a refusal on top."""

    approval_minor: float
    attempt_minor: float
    refusal_minor: float


class Plan(NamedTuple):
    """What waiting is worth.

    p_now       chance of an attempt sent now, by the retry model
    then_minor  value of what is left if an attempt sent now is refused
    wait_us     the best later instant, its chance and the value of waiting for it; None when waiting is worth nothing
    """

    p_now: float
    then_minor: float
    wait_us: int | None
    p_wait: float
    wait_minor: float


def plan(
    payment: Payment,
    *,
    model: RetryModel,
    before: Before,
    refused_us: int,
    at_us: int,
    from_us: int,
    until_us: int,
    attempts_left: int | None,
    worth: Worth,
    terms: Merchant,
) -> Plan:
    """The best plan for a payment that was refused and that its merchant may try again without the shopper.

    refused_us      instant of the last answer
    from_us         nothing may be sent before
    until_us        nothing may be sent after: deadline or horizon
    attempts_left   None when nothing limits them
    """
    n_slots = max(1, int((until_us - at_us) // HOUR_US) + 1)
    slots_us = [at_us + hour * HOUR_US for hour in range(n_slots)]
    attempts = ATTEMPTS_AHEAD if attempts_left is None else min(attempts_left, ATTEMPTS_AHEAD)
    may = _may(payment, slots_us, from_us=from_us, terms=terms)
    since_h = max(0.0, (at_us - refused_us) / HOUR_US)
    odds = model.odds_of_slots(payment, before=before, slots_us=slots_us)
    first = model.odds_of_delays(before, hours=[since_h + hour for hour in range(n_slots)])
    later = model.odds_of_delays(before, hours=range(n_slots + 1))
    numbers = np.array([model.odds_of_number(before.number + ahead) for ahead in range(attempts)])
    left = np.exp(-terms.delay_cost_bps_per_day / 10_000.0 * np.arange(n_slots) / 24.0)
    solved = np.empty(4)
    prices = np.array([worth.approval_minor, worth.attempt_minor + terms.retry_price_minor, worth.refusal_minor])
    _solver()(odds, first, later, numbers, left, may, prices, solved)
    p_now, then, slot, value = solved.tolist()
    if slot < 1.0:
        return Plan(p_now, then, None, 0.0, 0.0)
    at = int(slot)
    chance = odds[at] * first[at] * numbers[0]
    return Plan(p_now, then, slots_us[at], float(chance / (1.0 + chance)), value)


def warm(model: RetryModel, *, year: int) -> None:
    """Compile, and read the holidays of the countries that the model knows, before the first payment waits for it."""
    _solver()(*[np.zeros(1)] * 3, np.ones(1), np.ones(1), np.ones(1, dtype=np.bool_), np.zeros(3), np.empty(4))
    for term in model.retry.weights if model.retry is not None else ():
        if term.startswith("country=") and "&" not in term:
            for month in (1, 12):
                is_holiday(term.removeprefix("country="), (date(year, month, 1) - EPOCH_DAY).days)


def quiet_until_us(country: str | None, *, at_us: int, quiet_hours: tuple[int, int] | None) -> int | None:
    """The next full hour that is not quiet, when `at_us` is in quiet hours; None when it is not."""
    if quiet_hours is None or not _is_quiet(local_place(country, at_us)[1], quiet_hours):
        return None
    until_us = at_us - at_us % HOUR_US + HOUR_US
    while _is_quiet(local_place(country, until_us)[1], quiet_hours):
        until_us += HOUR_US
    return until_us


def _may(payment: Payment, slots_us: Sequence[int], *, from_us: int, terms: Merchant) -> NDArray[np.bool_]:
    """Slots in which an attempt may be sent."""
    quiet = terms.quiet_hours
    if quiet is None:
        return np.array([at_us >= from_us for at_us in slots_us])
    country = payment.card.issuer_country
    return np.array([at_us >= from_us and not _is_quiet(local_place(country, at_us)[1], quiet) for at_us in slots_us])


def _is_quiet(hour: int, quiet_hours: tuple[int, int]) -> bool:
    begins, ends = quiet_hours
    return begins <= hour < ends if begins <= ends else hour >= begins or hour < ends


@cache
def _solver() -> Any:
    import numba  # Half a second, which only those pay who plan.

    try:
        return numba.njit(_solve, nogil=True, cache=True, error_model="numpy")
    except RuntimeError:  # No folder may be written to: compiled anew at each start.
        return numba.njit(_solve, nogil=True, error_model="numpy")


def _solve(odds: Any, first: Any, later: Any, numbers: Any, left: Any, may: Any, prices: Any, solved: Any) -> None:
    """Compiled. Fills `solved`: chance now, value after a refusal now, best later slot (0 for none) and its value."""
    n, attempts = len(odds), len(numbers)
    approval, price, refusal = prices
    values = np.zeros(n)  # V of the attempts that are left after this one.
    for k in range(1, attempts):
        number = numbers[attempts - k]
        before = np.zeros(n)
        for t in range(n - 1):
            best = 0.0
            for u in range(t + 1, n):
                if may[u]:
                    chance = odds[u] * later[u - t] * number
                    p = chance / (1.0 + chance)
                    value = p * left[u] * approval - price + (1.0 - p) * (values[u] - refusal)
                    if value > best:
                        best = value
            before[t] = best
        values = before
    now = odds[0] * first[0] * numbers[0]
    solved[0], solved[1], solved[2], solved[3] = now / (1.0 + now), values[0], 0.0, 0.0
    for u in range(1, n):
        if may[u]:
            chance = odds[u] * first[u] * numbers[0]
            p = chance / (1.0 + chance)
            value = p * left[u] * approval - price + (1.0 - p) * (values[u] - refusal)
            if value > solved[3]:
                solved[2], solved[3] = u, value

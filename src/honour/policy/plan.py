"""The plan of a refused payment: over the hours that are left and the attempts that are allowed, when to try again and with which
credential, or never.

Dynamic programming over hourly slots, solved anew after every answer. Value of having been refused at slot t with k attempts left:

    V_0(t) = 0
    V_k(t) = max(0, max over u > t and forms f of  p_f(u, u - t) D(u) W_f - c_f + (1 - p_f(u, u - t)) (V_(k-1)(u) - d_f))

with p_f the retry model's chance at slot u after a delay of u - t hours with credential form f, D what is left of an approval's worth
after waiting (shoppers churn), W_f that worth, c_f the price of an attempt and d_f that of a refusal. A plan changes the credential once:
after an attempt with another form than the last one's, V_(k-1) is that of attempts without a change. Holding a budget of retries over
many payments is one number added to c (Lagrange: `retry_price_minor`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from honour.approval.retry_model import HOUR_US, P_RENEWED, RENEWING, Before, RetryModel, is_about_card, local_place
from honour.features.calendar import EPOCH_DAY, is_holiday
from honour.records.payment import Payment
from honour.records.route import CredentialForm, Merchant

ATTEMPTS_AHEAD = 5
"""Attempts that a plan looks ahead; it is made anew after each."""
NEVER = -1e18


class Worth(NamedTuple):
    """What is at stake, minor units: an approval, an attempt whatever its answer, a refusal on top."""

    approval_minor: float
    attempt_minor: float
    refusal_minor: float


class Form(NamedTuple):
    """A credential form in which the payment could be sent again: from when on, and what is at stake then."""

    credential: CredentialForm
    from_us: int
    worth: Worth


class Now(NamedTuple):
    """An attempt sent now in one form: its chance by the retry model, and the value of what is left if it is refused."""

    p: float
    then_minor: float


class Plan(NamedTuple):
    """What waiting is worth.

    now      an attempt sent now, by credential form
    wait_us  the best later instant, with which credential, its chance and the value of waiting for it; None when waiting is worth nothing
    """

    now: dict[CredentialForm, Now]
    wait_us: int | None = None
    credential: CredentialForm | None = None
    p_wait: float = 0.0
    wait_minor: float = 0.0


class Problem(NamedTuple):
    """All that a plan is made of but the price of a retry, as arrays: (n_slots,) by hour from now, (n_forms,) by credential form.

    odds     of approval in a slot but for the delay; `first` and `later` are factors for the delay since the last answer, by hour
    numbers  factors for the number of an attempt, (n_attempts,)
    left     what is left of an approval's worth
    may      an attempt may be sent, (n_forms, n_slots)
    factors  of the odds in a form; `same` is that of the last answer
    worths   approval, attempt and refusal in a form, minor units, (n_forms, 3)
    """

    at_us: int
    forms: Sequence[Form]
    odds: NDArray[np.float64]
    first: NDArray[np.float64]
    later: NDArray[np.float64]
    numbers: NDArray[np.float64]
    left: NDArray[np.float64]
    may: NDArray[np.bool_]
    factors: NDArray[np.float64]
    same: NDArray[np.bool_]
    worths: NDArray[np.float64]


def problem(
    payment: Payment,
    *,
    model: RetryModel,
    before: Before,
    refused_us: int,
    at_us: int,
    forms: Sequence[Form],
    until_us: int,
    attempts_left: int | None,
    terms: Merchant,
) -> Problem:
    """What is asked of a payment that was refused and that its merchant may try again without the shopper.

    refused_us      instant of the last answer
    forms           in which it could be sent, each once
    until_us        nothing may be sent after: deadline or horizon
    attempts_left   None when nothing limits them
    """
    n_slots = max(1, int((until_us - at_us) // HOUR_US) + 1)
    slots_us = [at_us + hour * HOUR_US for hour in range(n_slots)]
    attempts = ATTEMPTS_AHEAD if attempts_left is None else min(attempts_left, ATTEMPTS_AHEAD)
    since_h = max(0.0, (at_us - refused_us) / HOUR_US)
    odds = model.odds_of_slots(payment, before=before, slots_us=slots_us)
    first = model.odds_of_delays(before, hours=[since_h + hour for hour in range(n_slots)])
    numbers = np.array([model.odds_of_number(before.number + ahead, before=before) for ahead in range(attempts)])
    loud = _loud(payment, slots_us, terms=terms)
    now_odds = float(odds[0] * first[0] * numbers[0])
    return Problem(
        at_us=at_us,
        forms=forms,
        odds=odds,
        first=first,
        later=model.odds_of_delays(before, hours=range(n_slots + 1)),
        numbers=numbers,
        left=np.exp(-terms.delay_cost_bps_per_day / 10_000.0 * np.arange(n_slots) / 24.0),
        may=np.array([loud & (np.array(slots_us) >= form.from_us) for form in forms]),
        factors=np.array([_factor(model, form.credential, before=before, now_odds=now_odds) for form in forms]),
        same=np.array([before.credential in (None, form.credential) for form in forms]),
        worths=np.array([form.worth for form in forms]),
    )


def plan(posed: Problem, *, retry_price_minor: float) -> Plan:
    """The best plan when every attempt costs `retry_price_minor` on top."""
    at_us, forms, *arrays, worths = posed
    nows, best = np.empty((2, len(forms))), np.empty(3)
    _solver()(*arrays, worths + np.array([0.0, retry_price_minor, 0.0]), nows, best)
    now = {form.credential: Now(p, then) for form, p, then in zip(forms, *nows.tolist(), strict=True)}
    slot, value, which = best.tolist()
    if slot < 1.0:
        return Plan(now)
    at, form = int(slot), int(which)
    chance = posed.odds[at] * posed.first[at] * posed.numbers[0] * posed.factors[form]
    return Plan(now, at_us + at * HOUR_US, forms[form].credential, float(chance / (1.0 + chance)), value)


def warm(model: RetryModel, *, year: int) -> None:
    """Compile, and read the holidays of the countries that the model knows, before the first payment waits for it."""
    one, yes = np.ones(1), np.ones(1, dtype=np.bool_)
    _solver()(one, one, np.ones(2), one, one, yes[None], one, yes, np.zeros((1, 3)), np.empty((2, 1)), np.empty(3))
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


def _loud(payment: Payment, slots_us: Sequence[int], *, terms: Merchant) -> NDArray[np.bool_]:
    """Slots outside the merchant's quiet hours."""
    quiet = terms.quiet_hours
    if quiet is None:
        return np.ones(len(slots_us), dtype=np.bool_)
    country = payment.card.issuer_country
    return np.array([not _is_quiet(local_place(country, at_us)[1], quiet) for at_us in slots_us])


def _factor(model: RetryModel, credential: CredentialForm, *, before: Before, now_odds: float) -> float:
    """Factor of the odds in this form. While the log says nothing of newer data after an answer about the card, what is published."""
    learned = model.odds_of_change(credential, before=before)
    if learned is not None:
        return learned
    renews = credential in RENEWING and is_about_card(before)
    return max(1.0, P_RENEWED / (1.0 - P_RENEWED) / max(now_odds, 1e-9)) if renews else 1.0


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


def _solve(
    odds: Any, first: Any, later: Any, numbers: Any, left: Any, may: Any, factors: Any, same: Any, prices: Any, solved: Any, best: Any
) -> None:
    """Compiled. Fills `solved` with chance now and value after a refusal now by form, `best` with slot (0 for none), value and form.

    A delay's factor changes at a few lengths only: values are worked out for each of them once, and then compared.
    """
    n, attempts, n_forms = len(odds), len(numbers), len(factors)
    ends = np.empty(n + 1, dtype=np.int64)  # Delays, hours, at which a step ends.
    n_steps = 0
    for delay in range(2, n + 1):
        if delay == n or later[delay] != later[delay - 1]:
            ends[n_steps] = delay
            n_steps += 1
    unchanged, anything = np.zeros(n), np.zeros(n)  # V of the attempts that are left after this one, without and with a change.
    for k in range(1, attempts):
        number = numbers[attempts - k]
        as_same, as_any = np.zeros((n_steps, n)), np.zeros((n_steps, n))
        begins = 1
        for step in range(n_steps):
            for u in range(begins, n):
                for form in range(n_forms):
                    if may[form, u]:
                        chance = odds[u] * later[begins] * number * factors[form]
                        p = chance / (1.0 + chance)
                        gain = p * left[u] * prices[form, 0] - prices[form, 1] - (1.0 - p) * prices[form, 2]
                        if same[form]:
                            as_same[step, u] = max(as_same[step, u], gain + (1.0 - p) * unchanged[u])
                            as_any[step, u] = max(as_any[step, u], gain + (1.0 - p) * anything[u])
                        else:
                            as_any[step, u] = max(as_any[step, u], gain + (1.0 - p) * unchanged[u])
            begins = ends[step]
        unchanged, anything = np.zeros(n), np.zeros(n)
        for t in range(n - 1):
            begins = 1
            most_same, most_any = 0.0, 0.0
            for step in range(n_steps):
                for u in range(t + begins, min(n, t + ends[step])):
                    most_same = max(most_same, as_same[step, u])
                    most_any = max(most_any, as_any[step, u])
                begins = ends[step]
            unchanged[t], anything[t] = most_same, most_any
    best[0], best[1], best[2] = 0.0, 0.0, 0.0
    for form in range(n_forms):
        now = odds[0] * first[0] * numbers[0] * factors[form]
        solved[0, form], solved[1, form] = now / (1.0 + now), anything[0] if same[form] else unchanged[0]
        for u in range(1, n):
            if may[form, u]:
                chance = odds[u] * first[u] * numbers[0] * factors[form]
                p = chance / (1.0 + chance)
                then = anything[u] if same[form] else unchanged[u]
                value = p * left[u] * prices[form, 0] - prices[form, 1] + (1.0 - p) * (then - prices[form, 2])
                if value > best[1]:
                    best[0], best[1], best[2] = u, value, form

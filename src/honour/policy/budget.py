"""A budget of retries over many payments, kept by one price that is added to every planned retry (a Lagrange multiplier).

With V_i(price) the value of the plan of refused payment i, what the price costs taken off, the dual of "most value with at most B
retries" is  min over price >= 0 of  sum of V_i(price) + price B.  V_i is convex and falls in the price, and its slope is minus the
expected number of retries of the plan (envelope theorem), so that the price is found by bisection on that number: no plan is enumerated.
Everett, "Generalized Lagrange multiplier method", Operations Research 11 (1963): the plans at that price are the best of all that make as
many retries, and no plans within the budget are worth more than price x (B - n) over them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from honour.approval.retry_model import Before, RetryModel
from honour.policy.plan import Form, Problem, plan, problem
from honour.records.payment import Payment
from honour.records.route import Merchant

STEPS = 16
"""Halvings of the price: to a sixty-thousandth of the first bracket, far above the nudge by which slopes are taken."""
_NUDGE = 1e-5


class Refused(NamedTuple):
    """A payment at the instant of a refusal: what its plan is made of."""

    payment: Payment
    before: Before
    refused_us: int
    until_us: int
    forms: tuple[Form, ...]
    attempts_left: int | None = None


class Priced(NamedTuple):
    """A price and what comes of it over the refusals that were asked about.

    n_retries    expected under the price; n_free without one
    value_minor  of their plans, the price not counted as a cost; value_free_minor without one
    gap_minor    no plans within the budget are worth more than this above `value_minor`
    """

    price_minor: float
    n_retries: float
    value_minor: float
    n_free: float
    value_free_minor: float
    gap_minor: float


def price_of_budget(
    refusals: Sequence[Refused],
    *,
    n_max: float,
    model: RetryModel,
    terms: Merchant,
    step: Callable[[int, int], object] | None = None,
) -> Priced:
    """The lowest price of a retry at which these refusals are expected to take at most `n_max` retries.

    step  called with (halvings done, halvings in all)
    """
    problems = _problems(refusals, model=model, terms=terms)
    n_free, value_free = _spent(problems, price_minor=0.0)
    if n_free <= n_max:
        return Priced(0.0, n_free, value_free, n_free, value_free, 0.0)
    low, high = 0.0, max(one.worth.approval_minor for refused in refusals for one in refused.forms)  # Nobody retries at this price.
    found = (high, 0.0, 0.0)
    for done in range(STEPS):
        if step is not None:
            step(done, STEPS)
        middle = (low + high) / 2.0
        n, value = _spent(problems, price_minor=middle)
        if n <= n_max:
            high, found = middle, (middle, n, value)
        else:
            low = middle
    price, n, value = found
    return Priced(price, n, value, n_free, value_free, price * (n_max - n))


def n_expected(refusals: Sequence[Refused], *, model: RetryModel, terms: Merchant, price_minor: float) -> float:
    """Retries that the plans of these refusals are expected to take at a price."""
    return _spent(_problems(refusals, model=model, terms=terms), price_minor=price_minor)[0]


def corrected_budget(n_max: float, *, n_planned: float, n_made: float) -> float:
    """The budget to plan with, after a time in which `n_made` retries were made where plans expected `n_planned` at the price in force.

    Plans count on the model's chances; where retries fail more often than it says, more of them follow. 3 times more or less at most.

    >>> corrected_budget(100.0, n_planned=50.0, n_made=100.0)
    50.0
    """
    return n_max * min(3.0, max(1.0 / 3.0, n_planned / n_made)) if n_planned > 0.0 and n_made > 0.0 else n_max


def _spent(problems: Sequence[Problem], *, price_minor: float) -> tuple[float, float]:
    """Expected retries, and their value before the price."""
    n = value = 0.0
    for posed in problems:
        at_price = plan(posed, retry_price_minor=price_minor).wait_minor
        mine = (at_price - plan(posed, retry_price_minor=price_minor + _NUDGE).wait_minor) / _NUDGE
        n += mine
        value += at_price + mine * price_minor
    return n, value


def _problems(refusals: Sequence[Refused], *, model: RetryModel, terms: Merchant) -> list[Problem]:
    return [
        problem(
            refused.payment,
            model=model,
            before=refused.before,
            refused_us=refused.refused_us,
            at_us=refused.refused_us,
            forms=refused.forms,
            until_us=refused.until_us,
            attempts_left=refused.attempts_left,
            terms=terms,
        )
        for refused in refusals
    ]

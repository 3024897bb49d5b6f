"""One price keeps a budget of retries: as good as the best choice of schedules there is, and in time even where the model is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, product

import msgspec
import numpy as np
import pytest

from honour.approval.retry_model import HOUR_US, AdditiveLogit, Before, RetryModel
from honour.policy.budget import Refused, corrected_budget, n_expected, price_of_budget
from honour.policy.plan import Form, Worth, plan, problem
from honour.records.payment import Card, Payment
from honour.records.route import Merchant

START_US = 1_772_366_400_000_000
TERMS = Merchant(delay_cost_bps_per_day=0.0)
MODEL = RetryModel(
    retry=AdditiveLogit(
        intercept=-1.5,
        weights={"after=51": 0.5, "after=05": -0.5, "delay>=6h": 0.6, "delay>=36h&funds": 1.0, "number>=3": -0.4, "number>=4": -0.4},
    )
)


def _refused(number: int, luck: np.random.Generator, *, hours: int, attempts: int) -> Refused:
    card = Card(card_id=f"crd_{number}", bin="411111", network="visa", funding="debit", issuer_country="BR")
    amount = int(luck.integers(300, 3_000))
    payment = Payment(payment_id=f"pay_{number}", merchant_id="mer_1", amount_minor=amount, currency="BRL", card=card, initiator="merchant")
    before = Before(2, "declined", str(luck.choice(["51", "05", "57"])), "pan")
    form = Form("pan", START_US, Worth(0.2 * amount, 12.0, 3.0))
    return Refused(payment, before, START_US, START_US + hours * HOUR_US, (form,), attempts)


def _schedules(refused: Refused, *, hours: int, attempts: int) -> Iterator[tuple[float, float]]:
    """Value and expected retries of every schedule of a payment."""
    assert MODEL.retry is not None
    worth = refused.forms[0].worth
    for n in range(attempts + 1):
        for chosen in combinations(range(1, hours + 1), n):
            value, retries, p_open, last = 0.0, 0.0, 1.0, 0
            for number, hour in enumerate(chosen, start=2):
                odds = MODEL.odds_of_slots(refused.payment, before=refused.before, slots_us=[START_US + hour * HOUR_US])[0]
                odds *= MODEL.odds_of_delays(refused.before, hours=[float(hour - last)])[0] * MODEL.odds_of_number(
                    number, before=refused.before
                )
                p, last = odds / (1.0 + odds), hour
                retries += p_open
                value += p_open * (p * worth.approval_minor - worth.attempt_minor - (1.0 - p) * worth.refusal_minor)
                p_open *= 1.0 - p
            yield value, retries


@pytest.mark.parametrize("seed", range(4))
def test_the_plans_at_the_price_are_worth_what_the_best_choice_of_schedules_is_but_for_the_gap_that_is_stated(seed: int) -> None:
    """The exact optimum is a knapsack in which each payment takes one of its schedules: every combination is tried."""
    luck = np.random.default_rng(seed)
    refusals = [_refused(number, luck, hours=4, attempts=2) for number in range(4)]
    choices = [list(_schedules(refused, hours=4, attempts=2)) for refused in refusals]
    for n_max in (0.5, 1.5, 2.5, 4.0):
        found = price_of_budget(refusals, n_max=n_max, model=MODEL, terms=TERMS)
        best = max(
            sum(value for value, _ in chosen) for chosen in product(*choices) if sum(retries for _, retries in chosen) <= n_max + 1e-9
        )
        assert found.n_retries <= n_max + 1e-6
        assert found.value_minor <= best + 1e-3
        assert best <= found.value_minor + found.gap_minor + 1e-3


def test_a_budget_that_nobody_needs_has_no_price_and_without_retries_none_are_worth_it() -> None:
    refusals = [_refused(number, np.random.default_rng(5), hours=24, attempts=3) for number in range(5)]
    ample = price_of_budget(refusals, n_max=50.0, model=MODEL, terms=TERMS)
    assert (ample.price_minor, ample.gap_minor, ample.value_minor) == (0.0, 0.0, ample.value_free_minor)
    none = price_of_budget(refusals, n_max=0.0, model=MODEL, terms=TERMS)
    assert none.n_retries == pytest.approx(0.0, abs=1e-6)


def test_among_many_payments_the_budget_is_used_up_and_hardly_anything_is_lost() -> None:
    luck = np.random.default_rng(7)
    refusals = [_refused(number, luck, hours=96, attempts=4) for number in range(60)]
    found = price_of_budget(refusals, n_max=40.0, model=MODEL, terms=TERMS)
    assert 36.0 < found.n_retries <= 40.0
    assert found.gap_minor < 0.01 * found.value_minor
    assert n_expected(refusals, model=MODEL, terms=TERMS, price_minor=found.price_minor) == pytest.approx(found.n_retries)


def _month(refusals: list[Refused], *, price_minor: float, truth: float, luck: np.random.Generator) -> int:
    """Retries that are made when each refused payment follows its plan, made anew after each answer; `truth` times the model's odds."""
    made = 0
    terms = msgspec.structs.replace(TERMS, retry_price_minor=price_minor)
    for refused in refusals:
        before, at_us = refused.before, refused.refused_us
        while True:
            found = plan(
                problem(
                    refused.payment,
                    model=MODEL,
                    before=before,
                    refused_us=at_us,
                    at_us=at_us,
                    forms=refused.forms,
                    until_us=refused.until_us,
                    attempts_left=None,
                    terms=terms,
                ),
                retry_price_minor=terms.retry_price_minor,
            )
            if found.wait_us is None:
                break
            made += 1
            odds = truth * found.p_wait / (1.0 - found.p_wait)
            if luck.random() < odds / (1.0 + odds):
                break
            before, at_us = before._replace(number=before.number + 1), found.wait_us
    return made


@pytest.mark.parametrize("truth", [0.4, 1.0, 2.0])
def test_the_budget_is_kept_month_after_month_by_what_was_made_in_the_month_before(truth: float) -> None:
    """Retries fail more, or less, often than the model says: the first month misses, those after it keep to the budget on average."""
    later = []
    for seed in range(5):
        luck = np.random.default_rng(seed)
        months = [[_refused(number, luck, hours=48, attempts=4) for number in range(150)] for _ in range(3)]
        found = price_of_budget(months[0], n_max=100.0, model=MODEL, terms=TERMS)
        made = _month(months[0], price_minor=found.price_minor, truth=truth, luck=luck)
        for before, now in ((months[0], months[1]), (months[1], months[2])):
            planned = n_expected(before, model=MODEL, terms=TERMS, price_minor=found.price_minor)
            budget = corrected_budget(100.0, n_planned=planned, n_made=made)
            found = price_of_budget(before, n_max=budget, model=MODEL, terms=TERMS)
            made = _month(now, price_minor=found.price_minor, truth=truth, luck=luck)
            later.append(made)
    half = 2.4 * np.std(later, ddof=1) / np.sqrt(len(later))
    assert np.mean(later) - half < 104.0
    assert 88.0 < np.mean(later) < 112.0

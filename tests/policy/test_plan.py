"""The plan is the best there is: equal to trying every schedule, within network rules, deadline and quiet hours."""

from __future__ import annotations

import math
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from honour.approval.retry_model import HOUR_US, P_RENEWED, AdditiveLogit, Before, RetryModel
from honour.policy.plan import Form, Plan, Worth, plan, problem, quiet_until_us
from honour.records.payment import Card, Payment
from honour.records.route import Merchant

START_US = 1_772_366_400_000_000  # Sunday 1 March 2026, 12:00 UTC.
REFUSED = Before(2, "declined", "51", "pan")
WORTH = Worth(200.0, 12.0, 3.0)


def _payment(country: str = "BR") -> Payment:
    card = Card(card_id="crd_1", bin="411111", network="visa", funding="debit", issuer_country=country)
    return Payment(payment_id="pay_1", merchant_id="mer_1", amount_minor=1_000, currency="BRL", card=card, initiator="merchant")


def _model(**weights: float) -> RetryModel:
    return RetryModel(retry=AdditiveLogit(intercept=-2.0, weights={name.replace("_over_", ">="): value for name, value in weights.items()}))


def _plan(
    model: RetryModel,
    *,
    hours: int = 8,
    attempts_left: int | None = 2,
    from_h: int = 0,
    terms: Merchant | None = None,
    worth: Worth = WORTH,
    forms: list[Form] | None = None,
    before: Before = REFUSED,
) -> Plan:
    terms = terms or Merchant(delay_cost_bps_per_day=0.0)
    posed = problem(
        _payment(),
        model=model,
        before=before,
        refused_us=START_US,
        at_us=START_US,
        forms=forms or [Form("pan", START_US + from_h * HOUR_US, worth)],
        until_us=START_US + hours * HOUR_US,
        attempts_left=attempts_left,
        terms=terms,
    )
    return plan(posed, retry_price_minor=terms.retry_price_minor)


def _value(schedule: tuple[int, ...], *, model: RetryModel, worth: Worth, last: int = 0, number: int = 2) -> float:
    """Expected profit of attempts at these hours, each made only if those before were refused."""
    if not schedule:
        return 0.0
    first, rest = schedule[0], schedule[1:]
    at_us = START_US + first * HOUR_US
    odds = model.odds_of_slots(_payment(), before=REFUSED, slots_us=[at_us])[0]
    odds *= model.odds_of_delays(REFUSED, hours=[float(first - last)])[0] * model.odds_of_number(number, before=REFUSED)
    p = odds / (1.0 + odds)
    later = _value(rest, model=model, worth=worth, last=first, number=number + 1)
    return float(p * worth.approval_minor - worth.attempt_minor + (1.0 - p) * (later - worth.refusal_minor))


@settings(max_examples=40, deadline=None)
@given(
    after_1=st.floats(-1.0, 2.0),
    after_6=st.floats(-1.0, 2.0),
    night=st.floats(-2.0, 1.0),
    second=st.floats(-2.0, 0.5),
    attempts=st.integers(1, 3),
)
def test_no_schedule_of_attempts_is_worth_more_than_the_plan(
    after_1: float, after_6: float, night: float, second: float, attempts: int
) -> None:
    weights = {"delay>=1h": after_1, "delay>=6h&funds": after_6, "hour=3": night, "number>=3": second, "number>=4": second}
    model, worth = RetryModel(retry=AdditiveLogit(intercept=-1.0, weights=weights)), Worth(200.0, 12.0, 3.0)
    schedules = [hours for n in range(attempts + 1) for hours in combinations(range(1, 9), n)]
    best = max(_value(hours, model=model, worth=worth) for hours in schedules)
    found = _plan(model, attempts_left=attempts, worth=worth)
    assert found.wait_minor == pytest.approx(best, abs=1e-9)
    if attempts > 1:
        after_now = max(_value(hours, model=model, worth=worth, number=3) for hours in schedules if len(hours) < attempts)
        assert found.now["pan"].then_minor == pytest.approx(after_now, abs=1e-9)


CHANGED = Before(2, "declined", "54", "pan")


def _best_with_change(schedule: tuple[int, ...], *, model: RetryModel, updated: Worth) -> float:
    """Highest profit of attempts at these hours when one of them, or none, is sent with the updated number instead of the one on file."""

    def value(at: int, last: int, *, spent: bool) -> float:
        if at == len(schedule):
            return 0.0
        hour, options = schedule[at], []
        odds = model.odds_of_slots(_payment(), before=CHANGED, slots_us=[START_US + hour * HOUR_US])[0]
        odds *= model.odds_of_delays(CHANGED, hours=[float(hour - last)])[0] * model.odds_of_number(2 + at, before=CHANGED)
        for worth, factor, changes in ((WORTH, 1.0, False), (updated, model.odds_of_change("updated_pan", before=CHANGED), True)):
            if not (changes and spent):
                p = odds * (factor or 1.0) / (1.0 + odds * (factor or 1.0))
                later = value(at + 1, hour, spent=spent or changes)
                options.append(p * worth.approval_minor - worth.attempt_minor + (1.0 - p) * (later - worth.refusal_minor))
        return max(options)

    return value(0, 0, spent=False)


@settings(max_examples=25, deadline=None)
@given(
    change=st.floats(-1.0, 4.0),
    after_1=st.floats(-1.0, 1.0),
    after_6=st.floats(-1.0, 1.0),
    price=st.floats(0.0, 40.0),
    attempts=st.integers(1, 3),
)
def test_no_schedule_with_a_change_of_credential_is_worth_more_than_the_plan(
    change: float, after_1: float, after_6: float, price: float, attempts: int
) -> None:
    weights = {"delay>=1h": after_1, "delay>=6h&other": after_6, "changed=updated_pan&card": change, "number>=3": -0.3, "number>=4": -0.3}
    model = RetryModel(retry=AdditiveLogit(intercept=-2.0, weights=weights))
    updated = Worth(200.0, 12.0 + price, 3.0)
    schedules = [hours for n in range(attempts + 1) for hours in combinations(range(1, 8), n)]
    best = max(_best_with_change(hours, model=model, updated=updated) for hours in schedules)
    forms = [Form("pan", START_US, WORTH), Form("updated_pan", START_US, updated)]
    found = _plan(model, hours=7, attempts_left=attempts, forms=forms, before=CHANGED)
    assert found.wait_minor == pytest.approx(best, abs=1e-9)


def test_until_the_log_says_newer_data_after_an_answer_about_the_card_are_taken_to_be_worth_what_is_published() -> None:
    forms = [Form("pan", START_US, WORTH), Form("updated_pan", START_US, WORTH), Form("network_token", START_US, WORTH)]
    about_card = _plan(_model(), forms=forms, before=CHANGED)
    assert about_card.now["updated_pan"].p == about_card.now["network_token"].p == pytest.approx(P_RENEWED)
    assert about_card.now["pan"].p < 0.2
    no_funds = _plan(_model(), forms=forms)
    assert no_funds.now["updated_pan"].p == no_funds.now["pan"].p
    learned = _plan(_model(**{"changed=updated_pan&card": 4.0}), forms=forms, before=CHANGED)
    assert learned.now["updated_pan"].p == pytest.approx(1.0 / (1.0 + math.exp(-2.0)))


def test_a_form_is_not_planned_before_it_may_be_sent() -> None:
    model = _model(**{"changed=updated_pan&card": 3.0})
    forms = [Form("pan", START_US, WORTH), Form("updated_pan", START_US + 5 * HOUR_US, WORTH)]
    found = _plan(model, forms=forms, before=CHANGED, attempts_left=1)
    assert (found.wait_us, found.credential) == (START_US + 5 * HOUR_US, "updated_pan")


def test_what_is_worth_nothing_is_not_waited_for() -> None:
    found = _plan(_model(), worth=Worth(50.0, 12.0, 3.0))
    assert (found.wait_us, found.wait_minor) == (None, 0.0)


def test_nothing_is_planned_before_the_network_allows_it_nor_in_quiet_hours() -> None:
    better_at_once = _model(**{"delay>=1h": 3.0, "delay>=6h": -1.0})
    assert _plan(better_at_once).wait_us == START_US + HOUR_US
    assert _plan(better_at_once, from_h=3).wait_us == START_US + 3 * HOUR_US
    # 13:00 UTC is 10:00 in Brazil.
    quiet = Merchant(delay_cost_bps_per_day=0.0, quiet_hours=(10, 12))
    assert _plan(better_at_once, terms=quiet).wait_us == START_US + 3 * HOUR_US


def test_the_price_of_a_retry_and_the_cost_of_delay_make_plans_shorter() -> None:
    model = _model(**{"delay>=36h&funds": 3.0})
    patient = _plan(model, hours=96)
    assert patient.wait_us is not None
    assert patient.wait_us >= START_US + 36 * HOUR_US
    dear = _plan(model, hours=96, terms=Merchant(delay_cost_bps_per_day=0.0, retry_price_minor=200.0))
    assert dear.wait_us is None
    hurried = _plan(model, hours=96, terms=Merchant(delay_cost_bps_per_day=1_000.0))
    assert hurried.wait_minor == pytest.approx(patient.wait_minor * math.exp(-0.15), rel=0.1)


@pytest.mark.parametrize(
    ("quiet", "hour_utc", "until_utc"), [((22, 7), 23, 7), ((22, 7), 3, 7), ((22, 7), 12, None), (None, 3, None), ((9, 10), 9, 10)]
)
def test_quiet_hours_end_at_their_end_across_midnight_too(quiet: tuple[int, int] | None, hour_utc: int, until_utc: int | None) -> None:
    midnight_us = START_US - 12 * HOUR_US
    until_us = quiet_until_us(None, at_us=midnight_us + hour_utc * HOUR_US + 60_000_000, quiet_hours=quiet)
    assert (None if until_us is None else until_us // HOUR_US % 24) == until_utc

"""The retry model finds what followed refusals in data that were made to a known law, and is silent about what it never saw."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow ships no types
import pytest

from honour.approval.retry_model import AdditiveLogit, Before, RetryModel, delay_terms
from honour.learning.retry import fit_retry_model
from honour.records.payment import Card, Payment
from honour.records.route import Candidate

DAY_US = 86_400_000_000
START_US = 1_767_225_600_000_000
CARD = Card(card_id="crd_1", bin="411111", network="visa", funding="debit", issuer="iss_1", issuer_country="DE")


def _table(n: int, *, seed: int) -> pa.Table:
    """Renewals and purchases: an attempt, refused with 51 or 1A, and one more after a delay; chances are known."""
    luck = np.random.default_rng(seed)
    rows = []
    for number in range(n):
        is_renewal = bool(luck.random() < 0.5)
        at_us = START_US + number * 60 * DAY_US // n
        form = "none" if is_renewal or luck.random() < 0.5 else "three_ds"
        code = "51" if is_renewal else ("1A" if form == "none" else None)
        first = {"payment_id": f"p{number}", "at_us": at_us, "approved": 0, "authentication": form, "attempt_number": 1}
        rest = {"payment_last_status": None, "payment_last_response_code": None, "payment_seconds_since_answer": None}
        initiator = "merchant" if is_renewal else "customer"
        rows.append({**first, **rest, "initiator": initiator})
        if code is None:
            continue  # The shopper left the challenge.
        waited_h = float(luck.choice([2.0, 48.0])) if is_renewal else 0.01
        p = {2.0: 0.1, 48.0: 0.5, 0.01: 0.8}[waited_h]
        then_us = at_us + int(waited_h * 3.6e9)
        answer = {"payment_last_status": "declined", "payment_last_response_code": code, "payment_seconds_since_answer": waited_h * 3600}
        second = {
            "payment_id": f"p{number}",
            "at_us": then_us,
            "approved": int(luck.random() < p),
            "authentication": "three_ds" if code == "1A" else "none",
        }
        rows.append({**second, **answer, "attempt_number": 2, "initiator": initiator})
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    same = {"merchant_id": "mer_1", "amount_minor": 1_000, "currency": "EUR", "network": "visa", "funding": "debit", "issuer_country": "DE"}
    same |= {"credential": "pan", "issuer": "iss_1", "risk_score": 0.1}
    return pa.table({**columns, **{name: [value] * len(rows) for name, value in same.items()}})


@pytest.fixture(scope="module")
def model() -> RetryModel:
    return fit_retry_model(_table(6_000, seed=1))


def test_recovery_is_that_of_the_form_that_was_sent(model: RetryModel) -> None:
    payment = Payment(payment_id="p", merchant_id="mer_1", amount_minor=1_000, currency="EUR", card=CARD, risk_score=0.1)
    forms = [Candidate("r", "none", "pan"), Candidate("r", "three_ds", "pan")]
    assert model.p_recovered(payment, forms, before=Before()) == pytest.approx([0.8, 0.0], abs=0.04)


def test_the_hazard_follows_the_delay(model: RetryModel) -> None:
    payment = Payment(payment_id="p", merchant_id="mer_1", amount_minor=1_000, currency="EUR", card=CARD, initiator="merchant")
    before = Before(2, "declined", "51")
    delays = model.odds_of_delays(before, hours=[2.0, 48.0])
    instants = [START_US + hour * 3_600_000_000 + 20 * DAY_US for hour in range(0, 24 * 28, 5)]
    odds = model.odds_of_slots(payment, before=before, slots_us=instants).mean() * delays * model.odds_of_number(2, before=before)
    assert odds / (1.0 + odds) == pytest.approx([0.1, 0.5], abs=0.05)


def _changed(n: int, *, seed: int) -> pa.Table:
    """Renewals refused with 54 or 51 on the card number, and again a day later with the same number or an updated one."""
    luck = np.random.default_rng(seed)
    columns: dict[str, list[object]] = {name: [] for name in _table(2, seed=1).column_names}
    chance = {("54", "pan"): 0.1, ("54", "updated_pan"): 0.6, ("51", "pan"): 0.3, ("51", "updated_pan"): 0.3}
    for number in range(n):
        code, form = ("54", "51")[luck.integers(2)], ("pan", "updated_pan")[luck.integers(2)]
        at_us = START_US + number * 60 * DAY_US // n
        known = {"payment_id": f"p{number}", "authentication": "none", "merchant_id": "mer_1", "amount_minor": 1_000, "currency": "EUR"}
        known |= {"network": "visa", "funding": "debit", "issuer": "iss_1", "issuer_country": "DE", "initiator": "merchant"}
        first = {"at_us": at_us, "approved": 0, "credential": "pan", "attempt_number": 1}
        again = {"at_us": at_us + DAY_US, "approved": int(luck.random() < chance[code, form]), "credential": form, "attempt_number": 2}
        again |= {"payment_last_status": "declined", "payment_last_response_code": code, "payment_seconds_since_answer": 86_400.0}
        for row in (first, again):
            for name, values in columns.items():
                values.append({**known, "risk_score": 0.1, **row}.get(name))
    return pa.table(columns)


def test_a_change_of_credential_has_a_chance_of_its_own_after_each_kind_of_answer() -> None:
    model = fit_retry_model(_changed(6_000, seed=2))
    payment = Payment(payment_id="p", merchant_id="mer_1", amount_minor=1_000, currency="EUR", card=CARD, initiator="merchant")
    instants = [START_US + hour * 3_600_000_000 + 20 * DAY_US for hour in range(0, 24 * 28, 5)]
    for code, truth in (("54", [0.1, 0.6]), ("51", [0.3, 0.3])):
        before = Before(2, "declined", code, "pan")
        odds = model.odds_of_slots(payment, before=before, slots_us=instants).mean() * model.odds_of_delays(before, hours=[24.0])[0]
        factors = [model.odds_of_change(form, before=before) for form in ("pan", "updated_pan")]
        found = [odds * factor * model.odds_of_number(2, before=before) for factor in factors if factor is not None]
        assert [each / (1.0 + each) for each in found] == pytest.approx(truth, abs=0.05)
    assert model.odds_of_change("network_token", before=Before(2, "declined", "54", "pan")) is None


def _renewals(n: int, *, seed: int, code: str = "51", days: int = 60, chance: Callable[[float, int], float]) -> pa.Table:
    """Renewals refused with `code` and tried again after 24 or 48 hours, or as `chance` says of other waits, from New Year on.

    chance  P(approved) by hours waited and day of the month in Germany; a wait of chance 0 is never tried
    """
    luck = np.random.default_rng(seed)
    waits = [hours for hours in (2.0, 24.0, 48.0) if chance(hours, 1) > 0.0]
    columns: dict[str, list[object]] = {name: [] for name in _table(2, seed=1).column_names}
    known = {"authentication": "none", "merchant_id": "mer_1", "amount_minor": 1_000, "currency": "EUR", "network": "visa"}
    known |= {
        "funding": "debit",
        "issuer": "iss_1",
        "issuer_country": "DE",
        "initiator": "merchant",
        "credential": "pan",
        "risk_score": 0.1,
    }
    for number in range(n):
        waited_h = float(luck.choice(waits))
        at_us = START_US + number * days * DAY_US // n
        then_us = at_us + int(waited_h * 3.6e9)
        day = datetime.fromtimestamp(then_us / 1e6, tz=ZoneInfo("Europe/Berlin")).day
        first = {"at_us": at_us, "approved": 0, "attempt_number": 1}
        again = {"at_us": then_us, "approved": int(luck.random() < chance(waited_h, day)), "attempt_number": 2}
        again |= {"payment_last_status": "declined", "payment_last_response_code": code, "payment_seconds_since_answer": waited_h * 3600}
        for row in (first, again):
            for name, values in columns.items():
                values.append({**known, "payment_id": f"p{number}", **row}.get(name))
    return pa.table(columns)


def _said(model: RetryModel, *, days: Iterable[int] = range(1, 29), waited_h: float, number: int = 2, code: str = "51") -> float:
    """What the model says of noon of these days of January 2026, on average."""
    payment = Payment(payment_id="p", merchant_id="mer_1", amount_minor=1_000, currency="EUR", card=CARD, initiator="merchant")
    before = Before(number, "declined", code, "pan")
    instants = [START_US + (day - 1) * DAY_US + DAY_US // 2 for day in days]
    return float(np.mean([model.p_retry(payment, before=before, credential="pan", at_us=at_us, waited_h=waited_h) for at_us in instants]))


def test_a_wait_that_the_log_never_tried_does_not_look_as_good_as_those_that_it_did() -> None:
    model = fit_retry_model(_renewals(4_000, seed=3, chance=lambda hours, _: 0.0 if hours < 24.0 else 0.3))
    tried, never = (_said(model, waited_h=hours) for hours in (24.0, 2.0))
    assert tried == pytest.approx(0.3, abs=0.05)
    assert never < 0.1
    of_a_fault = fit_retry_model(_renewals(4_000, seed=3, code="91", chance=lambda hours, _: 0.0 if hours < 24.0 else 0.3))
    assert _said(of_a_fault, waited_h=2.0, code="91") == pytest.approx(0.3, abs=0.05)


def test_the_second_try_of_a_shopper_who_waits_says_nothing_of_renewals() -> None:
    renewals = _renewals(4_000, seed=3, code="05", chance=lambda hours, _: 0.0 if hours < 24.0 else 0.3)
    shoppers = _renewals(4_000, seed=6, code="05", chance=lambda hours, _: 0.9 if hours < 24.0 else 0.0).to_pylist()
    rows = [{**row, "payment_id": f"s{row['payment_id']}", "initiator": "customer"} for row in shoppers]
    model = fit_retry_model(pa.concat_tables([renewals, pa.Table.from_pylist(rows, schema=renewals.schema)]))
    assert _said(model, waited_h=2.0, code="05") < 0.1
    assert _said(model, waited_h=24.0, code="05") == pytest.approx(0.3, abs=0.05)


def test_a_log_in_which_short_waits_succeed_overrules_what_was_believed_of_them() -> None:
    model = fit_retry_model(_renewals(4_000, seed=4, chance=lambda hours, _: 0.5 if hours < 24.0 else 0.3))
    assert [_said(model, waited_h=hours) for hours in (2.0, 24.0)] == pytest.approx([0.5, 0.3], abs=0.05)


def test_each_attempt_beyond_those_of_the_log_has_less_of_a_chance() -> None:
    model = fit_retry_model(_renewals(4_000, seed=3, chance=lambda hours, _: 0.0 if hours < 24.0 else 0.3))
    chances = [_said(model, waited_h=48.0, number=number) for number in range(2, 9)]
    assert all(later < 0.75 * earlier for earlier, later in pairwise(chances))


def test_a_day_of_the_month_on_which_money_comes_is_learned_though_no_table_of_paydays_has_it() -> None:
    model = fit_retry_model(_renewals(6_000, seed=5, chance=lambda hours, day: 0.0 if hours < 24.0 else 0.6 if 10 <= day <= 12 else 0.2))
    said = [_said(model, days=days, waited_h=48.0) for days in (range(1, 10), (10, 11, 12), range(13, 29))]
    assert said == pytest.approx([0.2, 0.6, 0.2], abs=0.07)


def test_what_one_month_alone_has_shown_of_its_days_is_not_taken_for_a_habit() -> None:
    model = fit_retry_model(
        _renewals(6_000, seed=5, days=28, chance=lambda hours, day: 0.0 if hours < 24.0 else 0.6 if 10 <= day <= 12 else 0.2)
    )
    assert model.retry is not None
    assert [term for term in model.retry.weights if term.startswith("monthday")] == []


def test_what_was_never_seen_weighs_nothing(model: RetryModel) -> None:
    assert model.retry is not None
    assert model.retry.logit(["after=Q9", "country=ZZ"]) == model.retry.intercept


def test_too_little_history_learns_nothing_rather_than_something_wrong() -> None:
    assert fit_retry_model(_table(60, seed=1)) == RetryModel(recovery=None, retry=None)
    payment = Payment(payment_id="p", merchant_id="mer_1", amount_minor=1_000, currency="EUR", card=CARD)
    assert RetryModel().p_recovered(payment, [Candidate("r", "none", "pan")], before=Before()) == [0.0]


def test_delays_add_up_step_by_step() -> None:
    steps = AdditiveLogit(intercept=0.0, weights={"delay>=1h": 1.0, "delay>=6h": 0.5, "delay>=6h&funds": 0.25})
    before = Before(2, "declined", "51")
    factors = RetryModel(retry=steps).odds_of_delays(before, hours=[0.5, 2.0, 7.0])
    assert np.log(factors) == pytest.approx([0.0, 1.0, 1.75])
    assert [steps.logit(delay_terms(hours, before=before)) for hours in (0.5, 2.0, 7.0)] == pytest.approx([0.0, 1.0, 1.75])

"""A retry model is calibrated by delay on a month it was not fitted on, in a world whose causes it does not know."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow ships no types
import pytest

from honour.approval.retry_model import AdditiveLogit, Before, RetryModel
from honour.learning.retry import fit_retry_model
from honour.learning.retry_judge import N_MIN, RetryRow, judge_retries
from honour.records.instant import to_us
from honour.records.payment import Card, Payment
from honour.simulator import scenario
from honour.simulator.baselines.rule import STOP, Asked, Choice, RuledPolicy, plain_form
from honour.simulator.draw import Draws
from honour.simulator.play import history
from honour.simulator.world import World

HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US
WAITS_H = (3.0, 12.0, 30.0, 48.0, 72.0, 110.0, 170.0)


def _at_random(world: World) -> RuledPolicy:
    """Renewals on any route, refused ones again after any of the waits, three times at most."""
    draws = Draws(world.seed, purpose="random waits")
    due: dict[tuple[str, int], int] = {}

    def rule(asked: Asked) -> Choice:
        payment, n_before = asked.payment, len(asked.trail.tried)
        if payment.initiator == "customer" or n_before > 3 or not asked.able:
            return STOP
        u = draws.of(f"{payment.payment_id}/{n_before}")
        if n_before:
            key = (payment.payment_id, n_before)
            until_us = due.setdefault(key, asked.at_us + round(WAITS_H[int(u[0] * len(WAITS_H))] * HOUR_US))
            if asked.at_us < until_us:
                return Choice(None, wait_until_us=until_us)
        return Choice(plain_form(payment, route=asked.able[int(u[1] * len(asked.able))], trail=asked.trail))

    return RuledPolicy(rule, routes=world.routes, attempts_max=4)


def _rows(world: World) -> Iterator[dict[str, Any]]:
    """Attempts as a training set has them: what was known of the payment when each was sent."""
    last: dict[str, tuple[int, str, str | None, int]] = {}
    for event in history(world, policy=_at_random(world)):
        attempt = event.attempt
        payment, at_us = attempt.payment, to_us(attempt.attempted_at)
        number, status, code, answered_us = last.get(payment.payment_id, (1, None, None, None))
        last[payment.payment_id] = (number + 1, attempt.status, attempt.response_code, to_us(attempt.happened_at or attempt.attempted_at))
        yield {
            "payment": payment,
            "payment_id": payment.payment_id,
            "at_us": at_us,
            "approved": int(attempt.status == "approved"),
            "authentication": attempt.authentication,
            "credential": attempt.credential,
            "attempt_number": number,
            "payment_last_status": status,
            "payment_last_response_code": code,
            "payment_seconds_since_answer": None if answered_us is None else (at_us - answered_us) / 1e6,
            **{name: getattr(payment, name) for name in ("merchant_id", "amount_minor", "currency", "initiator", "risk_score")},
            **{name: getattr(payment.card, name) for name in ("network", "funding", "issuer", "issuer_country")},
        }


def _retries(rows: list[dict[str, Any]]) -> list[RetryRow]:
    return [
        RetryRow(
            row["payment"],
            Before(row["attempt_number"], row["payment_last_status"], row["payment_last_response_code"], row["credential"]),
            row["credential"],
            row["at_us"],
            row["payment_seconds_since_answer"] / 3_600.0,
            bool(row["approved"]),
        )
        for row in rows
        if row["payment_seconds_since_answer"] is not None
    ]


@pytest.mark.slow
@pytest.mark.truth
def test_on_a_later_month_of_a_world_it_does_not_know_the_model_is_calibrated_at_every_delay() -> None:
    renewals = scenario.Scenario(
        name="renewals", start=scenario.load("payday").start, days=90.0, payments_per_day=90.0, funds_tight=0.5, recurring_share=0.97
    )
    world = World(renewals, seed=611)
    rows = list(_rows(world))
    split_us = renewals.start_us + 60 * DAY_US
    early = [{name: value for name, value in row.items() if name != "payment"} for row in rows if row["at_us"] < split_us]
    model = fit_retry_model(pa.Table.from_pylist(early))
    later = _retries([row for row in rows if row["at_us"] >= split_us])
    found = judge_retries(later, model=model)
    assert len(found) >= 6
    assert sum(one.n for one in found) > 1_000
    for one in found:
        assert one.gap.low - 0.03 < 0.0 < one.gap.high + 0.03, one
    # Seven intervals of 95 %: more than two that miss would be no accident.
    assert sum(not one.gap.low <= 0.0 <= one.gap.high for one in found) <= 2
    base = np.mean([row.approved for row in later])
    said = [
        model.p_retry(row.payment, before=row.before, credential=row.credential, at_us=row.at_us, waited_h=row.waited_h) for row in later
    ]

    def loss(p: list[float]) -> float:
        return -float(np.mean([math.log(each if row.approved else 1.0 - each) for each, row in zip(p, later, strict=True)]))

    assert loss(said) < loss([float(base)] * len(later))


def test_a_model_that_promises_too_much_at_one_delay_is_found_out_there_and_only_there() -> None:
    card = Card(card_id="crd_1", bin="411111", network="visa", issuer_country="DE")
    luck = np.random.default_rng(3)
    truth = RetryModel(retry=AdditiveLogit(intercept=-1.0, weights={"delay>=18h": 0.8}))
    wrong = RetryModel(retry=AdditiveLogit(intercept=-1.0, weights={"delay>=18h": 0.8, "delay>=60h": 1.0}))
    rows = []
    for number in range(2_000):
        payment = Payment(
            payment_id=f"pay_{number}", merchant_id="mer_1", amount_minor=100, currency="EUR", card=card, initiator="merchant"
        )
        before, waited_h = Before(2, "declined", "05", "pan"), float(luck.choice([3.0, 30.0, 70.0]))
        p = truth.p_retry(payment, before=before, credential="pan", at_us=0, waited_h=waited_h)
        rows.append(RetryRow(payment, before, "pan", 0, waited_h, bool(luck.random() < p)))
    assert [one.gap.value for one in judge_retries(rows, model=truth)] == pytest.approx([0.0, 0.0, 0.0], abs=0.06)
    assert [one.gap.low > 0.1 for one in judge_retries(rows, model=wrong)] == [False, False, True]
    assert judge_retries(rows[: N_MIN - 1], model=truth) == ()
    assert judge_retries(rows, model=RetryModel()) == ()

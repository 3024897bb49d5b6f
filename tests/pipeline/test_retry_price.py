"""From a log to the price of a retry: refusals that may be tried again, retries that were made, and a price that fits the budget."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from honour.approval.retry_model import AdditiveLogit, RetryModel
from honour.errors import BadInput
from honour.outcomes.refusals import Refusals
from honour.outcomes.state import State
from honour.pipeline.retry_price import RetryPrice, retry_price
from honour.records.attempt import Attempt, Outcome
from honour.records.decision import DecisionRequest
from honour.records.event import AttemptReported
from honour.records.instant import to_us
from honour.records.payment import Card, Initiator, Payment
from honour.records.route import Merchant, Route, RouteCost
from honour.records.settings import DataSettings, Settings
from honour.serving.hot_path import Engine
from honour.stores.memory import MemoryLog
from honour.stores.opening import open_log

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY_US = 86_400_000_000
MODEL = RetryModel(retry=AdditiveLogit(intercept=-1.0, weights={"after=51": 0.2, "delay>=18h": 0.5, "number>=3": -0.5, "number>=4": -0.5}))
ROUTES = (Route(id="acq_a", cost=RouteCost(attempt_minor=10.0)),)


def _payment(number: int, *, merchant: str = "mer_1", initiator: Initiator = "merchant", amount: int = 2_000) -> Payment:
    card = Card(card_id=f"crd_{number}", bin="411111", network="visa", funding="debit", issuer_country="DE")
    return Payment(payment_id=f"pay_{number}", merchant_id=merchant, amount_minor=amount, currency="EUR", card=card, initiator=initiator)


def _settings(folder: Path) -> Settings:
    return Settings(
        data=DataSettings(dir=str(folder)), routes=ROUTES, merchants={"mer_1": Merchant(margin_bps=1_000, retry_horizon_days=5)}
    )


def _log(folder: Path, *, n: int) -> Settings:
    """Refused renewals of a month, one in ten with an answer that forbids another attempt; and some that are not the merchant's."""
    settings, luck = _settings(folder), np.random.default_rng(1)
    with closing(open_log(settings.data)) as log:
        for number in range(n):
            at = START + timedelta(days=30.0 * number / n)
            payment = _payment(
                number,
                merchant="mer_2" if number % 7 == 0 else "mer_1",
                initiator="customer" if number % 5 == 0 else "merchant",
                amount=int(luck.integers(300, 4_000)),
            )
            code = "41" if number % 10 == 0 else "51"
            attempt = Attempt(
                attempt_id=f"att_{number}", payment=payment, route="acq_a", attempted_at=at, status="declined", response_code=code
            )
            log.append(AttemptReported(attempt=attempt), arrived_us=to_us(at))
    return settings


def _priced(settings: Settings, *, retries: float, merchant: str = "mer_1") -> RetryPrice:
    return retry_price(settings, model=MODEL, merchant_id=merchant, retries_per_month=retries, days=30.0, step=lambda *_: None)


def test_fewer_retries_cost_a_price_and_the_plans_that_are_left_are_worth_most(tmp_path: Path) -> None:
    settings = _log(tmp_path, n=150)
    free = _priced(settings, retries=10_000)
    assert (free.retry_price_minor, free.n_expected) == (0.0, free.n_free)
    half = _priced(settings, retries=free.n_free / 2)
    assert half.retry_price_minor > 0.0
    assert 0.4 * free.n_free < half.n_expected <= 0.5 * free.n_free
    assert half.value_minor > 0.65 * free.value_minor
    assert half.gap_minor < 0.05 * half.value_minor
    assert (half.n_made, half.n_planned) == (None, None)


def test_only_refusals_that_may_be_tried_again_of_payments_that_the_merchant_started_are_planned(tmp_path: Path) -> None:
    found = _priced(_log(tmp_path, n=140), retries=10.0)
    theirs = [number for number in range(140) if number % 7 and number % 5 and number % 10]
    assert found.n_refused == len(theirs)


def test_a_merchant_without_refusals_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no refusal of a payment that it started"):
        _priced(_log(tmp_path, n=20), retries=10.0, merchant="mer_9")


def test_retries_that_honour_made_are_counted_apart_from_those_it_did_not_choose() -> None:
    settings, log = _settings(Path(".")), MemoryLog()
    engine = Engine(settings, log=log, state=State())
    payment = _payment(1)
    for day, code in ((0, "05"), (2, "05"), (4, "05")):
        at = START + timedelta(days=day)
        decision = engine.decide(DecisionRequest(payment=payment, at=at)).answer
        assert decision.action == "attempt"
        outcome = Outcome(decision_id=decision.decision_id, status="declined", response_code=code, happened_at=at, at=at)
        engine.report_outcome(outcome)
    own = Attempt(
        attempt_id="own", payment=payment, route="acq_a", attempted_at=START + timedelta(days=6), status="declined", response_code="05"
    )
    engine.report_attempt(own)
    found = Refusals(settings, merchant_id="mer_1", since_us=to_us(START) - DAY_US)
    for logged in log.read():
        found.apply(logged)
    assert (found.n_retries, found.n_other, len(found.refused)) == (2, 1, 1)
    assert found.refused[0].before.number == 2
    late = Refusals(settings, merchant_id="mer_1", since_us=to_us(START) + 3 * DAY_US)
    for logged in log.read():
        late.apply(logged)
    assert (late.n_retries, late.n_other, len(late.refused)) == (1, 1, 0)

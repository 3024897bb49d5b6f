"""The whole engine under answers of every kind, against the reading of the rules that judges policies in the simulated world."""

from __future__ import annotations

import random
from typing import NamedTuple

import msgspec
import pytest
from shop import NOON_US, SETTINGS, Fixed

from honour.networks.codes import code_rows
from honour.outcomes.state import State
from honour.records.attempt import Outcome, Status
from honour.records.decision import DecisionRequest
from honour.records.payment import Card, Network, Payment
from honour.serving.hot_path import Engine
from honour.simulator.audit import Audit
from honour.stores.memory import MemoryLog

HOUR_US = 3_600_000_000
CODES = sorted({row.code for row in code_rows() if row.signal == "response_code" and row.decline_reason != "approved"})
ADVICE = sorted({row.code for row in code_rows() if row.signal == "merchant_advice_code"})


class Told(NamedTuple):
    """What came back of an attempt."""

    status: Status
    code: str | None
    advice: str | None


class Clock:
    """Time of the play."""

    def __init__(self) -> None:
        self.now_us = NOON_US

    def __call__(self) -> int:
        return self.now_us


def answer(dice: random.Random, network: Network) -> Told:
    """Mostly plain refusals, so that limits are reached; every code there is now and then."""
    status: Status = dice.choices(["declined", "failed", "abandoned", "approved"], [88, 4, 4, 4])[0]
    if status != "declined":
        return Told(status, None, None)
    code = dice.choice(CODES) if dice.random() < 0.1 else "05"
    return Told(status, code, dice.choice(ADVICE) if network == "mastercard" and dice.random() < 0.1 else None)


def open_payments(dice: random.Random, *, number: int, at_us: int) -> Payment:
    """A payment of one of few cards, asked about again and again."""
    network: Network = dice.choice(["visa", "mastercard", "elo"])
    card = Card(card_id=f"crd_{network}_{dice.randrange(4)}", bin="411111", network=network, issuer_country=dice.choice(["DE", "BR"]))
    name = f"pay_{network}_{card.card_id}_{number // 40}_{at_us // (24 * HOUR_US)}"
    return Payment(payment_id=name, merchant_id="mer_1", amount_minor=5_000, currency="EUR", card=card)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_no_attempt_that_the_engine_gives_breaks_a_rule_of_a_network(seed: int) -> None:
    dice, clock, log, audit = random.Random(seed), Clock(), MemoryLog(), Audit()
    shop = Engine(SETTINGS, log=log, state=State(), model=Fixed(), bundle_id="bdl_test", clock_us=clock)
    reasons: dict[str, int] = {}
    n_attempts = n_broken = 0
    for number in range(3_000):
        clock.now_us += dice.randrange(HOUR_US // 2)
        payment = open_payments(dice, number=number, at_us=clock.now_us)
        decision = shop.decide(DecisionRequest(payment=payment)).answer
        if decision.action != "attempt":
            reasons[decision.reason.code] = reasons.get(decision.reason.code, 0) + 1
            continue
        n_attempts += 1
        n_broken += audit.broken_rule(payment, at_us=clock.now_us) is not None
        told = answer(dice, payment.card.network)
        shop.report_outcome(
            Outcome(decision_id=decision.decision_id, status=told.status, response_code=told.code, merchant_advice_code=told.advice)
        )
        audit.settle(payment, status=told.status, response_code=told.code, advice=told.advice, at_us=clock.now_us)
        if number % 700 == 0:
            shop.state = State.from_bytes(shop.state.to_bytes())
    assert n_broken == 0
    assert n_attempts > 200
    assert reasons["network_retry_limit"] > 50
    assert reasons["network_never_retry"] > 50
    replayed = State()
    for logged in log.read():
        replayed.apply(logged)
    assert replayed.to_bytes() == shop.state.to_bytes()


@pytest.mark.parametrize("seed", [4, 5])
def test_renewals_in_every_credential_break_no_rule_and_data_that_an_answer_called_old_are_not_sent_again(seed: int) -> None:
    dice, clock, audit = random.Random(seed), Clock(), Audit()
    routes = tuple(msgspec.structs.replace(route, credentials=("pan", "network_token", "updated_pan")) for route in SETTINGS.routes)
    settings = msgspec.structs.replace(SETTINGS, routes=routes)
    shop = Engine(settings, log=MemoryLog(), state=State(), model=Fixed(), bundle_id="bdl_test", clock_us=clock)
    old: set[tuple[str, str]] = set()  # Payment and credential.
    sent: dict[str, int] = {}
    n_old = n_kept = 0
    for number in range(2_500):
        clock.now_us += dice.randrange(HOUR_US)
        network: Network = dice.choice(["visa", "mastercard", "elo"])
        which = dice.randrange(30)
        card = Card(card_id=f"crd_{network}_{which}", bin="411111", network=network, issuer_country="DE", network_token=which % 2 == 0)
        payment = Payment(
            payment_id=f"pay_{network}_{which}_{number // 900}",
            merchant_id="mer_1",
            amount_minor=5_000,
            currency="EUR",
            card=card,
            initiator="merchant",
        )
        decision = shop.decide(DecisionRequest(payment=payment)).answer
        if decision.attempt is None:
            n_kept += decision.reason.code in ("credential_must_change", "too_soon", "network_never_retry")
            continue
        credential = decision.attempt.credential
        assert audit.broken_rule(payment, at_us=clock.now_us) is None
        n_old += (payment.payment_id, credential) in old
        sent[credential] = sent.get(credential, 0) + 1
        code, advice = dice.choice(["05", "05", "51", "54", "79"]), None
        if network == "mastercard" and code == "79":
            advice = dice.choice(["01", "03", None])
        shop.report_outcome(Outcome(decision_id=decision.decision_id, status="declined", response_code=code, merchant_advice_code=advice))
        audit.settle(payment, status="declined", response_code=code, advice=advice, at_us=clock.now_us)
        if advice == "01":
            old |= {(payment.payment_id, credential), (payment.payment_id, "pan")}
    assert n_old == 0
    assert n_kept > 100
    assert min(sent.get(form, 0) for form in ("pan", "network_token", "updated_pan")) > 10

"""Time of one retry plan: 14 days of hourly slots, five attempts ahead, with one credential and with three; of the whole decision around
it; and of what follows a refusal, for 8 candidates.

python benchmarks/plan.py [--rounds N]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from statistics import quantiles

import msgspec
import numpy as np

from honour.approval.retry_model import HOUR_US, AdditiveLogit, Before, RetryModel
from honour.networks.retry_limit import RetryCounter
from honour.policy.decide import decide
from honour.policy.eligible import consider
from honour.policy.outlook import History, Predicted
from honour.policy.plan import Form, Worth, plan, problem, warm
from honour.records.payment import Card, Payment
from honour.records.route import Candidate, CredentialForm, Merchant, Route, RouteCost

START_US = 1_772_366_400_000_000
MODEL = RetryModel(
    recovery=AdditiveLogit(intercept=-1.0, weights={"form=none": 1.0, "number=2": -0.5}),
    retry=AdditiveLogit(intercept=-1.5, weights={"delay>=36h&funds": 1.0, "paid=0": 0.5, "hour=1": 0.1, "number>=3": -0.4}),
)
CARD = Card(card_id="crd_1", bin="411111", network="visa", funding="debit", issuer_country="BR")
PAYMENT = Payment(payment_id="pay_1", merchant_id="mer_1", amount_minor=1_200, currency="BRL", card=CARD, initiator="merchant")
CANDIDATES = [Candidate(f"acq_{number}", form, "pan") for number in range(4) for form in ("none", "three_ds")]


def main() -> None:
    """Measure and print medians and 99th percentiles."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=300, help="times each is asked")
    rounds = parser.parse_args().rounds
    warm(MODEL, year=2026)
    worth = Worth(240.0, 10.0, 0.0)

    def planned(number: int, *, before: Before, forms: tuple[CredentialForm, ...]) -> None:
        at_us = START_US + number * HOUR_US // 7
        plan(
            problem(
                PAYMENT,
                model=MODEL,
                before=before,
                refused_us=START_US,
                at_us=at_us,
                forms=[Form(form, 0, worth) for form in forms],
                until_us=at_us + 14 * 24 * HOUR_US,
                attempts_left=None,
                terms=Merchant(),
            ),
            retry_price_minor=0.0,
        )

    before = Before(2, "declined", "51", "pan")
    measure("plan, 14 days of hourly slots", lambda number: planned(number, before=before, forms=("pan",)), rounds)
    expired = Before(2, "declined", "54", "network_token")
    forms: tuple[CredentialForm, ...] = ("network_token", "pan", "updated_pan")
    measure("the same, three credential forms", lambda number: planned(number, before=expired, forms=forms), rounds)
    measure("whole decision, 8 routes", _decided(), rounds)
    measure("recovery of 8 candidates", lambda _: MODEL.p_recovered(PAYMENT, CANDIDATES, before=before), rounds)


def _decided() -> Callable[[int], object]:
    """The decision on a refused renewal with 8 routes of three credential forms each, network rules and plan included, scores given."""
    cost = RouteCost(attempt_minor=10.0, update_minor=5.0)
    routes = tuple(Route(id=f"acq_{number}", credentials=("network_token", "pan", "updated_pan"), cost=cost) for number in range(8))
    card = msgspec.structs.replace(CARD, network_token=True)
    payment = msgspec.structs.replace(PAYMENT, card=card)
    counter = RetryCounter()
    sent = Candidate("acq_0", "none", "network_token")
    counter.update(payment, candidate=sent, status="declined", response_code="54", merchant_advice_code=None, arrived_us=START_US)

    def decided(number: int) -> object:
        at_us = START_US + 2 * HOUR_US + number * HOUR_US // 7
        allowed = counter.allowed(payment, at_us=at_us)
        history = History(1, False, START_US, ("acq_0",), "declined", "54", START_US, "network_token")
        considered = consider(payment, routes=routes, requested=None, allowed=allowed, last_code="54", refused=True)
        n = sum(one.eligible for one in considered)
        return decide(
            payment,
            considered=considered,
            predicted=Predicted(np.linspace(0.2, 0.6, n)),
            terms=Merchant(),
            allowed=allowed,
            history=history,
            fallback_order=(),
            draw=0.5,
            at_us=at_us,
            retry_model=MODEL,
        )

    return decided


def measure(what: str, ask: Callable[[int], object], rounds: int) -> None:
    """Ask `rounds` times and print microseconds."""
    ask(0)
    taken = []
    for number in range(rounds):
        started = time.perf_counter_ns()
        ask(number)
        taken.append((time.perf_counter_ns() - started) / 1_000)
    points = quantiles(taken, n=100)
    print(f"{what:32} median {points[49]:8.1f} us   p99 {points[98]:8.1f} us")


if __name__ == "__main__":
    main()

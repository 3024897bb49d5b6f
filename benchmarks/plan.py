"""Time of one retry plan: 14 days of hourly slots, five attempts ahead; and of what follows a refusal, for 8 candidates.

python benchmarks/plan.py [--rounds N]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from statistics import quantiles

from honour.approval.retry_model import HOUR_US, AdditiveLogit, Before, RetryModel
from honour.policy.plan import Worth, plan, warm
from honour.records.payment import Card, Payment
from honour.records.route import Candidate, Merchant

START_US = 1_772_366_400_000_000
MODEL = RetryModel(
    recovery=AdditiveLogit(intercept=-1.0, weights={"form=none": 1.0, "number=2": -0.5}),
    retry=AdditiveLogit(intercept=-1.5, weights={"delay>=36h&funds": 1.0, "paid=0": 0.5, "hour=1": 0.1, "number=3": -0.4}),
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
    before = Before(2, "declined", "51")

    def planned(number: int) -> None:
        at_us = START_US + number * HOUR_US // 7
        plan(
            PAYMENT,
            model=MODEL,
            before=before,
            refused_us=START_US,
            at_us=at_us,
            from_us=0,
            until_us=at_us + 14 * 24 * HOUR_US,
            attempts_left=None,
            worth=Worth(240.0, 10.0, 0.0),
            terms=Merchant(),
        )

    measure("plan, 14 days of hourly slots", planned, rounds)
    measure("recovery of 8 candidates", lambda _: MODEL.p_recovered(PAYMENT, CANDIDATES, before=before), rounds)


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

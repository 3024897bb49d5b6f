"""Time of the fast layer: one update, one correction of 8 candidates, on a layer of many nodes; and its memory.

python benchmarks/fast_layer.py [--rounds N]
python benchmarks/fast_layer.py --hangs     # attempts sent into a route that hangs, with and without those on their way
"""

from __future__ import annotations

import argparse
from heapq import heappop, heappush

import numpy as np
from plan import measure

from honour.approval.fast_layer import FastLayer
from honour.records.attempt import Status
from honour.records.payment import Card, Payment
from honour.records.route import Candidate

START_US = 1_772_366_400_000_000
WAITING = 200
"""Attempts on their way at any time."""
CANDIDATES = [Candidate(f"acq_{number}", form, "pan") for number in range(4) for form in ("none", "three_ds")]


def payment_of(issuer: int) -> Payment:
    """A payment with a card of this issuer."""
    card = Card(card_id="crd_1", bin="411111", network="visa", issuer=f"iss_{issuer}", issuer_country="DE", funding="debit")
    return Payment(payment_id="pay_1", merchant_id="mer_1", amount_minor=1_000, currency="EUR", card=card)


def main() -> None:
    """Measure and print medians and 99th percentiles."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5_000, help="times each is asked")
    parser.add_argument("--hangs", action="store_true", help="instead, how many attempts go into a route that hangs")
    asked = parser.parse_args()
    if asked.hangs:
        print_hangs()
        return
    rounds = asked.rounds
    layer, luck = FastLayer(), np.random.default_rng(1)
    p_model = np.full(len(CANDIDATES), 0.85)

    def fold(number: int) -> None:
        candidate = CANDIDATES[int(luck.integers(len(CANDIDATES)))]
        approved = bool(luck.random() < 0.85)
        now_us = START_US + number * 200_000
        layer.sent(f"dec_{number}", candidate, at_us=now_us)
        if number >= WAITING:
            layer.answered(f"dec_{number - WAITING}", status="approved", at_us=now_us)
        layer.update(
            payment_of(int(luck.integers(5_000))),
            candidate,
            p_model=0.85,
            status="approved" if approved else "declined",
            response_code="00" if approved else "05",
            arrived_us=now_us,
        )

    for number in range(20_000):
        fold(number)
    payment = payment_of(7)
    last_us = START_US + (20_000 + rounds) * 200_000
    measure("update (payment made anew)", lambda number: fold(20_000 + number), rounds)
    measure("correction of 8 candidates", lambda _: layer.correct(payment, CANDIDATES, p_model=p_model, at_us=last_us), rounds)
    print(f"{len(layer)} nodes, {len(layer.to_bytes()) / len(layer):.0f} bytes a node in a snapshot")


def print_hangs() -> None:
    """Attempts sent within two minutes into a route that answers nothing until senders give up, means of three runs."""
    print("attempts a second, seconds until senders give up: attempts into the outage, answers alone, with attempts on their way")
    for rate in (5, 20, 100):
        for gives_up_s in (15.0, 30.0):
            alone, both = (
                float(np.mean([into_the_outage(seed, rate=rate, gives_up_s=gives_up_s, told=told) for seed in range(3)]))
                for told in (False, True)
            )
            print(f"{rate:4d}/s {gives_up_s:4.0f} s {alone:8.0f} {both:8.0f}", flush=True)


def into_the_outage(seed: int, *, rate: int, gives_up_s: float, told: bool) -> int:
    """Three routes, the best of them taken but for one attempt in sixteen; after two minutes the best hangs.

    told  the layer hears of attempts when they are sent
    """
    layer, luck, routes = FastLayer(), np.random.default_rng(seed), CANDIDATES[::2][:3]
    payment, p_model = payment_of(1), np.array([0.87, 0.85, 0.84])
    waiting: list[tuple[int, str, Candidate, Status]] = []
    hung = 0
    for number in range(240 * rate):
        now_us = START_US + number * 1_000_000 // rate
        while waiting and waiting[0][0] <= now_us:
            arrived_us, name, candidate, status = heappop(waiting)
            if told:
                layer.answered(name, status=status, at_us=arrived_us)
            layer.update(payment, candidate, p_model=0.85, status=status, response_code="05", arrived_us=arrived_us)
        best = int(np.argmax(layer.correct(payment, routes, p_model=p_model, at_us=now_us).p_approve))
        at = best if luck.random() > 1 / 16 else int(luck.integers(3))
        hangs = at == 0 and number >= 120 * rate
        hung += hangs
        took_s = gives_up_s if hangs else float(np.exp(0.35 * luck.standard_normal()))
        answer: Status = "failed" if hangs else "approved" if luck.random() < 0.85 else "declined"
        if told:
            layer.sent(f"dec_{number}", routes[at], at_us=now_us)
        heappush(waiting, (now_us + round(took_s * 1e6), f"dec_{number}", routes[at], answer))
    return hung


if __name__ == "__main__":
    main()

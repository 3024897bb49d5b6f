"""Time of the fast layer: one update, one correction of 8 candidates, on a layer of many nodes; and its memory.

python benchmarks/fast_layer.py [--rounds N]
"""

from __future__ import annotations

import argparse

import numpy as np
from plan import measure

from honour.approval.fast_layer import FastLayer
from honour.records.payment import Card, Payment
from honour.records.route import Candidate

START_US = 1_772_366_400_000_000
CANDIDATES = [Candidate(f"acq_{number}", form, "pan") for number in range(4) for form in ("none", "three_ds")]


def payment_of(issuer: int) -> Payment:
    """A payment with a card of this issuer."""
    card = Card(card_id="crd_1", bin="411111", network="visa", issuer=f"iss_{issuer}", issuer_country="DE", funding="debit")
    return Payment(payment_id="pay_1", merchant_id="mer_1", amount_minor=1_000, currency="EUR", card=card)


def main() -> None:
    """Measure and print medians and 99th percentiles."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5_000, help="times each is asked")
    rounds = parser.parse_args().rounds
    layer, luck = FastLayer(), np.random.default_rng(1)
    p_model = np.full(len(CANDIDATES), 0.85)

    def fold(number: int) -> None:
        candidate = CANDIDATES[int(luck.integers(len(CANDIDATES)))]
        approved = bool(luck.random() < 0.85)
        layer.update(
            payment_of(int(luck.integers(5_000))),
            candidate,
            p_model=0.85,
            status="approved" if approved else "declined",
            response_code="00" if approved else "05",
            arrived_us=START_US + number * 200_000,
        )

    for number in range(20_000):
        fold(number)
    payment = payment_of(7)
    measure("update (payment made anew)", lambda number: fold(20_000 + number), rounds)
    measure("correction of 8 candidates", lambda _: layer.correct(payment, CANDIDATES, p_model=p_model, at_us=START_US), rounds)
    print(f"{len(layer)} nodes, {len(layer.to_bytes()) / len(layer):.0f} bytes a node in a snapshot")


if __name__ == "__main__":
    main()

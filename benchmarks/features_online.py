"""Time and memory of the online features: one update, one look-up of everything for 8 candidates, a million cards in state.

python benchmarks/features_online.py [--rounds N] [--cards N] [--shelf] [--redis]
"""

from __future__ import annotations

import argparse
import gc
import resource
import sys
import time
from pathlib import Path

import numpy as np
from plan import measure

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from honour.features.catalogue import CATALOGUE, LIBRARY
from honour.features.online import FeatureState
from honour.features.shared import SharedFeatures
from honour.features.view import Catalogue
from honour.records.payment import Card, Payment
from honour.records.route import Candidate
from honour.stores.redis_state import RedisState
from real_redis import free_port, running_redis

START_US = 1_772_366_400_000_000
CANDIDATES = [Candidate(f"acq_{number}", form, "pan") for number in range(4) for form in ("none", "three_ds")]


def payment_of(number: int, *, cards: int) -> Payment:
    """A payment of a card that asks for the first time or again."""
    card = Card(
        card_id=f"crd_{number % cards}",
        bin=f"{400_000 + number % 3_000}",
        network="visa",
        issuer=f"iss_{number % 200}",
        issuer_country="DE",
        funding="debit",
    )
    return Payment(payment_id=f"pay_{number}", merchant_id=f"mer_{number % 50}", amount_minor=1_000, currency="EUR", card=card, mcc="5732")


class Stream:
    """Answers, five a second."""

    def __init__(self, catalogue: Catalogue, *, cards: int, state: FeatureState | SharedFeatures | None = None) -> None:
        self.state, self._luck, self._cards = state or FeatureState(catalogue), np.random.default_rng(1), cards
        self.number = 0

    @property
    def now_us(self) -> int:
        """The instant of the next answer."""
        return START_US + self.number * 200_000

    def fold(self, payment: Payment) -> None:
        """One answer."""
        approved = bool(self._luck.random() < 0.85)
        self.state.update(
            payment,
            CANDIDATES[int(self._luck.integers(len(CANDIDATES)))],
            status="approved" if approved else "declined",
            response_code="00" if approved else "51",
            arrived_us=self.now_us,
            latency_ms=float(self._luck.integers(100, 900)),
            seq=self.number + 1,
        )
        self.number += 1


def _redis(catalogue: Catalogue, *, rounds: int) -> None:
    """A server on this machine: what a decision on a card that is not held takes, what one on a card that is, and an answer."""
    port = free_port()
    with running_redis(port):
        store = RedisState(f"redis://127.0.0.1:{port}/0", schema=catalogue.schema_id, limit_s=1.0)
        stream = Stream(catalogue, cards=20_000, state=SharedFeatures(store, catalogue=catalogue))
        for number in range(20_000):
            stream.fold(payment_of(number, cards=20_000))
        measure("redis: bare round trip", lambda _: store.read([]), rounds)
        measure("redis: answer, entities held", lambda number: stream.fold(payment_of(number, cards=20_000)), rounds)
        cold = SharedFeatures(store, catalogue=catalogue)
        cold.load(stream.state.to_bytes())
        cold.return_to_store()
        asked = [payment_of(number, cards=20_000) for number in range(rounds)]
        measure("redis: look-up, 8, not held", lambda number: cold.as_of(asked[number], CANDIDATES, at_us=stream.now_us), rounds)
        measure("redis: look-up, 8, held", lambda number: cold.as_of(asked[number], CANDIDATES, at_us=stream.now_us), rounds)


def main() -> None:
    """Measure and print medians and 99th percentiles, then memory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5_000, help="times each is asked")
    parser.add_argument("--cards", type=int, default=1_000_000, help="cards in state when memory is read; 0 leaves that out")
    parser.add_argument("--shelf", action="store_true", help="with every feature on the shelf")
    parser.add_argument("--redis", action="store_true", help="with cards and payments in a Redis on this machine, instead")
    given = parser.parse_args()
    catalogue = LIBRARY if given.shelf else CATALOGUE
    print(f"{len(catalogue.features)} features")
    if given.redis:
        _redis(catalogue, rounds=given.rounds)
        return
    stream = Stream(catalogue, cards=20_000)
    for number in range(60_000):
        stream.fold(payment_of(number, cards=20_000))
    payments = [payment_of(number, cards=20_000) for number in range(60_000, 60_000 + given.rounds)]
    measure("update", lambda number: stream.fold(payments[number % given.rounds]), given.rounds)
    asked = [payment_of(number * 7, cards=20_000) for number in range(given.rounds)]
    state, now_us = stream.state, stream.now_us
    measure("look-up, 8 candidates", lambda number: state.as_of(asked[number % given.rounds], CANDIDATES, at_us=now_us), given.rounds)
    if given.cards:
        del stream, state, payments, asked
        gc.collect()
        before, began = _resident_mib(), time.perf_counter()
        gc.disable()
        stream = Stream(catalogue, cards=given.cards)
        for number in range(given.cards):
            stream.fold(payment_of(number, cards=given.cards))
        added, entities = _resident_mib() - before, stream.state.n_entities
        print(f"{given.cards} cards answered once each, {entities} entities, {time.perf_counter() - began:.0f} s to fold")
        print(
            f"memory {added:.0f} MiB, {added * 1024 / max(given.cards, 1):.2f} KiB a card with its payment; most ever {_most_mib():.0f} MiB"
        )


def _resident_mib() -> float:
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 2**20


def _most_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()

"""Many attempts at breaking the limits: answers late, lost and out of order, attempts beside Honour, restarts in between.

The judge counts as a network does, by the instants at which attempts were sent, and knows nothing of counters.
"""

from __future__ import annotations

import random
from bisect import bisect_left, insort
from typing import NamedTuple

import pytest

from honour.networks.retry_limit import RetryCounter
from honour.records.attempt import Status
from honour.records.payment import Card, Initiator, Network, Payment
from honour.records.route import Candidate

HOUR_US, DAY_US = 3_600_000_000, 86_400_000_000
START_US = 1_772_366_400_000_000
SENT = Candidate("acq_a", "none", "pan")


class Sent(NamedTuple):
    """An attempt on its way: its number, when it was sent, and when it is answered (None: the answer is lost)."""

    number: int
    payment: Payment
    sent_us: int
    answered_us: int | None
    status: Status


class Judge:
    """Refusals and approvals of one card by the instants at which they were sent; read when everything has happened."""

    def __init__(self) -> None:
        self.refused: list[tuple[int, str]] = []
        self.approved: list[tuple[int, str]] = []
        self.chosen: list[tuple[int, str]] = []

    def n_broken(self, network: Network) -> int:
        """Attempts of ours that were refused though the network's limit was used up when they were sent."""
        limits = {"visa": [(20, 30, True)], "mastercard": [(10, 1, False), (35, 30, False)], "elo": [(15, 30, False)]}[network]
        broken = 0
        for sent_us, key in self.chosen:
            for most, days, resets in limits:
                same = [at for at, one in self.refused if not resets or one == key]
                since_us = sent_us - days * DAY_US
                if resets:
                    since_us = max([since_us, *(at for at, one in self.approved if one == key and at < sent_us)])
                broken += bisect_left(same, sent_us) - bisect_left(same, since_us + 1) >= most
        return broken


def attack(network: Network, *, attempts: int, cards: int, seed: int, restart_every: int) -> tuple[int, int, int]:
    """Ask for `attempts` attempts on few cards as fast as they may be; attempts sent, refused by the rules, and rules broken."""
    dice, counter, judges, now_us = random.Random(seed), RetryCounter(), [Judge() for _ in range(cards)], START_US
    waiting: list[tuple[int, int, Sent]] = []
    n_sent = n_blocked = 0
    for number in range(attempts):
        now_us += dice.randrange(1, 4 * HOUR_US // cards)
        while waiting and waiting[0][0] <= now_us:
            at_us, _, due = waiting.pop(0)
            _answered(counter, due, at_us=at_us)
        at = dice.randrange(cards)
        about = _payment(network, number, card=at, amount=dice.choice([100, 200]), initiator=dice.choice(["customer", "merchant"]))
        own = dice.random() < 0.05
        if not own and counter.allowed(about, at_us=now_us).blocked:
            n_blocked += 1
            continue
        n_sent += 1
        counter.reserve(about, attempt=f"attempt_{number}", arrived_us=now_us)
        status: Status = dice.choices(["declined", "failed", "approved", "abandoned"], [90, 4, 2, 4])[0]
        late_us = dice.choice([0, 1_000_000, HOUR_US, 3 * DAY_US])
        sent = Sent(number, about, now_us, None if dice.random() < 0.02 else now_us + late_us, status)
        _judged(judges[at], sent, own=own)
        if sent.answered_us is not None:
            insort(waiting, (sent.answered_us, number, sent))
        if number % restart_every == 0:
            counter = RetryCounter.from_bytes(counter.to_bytes())
    return n_sent, n_blocked, sum(judge.n_broken(network) for judge in judges)


def _payment(network: Network, number: int, *, card: int, amount: int, initiator: str) -> Payment:
    told: Initiator = "merchant" if initiator == "merchant" else "customer"
    kept = Card(card_id=f"crd_{card}", bin="411111", network=network)
    return Payment(payment_id=f"pay_{number}", merchant_id="mer_1", amount_minor=amount, currency="EUR", card=kept, initiator=told)


def _answered(counter: RetryCounter, sent: Sent, *, at_us: int) -> None:
    counter.update(
        sent.payment,
        candidate=SENT,
        status=sent.status,
        response_code="05",
        merchant_advice_code=None,
        arrived_us=at_us,
        attempt=f"attempt_{sent.number}",
    )


def _judged(judge: Judge, sent: Sent, *, own: bool) -> None:
    """As the network saw it. Of an attempt whose answer is lost it has an answer all the same."""
    key = f"{sent.payment.amount_minor}/{sent.payment.initiator}"
    if sent.status == "approved":
        judge.approved.append((sent.sent_us, key))
    elif sent.status == "declined":
        judge.refused.append((sent.sent_us, key))
        if not own:
            judge.chosen.append((sent.sent_us, key))


@pytest.mark.parametrize("network", ["visa", "mastercard", "elo"])
@pytest.mark.parametrize("seed", [1, 2])
def test_no_limit_is_ever_broken_by_what_honour_allows(network: Network, seed: int) -> None:
    n_sent, n_blocked, n_broken = attack(network, attempts=20_000, cards=10, seed=seed, restart_every=997)
    assert n_blocked > 1_000  # The limits were really reached.
    assert n_sent > 1_000
    assert n_broken == 0


@pytest.mark.truth
@pytest.mark.parametrize("network", ["visa", "mastercard", "elo"])
def test_no_limit_is_broken_in_a_million_attempts(network: Network) -> None:
    n_sent, n_blocked, n_broken = attack(network, attempts=1_000_000, cards=400, seed=5, restart_every=50_021)
    assert n_sent + n_blocked == 1_000_000
    assert n_blocked > 500_000
    assert n_broken == 0

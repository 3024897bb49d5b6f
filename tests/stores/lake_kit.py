"""A log of a few days, and a lake that is filled from it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from honour.records.attempt import Attempt, Outcome
from honour.records.decision import ChosenAttempt, Decision, RetryAllowance
from honour.records.decision import Reason as Why
from honour.records.event import AttemptReported, DecisionMade, Event, OutcomeReported
from honour.records.instant import from_us
from honour.records.payment import Card, Payment
from honour.stores.lake import Lake
from honour.stores.landing import land_log
from honour.stores.sqlite import sqlite_log

DAY_US = 86_400_000_000
START_US = 1_772_323_200_000_000  # 2026-03-01 00:00 UTC
HOUR_US = 3_600_000_000


def quiet(_what: str, _done: int, _total: int | None) -> None:
    """Progress that nobody reads."""


def payment(at: int) -> Payment:
    card = Card(card_id=f"crd_{at % 7}", bin=f"41111{at % 3}", network="visa", issuer_country="BR")
    return Payment(payment_id=f"pay_{at}", merchant_id="mer_1", amount_minor=100 + at, currency="BRL", card=card)


def reported(at: int, *, at_us: int) -> AttemptReported:
    """An attempt that somebody else chose."""
    sent: dict[str, Any] = {"route": f"acq_{at % 2}", "attempted_at": from_us(at_us), "status": ("approved", "declined")[at % 2]}
    return AttemptReported(attempt=Attempt(attempt_id=f"att_{at}", payment=payment(at), latency_ms=at % 900, **sent))


def decided(at: int, *, at_us: int) -> DecisionMade:
    """A decision whose outcome comes later."""
    decision = Decision(
        decision_id=f"dec_{at}",
        payment_id=f"pay_{at}",
        attempt_number=1,
        action="attempt",
        attempt=ChosenAttempt(route="acq_0", authentication="none", credential="pan", propensity=0.5),
        wait_until=None,
        reason=Why(code="highest_expected_value", detail=""),
        ranking=(),
        retry=RetryAllowance(attempts_left=None, window_ends_at=None, rule=None),
        experiment=None,
        stage="live",
        bundle=None,
        elapsed_us=1,
    )
    return DecisionMade(payment=payment(at), decision=decision, decided_us=at_us, draw=0.5)


def answered(at: int) -> OutcomeReported:
    """The outcome of a decision."""
    return OutcomeReported(payment_id=f"pay_{at}", outcome=Outcome(decision_id=f"dec_{at}", status="approved", latency_ms=300.4))


def days_of_events(n: int, *, days: int = 3) -> list[tuple[Event, int]]:
    """Attempts over `days` days; every fifth is a decision whose outcome comes ten events later."""
    events: list[tuple[Event, int]] = []
    for at in range(n):
        at_us = START_US + at * days * DAY_US // n
        events.append((decided(at, at_us=at_us), at_us) if at % 5 == 0 else (reported(at, at_us=at_us - 2_000_000), at_us))
        if at % 5 == 0 and at >= 10:
            events.append((answered(at - 10), at_us))
    return events


def log_of(folder: Path, events: Sequence[tuple[Event, int]]) -> Path:
    """A log that holds these events too."""
    log = sqlite_log(folder / "events.db")
    log.append_many(events)
    log.close()
    return folder / "events.db"


def filled(path: Path, lake: Lake, *, to_seq: int | None = None) -> int:
    """Fill a lake from a log; how many attempts came in."""
    log = sqlite_log(path, read_only=True)
    try:
        return land_log(lake, log, step=quiet, to_seq=to_seq).n_new
    finally:
        log.close()


def rows_of(path: str) -> list[dict[str, Any]]:
    """Rows of a Parquet file."""
    return pq.read_table(path).to_pylist()  # type: ignore[no-any-return]  # pyarrow ships no types

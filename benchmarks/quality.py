"""What checking costs: rows a second, share of a lake's build from the log and of an import, and time for one live event.

python benchmarks/quality.py [--attempts N] [--table N]

Seconds are of user CPU time in this process. A made-up market as for `make bench-features`: days and merchants of unequal size.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow ships no types
from made_attempts import made_attempts

from honour.features.expectation import expected_of
from honour.features.live import Live
from honour.records.attempt import Attempt
from honour.records.event import AttemptReported, LoggedEvent
from honour.records.instant import from_us
from honour.records.payment import Card, Payment
from honour.stores.checking import Check, tallies_in
from honour.stores.lake import Lake
from honour.stores.landing import land_log
from honour.stores.sqlite import sqlite_log


def main() -> None:
    """Measure each in turn, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--attempts", type=int, default=100_000, help="attempts of the log that a lake is built from")
    parser.add_argument("--table", type=int, default=1_000_000, help="attempts of a table that is checked")
    given = parser.parse_args()
    expected = expected_of(routes=["acq_eu_1", "acq_eu_2", "acq_us_1", "acq_us_2", "acq_br_1", "acq_in_1"])
    table = made_attempts(given.table)

    def check_table() -> None:
        check = Check(expected)
        for tally in tallies_in(table, expected=expected):
            check.take(tally, goes_on=True)

    check_table()  # What is loaded and compiled once is not counted.
    took_s = _user_s(check_table)
    print(
        f"a table of {len(table)} attempts, {len(expected.expectations)} expectations: {took_s:.2f} s, {len(table) / took_s:,.0f} a second"
    )
    events = list(_events(made_attempts(given.attempts)))
    plain_s, checked_s = (min(_built(events, check) for _ in range(3)) for check in (None, Check(expected)))
    print(f"a lake of {len(events)} attempts from the log: {plain_s:.2f} s, {checked_s:.2f} s with checks (+{checked_s / plain_s - 1:.1%})")
    pairs = [(logged.event, logged.arrived_us) for logged in events]
    took_s = _user_s(lambda: Check(expected).events(pairs))
    print(f"an import's check of {len(pairs)} attempts one by one: {took_s:.2f} s, {len(pairs) / took_s:,.0f} a second")
    live = Live(expected, start_seq=0)
    took_s = _user_s(lambda: [live.take(logged) for logged in events])
    print(f"live, in its own process: {took_s / len(events) * 1e6:.1f} us an event, reading the log not counted")
    told_s = _user_s(lambda: live.figures(now_us=events[-1].arrived_us))
    print(f"live figures, every five seconds: {told_s * 1e3:.1f} ms")


def _built(events: list[LoggedEvent], check: Check | None) -> float:
    """User seconds of building a lake."""
    fresh = Check(check.expected) if check is not None else None
    with tempfile.TemporaryDirectory(prefix="honour-quality-") as folder:
        log = sqlite_log(Path(folder) / "events.db")
        log.append_many((logged.event, logged.arrived_us) for logged in events)
        took_s = _user_s(lambda: land_log(Lake(str(Path(folder) / "lake")), log, step=lambda *_: None, check=fresh))
        log.close()
        return took_s


def _user_s(work: Callable[[], object]) -> float:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_utime
    work()
    return resource.getrusage(resource.RUSAGE_SELF).ru_utime - before


def _events(table: pa.Table) -> Iterator[LoggedEvent]:
    for at, row in enumerate(table.to_pylist(), start=1):
        card = Card(
            card_id=row["card_id"],
            bin=row["bin"],
            network=row["network"],
            funding=row["funding"],
            issuer=row["issuer"],
            issuer_country=row["issuer_country"],
        )
        payment = Payment(
            payment_id=row["payment_id"],
            merchant_id=row["merchant_id"],
            amount_minor=row["amount_minor"],
            currency=row["currency"],
            card=card,
        )
        attempt = Attempt(
            attempt_id=f"att_{at}",
            payment=payment,
            route=row["route"],
            attempted_at=from_us(row["at_us"]),
            status=row["status"],
            response_code=row["response_code"],
            latency_ms=row["latency_ms"],
        )
        yield LoggedEvent(seq=at, arrived_us=row["arrived_us"], event=AttemptReported(attempt=attempt))


if __name__ == "__main__":
    main()

"""Events for the tests of logs, and processes that append them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from honour.records.attempt import Attempt
from honour.records.event import AttemptReported, Event
from honour.records.instant import from_us
from honour.records.payment import Card, Payment
from honour.stores.opening import postgres_log
from honour.stores.shared_log import SharedLog
from honour.stores.sqlite import sqlite_log

SOURCE = Path(__file__).resolve().parents[2] / "src"

MAKE_ATTEMPT = """
from honour.records.attempt import Attempt
from honour.records.event import AttemptReported
from honour.records.instant import from_us
from honour.records.payment import Card, Payment
def attempt(name, note=""):
    card = Card(card_id="crd_1", bin="411111", network="visa")
    told = dict(merchant_id="mer_1", amount_minor=100, currency="EUR", card=card, attributes={"note": note})
    payment = Payment(payment_id=f"pay_{name}", **told)
    sent = dict(route="acq_1", attempted_at=from_us(1), status="declined")
    return AttemptReported(attempt=Attempt(attempt_id=f"att_{name}", payment=payment, **sent))
"""

# Appends as fast as it can from several threads; prints a position only when it is durable.
APPENDER = (
    MAKE_ATTEMPT
    + """
import sys, threading, itertools
from pathlib import Path
from honour.stores.opening import postgres_log
from honour.stores.sqlite import sqlite_log
log = postgres_log(sys.argv[1], limit_s=10.0) if "://" in sys.argv[1] else sqlite_log(Path(sys.argv[1]))
numbers, lock = itertools.count(log.last_seq), threading.Lock()
def go():
    while True:
        with lock:
            number = next(numbers)
        logged = log.append(attempt(f"{sys.argv[2]}_{number}"), arrived_us=number).result()
        with lock:
            sys.stdout.write(f"{logged.seq} {logged.event.attempt.attempt_id}\\n")
            sys.stdout.flush()
for _ in range(8):
    threading.Thread(target=go, daemon=True).start()
threading.Event().wait()
"""
)


def opened(where: str) -> SharedLog:
    """The log in a file or at an address, to append."""
    return postgres_log(where, limit_s=10.0) if "://" in where else sqlite_log(Path(where))


def attempt(name: object, *, note: str = "") -> Event:
    card = Card(card_id="crd_1", bin="411111", network="visa")
    payment = Payment(payment_id=f"pay_{name}", merchant_id="mer_1", amount_minor=100, currency="EUR", card=card, attributes={"note": note})
    return AttemptReported(
        attempt=Attempt(attempt_id=f"att_{name}", payment=payment, route="acq_1", attempted_at=from_us(1), status="declined")
    )


def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def python(program: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", program, *map(str, arguments)], env={"PYTHONPATH": str(SOURCE)}, stdout=subprocess.PIPE, text=True
    )

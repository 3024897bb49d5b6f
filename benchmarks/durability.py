"""What waiting for the store costs: the event log in a file, synchronised before it answers and not, and in PostgreSQL.

python benchmarks/durability.py
"""

from __future__ import annotations

import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from honour.records.attempt import Outcome
from honour.records.event import OutcomeReported
from honour.stores.opening import postgres_log
from honour.stores.shared_log import SharedLog
from honour.stores.sqlite import sqlite_log

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from real_postgres import RealPostgres

N_EVENTS = 4_000


def main() -> None:
    """Print the table of docs/adr/0002 and 0012."""
    with tempfile.TemporaryDirectory() as folder:
        server = RealPostgres(Path(folder) / "postgres")
        stores: dict[str, Callable[[], SharedLog]] = {
            "file": lambda: sqlite_log(Path(tempfile.mkdtemp(dir=folder)) / "events.db"),
            "file, not synchronised": lambda: _careless(Path(tempfile.mkdtemp(dir=folder)) / "events.db"),
            "PostgreSQL": lambda: postgres_log(server.new_address(), limit_s=30.0),
        }
        print(f"{'appending':<40}{'p50 ms':>10}{'p99 ms':>10}{'events/s':>12}")
        for callers in (1, 16, 128):
            for name, store in stores.items():
                waits, seconds = _measured(store(), callers=callers)
                p50, p99 = np.percentile(waits, [50, 99]) * 1e3
                print(f"{f'{callers} callers, {name}':<40}{p50:>10.2f}{p99:>10.2f}{len(waits) / seconds:>12,.0f}")
        server.stop()


def _careless(path: Path) -> SharedLog:
    """Only here: the log itself has no way to be told so."""
    log = sqlite_log(path)
    log._rows._writer.execute("PRAGMA synchronous = OFF")
    return log


def _measured(log: SharedLog, *, callers: int) -> tuple[np.ndarray, float]:
    """Seconds each caller waited, and how long all of it took."""
    waits: list[float] = []

    def call(caller: int) -> None:
        for number in range(N_EVENTS // callers):
            outcome = Outcome(decision_id=f"dec_{caller}_{number}", status="approved")
            started = time.perf_counter()
            log.append(OutcomeReported(payment_id=f"pay_{number}", outcome=outcome), arrived_us=number, is_new=True).result()
            waits.append(time.perf_counter() - started)

    threads = [threading.Thread(target=call, args=(caller,)) for caller in range(callers)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - began
    log.close()
    return np.array(waits), seconds


if __name__ == "__main__":
    main()

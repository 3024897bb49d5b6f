"""What waiting for the disk costs: the event log synchronised before it answers, and not.

python benchmarks/durability.py
"""

from __future__ import annotations

import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from honour.records.attempt import Outcome
from honour.records.event import OutcomeReported
from honour.stores.sqlite import sqlite_log

N_EVENTS = 2_000


def main() -> None:
    """Print the table of docs/adr/0002."""
    print(f"{'appending':<28}{'p50 ms':>10}{'p99 ms':>10}{'events/s':>12}")
    for callers in (1, 16):
        for synchronised in (True, False):
            waits, seconds = _measured(callers=callers, synchronised=synchronised)
            p50, p99 = np.percentile(waits, [50, 99]) * 1e3
            name = f"{callers} callers, {'synchronised' if synchronised else 'not synchronised'}"
            print(f"{name:<28}{p50:>10.2f}{p99:>10.2f}{len(waits) / seconds:>12,.0f}")


def _measured(*, callers: int, synchronised: bool) -> tuple[np.ndarray, float]:
    """Seconds each caller waited, and how long all of it took."""
    with tempfile.TemporaryDirectory() as folder:
        log = sqlite_log(Path(folder) / "events.db")
        if not synchronised:
            # Only here: the log itself has no way to be told so.
            log._writer.execute("PRAGMA synchronous = OFF")
        waits: list[float] = []

        def call(caller: int) -> None:
            for number in range(N_EVENTS // callers):
                outcome = Outcome(decision_id=f"dec_{caller}_{number}", status="approved")
                started = time.perf_counter()
                log.append(OutcomeReported(payment_id=f"pay_{number}", outcome=outcome), arrived_us=number).result()
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

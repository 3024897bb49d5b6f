"""The process that holds what a server took against expectations, after everything else on the machine.

python -m honour.serving.quality_process    what to do on standard input (JSON), figures on standard output, a line every few seconds

It reads the log and nothing else, so that no answer waits for it. It ends with the server: nobody reads its lines any more.
"""

from __future__ import annotations

import os
import sys
import time

import msgspec

from honour.features.expectation import expected_of
from honour.features.live import Live
from honour.features.tally import DAY_US
from honour.records.expectation import QualitySettings
from honour.records.settings import DataSettings
from honour.stores.opening import open_log, seq_before

TELL_EVERY_S = 5.0
BACKLOG_MAX = 500_000
"""Most events before the start that are read to know what is usual."""


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """What the process is told: where the log is, what is expected, and which routes there are."""

    data: DataSettings
    quality: QualitySettings
    routes: tuple[str, ...]


def main(task: Task) -> None:
    """Fold the log for as long as somebody reads what is said."""
    _stand_back()
    log = open_log(task.data, read_only=True)
    try:
        expected = expected_of(task.quality.expectations, routes=task.routes)
        days = max((one.reference_days for one in expected.expectations), default=1)
        after_seq = seq_before(log, time.time_ns() // 1_000 - days * DAY_US, n_max=BACKLOG_MAX)
        live = Live(expected, start_seq=log.last_seq, after_seq=after_seq)
        while True:
            for logged in log.read(after_seq=after_seq):
                live.take(logged)
                after_seq = logged.seq
            sys.stdout.buffer.write(msgspec.json.encode(live.figures(now_us=time.time_ns() // 1_000)) + b"\n")
            sys.stdout.buffer.flush()
            time.sleep(TELL_EVERY_S)
    except BrokenPipeError:
        os._exit(0)  # The server has ended; flushing what nobody reads would fail once more.
    finally:
        log.close()


def _stand_back() -> None:
    """Run when nothing else wants the core. A server that wakes then has it at once; of a process that is only nice it waits for the end
    of a slice, some milliseconds."""
    if hasattr(os, "SCHED_IDLE"):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    else:
        os.nice(19)


if __name__ == "__main__":
    main(msgspec.json.decode(sys.stdin.buffer.readline(), type=Task))

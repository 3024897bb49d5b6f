"""Several processes on one log append in turn."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from log_kit import APPENDER, attempt, line_of, opened, python

from honour.records.event import AttemptReported


@pytest.fixture(params=["sqlite", "postgres"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A file or an address, for `opened`."""
    if request.param == "sqlite":
        return str(tmp_path / "events.db")
    address: str = request.getfixturevalue("real_postgres").new_address()
    return address


def test_processes_append_in_turn_and_one_that_is_killed_holds_nobody_up(where: str) -> None:
    processes = [python(APPENDER, where, name) for name in ("first", "second")]
    told = [line_of(process) for process in processes]
    log = opened(where)
    mine = [log.append(attempt(f"mine_{number}"), arrived_us=1).result().seq for number in range(50)]
    for process in processes:
        process.kill()
    told += [line for process in processes for line in process.communicate()[0].splitlines(keepends=True) if line.endswith("\n")]
    mine += [log.append(attempt(f"later_{number}"), arrived_us=1).result().seq for number in range(50)]
    by_seq = {logged.seq: logged.event for logged in log.read()}
    log.close()
    assert list(by_seq) == list(range(1, len(by_seq) + 1))
    for seq, name in (line.split() for line in told):
        event = by_seq.pop(int(seq))
        assert isinstance(event, AttemptReported)
        assert event.attempt.attempt_id == name
    assert set(mine) <= set(by_seq)


def test_in_a_turn_the_end_of_the_log_is_known_and_nobody_else_appends(where: str) -> None:
    one, other = opened(where), opened(where)
    one.append(attempt(1), arrived_us=7).result()
    assert other.last_seq == 0
    assert other.take_turn()
    assert (other.last_seq, other.last_arrived_us) == (1, 7)
    assert not one.take_turn(wait=False)
    assert [logged.seq for logged in other.news(after_seq=0, n_max=9)] == [1]
    waiting = threading.Thread(target=lambda: one.append(attempt(3), arrived_us=1))
    waiting.start()
    future = other.append(attempt(2), arrived_us=1)
    other.end_turn()
    assert future.result().seq == 2
    waiting.join()
    one.close()
    assert [logged.seq for logged in other.read()] == [1, 2, 3]
    other.close()


def test_one_who_appends_without_a_pause_lets_others_have_their_turn(where: str) -> None:
    one, other, is_over = opened(where), opened(where), threading.Event()

    def go() -> None:
        for number in range(100_000):
            if is_over.is_set():
                break
            one.append(attempt(f"one_{number}"), arrived_us=1)

    busy = threading.Thread(target=go)
    busy.start()
    seqs = [other.append(attempt(f"other_{number}"), arrived_us=1).result().seq for number in range(20)]
    is_over.set()
    busy.join()
    one.close()
    assert [logged.seq for logged in other.read() if logged.seq in seqs] == seqs
    other.close()


def test_one_process_leads_until_it_ends(where: str) -> None:
    one, other = opened(where), opened(where)
    assert (one.leads(), other.leads(), one.leads()) == (True, False, True)
    one.close()
    assert not one.leads()
    ends = time.monotonic() + 30
    while not other.leads():  # A database lets go of a session's locks a moment after its end.
        assert time.monotonic() < ends
        time.sleep(0.01)
    other.close()

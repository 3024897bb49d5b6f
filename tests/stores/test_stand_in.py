"""A shared log that is away: the server that leads goes on in a journal, and the log has everything, once, when it is back."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from log_kit import MAKE_ATTEMPT, attempt, line_of, python

from honour.errors import LogAway, LogUnavailable
from honour.records.event import AttemptReported, key_of
from honour.records.settings import DataSettings
from honour.stores.line import Line
from honour.stores.opening import open_log, serving_log
from honour.stores.shared_log import SharedLog
from real_postgres import RealPostgres

pytestmark = pytest.mark.slow

# Appends without a pause, while its log is there and while it is away; prints a position only when it is durable.
SERVER = (
    MAKE_ATTEMPT
    + """
import sys
import structlog
from honour.records.settings import DataSettings
from honour.stores.opening import serving_log
structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
log = serving_log(DataSettings(dir=sys.argv[1], log=sys.argv[2], log_timeout_ms=300))
for number in range(10**9):
    logged = log.append(attempt(f"{sys.argv[3]}_{number}"), arrived_us=number, is_new=True).result()
    sys.stdout.write(f"{logged.seq} {logged.event.attempt.attempt_id} {log.journaled is not None}\\n")
    sys.stdout.flush()
"""
)


@pytest.fixture
def data(tmp_path: Path, real_postgres: RealPostgres) -> DataSettings:
    return DataSettings(dir=str(tmp_path / "one"), log=real_postgres.new_address(), log_timeout_ms=300)


@pytest.fixture
def log(data: DataSettings, real_postgres: RealPostgres) -> Iterator[SharedLog]:
    opened = serving_log(data)
    yield opened
    opened.close()
    real_postgres.start()


def until(condition: Callable[[], object]) -> None:
    ends = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < ends, "it never came"
        time.sleep(0.02)


def names(data: DataSettings) -> list[str]:
    """What the log holds, its positions checked."""
    log = open_log(data, read_only=True)
    try:
        return [logged.event.attempt.attempt_id for logged in log.read() if isinstance(logged.event, AttemptReported)]
    finally:
        log.close()


def test_events_are_kept_while_the_log_is_away_and_are_in_it_afterwards(
    log: SharedLog, data: DataSettings, real_postgres: RealPostgres
) -> None:
    assert log.append(attempt(1), arrived_us=1).result().seq == 1
    assert log.journaled is None
    real_postgres.kill()
    assert [log.append(attempt(number), arrived_us=1, is_new=True).result().seq for number in (2, 3)] == [2, 3]
    assert log.why_unavailable is None
    assert log.journaled == 2
    found = log.find("attempt:att_3")
    assert found is not None
    assert found.seq == 3
    for unknowable in (lambda: log.find("attempt:att_1"), lambda: log.story("pay_1"), lambda: list(log.read())):
        with pytest.raises(LogAway, match="send this again later"):
            unknowable()
    assert log.why_unavailable is None
    assert not log.leads()  # Snapshots are written of what the log holds.
    real_postgres.start()
    until(lambda: log.journaled is None)
    assert log.append(attempt(4), arrived_us=1).result().seq == 4
    assert names(data) == ["att_1", "att_2", "att_3", "att_4"]
    assert log.leads()


@pytest.mark.parametrize("fault", ["kill", "pause"])
def test_a_server_that_never_stops_appending_loses_and_repeats_nothing(data: DataSettings, real_postgres: RealPostgres, fault: str) -> None:
    process = python(SERVER, data.dir, data.log, "busy")
    told = [line_of(process) for _ in range(20)]
    for _ in range(2):
        (real_postgres.kill if fault == "kill" else real_postgres.pause)()
        while told[-1].split()[2] == "False":
            told.append(line_of(process))
        told += [line_of(process) for _ in range(50)]
        (real_postgres.start if fault == "kill" else real_postgres.resume)()
        while told[-1].split()[2] == "True":
            told.append(line_of(process))
        told += [line_of(process) for _ in range(20)]
    process.kill()
    told += [line for line in process.communicate()[0].splitlines(keepends=True) if line.endswith("\n")]
    kept = names(data)
    assert len(kept) == len(set(kept))
    for seq, name, _ in (line.split() for line in told):
        assert kept[int(seq) - 1] == name


def test_what_a_killed_server_had_journaled_is_forwarded_when_it_starts_again(data: DataSettings, real_postgres: RealPostgres) -> None:
    process = python(SERVER, data.dir, data.log, "first")
    told = [line_of(process) for _ in range(5)]
    real_postgres.kill()
    while told[-1].split()[2] == "False":
        told.append(line_of(process))
    process.send_signal(signal.SIGKILL)
    told += [line for line in process.communicate()[0].splitlines(keepends=True) if line.endswith("\n")]
    with pytest.raises(LogUnavailable, match="Check that the server runs"):
        serving_log(data)
    real_postgres.start()
    again = serving_log(data)
    again.append(attempt("after"), arrived_us=1).result()
    again.close()
    kept = names(data)
    assert kept[-1] == "att_after"
    for seq, name, _ in (line.split() for line in told):
        assert kept[int(seq) - 1] == name


def test_of_several_servers_the_one_that_leads_goes_on_and_the_others_wait_for_it(
    log: SharedLog, data: DataSettings, real_postgres: RealPostgres, tmp_path: Path
) -> None:
    other = serving_log(DataSettings(dir=str(tmp_path / "other"), log=data.log, log_timeout_ms=300))
    assert (log.leads(), other.leads()) == (True, False)
    log.append(attempt(1), arrived_us=1).result()
    assert other.append(attempt(2), arrived_us=1).result().seq == 2
    log.take_turn()
    log.end_turn()
    real_postgres.kill()
    with pytest.raises(LogUnavailable, match="Check that the server runs"):
        other.append(attempt("refused"), arrived_us=1, is_new=True).result()
    assert log.append(attempt(3), arrived_us=1, is_new=True).result().seq == 3
    real_postgres.start()
    until(other.recover)
    assert other.append(attempt(4), arrived_us=1).result().seq == 4
    until(lambda: log.journaled is None)
    assert names(data) == ["att_1", "att_2", "att_3", "att_4"]
    other.close()


def test_when_the_one_that_leads_is_gone_another_stands_in(
    log: SharedLog, data: DataSettings, real_postgres: RealPostgres, tmp_path: Path
) -> None:
    other = serving_log(DataSettings(dir=str(tmp_path / "other"), log=data.log, log_timeout_ms=300))
    log.close()
    until(other.leads)
    real_postgres.kill()
    assert other.append(attempt(1), arrived_us=1, is_new=True).result().seq == 1
    real_postgres.start()
    until(lambda: other.journaled is None)
    other.close()
    assert names(data) == ["att_1"]


def test_a_log_that_went_on_without_the_one_that_stood_in_gets_its_events_behind_and_its_state_is_made_anew(
    log: SharedLog, data: DataSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.append(attempt(1), arrived_us=5).result()
    other = serving_log(DataSettings(dir=str(tmp_path / "other"), log=data.log, log_timeout_ms=300))
    cut, connect = threading.Event(), Line.connect

    def connected(line: Line) -> None:
        if cut.is_set() and threading.current_thread() is not main:
            raise LogUnavailable("the cable is cut.")
        connect(line)

    main = threading.current_thread()
    monkeypatch.setattr(Line, "connect", connected)
    cut.set()
    log._rows.shared_turn.line.drop()
    monkeypatch.setattr(type(log._rows.shared_turn), "take", _never(type(log._rows.shared_turn).take, cut, log))
    assert [log.append(attempt(name), arrived_us=6, is_new=True).result().seq for name in ("mine", "both")] == [2, 3]
    assert other.append(attempt("other"), arrived_us=7).result().seq == 2
    assert other.append(attempt("both", note="differs"), arrived_us=7).result().seq == 3
    cut.clear()
    until(lambda: log.journaled is None)
    with pytest.raises(LogUnavailable, match="it went on while this server could not reach it"):
        log.append(attempt("late"), arrived_us=8)
    assert log.recover()
    assert log.append(attempt("late"), arrived_us=8).result().seq == 5
    assert names(data) == ["att_1", "att_other", "att_both", "att_mine", "att_late"]
    (aside,) = (Path(data.dir) / "journal-refused.ndjson").read_text().splitlines()
    assert json.loads(aside)[4] == key_of(attempt("both"))
    other.close()


def _never(take: Callable[..., bool], cut: threading.Event, log: SharedLog) -> Callable[..., bool]:
    """The turn that the one log cannot take while its cable is cut."""
    mine = log._rows.shared_turn

    def taken(turn: object, *, wait: bool) -> bool:
        if cut.is_set() and turn is mine:
            raise LogUnavailable("the cable is cut.")
        return take(turn, wait=wait)

    return taken


def test_a_server_that_is_told_to_refuse_refuses(real_postgres: RealPostgres, data: DataSettings) -> None:
    log = serving_log(DataSettings(dir=data.dir, log=data.log, log_timeout_ms=300, while_away="refuse"))
    real_postgres.kill()
    with pytest.raises(LogUnavailable, match="Check that the server runs"):
        log.append(attempt(1), arrived_us=1, is_new=True).result()
    real_postgres.start()
    assert log.recover()
    log.close()

"""The event log in PostgreSQL: what a killed server, a paused one, a lost session and one who hangs in the turn leave."""

from __future__ import annotations

import signal
import threading
import time
from pathlib import Path

import psycopg
import pytest
from log_kit import APPENDER, attempt, line_of, python

from honour.errors import BadSettings, LogContractBroken, LogUnavailable
from honour.records.event import AttemptReported
from honour.stores import postgres
from honour.stores.opening import data_of, postgres_log
from honour.stores.postgres import PostgresTurn, name_of
from real_postgres import RealPostgres


@pytest.fixture
def address(real_postgres: RealPostgres) -> str:
    return real_postgres.new_address()


@pytest.mark.slow
def test_every_acknowledged_event_survives_when_processes_and_the_database_are_killed(real_postgres: RealPostgres, address: str) -> None:
    acknowledged: dict[int, str] = {}
    for round_number in range(3):
        processes = [python(APPENDER, address, f"{round_number}_{name}") for name in ("first", "second")]
        told = [line_of(process) for process in processes]
        time.sleep(0.2 + 0.1 * round_number)
        if round_number == 1:
            real_postgres.kill()
        for process in processes:
            process.send_signal(signal.SIGKILL)
        told += [line for process in processes for line in process.communicate()[0].splitlines(keepends=True) if line.endswith("\n")]
        real_postgres.start()
        acknowledged.update((int(seq), name) for seq, name in (line.split() for line in told))
    log = postgres_log(address, limit_s=10.0, read_only=True)
    on_disk = {logged.seq: logged.event for logged in log.read()}
    log.close()
    assert list(on_disk) == list(range(1, len(on_disk) + 1))
    for seq, name in acknowledged.items():
        event = on_disk[seq]
        assert isinstance(event, AttemptReported)
        assert event.attempt.attempt_id == name
    assert len(acknowledged) > 100


def test_a_session_that_was_ended_between_turns_is_made_anew_without_a_word(real_postgres: RealPostgres, address: str) -> None:
    log = postgres_log(address, limit_s=10.0)
    for number in range(3):
        log.append(attempt(number), arrived_us=1).result()
        assert log.find(f"attempt:att_{number}") is not None
        real_postgres.end_sessions()
    log.append(attempt(3), arrived_us=1).result()
    assert [logged.seq for logged in log.read()] == [1, 2, 3, 4]
    log.close()


def test_who_loses_the_session_within_the_turn_cannot_write(real_postgres: RealPostgres, address: str) -> None:
    one, other = postgres_log(address, limit_s=10.0), postgres_log(address, limit_s=10.0)
    one.take_turn()
    one.append(attempt(1), arrived_us=1)
    waiting = one.append(attempt(2), arrived_us=1)
    real_postgres.end_sessions()  # The turn is gone, and the one who had it does not know yet.
    assert other.append(attempt("other"), arrived_us=1).result().seq == 1
    one.end_turn()
    with pytest.raises(LogUnavailable):
        waiting.result()
    with pytest.raises(LogUnavailable, match="Nothing was accepted"):
        one.append(attempt(3), arrived_us=1)
    assert one.recover()
    assert one.append(attempt(1), arrived_us=1).result().seq == 2
    one.close()
    other.close()


def test_a_database_that_does_not_answer_is_away_after_the_limit_and_comes_back(real_postgres: RealPostgres, address: str) -> None:
    log = postgres_log(address, limit_s=0.3)
    log.append(attempt(1), arrived_us=1).result()
    real_postgres.pause()
    try:
        with pytest.raises(LogUnavailable, match="did not answer in time"):
            log.append(attempt(2), arrived_us=1).result()
        assert not log.recover()
    finally:
        real_postgres.resume()
    assert log.recover()
    log.append(attempt(3), arrived_us=1).result()
    assert [logged.event for logged in log.read()] == [attempt(1), attempt(3)]
    log.close()


def test_one_who_hangs_in_the_turn_is_put_out_and_cannot_write(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "TURN_LIMIT_S", 0.3)
    hung, other = postgres_log(address, limit_s=10.0), postgres_log(address, limit_s=10.0)
    hung.take_turn()
    lost = hung.append(attempt("lost"), arrived_us=1)
    assert not other.take_turn(wait=False)
    assert other.append(attempt(1), arrived_us=1).result().seq == 1
    hung.end_turn()
    with pytest.raises(LogUnavailable):
        lost.result()
    assert [logged.event for logged in other.read()] == [attempt(1)]
    hung.close()
    other.close()


def test_who_writes_without_the_turn_is_stopped_by_the_database(address: str) -> None:
    log = postgres_log(address, limit_s=10.0)
    log.take_turn()
    lost = log.append(attempt(1), arrived_us=1)
    with psycopg.connect(address, autocommit=True) as session:
        session.execute("INSERT INTO honour_events VALUES (1, 1, 'attempt', 'pay_1', 'attempt:att_x', '{}')")
    log.end_turn()
    with pytest.raises(LogUnavailable, match="out of turn"):
        lost.result()
    log.close()


def test_a_database_of_another_format_or_half_a_log_is_refused(address: str) -> None:
    with pytest.raises(LogContractBroken, match="no event log there"):
        postgres_log(address, limit_s=10.0, read_only=True)
    postgres_log(address, limit_s=10.0).close()
    with psycopg.connect(address, autocommit=True) as session:
        session.execute("UPDATE honour_meta SET value = '9' WHERE name = 'format'")
        with pytest.raises(LogContractBroken, match="format 9"):
            postgres_log(address, limit_s=10.0)
        session.execute("DROP TABLE honour_events")
        with pytest.raises(LogContractBroken, match="half an event log"):
            postgres_log(address, limit_s=10.0)


def test_nobody_there_is_said_without_the_password() -> None:
    with pytest.raises(LogUnavailable, match=r"postgresql://127\.0\.0\.1:1/honour: .*Check that the server runs") as refused:
        postgres_log("postgresql://shop:s3cret@127.0.0.1:1/honour?sslmode=disable", limit_s=1.0)
    assert "s3cret" not in str(refused.value)
    assert name_of("postgresql://shop:s3cret@db.example:5432/honour?password=s3cret") == "postgresql://db.example:5432/honour"
    with pytest.raises(BadSettings, match="not an address of PostgreSQL") as refused_address:
        name_of("mysql://shop:s3cret@db/honour")
    assert "s3cret" not in str(refused_address.value)


def test_the_turn_is_wanted_while_another_stands_at_the_door(address: str) -> None:
    postgres_log(address, limit_s=10.0).close()
    one, other = PostgresTurn(address, limit_s=10.0), PostgresTurn(address, limit_s=10.0)
    assert one.take(wait=True)
    waiting = threading.Thread(target=other.take, kwargs={"wait": True})
    waiting.start()
    while not one.is_wanted():
        time.sleep(0.01)
    one.give()
    waiting.join()
    assert not one.take(wait=False)
    other.give()
    assert one.take(wait=False)
    one.close()
    other.close()


def test_commands_that_are_given_a_folder_find_its_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HONOUR_DATA__LOG", raising=False)
    assert data_of(tmp_path).log is None
    (tmp_path / "honour.toml").write_text('[data]\nlog = "postgresql://db/honour"\n')
    assert data_of(tmp_path).log == "postgresql://db/honour"
    monkeypatch.setenv("HONOUR_DATA__LOG", "postgresql://other/honour")
    assert data_of(tmp_path).log == "postgresql://other/honour"
    (tmp_path / "honour.toml").write_text("[data")
    with pytest.raises(BadSettings, match=r"honour\.toml: cannot be read"):
        data_of(tmp_path)

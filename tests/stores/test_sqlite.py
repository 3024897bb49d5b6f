"""The event log on disk: what a crash, a full disk, a second process and a torn file leave."""

from __future__ import annotations

import contextlib
import json
import random
import shutil
import signal
import sqlite3
import threading
import time
from pathlib import Path

import pytest
from log_kit import APPENDER, MAKE_ATTEMPT, attempt, python

from honour.errors import LogContractBroken, LogUnavailable
from honour.records.event import AttemptReported
from honour.stores.shared_log import SharedLog
from honour.stores.sqlite import SqliteRows, sqlite_log
from honour.stores.turn import FileTurn

# Meets a file size limit of the kernel, the nearest thing to a full disk that needs no privilege.
FILLER = (
    MAKE_ATTEMPT
    + """
import json, resource, sys
from pathlib import Path
from honour.errors import LogUnavailable
from honour.stores.sqlite import sqlite_log
log = sqlite_log(Path(sys.argv[1]))
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, hard))
acknowledged, refused, at_once = [], 0, 0
futures = []
for number in range(2_000):
    try:
        futures.append(log.append(attempt(number, "x" * 1_000), arrived_us=number))
    except LogUnavailable:
        at_once += 1
    if number % 10 == 0:
        for future in futures:
            try:
                acknowledged.append(future.result(timeout=30).seq)
            except LogUnavailable:
                refused += 1
        futures = []
for future in futures:
    refused += future.exception() is not None
why = log.why_unavailable
resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, hard))
still = log.recover()
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
again = log.recover()
seq = log.append(attempt("after"), arrived_us=0).result().seq
on_disk = [logged.seq for logged in log.read()]
told = dict(acknowledged=acknowledged, refused=refused, at_once=at_once, why=why, still=still, again=again, seq=seq)
print(json.dumps({**told, "on_disk": on_disk}))
log.close()
"""
)


@pytest.mark.slow
def test_every_acknowledged_event_survives_kill_9_and_the_log_has_no_gaps(tmp_path: Path) -> None:
    path, acknowledged, moments = tmp_path / "events.db", dict[int, str](), random.Random(7)
    for round_number in range(6):
        process = python(APPENDER, path, round_number)
        assert process.stdout is not None
        process.stdout.readline()  # It runs.
        time.sleep(moments.uniform(0.01, 0.4))
        process.send_signal(signal.SIGKILL)
        lines = process.stdout.read().splitlines(keepends=True)
        process.wait()
        acknowledged.update((int(seq), name) for seq, name in (line.split() for line in lines if line.endswith("\n")))
        log = sqlite_log(path)
        on_disk = {logged.seq: logged.event for logged in log.read()}
        log.close()
        assert list(on_disk) == list(range(1, len(on_disk) + 1))
        for seq, name in acknowledged.items():
            event = on_disk[seq]
            assert isinstance(event, AttemptReported)
            assert event.attempt.attempt_id == name
    assert len(acknowledged) > 100


@pytest.mark.slow
def test_a_full_disk_refuses_everything_until_there_is_room_and_keeps_what_it_acknowledged(tmp_path: Path) -> None:
    process = python(FILLER, tmp_path / "events.db")
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    told = json.loads(out)
    assert told["why"]
    assert told["refused"] > 0
    assert told["at_once"] > 0
    assert (told["still"], told["again"]) == (False, True)
    assert told["on_disk"] == list(range(1, told["seq"] + 1))
    assert set(told["acknowledged"]) <= set(told["on_disk"])


def test_a_log_without_room_fails_what_waits_refuses_the_rest_and_recovers_at_what_is_durable(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    sqlite_log(path).close()
    rows = SqliteRows(path, bytes_max=400_000)
    log = SharedLog(rows, turn=FileTurn(path))
    durable, failed = 0, None
    while failed is None:
        waiting = [log.append(attempt(f"{durable}_{number}", note="x" * 10_000), arrived_us=durable) for number in range(2)]
        failed = waiting[-1].exception()
        durable += sum(future.exception() is None for future in waiting)
    assert isinstance(failed, LogUnavailable)
    assert log.why_unavailable is not None
    assert "full" in log.why_unavailable
    with pytest.raises(LogUnavailable, match=r"full.*Nothing was accepted"):
        log.append(attempt("more"), arrived_us=1)
    with pytest.raises(LogUnavailable):
        log.append_many([(attempt("more"), 1)])
    assert not log.recover()
    rows.bytes_max = None  # There is room again.
    assert log.recover()
    assert log.why_unavailable is None
    assert log.last_seq == durable
    assert log.append(attempt("more"), arrived_us=1).result().seq == durable + 1
    assert [logged.seq for logged in log.read()] == list(range(1, durable + 2))
    log.close()


def test_an_event_that_waited_behind_a_failure_may_be_sent_again(tmp_path: Path) -> None:
    rows = SqliteRows(tmp_path / "events.db", bytes_max=100_000)
    log = SharedLog(rows, turn=FileTurn(tmp_path / "events.db"))
    with pytest.raises(LogUnavailable):
        log.append(attempt("large", note="x" * 200_000), arrived_us=1).result()
    rows.bytes_max = None
    assert log.recover()
    assert log.append(attempt("large"), arrived_us=1).result().seq == 1
    log.close()


def test_a_turn_knows_whether_another_process_had_it_since(tmp_path: Path) -> None:
    mine, another = FileTurn(tmp_path / "events.db"), FileTurn(tmp_path / "events.db")
    told = []
    for turn in (mine, mine, another, mine, another, another):
        assert turn.take(wait=False)
        told.append(turn.was_last())
        turn.note()
        turn.give()
    assert told == [False, True, False, False, False, True]


def test_one_who_could_not_ask_where_the_log_ends_asks_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log, other = sqlite_log(tmp_path / "events.db"), sqlite_log(tmp_path / "events.db")
    log.append(attempt(1), arrived_us=1).result()
    other.append(attempt(2), arrived_us=2).result()
    with monkeypatch.context() as away:
        away.setattr(SqliteRows, "end", _cannot)
        with pytest.raises(LogUnavailable):
            log.take_turn()
    assert log.recover()
    assert log.append(attempt(3), arrived_us=3).result().seq == 3
    log.close()
    other.close()


def test_what_was_taken_in_is_durable_after_closing(tmp_path: Path) -> None:
    log = sqlite_log(tmp_path / "events.db")
    futures = [log.append(attempt(number), arrived_us=number) for number in range(500)]
    log.close()
    assert all(future.done() for future in futures)
    again = sqlite_log(tmp_path / "events.db")
    assert (again.last_seq, again.last_arrived_us) == (500, 499)
    assert again.append(attempt("next"), arrived_us=3).result().arrived_us == 499
    again.close()


def test_events_of_many_threads_get_positions_without_gaps(tmp_path: Path) -> None:
    log = sqlite_log(tmp_path / "events.db")
    seqs: list[int] = []

    def go(thread: int) -> None:
        for number in range(100):
            seqs.append(log.append(attempt(f"{thread}_{number}"), arrived_us=1).result().seq)

    threads = [threading.Thread(target=go, args=(thread,)) for thread in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log.close()
    assert sorted(seqs) == list(range(1, 801))


def test_many_read_while_one_writes(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    log, wrong = sqlite_log(path), list[object]()

    def read() -> None:
        reader = sqlite_log(path, read_only=True)
        for _ in range(15):
            seqs = [logged.seq for logged in reader.read()]
            if seqs != list(range(1, len(seqs) + 1)) or reader.last_seq < len(seqs):
                wrong.append(seqs)
        reader.close()

    readers = [threading.Thread(target=read) for _ in range(3)]
    for thread in readers:
        thread.start()
    for number in range(1_500):
        log.append(attempt(number), arrived_us=number)
    for thread in readers:
        thread.join()
    log.close()
    assert wrong == []
    assert sqlite_log(path, read_only=True).last_seq == 1_500


def test_one_who_only_reads_cannot_write(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    with pytest.raises(LogContractBroken, match="no event log there"):
        sqlite_log(path, read_only=True)
    assert not path.exists()
    sqlite_log(path).close()
    with pytest.raises(LogContractBroken, match="opened for reading only"):
        sqlite_log(path, read_only=True).append(attempt(1), arrived_us=1)


def test_a_tail_torn_by_a_crash_is_cut_off_and_the_rest_stands(tmp_path: Path) -> None:
    path, torn = tmp_path / "events.db", tmp_path / "torn"
    log = sqlite_log(path)
    for number in range(40):
        log.append(attempt(number, note="x" * 100), arrived_us=number).result()
    torn.mkdir()
    for lost in (1, 500, 5_000, 20_000):
        for name in ("events.db", "events.db-wal"):
            shutil.copy(tmp_path / name, torn / name)
        (torn / "events.db-shm").unlink(missing_ok=True)
        tail = (torn / "events.db-wal").read_bytes()
        (torn / "events.db-wal").write_bytes(tail[:-lost])
        again = sqlite_log(torn / "events.db")
        seqs = [logged.seq for logged in again.read()]
        again.close()
        assert seqs == list(range(1, len(seqs) + 1))
        assert 0 < len(seqs) < 40
    log.close()


@pytest.mark.parametrize("content", [b"no database at all" * 100, b"SQLite format 3\x00" + b"\xff" * 5_000])
def test_a_file_that_is_no_database_is_refused_in_words(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "events.db").write_bytes(content)
    with pytest.raises(LogContractBroken, match=r"events\.db"):
        sqlite_log(tmp_path / "events.db")
    (tmp_path / "events.db").unlink()
    sqlite_log(tmp_path / "events.db").close()  # The refused one let go of its turn.


def test_a_database_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    with contextlib.closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE theirs (x)")
    with pytest.raises(LogContractBroken, match="not an event log"):
        sqlite_log(path)
    with contextlib.closing(sqlite3.connect(path)) as other:
        assert other.execute("SELECT name FROM sqlite_schema").fetchall() == [("theirs",)]


def test_a_newer_format_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    sqlite_log(path).close()
    with contextlib.closing(sqlite3.connect(path)) as newer:
        newer.execute("UPDATE meta SET value = 2 WHERE name = 'format'")
        newer.commit()
    with pytest.raises(LogContractBroken, match="written in format 2; this Honour reads 1"):
        sqlite_log(path)


def test_a_missing_or_unreadable_event_is_named(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    log = sqlite_log(path)
    log.append_many([(attempt(number), number) for number in range(5)])
    log.close()
    with contextlib.closing(sqlite3.connect(path)) as hand:
        hand.execute("UPDATE events SET body = '{}' WHERE seq = 4")
        hand.commit()
    with pytest.raises(LogContractBroken, match="event 4 cannot be read"):
        list(sqlite_log(path, read_only=True).read())
    with contextlib.closing(sqlite3.connect(path)) as hand:
        hand.execute("DELETE FROM events WHERE seq = 2")
        hand.commit()
    with pytest.raises(LogContractBroken, match="event 2 is missing"):
        list(sqlite_log(path, read_only=True).read())


def test_operations_can_ask_the_file_with_any_client(tmp_path: Path) -> None:
    log = sqlite_log(tmp_path / "events.db")
    log.append(attempt(1), arrived_us=5).result()
    with contextlib.closing(sqlite3.connect(tmp_path / "events.db")) as client:
        found = client.execute(
            "SELECT seq, arrived_us, kind, payment_id, key, json_extract(body, '$.attempt.status') FROM events"
        ).fetchall()
    log.close()
    assert found == [(1, 5, "attempt", "pay_1", "attempt:att_1", "declined")]


def test_an_event_that_cannot_be_written_down_is_refused_alone(tmp_path: Path) -> None:
    log = sqlite_log(tmp_path / "events.db")
    with pytest.raises(UnicodeEncodeError):
        log.append(attempt("\ud800"), arrived_us=1)
    with pytest.raises(LogContractBroken, match="64 bits"):
        log.append(attempt(1), arrived_us=2**63)
    assert log.append(attempt(2), arrived_us=3).result().seq == 1
    log.close()


def test_a_folder_that_cannot_be_made_is_an_error_of_the_log(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LogUnavailable, match="data folder"):
        sqlite_log(tmp_path / "file" / "events.db")


def _cannot(_: SqliteRows) -> tuple[int, int]:
    raise LogUnavailable("the disk does not answer.")

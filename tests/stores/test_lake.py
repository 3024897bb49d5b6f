"""The lake holds what the log holds, each day whole or not at all, and a training set from it is the same bytes each time."""

from __future__ import annotations

import random
import runpy
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest
from lake_kit import DAY_US, START_US, answered, days_of_events, decided, filled, log_of, quiet, reported

from honour.errors import BadInput, LakeBroken, LogContractBroken
from honour.features.offline import training_set
from honour.stores.lake import MANIFEST, Lake
from honour.stores.landing import land_events
from honour.stores.sqlite import sqlite_log
from honour.stores.training import build_training_set

FEW = ["card_approval_rate_30d", "attempt_number", "payment_last_status", "local_hour"]
SOURCE = Path(__file__).resolve().parents[2] / "src"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return log_of(tmp_path, days_of_events(60))


def lake_at(folder: Path) -> Lake:
    return Lake(str(folder))


def test_a_lake_has_one_file_a_day_with_the_attempts_answered_on_it_in_their_order(log: Path, tmp_path: Path) -> None:
    lake = lake_at(tmp_path / "lake")
    assert filled(log, lake) == 58  # 48 reported, and 10 of 12 decisions with an outcome.
    manifest = lake.wanted()
    assert [str(one.day) for one in manifest.partitions] == ["2026-03-01", "2026-03-02", "2026-03-03"]
    attempts = lake.read(manifest)
    assert attempts["seq"].to_pylist() == sorted(attempts["seq"].to_pylist())
    first = next(row for row in attempts.to_pylist() if row["source"] == "decision")
    assert (first["attempt_id"], first["at_us"], first["asked_seq"], first["propensity"]) == ("dec_0", START_US, 1, 0.5)
    assert (first["status"], first["latency_ms"], first["route"], first["card_id"]) == ("approved", 300, "acq_0", "crd_0")
    assert sorted(path.name for path in (tmp_path / "lake").iterdir() if path.is_file()) == [".lock", MANIFEST]


@pytest.mark.parametrize("cuts", [(1, 2, 3), (20, 40), (30, 31, 71)])
def test_filled_bit_by_bit_a_lake_has_the_same_files_as_filled_at_once(log: Path, tmp_path: Path, cuts: tuple[int, ...]) -> None:
    whole, parts = lake_at(tmp_path / "whole"), lake_at(tmp_path / "parts")
    filled(log, whole)
    n_new = [filled(log, parts, to_seq=to_seq) for to_seq in cuts] + [filled(log, parts)]
    assert sum(n_new) == 58
    assert parts.wanted() == whole.wanted()
    assert filled(log, parts) == 0


def test_an_outcome_finds_its_decision_though_the_lake_was_filled_in_between(tmp_path: Path) -> None:
    path = log_of(tmp_path, [(decided(1, at_us=START_US), START_US)])
    lake = lake_at(tmp_path / "lake")
    assert filled(path, lake) == 0
    log_of(tmp_path, [(answered(1), START_US + 2 * DAY_US)])
    assert filled(path, lake) == 1
    (row,) = lake.read(lake.wanted()).to_pylist()
    assert (row["at_us"], row["asked_seq"], row["seq"]) == (START_US, 1, 2)


def test_a_file_that_is_not_what_the_manifest_says_is_never_read(log: Path, tmp_path: Path) -> None:
    lake = lake_at(tmp_path / "lake")
    filled(log, lake)
    second = lake.wanted().partitions[1]
    path = tmp_path / "lake" / second.file
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    assert lake.check(lake.wanted()) == [second.file]
    with pytest.raises(LakeBroken, match="is not what the manifest says"):
        lake.read(lake.wanted())
    with pytest.raises(LakeBroken, match="is not what the manifest says"):
        build_training_set(lake, folder=tmp_path / "sets", features=FEW)
    path.unlink()
    with pytest.raises(LakeBroken, match="is not there"):
        lake.read(lake.wanted())


def test_what_a_crash_left_beside_is_not_read_and_the_next_build_removes_it(log: Path, tmp_path: Path) -> None:
    lake = lake_at(tmp_path / "lake")
    filled(log, lake, to_seq=30)
    day = tmp_path / "lake" / "day=2026-03-02"
    day.mkdir(exist_ok=True)
    half = [day / ".attempts-00.parquet.part", day / "attempts-0000000000000000.parquet"]
    for path in half:
        path.write_bytes(b"PAR1 and then nothing")
    before = lake.wanted().n_rows
    assert len(lake.read(lake.wanted())) == before
    filled(log, lake)
    assert not any(path.exists() for path in half)
    assert lake.check(lake.wanted()) == []


FILLER = """
import sys
from pathlib import Path
from honour.stores.lake import Lake
from honour.stores.landing import land_log
from honour.stores.sqlite import sqlite_log
lake, log = Lake(sys.argv[2]), sqlite_log(Path(sys.argv[1]), read_only=True)
print("begins", flush=True)
for to_seq in range(1, log.last_seq + 1):
    land_log(lake, log, step=lambda *_: None, to_seq=to_seq)
    print(to_seq, flush=True)
"""


@pytest.mark.slow
def test_killed_at_any_instant_a_lake_holds_a_whole_beginning_of_the_log_and_goes_on(log: Path, tmp_path: Path) -> None:
    whole, lake = lake_at(tmp_path / "whole"), lake_at(tmp_path / "lake")
    filled(log, whole)
    every = whole.read(whole.wanted())
    draw = random.Random(7)
    for _ in range(4):
        command = [sys.executable, "-c", FILLER, str(log), str(tmp_path / "lake")]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={"PYTHONPATH": str(SOURCE)}) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "begins\n"
            time.sleep(draw.uniform(0.02, 0.5))
            process.send_signal(signal.SIGKILL)
        if (manifest := lake.manifest()) is None:
            continue
        assert lake.check(manifest) == []
        there = lake.read(manifest)
        assert there.equals(every.slice(0, len(there)))
    filled(log, lake)
    assert lake.wanted() == whole.wanted()


def test_a_training_set_from_a_lake_is_that_of_the_log(log: Path, tmp_path: Path) -> None:
    lake = lake_at(tmp_path / "lake")
    filled(log, lake)
    with_log = sqlite_log(log, read_only=True)
    expected = training_set(with_log.read())
    with_log.close()
    built = build_training_set(lake, folder=tmp_path / "sets", threads=1)
    assert built.to_arrow().equals(expected)
    assert built.n_rows == 58


def test_a_training_set_is_named_by_what_it_is_made_of_and_built_once_bit_for_bit(log: Path, tmp_path: Path) -> None:
    lake, folder = lake_at(tmp_path / "lake"), tmp_path / "sets"
    filled(log, lake)
    first = build_training_set(lake, folder=folder, features=FEW, threads=1)
    assert Path(first.path).name == f"{first.inputs.name}.parquet"
    again = build_training_set(lake, folder=folder, features=FEW)
    assert (again.was_there, again.content_hash) == (True, first.content_hash)
    elsewhere = build_training_set(lake, folder=tmp_path / "other", features=FEW, threads=2)
    assert Path(elsewhere.path).read_bytes() == Path(first.path).read_bytes()
    assert build_training_set(lake, folder=folder, features=["local_hour"]).inputs.name != first.inputs.name
    Path(first.path).unlink()
    assert build_training_set(lake, folder=folder, features=FEW).content_hash == first.content_hash


def test_up_to_an_instant_a_training_set_is_what_it_was_at_that_instant(log: Path, tmp_path: Path) -> None:
    early, late = lake_at(tmp_path / "early"), lake_at(tmp_path / "late")
    filled(log, early, to_seq=40)
    filled(log, late)
    then = build_training_set(early, folder=tmp_path / "then", features=FEW)
    seen = late.read(late.wanted(), columns=["seq", "arrived_us"]).to_pylist()
    until_us = next(row["arrived_us"] for row in seen if row["seq"] > 40)
    now = build_training_set(late, folder=tmp_path / "now", features=FEW, until_us=until_us)
    assert now.inputs == then.inputs
    assert now.content_hash == then.content_hash
    assert build_training_set(late, folder=tmp_path / "cut", features=FEW, to_seq=40).inputs == then.inputs
    assert build_training_set(late, folder=tmp_path / "none", features=FEW, until_us=START_US).n_rows == 0


def test_rows_come_as_arrow_pandas_and_polars(log: Path, tmp_path: Path) -> None:
    lake = lake_at(tmp_path / "lake")
    filled(log, lake)
    built = build_training_set(lake, folder=tmp_path / "sets", features=FEW)
    pandas, arrow = built.to_pandas(), built.to_arrow()
    assert list(pandas["attempt_number"]) == arrow["attempt_number"].to_pylist()
    assert list(pandas.columns) == arrow.column_names
    polars = pytest.importorskip("polars")
    frame = built.to_polars()
    assert isinstance(frame, polars.DataFrame)
    assert frame["local_hour"].to_list() == arrow["local_hour"].to_pylist()


def test_past_attempts_of_files_go_in_once_and_late_ones_are_left_out(tmp_path: Path) -> None:
    lake = lake_at(tmp_path / "lake")
    events = [(reported(at, at_us=START_US + at * DAY_US // 4), START_US + at * DAY_US // 4) for at in range(8)]
    assert land_events(lake, events[:6], step=quiet).n_new == 6
    again = land_events(lake, events[:6], step=quiet)
    assert (again.n_new, again.n_late) == (0, 5)
    more = land_events(lake, events, step=quiet)
    assert (more.n_new, more.n_rows, more.n_days) == (2, 8, 2)
    assert lake.read(lake.wanted())["attempt_id"].to_pylist() == [f"att_{at}" for at in range(8)]


def test_one_lake_is_filled_from_one_source(log: Path, tmp_path: Path) -> None:
    lake = lake_at(tmp_path / "lake")
    filled(log, lake)
    with pytest.raises(BadInput, match="filled from log, not from files"):
        land_events(lake, [(reported(1, at_us=START_US), START_US)], step=quiet)
    (tmp_path / "other").mkdir()
    other = log_of(tmp_path / "other", days_of_events(5))
    with pytest.raises(BadInput, match="the lake of another log"):
        filled(other, lake)


def test_attempts_out_of_order_are_refused(log: Path, tmp_path: Path) -> None:
    lake = lake_at(tmp_path / "lake")
    filled(log, lake)
    attempts = lake.read(lake.wanted())
    empty = lake_at(tmp_path / "empty")
    with pytest.raises(LogContractBroken, match=r"attempts\.seq must ascend"):
        empty.land(attempts.take(list(range(len(attempts)))[::-1]), empty.begin("log"), after_seq=1)
    with pytest.raises(LogContractBroken, match="already holds events up to"):
        lake.land(attempts, lake.wanted(), after_seq=1)


def test_attempts_of_other_columns_are_refused(log: Path, tmp_path: Path) -> None:
    lake = lake_at(tmp_path / "lake")
    filled(log, lake)
    attempts = lake.read(lake.wanted())
    empty = lake_at(tmp_path / "empty")
    with pytest.raises(LogContractBroken, match="the table lacks expires_month, mcc"):
        empty.land(attempts.drop_columns(["mcc", "expires_month"]), empty.begin("log"), after_seq=1)
    with pytest.raises(LogContractBroken, match="the lake does not know extra"):
        empty.land(attempts.append_column("extra", attempts["mcc"]), empty.begin("log"), after_seq=1)
    assert empty.manifest() is None


def test_the_attempts_that_training_sets_are_timed_on_are_those_of_a_lake(tmp_path: Path) -> None:
    benchmarks = Path(__file__).resolve().parents[2] / "benchmarks"
    made = runpy.run_path(str(benchmarks / "made_attempts.py"))["made_attempts"](500)
    lake = lake_at(tmp_path / "lake")
    lake.land(made, lake.begin("files"), after_seq=500)
    built = build_training_set(lake, folder=tmp_path, out=tmp_path / "set.parquet", features=FEW)
    assert built.n_rows == 500


def test_a_lake_of_other_columns_is_filled_anew_from_its_log(log: Path, tmp_path: Path) -> None:
    lake = lake_at(tmp_path / "lake")
    filled(log, lake)
    wanted = lake.wanted()
    columns = {name: kind for name, kind in wanted.columns.items() if name != "latency_ms"}
    (tmp_path / "lake" / MANIFEST).write_bytes(msgspec.json.encode(msgspec.structs.replace(wanted, columns=columns)))
    assert filled(log, lake) == 58
    assert lake.wanted() == wanted


def test_a_manifest_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    lake = lake_at(tmp_path)
    with pytest.raises(BadInput, match="there is no lake here"):
        lake.wanted()
    (tmp_path / MANIFEST).write_text("{")
    with pytest.raises(LakeBroken, match=MANIFEST):
        lake.wanted()
    (tmp_path / MANIFEST).write_text('{"format": 99, "source": "log", "columns": {}}')
    with pytest.raises(LakeBroken, match="format 99; this version reads 1"):
        lake.wanted()

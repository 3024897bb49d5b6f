"""Snapshots: the newest sound one that the log can vouch for."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from honour.stores.snapshot import drop_ahead, read_snapshot, write_snapshot


def seqs(folder: Path) -> list[int]:
    return sorted(int(path.stem) for path in folder.glob("*.snapshot"))


def test_without_a_snapshot_there_is_none(tmp_path: Path) -> None:
    assert read_snapshot(tmp_path / "snapshots", schema="s", seq_max=10) is None


@given(state=st.binary(max_size=300), seq=st.integers(0, 10**15))
def test_a_state_is_read_back_to_the_byte(tmp_path_factory: pytest.TempPathFactory, state: bytes, seq: int) -> None:
    folder = tmp_path_factory.mktemp("snapshots")
    write_snapshot(folder, state, seq=seq, schema="s")
    assert read_snapshot(folder, schema="s", seq_max=seq) == (seq, state, ())


def test_the_two_newest_are_kept_and_nothing_half_written_stays(tmp_path: Path) -> None:
    (tmp_path / "0000000000000009.part").write_bytes(b"half")
    for seq in (1, 20, 300):
        write_snapshot(tmp_path, b"state", seq=seq, schema="s")
    assert seqs(tmp_path) == [20, 300]
    assert list(tmp_path.glob("*.part")) == []


def damage(path: Path, kind: str) -> None:
    content = path.read_bytes()
    damaged = {
        "a byte changed": content[:-1] + bytes([content[-1] ^ 1]),
        "cut off": content[:-3],
        "cut in the header": content[:20],
        "empty": b"",
        "zeros": bytes(len(content)),
    }
    path.write_bytes(damaged[kind])


@pytest.mark.parametrize("kind", ["a byte changed", "cut off", "cut in the header", "empty", "zeros"])
def test_a_damaged_snapshot_is_passed_over_for_the_one_before_and_says_so(tmp_path: Path, kind: str) -> None:
    write_snapshot(tmp_path, b"older", seq=1, schema="s")
    damage(write_snapshot(tmp_path, b"newer", seq=2, schema="s"), kind)
    found = read_snapshot(tmp_path, schema="s", seq_max=9)
    assert found is not None
    assert (found.seq, found.state) == (1, b"older")
    assert len(found.passed_over) == 1
    assert "0000000000000002.snapshot" in found.passed_over[0]


def test_a_snapshot_of_another_catalogue_is_passed_over(tmp_path: Path) -> None:
    write_snapshot(tmp_path, b"state", seq=1, schema="old")
    assert read_snapshot(tmp_path, schema="new", seq_max=9) is None


def test_a_snapshot_ahead_of_the_log_is_passed_over_and_left_alone(tmp_path: Path) -> None:
    for seq in (5, 9):
        write_snapshot(tmp_path, b"state", seq=seq, schema="s")
    found = read_snapshot(tmp_path, schema="s", seq_max=7)
    assert found is not None
    assert found.seq == 5
    assert "ahead of the log, which ends at 7" in found.passed_over[0]
    assert seqs(tmp_path) == [5, 9]


def test_the_writer_of_a_log_restored_from_a_copy_drops_what_the_log_never_saw(tmp_path: Path) -> None:
    for seq in (50, 500, 600):
        write_snapshot(tmp_path, b"before the copy was put back", seq=seq, schema="s")
    assert drop_ahead(tmp_path, seq_max=550) == ("0000000000000600.snapshot",)
    assert seqs(tmp_path) == [500]


def test_a_slow_writer_takes_nothing_away_from_a_newer_snapshot(tmp_path: Path) -> None:
    for seq in (100, 600, 150):
        write_snapshot(tmp_path, b"state", seq=seq, schema="s")
    assert seqs(tmp_path) == [100, 150, 600]

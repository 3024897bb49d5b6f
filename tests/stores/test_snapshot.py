"""Snapshots: the newest sound one that the log can vouch for."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from honour.stores.snapshot import read_snapshot, write_snapshot


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


def test_a_snapshot_ahead_of_the_log_is_not_used_and_never_looked_at_again(tmp_path: Path) -> None:
    write_snapshot(tmp_path, b"known", seq=5, schema="s")
    write_snapshot(tmp_path, b"of events that are gone", seq=9, schema="s")
    found = read_snapshot(tmp_path, schema="s", seq_max=7)
    assert found is not None
    assert found.state == b"known"
    again = read_snapshot(tmp_path, schema="s", seq_max=100)
    assert again is not None
    assert again.state == b"known"


def test_a_new_snapshot_replaces_those_ahead_of_it(tmp_path: Path) -> None:
    for seq in (500, 600):
        write_snapshot(tmp_path, b"of a log that was replaced by a copy", seq=seq, schema="s")
    write_snapshot(tmp_path, b"state", seq=150, schema="s")
    assert seqs(tmp_path) == [150]

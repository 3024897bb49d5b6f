"""A scoreboard that was cut off goes on with the worlds that are left, and never takes those of other code or another question."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from honour.arena import contest as contests
from honour.arena import kept as keeping
from honour.arena.contest import Contest, Plays, contest, kept_worlds
from honour.simulator.played import Played

ASKED = Contest(("calm", "outage"), (61, 62), payments=200, history=5_000, policies=("oracle",))


def _played(seed: int) -> Played:
    luck = np.random.default_rng(seed)
    whole = {"attempts": np.int64, "created_us": np.int64}
    yes_no = ("approved", "first_approved", "renewal")
    made: dict[str, Any] = {
        field.name: luck.integers(0, 2, 8).astype(bool)
        if field.name in yes_no
        else luck.integers(0, 9, 8).astype(whole[field.name])
        if field.name in whole
        else luck.random(8)
        for field in fields(Played)
    }
    return Played(**{**made, "broken_rules": {"visa.reattempt_limit": seed}})


def _world(_asked: Contest, seed: int, tell: Any) -> dict[str, Plays]:
    tell("played")
    return {name: {policy: _played(seed + len(policy)) for policy in ("fixed acq_br_1", "oracle", "Honour")} for name in ASKED.scenarios}


def _run(monkeypatch: pytest.MonkeyPatch, folder: Path, *, fails_at: int | None = None, asked: Contest = ASKED) -> tuple[list[int], Any]:
    """Seeds that were played, and the scoreboards, or None when it was cut off."""
    played: list[int] = []

    def play_world(asked: Contest, seed: int, tell: Any) -> dict[str, Plays]:
        if seed == fails_at:
            raise KeyboardInterrupt
        played.append(seed)
        return _world(asked, seed, tell)

    monkeypatch.setattr(contests, "_play_world", play_world)
    try:
        found = contest(asked, processes=1, step=lambda *_: None, kept=kept_worlds(folder, asked))
    except KeyboardInterrupt:
        return played, None
    return played, found.boards


def test_a_run_that_was_cut_off_goes_on_and_says_what_one_run_would_have(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(keeping, "commit", lambda: "abc")
    whole = _run(monkeypatch, tmp_path / "whole")
    assert _run(monkeypatch, tmp_path / "cut", fails_at=62) == ([61], None)
    again = _run(monkeypatch, tmp_path / "cut")
    assert again[0] == [62]
    assert again[1] == whole[1]
    kept = kept_worlds(tmp_path / "cut", ASKED)
    kept.clear(ASKED.seeds)
    assert list((tmp_path / "cut").iterdir()) == []


@pytest.mark.parametrize("change", ["code", "payments", "policies"])
def test_worlds_of_other_code_or_another_question_are_not_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, change: str) -> None:
    monkeypatch.setattr(keeping, "commit", lambda: "abc")
    _run(monkeypatch, tmp_path)
    if change == "code":
        monkeypatch.setattr(keeping, "commit", lambda: "abd")
    asked = {"payments": ASKED._replace(payments=201), "policies": ASKED._replace(policies=None)}.get(change, ASKED)
    assert _run(monkeypatch, tmp_path, asked=asked)[0] == [61, 62]


def test_of_code_that_differs_from_its_commit_nothing_is_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(keeping, "commit", lambda: "abc+")
    assert [_run(monkeypatch, tmp_path)[0] for _ in range(2)] == [[61, 62], [61, 62]]
    assert list(tmp_path.iterdir()) == []


def test_what_is_kept_is_what_was_played(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(keeping, "commit", lambda: None)  # An installation.
    kept = kept_worlds(tmp_path, ASKED)
    kept.save(61, _world(ASKED, 61, print))
    found = kept.load(61)
    assert found is not None
    for name, plays in _world(ASKED, 61, print).items():
        assert list(found[name]) == list(plays)
        for policy, before in plays.items():
            for field in fields(Played):
                after, was = getattr(found[name][policy], field.name), getattr(before, field.name)
                assert np.array_equal(after, was)
                assert not isinstance(was, np.ndarray) or after.dtype == was.dtype
    assert kept.load(62) is None

"""A contest plays every policy in the same worlds, in any number of processes, and says what it found."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from honour.arena import contest as contests
from honour.arena import kept as keeping
from honour.cli.app import app
from honour.errors import BadInput

pytestmark = pytest.mark.slow

ASKED = [
    "--scenario",
    "outage",
    "--first-seed",
    "51",
    "--payments",
    "300",
    "--history",
    "5000",
    "--policy",
    "static rules",
    "--policy",
    "oracle",
]


def _scoreboard(*more: str) -> dict[str, Any]:
    result = CliRunner().invoke(app, ["scoreboard", *ASKED, *more, "--json"])
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    folder = tmp_path_factory.mktemp("scoreboard")
    return _scoreboard("--seeds", "2", "--streams", "2", "--processes", "2", "--out", str(folder)), folder


def test_the_scoreboard_compares_honour_with_who_was_asked_for(found: tuple[dict[str, Any], Path]) -> None:
    text = json.dumps(found[0])
    for name in ("Honour", "static rules", "oracle", "fixed acq_gb_1"):
        assert f'"{name}"' in text
    assert '"cheapest first"' not in text


def test_streams_of_a_world_count_together_and_worlds_remain_the_unit_of_intervals(found: tuple[dict[str, Any], Path]) -> None:
    report = found[0]
    board = report["scenarios"]["outage"]
    assert (report["streams"], board["n_worlds"], board["n_payments"]) == (2, 2, 2 * 2 * 300)
    assert board["policies"]["Honour"]["expected_margin_minor"]["n"] == 2


def test_report_and_pictures_are_written(found: tuple[dict[str, Any], Path]) -> None:
    report, folder = found
    assert json.loads((folder / "scoreboard.json").read_text(encoding="utf-8")) == report
    assert {path.suffix for path in folder.iterdir()} >= {".png", ".html", ".json"}


def test_an_unknown_policy_is_refused_with_the_names_there_are() -> None:
    result = CliRunner().invoke(app, ["scoreboard", "--policy", "magic"])
    assert result.exit_code != 0
    assert "static rules" in str(result.exception or result.output)


def _begins(*_asked: object, **_more: object) -> None:
    raise BadInput("here it would play")


def test_who_plays_from_a_changed_checkout_is_told_that_nothing_is_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(keeping, "commit", lambda: "abc+")
    monkeypatch.setattr(contests, "contest", _begins)
    result = CliRunner().invoke(app, ["scoreboard", *ASKED, "--out", str(tmp_path)])
    assert "no world is kept" in result.stderr

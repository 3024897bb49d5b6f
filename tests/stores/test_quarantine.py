"""Refused rows are kept with their reasons, without card numbers, and can be replayed once the mapping is mended."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from table_kit import MAPPING, ROWS, write
from typer.testing import CliRunner

from honour.cli.app import app
from honour.loop import DataDir
from honour.records.event import AttemptReported

ODD = "a4,2026-03-01 11:00:00,9.00,south,0,Diners,"  # The mapping does not know this network.
MENDED = MAPPING.replace('Master = "mastercard"', 'Master = "mastercard", Diners = "diners"')


def honour(*words: str) -> Any:
    """What a command prints with --json."""
    ran = CliRunner().invoke(app, [*words, "--json"])
    assert ran.exit_code == 0, ran.output + str(ran.exception)
    return msgspec.json.decode(ran.stdout)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder after an import that refused two of five rows, one for a card number."""
    number = "4111" + "11111111" + "1111"
    file, mapping = write(tmp_path, rows=(*ROWS, ODD, f"a5,2026-03-01 12:00:00,9.00,south,0,Visa,{number}"))
    honour("import", str(file), "--mapping", str(mapping), "--data", str(tmp_path / "data"))
    return tmp_path / "data"


def test_refused_rows_are_listed_with_reason_and_cells_but_never_a_card_number(data: Path) -> None:
    (batch,) = honour("quality", "quarantine", "list", "--data", str(data))
    odd, card = batch["rows"]
    assert (odd["row"], odd["cells"]["id"], odd["cells"]["card"]) == ("5", "a4", "Diners")
    assert "Diners" in odd["reason"]
    assert (card["row"], card["reason"], card["cells"]) == ("6", "a cell holds a card number", None)
    assert not any(b"4111" + b"11111111" in path.read_bytes() for path in (data / "quarantine").iterdir())


def test_the_same_file_imported_twice_is_in_quarantine_once(data: Path) -> None:
    honour("import", str(data.parent / "attempts.csv"), "--mapping", str(data.parent / "mapping.toml"), "--data", str(data))
    assert len(honour("quality", "quarantine", "list", "--data", str(data))) == 1


def test_a_replay_with_a_mended_mapping_logs_what_can_be_used_as_learned_now_and_keeps_the_rest(data: Path) -> None:
    mapping = data.parent / "mended.toml"
    mapping.write_text(MENDED, encoding="utf-8")
    with DataDir(data).log() as log:
        before = log.last_arrived_us
    assert honour("quality", "quarantine", "replay", "--mapping", str(mapping), "--data", str(data)) == {
        "n_logged": 1,
        "n_landed": 0,
        "n_already_there": 0,
        "n_left": 1,
    }
    with DataDir(data).log() as log:
        *_, last = log.read()
    assert isinstance(last.event, AttemptReported)
    assert (last.event.attempt.attempt_id, last.event.attempt.payment.card.network) == ("a4", "diners")
    assert last.arrived_us > before
    (batch,) = honour("quality", "quarantine", "list", "--data", str(data))
    assert [row["row"] for row in batch["rows"]] == ["6"]


def test_a_replay_with_the_mapping_that_refused_changes_nothing(data: Path) -> None:
    listed = honour("quality", "quarantine", "list", "--data", str(data))
    replayed = honour("quality", "quarantine", "replay", "--mapping", str(data.parent / "mapping.toml"), "--data", str(data))
    assert (replayed["n_logged"], replayed["n_left"]) == (0, 2)
    assert honour("quality", "quarantine", "list", "--data", str(data)) == listed


def test_rows_refused_on_their_way_into_a_lake_are_replayed_into_that_lake_once(tmp_path: Path) -> None:
    file, mapping = write(tmp_path, rows=(*ROWS, ODD))
    data, lake = str(tmp_path / "data"), str(tmp_path / "past")
    for _ in range(2):
        honour("lake", "build", str(file), "--mapping", str(mapping), "--lake", lake, "--data", data)
    (batch,) = honour("quality", "quarantine", "list", "--data", data)
    assert (batch["lake"], [row["cells"]["id"] for row in batch["rows"]]) == (lake, ["a4"])
    kept = {path: path.read_bytes() for path in (tmp_path / "data" / "quarantine").iterdir()}
    mapping.write_text(MENDED, encoding="utf-8")
    replayed = {"n_logged": 0, "n_landed": 1, "n_already_there": 0, "n_left": 0}
    assert honour("quality", "quarantine", "replay", "--mapping", str(mapping), "--data", data) == replayed
    for path, content in kept.items():  # As if the process had been killed before it let the rows go.
        path.write_bytes(content)
    assert honour("quality", "quarantine", "replay", "--mapping", str(mapping), "--data", data)["n_landed"] == 0
    days = honour("lake", "show", "--lake", lake)["partitions"]
    assert [day["n_rows"] for day in days] == [3, 1]

"""Batches held against what is expected of them: rows that go to quarantine, days that do not come in, and the report of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from lake_kit import DAY_US, START_US, filled, log_of, quiet, reported
from table_kit import HEADER, MAPPING, write
from typer.testing import CliRunner

from honour.cli.app import app
from honour.errors import BadSettings, BatchRefused
from honour.features.batch import BatchReport
from honour.loop import fill_lake, fill_lake_from
from honour.stores.checking import Reports, expected_in
from honour.stores.lake import Lake

RISEN = '\n[[quality.expectations]]\nname = "attempts_per_day"\nkind = "volume"\nseverity = "refuse"\nn_min = 5\n'


def days(counts: dict[int, int]) -> tuple[str, ...]:
    """Rows of a file: so many attempts on each day of March, from morning to night."""
    hours = [(day, at, n) for day, n in counts.items() for at in range(n)]
    return tuple(f"d{day}n{at},2026-03-{day:02d} {6 + 16 * at // n:02d}:00:00,{10 + at},north,1,Visa," for day, at, n in hours)


def honour(*words: str, exit_code: int = 0) -> Any:
    ran = CliRunner().invoke(app, list(words))
    assert ran.exit_code == exit_code, ran.output + str(ran.exception)
    return ran.output


def configure(folder: Path, text: str) -> None:
    (folder / "honour.toml").write_text(text, encoding="utf-8")


def broken(report: BatchReport) -> dict[str, str]:
    return {one.name: one.found for one in report.broken() if one.kind != "freshness"}


def last(folder: Path) -> BatchReport:
    return Reports(folder).newest(1)[0]


def test_a_day_that_is_missing_in_a_file_is_told_and_the_rest_comes_in(tmp_path: Path) -> None:
    configure(tmp_path, RISEN.replace('"refuse"', '"warn"'))
    file, mapping = write(tmp_path, rows=days({1: 9, 2: 9, 3: 9, 4: 9, 6: 9, 7: 9}))
    landed = fill_lake_from([file], mapping=mapping, data_dir=tmp_path, lake=None, step=quiet)
    assert (landed.n_new, landed.n_days) == (54, 6)
    assert broken(last(tmp_path))["attempts_per_day"] == "no attempts, 9 are usual"


def test_a_day_that_is_to_be_refused_does_not_come_in_and_those_before_it_do(tmp_path: Path) -> None:
    configure(tmp_path, RISEN)
    file, mapping = write(tmp_path, rows=days({1: 9, 2: 9, 3: 9, 4: 9, 5: 9, 6: 2, 7: 9}))
    with pytest.raises(BatchRefused, match=r"2026-03-06: 2 attempts, 9 are usual; 'attempts_per_day' allows 0.5, and found is 0.22"):
        fill_lake_from([file], mapping=mapping, data_dir=tmp_path, lake=None, step=quiet)
    assert [str(one.day) for one in Lake(str(tmp_path / "lake")).wanted().partitions] == [f"2026-03-0{day}" for day in range(1, 6)]
    assert broken(last(tmp_path))["attempts_per_day"] == "2 attempts, 9 are usual"


def test_an_import_with_a_day_that_is_to_be_refused_changes_nothing(tmp_path: Path) -> None:
    configure(tmp_path, RISEN)
    file, mapping = write(tmp_path, rows=days({1: 9, 2: 9, 3: 9, 4: 9, 5: 1, 6: 9}))
    ran = CliRunner().invoke(app, ["import", str(file), "--mapping", str(mapping), "--data", str(tmp_path)])
    assert isinstance(ran.exception, BatchRefused)
    assert not (tmp_path / "events.db").exists()


def test_a_file_of_one_day_is_held_against_the_days_that_the_lake_has(tmp_path: Path) -> None:
    configure(tmp_path, RISEN)
    file, mapping = write(tmp_path, rows=days({1: 9, 2: 9, 3: 9, 4: 9}))
    fill_lake_from([file], mapping=mapping, data_dir=tmp_path, lake=None, step=quiet)
    file, mapping = write(tmp_path, rows=days({5: 4}))
    with pytest.raises(BatchRefused, match="4 attempts, 9 are usual"):
        fill_lake_from([file], mapping=mapping, data_dir=tmp_path, lake=None, step=quiet)


def test_a_day_of_the_log_that_was_refused_is_taken_as_it_is_by_one_build_that_warns(tmp_path: Path) -> None:
    configure(tmp_path, RISEN)
    counts = [9, 9, 9, 9, 2, 9]
    events = [
        (reported(100 * day + at, at_us=START_US + day * DAY_US + at), START_US + day * DAY_US + at)
        for day, n in enumerate(counts)
        for at in range(n)
    ]
    path = log_of(tmp_path, events)
    with pytest.raises(BatchRefused, match=r"2026-03-05: 2 attempts, 9 are usual.*let 'attempts_per_day' warn .* `honour lake build`"):
        fill_lake(tmp_path, step=quiet)
    assert Lake(str(tmp_path / "lake")).wanted().n_rows == 36
    configure(tmp_path, RISEN.replace('"refuse"', '"warn"'))
    assert fill_lake(tmp_path, step=quiet).n_rows == 47
    assert filled(path, Lake(str(tmp_path / "lake"))) == 0
    configure(tmp_path, RISEN)
    assert fill_lake(tmp_path, step=quiet).n_rows == 47


def test_rows_that_break_what_is_to_be_refused_go_to_quarantine_and_come_back_when_it_is_mended(tmp_path: Path) -> None:
    entry = '\n[[quality.expectations]]\nname = "amount"\nkind = "domain"\ncolumn = "amount_minor"\nmax = {}\nseverity = "refuse"\n'
    configure(tmp_path, entry.format(1100))
    file, mapping = write(tmp_path, rows=days({1: 3}))
    assert fill_lake_from([file], mapping=mapping, data_dir=tmp_path, lake=None, step=quiet).n_refused == 1
    (listed,) = msgspec.json.decode(honour("quality", "quarantine", "list", "--data", str(tmp_path), "--json"))
    (row,) = listed["rows"]
    assert row["cells"]["id"] == "d1n2"
    assert row["reason"] == "amount_minor breaks the expectation 'amount': amount_minor at most 1100"
    replay = ("quality", "quarantine", "replay", "--mapping", str(mapping), "--data", str(tmp_path))
    assert "0 into lakes" in honour(*replay)
    configure(tmp_path, entry.format(1200))
    assert "1 into lakes, 0 were there already; 0 rows stay" in honour(*replay)


def test_columns_that_have_drifted_since_the_last_file_are_told(tmp_path: Path) -> None:
    rows = days({1: 3})
    file, mapping = write(tmp_path, rows=rows)
    fill_lake_from([file], mapping=mapping, data_dir=tmp_path, lake=None, step=quiet)
    assert "columns" not in broken(last(tmp_path))
    later = tuple(row.replace("d1n", "x1n").replace("north", "7") + ",more" for row in days({2: 3}))
    file, mapping = write(tmp_path, rows=later, header=HEADER.replace("note", "remark") + ",extra", mapping=MAPPING)
    fill_lake_from([file], mapping=mapping, data_dir=tmp_path, lake=None, step=quiet)
    assert broken(last(tmp_path))["columns"] == "gone: note; new: extra, remark; of another kind: via (text, now number)"


def test_a_report_says_what_does_not_hold_with_examples_as_table_page_and_json(tmp_path: Path) -> None:
    configure(tmp_path, '[[routes]]\nid = "south"\n')
    file, mapping = write(tmp_path, rows=(*days({1: 3}), "<b>odd</b>,2026-03-01 23:00:00,1,south,1,Visa,"))
    honour("import", str(file), "--mapping", str(mapping), "--data", str(tmp_path))
    page = tmp_path / "out" / "quality.html"
    told = honour("quality", "report", "--data", str(tmp_path), "--html", str(page))
    assert "route_configured" in told
    assert "3 of 4 attempts" in told
    written = page.read_text(encoding="utf-8")
    assert "<code>d1n0</code>" in written
    assert "<b>odd</b>" not in written
    assert "http" not in written
    found = msgspec.json.decode(honour("quality", "report", "--data", str(tmp_path), "--json"))
    by_name = {one["name"]: one for one in found["checked"]["checked"]}
    assert by_name["route_configured"]["examples"][0] == {"attempt_id": "d1n0", "value": "north"}
    assert [one["source"] for one in found["batches"]] == ["import"]


def test_a_report_ends_with_1_when_what_is_to_be_refused_does_not_hold(tmp_path: Path) -> None:
    file, mapping = write(tmp_path, rows=days({1: 3}))
    honour("import", str(file), "--mapping", str(mapping), "--data", str(tmp_path))
    configure(tmp_path, '[[quality.expectations]]\nname = "newest_event"\nkind = "freshness"\nseverity = "refuse"\nhours_max = 1\n')
    honour("quality", "report", "--data", str(tmp_path), exit_code=1)


def test_an_entry_that_cannot_be_read_names_the_file_and_the_key(tmp_path: Path) -> None:
    configure(tmp_path, '[[quality.expectations]]\nname = "x"\nkind = "guess"\n')
    with pytest.raises(BadSettings, match=r"honour.toml: quality.expectations: Invalid enum value 'guess'"):
        expected_in(tmp_path)

"""What files get wrong does not get into a lake: each kind of it, from the file to the days on disk."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from lake_kit import quiet
from table_kit import HEADER, MAPPING, ROWS, write

from honour.errors import MappingBroken
from honour.loop import fill_lake_from
from honour.stores.lake import Lake


def built(
    folder: Path, *, rows: tuple[str, ...] = ROWS, header: str = HEADER, mapping: str = MAPPING
) -> tuple[dict[str, list[str]], dict[str, int]]:
    """Attempts by day of the lake after a build from such a file, and what was left out."""
    file, told = write(folder, rows=rows, header=header, mapping=mapping)
    done = fill_lake_from([file], mapping=told, data_dir=folder, lake=str(folder / "lake"), step=quiet)
    return days(folder), {"refused": done.n_refused, "late": done.n_late}


def days(folder: Path) -> dict[str, list[str]]:
    lake = Lake(str(folder / "lake"))
    assert lake.check(lake.wanted()) == []
    return {str(one.day): lake.read_part(one)["attempt_id"].to_pylist() for one in lake.wanted().partitions}


@pytest.mark.parametrize(
    "header",
    [HEADER.replace("via", "route"), HEADER.replace("ok,", "")],
    ids=["a column has another name", "a column is gone"],
)
def test_a_file_whose_columns_have_drifted_changes_nothing(tmp_path: Path, header: str) -> None:
    before, _ = built(tmp_path)
    with pytest.raises(MappingBroken, match=r"no column '(via|ok)'.* Columns: id, when, euros"):
        built(tmp_path, header=header)
    assert days(tmp_path) == before == {"2026-03-01": ["a1", "a2", "a3"]}


def test_a_new_column_and_another_order_of_columns_change_nothing(tmp_path: Path) -> None:
    rows = tuple(",".join(("new", *reversed(row.split(",")))) for row in ROWS)
    header = ",".join(("added", *reversed(HEADER.split(","))))
    assert built(tmp_path, rows=rows, header=header) == ({"2026-03-01": ["a1", "a2", "a3"]}, {"refused": 0, "late": 0})


def test_values_of_another_type_refuse_their_rows_alone(tmp_path: Path) -> None:
    rows = (*ROWS, "a4,2026-03-01 10:05:00,twelve,north,1,Visa,", "a5,2026-03-01 10:06:00,12,north,yes,Visa,")
    assert built(tmp_path, rows=rows) == ({"2026-03-01": ["a1", "a2", "a3"]}, {"refused": 2, "late": 0})


def test_a_day_without_attempts_has_no_file_and_the_days_around_it_are_whole(tmp_path: Path) -> None:
    rows = (ROWS[0], "a2,2026-03-03 10:00:00,80,south,0,Master,")
    assert built(tmp_path, rows=rows)[0] == {"2026-03-01": ["a1"], "2026-03-03": ["a2"]}


def test_instants_of_several_zones_land_on_their_days_in_utc_in_the_order_in_which_they_were(tmp_path: Path) -> None:
    rows = (
        "tokyo,2026-03-02T08:00:00+09:00,1,north,1,Visa,",
        "berlin,2026-03-02 00:30:00,2,north,1,Visa,",
        "utc,2026-03-02T00:10:00Z,3,north,1,Visa,",
        "york,2026-03-01T20:00:00-05:00,4,north,1,Visa,",
    )
    assert built(tmp_path, rows=rows)[0] == {"2026-03-01": ["tokyo", "berlin"], "2026-03-02": ["utc", "york"]}


def test_an_attempt_that_comes_twice_is_there_once_and_one_from_the_future_is_not_there(tmp_path: Path) -> None:
    rows = (*ROWS, ROWS[1], "later,2999-01-01 10:00:00,1,north,1,Visa,")
    assert built(tmp_path, rows=rows) == ({"2026-03-01": ["a1", "a2", "a3"]}, {"refused": 1, "late": 0})
    assert built(tmp_path, rows=rows) == ({"2026-03-01": ["a1", "a2", "a3"]}, {"refused": 1, "late": 2})


def test_a_partition_cut_in_half_by_a_crash_is_not_there_for_anybody(tmp_path: Path) -> None:
    built(tmp_path)
    whole = next((tmp_path / "lake" / "day=2026-03-01").glob("*.parquet")).read_bytes()
    half = tmp_path / "lake" / "day=2026-03-02" / "attempts-0123456789abcdef.parquet"
    half.parent.mkdir()
    half.write_bytes(whole[: len(whole) // 2])
    assert days(tmp_path) == {"2026-03-01": ["a1", "a2", "a3"]}
    lake = Lake(str(tmp_path / "lake"))
    assert isinstance(lake.read(lake.wanted()), pa.Table)
    built(tmp_path, rows=("a4,2026-03-02 10:00:00,1,north,1,Visa,",))
    assert not half.exists()
    assert days(tmp_path) == {"2026-03-01": ["a1", "a2", "a3"], "2026-03-02": ["a4"]}

"""Running the feature SQL in DuckDB: tables one after the other, what is not needed any more dropped, the answer in parts.

Memory is bounded by `memory_limit`: what does not fit goes to a temporary folder, which is gone afterwards.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow ships no types

from honour.features.answer import reason_of
from honour.features.calendar import days_since_payday, is_holiday
from honour.features.local_time import offsets_of, zone_names
from honour.features.sql import REASON_COLUMNS, by_clock, features_step, needs_calendar, needs_reasons, view_steps
from honour.features.view import Catalogue

Rows = tuple[int, int]
"""First and last row_id of a part."""
Progress = Callable[[int, int], None]
_BATCH = 65_536


@contextmanager
def database(*, memory_limit: str | None = None, threads: int | None = None, beside: Path | None = None) -> Iterator[Any]:
    """An empty database of this process; what does not fit in `memory_limit`, such as "2GB", goes to a folder in `beside`."""
    with tempfile.TemporaryDirectory(prefix=".honour-features-", dir=beside) as folder:
        config: dict[str, str | bool | int | float | list[str]] = {"temp_directory": folder, "preserve_insertion_order": True}
        config |= {"memory_limit": memory_limit} if memory_limit else {}
        config |= {"threads": threads} if threads else {}
        with duckdb.connect(":memory:", config=config) as connection:
            yield connection


def features_in(
    connection: Any,
    catalogue: Catalogue,
    *,
    parts: Sequence[Rows | None] = (None,),
    beside: Sequence[str] = (),
    progress: Progress | None = None,
) -> Iterator[pa.RecordBatch]:
    """row_id, the columns `beside` of the spine, and every feature, in the order of row_id; from `answers` and `spine` in a database.

    parts     ranges of row_id that hold the whole spine, ascending; None is all of it at once
    progress  called as progress(done, total) after each table and part
    """
    connection.register("local_offset", _local_offsets(connection, answers=by_clock(catalogue)))
    if needs_calendar(catalogue):
        connection.register("local_day", _local_days(connection))
    if needs_reasons(catalogue):
        connection.register("reasons", _reasons(connection))
    steps = view_steps(catalogue)
    total = len(steps) + len(parts)
    spent: list[str] = []
    for done, step in enumerate(steps, start=1):
        connection.execute(f"CREATE TEMP TABLE {step.table} AS {step.query}")
        if step.table.startswith(("totals_", "tiles_", "fading_")):
            spent.append(step.table)
        elif step.table.startswith("view_"):
            for table in spent:
                connection.execute(f"DROP TABLE {table}")
            spent.clear()
        if progress is not None:
            progress(done, total)
    for done, part in enumerate(parts, start=len(steps) + 1):
        reader = connection.sql(features_step(catalogue, rows=part, beside=beside).query).to_arrow_reader(_BATCH)
        yield pa.RecordBatch.from_pylist([], schema=reader.schema)  # Columns and types are there even when no row is.
        yield from reader
        if progress is not None:
            progress(done, total)


def _reasons(connection: Any) -> pa.Table:
    """Why the issuer declined, for every way in which the answers say it."""
    kinds = connection.sql(f"SELECT DISTINCT {', '.join(REASON_COLUMNS)} FROM answers WHERE status = 'declined'").fetchall()
    rows = [
        (*kind, reason_of(status, network=network or "", issuer_country=issuer, merchant_country=merchant, response_code=code))
        for kind in kinds
        for status, network, issuer, merchant, code in (kind,)
    ]
    columns = zip(*rows, strict=True) if rows else [()] * (len(REASON_COLUMNS) + 1)
    return pa.table({name: pa.array(column, type=pa.string()) for name, column in zip((*REASON_COLUMNS, "reason"), columns, strict=True)})


def _local_days(connection: Any) -> pa.Table:
    """Paydays and holidays of every country and day of the spine; a local day is at most one off that of UTC."""
    asked = connection.sql("SELECT DISTINCT shopper_country, at_us // 86400000000 FROM spine").fetchall()
    days = sorted({(country, day + off) for country, day in asked for off in (-1, 0, 1)}, key=lambda one: (one[0] or "", one[1]))
    rows = [(country, day, days_since_payday(country, day), int(is_holiday(country, day))) for country, day in days]
    types = {"country": pa.string(), "day": pa.int64(), "days_since_payday": pa.int64(), "is_holiday": pa.int64()}
    columns = zip(*rows, strict=True) if rows else [()] * len(types)
    return pa.table({name: pa.array(column, type=kind) for (name, kind), column in zip(types.items(), columns, strict=True)})


def _local_offsets(connection: Any, *, answers: bool) -> pa.Table:
    """UTC offsets of the countries of the shoppers, of the spine and of the answers."""
    zones = zone_names()
    shoppers = "SELECT shopper_country FROM spine" + (" UNION SELECT shopper_country FROM answers" if answers else "")
    found = [row[0] for row in connection.execute(f"SELECT DISTINCT shopper_country FROM ({shoppers})").fetchall()]
    countries = sorted(country for country in found if country in zones)
    offsets = [(country, *pair) for country in countries for pair in zip(*offsets_of(country), strict=True)]
    types = {"country": pa.string(), "from_us": pa.int64(), "offset_us": pa.int64()}
    columns = zip(*offsets, strict=True) if offsets else [()] * len(types)
    return pa.table({name: pa.array(column, type=kind) for (name, kind), column in zip(types.items(), columns, strict=True)})

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

from honour.features.dialect import DUCKDB
from honour.features.from_log import ARROW_TYPES, table_of
from honour.features.given import given_tables
from honour.features.sql import features_step, view_steps
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
    for given in given_tables(catalogue, fetch=lambda query: connection.sql(query).fetchall(), dialect=DUCKDB):
        types = {name: ARROW_TYPES[kind] for name, kind in given.types.items()}
        connection.register(given.name, table_of(given.rows, types))
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

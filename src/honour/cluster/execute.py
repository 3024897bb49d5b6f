"""Running the feature SQL in Spark: table after table, those that are read again written to a working folder as Parquet.

Written, because a plan of all tables at once takes longer to make than to run, and because a lost executor then costs one table at
most. Executors run SQL alone: they need no Python, and nothing of Honour.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from honour.features.dialect import SPARK
from honour.features.given import Given, given_tables
from honour.features.sql import features_step, view_steps
from honour.features.view import Catalogue

Progress = Callable[[int, int], None]
_TYPES = {"text": "STRING", "integer": "BIGINT"}
_WRITTEN = ("arrivals", "begins", "begun", "answered", "asked", "hot", "gathered_", "features")
"""Tables that are read more than once, or together with all others."""


def features_in(session: Any, catalogue: Catalogue, *, work: str, beside: Sequence[str] = (), progress: Progress | None = None) -> Any:
    """A data frame of row_id, the columns `beside` of the spine, and every feature, ordered by row_id; from views `answers` and `spine`.

    work  folder for the tables in between, as Spark names it; it must stay until the data frame has been read
    """
    for given in given_tables(catalogue, fetch=lambda query: session.sql(query).collect(), dialect=SPARK):
        given_frame(session, given).createOrReplaceTempView(given.name)
    steps = [*view_steps(catalogue, dialect=SPARK), features_step(catalogue, beside=beside, dialect=SPARK)]
    for done, step in enumerate(steps, start=1):
        frame = session.sql(step.query)
        if step.table.startswith(_WRITTEN):
            frame.write.parquet(f"{work}/{step.table}")
            frame = session.read.schema(frame.schema).parquet(f"{work}/{step.table}")
        frame.createOrReplaceTempView(step.table)
        if progress is not None:
            progress(done, len(steps))
    return session.table("features").orderBy("row_id")


def given_frame(session: Any, given: Given) -> Any:
    """A small table as a data frame, by way of JSON in the query: rows made in Python would need Python on the executors."""
    from pyspark.sql import functions as to  # Spark is there only where it is asked for.

    rows = msgspec.json.encode([dict(zip(given.types, row, strict=True)) for row in given.rows]).decode()
    columns = ", ".join(f"{name}: {_TYPES[kind]}" for name, kind in given.types.items())
    made = session.range(1).select(to.inline(to.from_json(to.lit(rows), f"ARRAY<STRUCT<{columns}>>")))
    return to.broadcast(made)

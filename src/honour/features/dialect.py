"""What differs between the engines that run the feature SQL: a few things, said once for DuckDB and once for Spark.

Everything else is one text for both (`sql`, `sql_value`). Spark has no ASOF JOIN: there the rows of both sides stand in one order, and
a window carries the last row of the right side along, so that each side is sorted once and no pair of rows is ever made.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple, Protocol

from honour.features.sql_asof import asof_steps
from honour.features.sql_one_pass import Views, one_pass_steps, one_pass_tables, seen_name
from honour.features.sql_value import Step

Engine = Literal["duckdb", "spark"]
HOUR_US = 3_600_000_000
Windows = Sequence[tuple[int, int]]
"""Of each the length of a tile in seconds, and how many of them."""


class Seen(NamedTuple):
    """How each row of the spine finds the last answer it may see: a clause before SELECT, columns, and what stands behind FROM."""

    before: str
    columns: tuple[str, ...]
    source: str
    joins: tuple[str, ...]


class Dialect(Protocol):
    """How one engine says what the engines say differently."""

    def text(self, query: str) -> str:
        """A query as the engine reads it; division of whole numbers comes in as `//`."""
        ...

    def created(self, table: str, query: str) -> str:
        """The statement of a script that gives a query the name of a table."""
        ...

    def in_order(self, column: str) -> str:
        """The last clause of a query whose table is kept in an order, where that makes joins with it faster."""
        ...

    def code_table(self, part: str) -> str | None:
        """The query of a table with a code for each value of a column, where codes are kept in tables."""
        ...

    def code(self, part: str, *, table: str) -> str:
        """A value of a column of `table` as something that is never null, unless no answer has it."""
        ...

    def arrivals(self, windows: Windows) -> list[Step]:
        """Tables that `seen` reads."""
        ...

    def seen(self, windows: Windows, *, read: Sequence[str]) -> Seen:
        """The last answer that had arrived by the instant of each row of the spine, of which the columns `read` are read."""
        ...

    def offset_join(self, table: str, instant: str) -> str:
        """Joins the UTC offset of the shopper's country at an instant."""
        ...

    def views(self, views: Views) -> list[Step]:
        """Totals of each entity as of each row of the spine, from `answered` and `asked`."""
        ...

    def tables(self, views: Views) -> list[str]:
        """The tables of these that have a line for each row_id."""
        ...

    def counted(self, tables: Sequence[str]) -> Step | None:
        """One table in the place of `tables`, which have row_id and n; None where they are joined as they are."""
        ...


class _DuckDB:
    """Reads the SQL as it is written. Codes are small numbers, which sort and join many times faster than text."""

    def text(self, query: str) -> str:
        return query

    def created(self, table: str, query: str) -> str:
        return f"CREATE TEMP TABLE {table} AS\n{query};"

    def in_order(self, column: str) -> str:
        return f"\nORDER BY {column}"

    def code_table(self, part: str) -> str | None:
        return f"SELECT {part}, CAST(row_number() OVER () AS INTEGER) AS code FROM (SELECT DISTINCT {part} FROM answers)"

    def code(self, part: str, *, table: str) -> str:
        return f"code_{part}.code" if table == "answers" else f"coalesce(code_{part}.code, 0)"

    def arrivals(self, windows: Windows) -> list[Step]:
        del windows
        return []

    def seen(self, windows: Windows, *, read: Sequence[str]) -> Seen:
        del windows, read  # It reads what the query names.
        return Seen(
            before="WITH arrivals AS (SELECT arrived_us, max(seq) AS seq FROM answers GROUP BY arrived_us)\n",
            columns=(_SEEN,),
            source="spine\nASOF LEFT JOIN arrivals ON spine.at_us >= arrivals.arrived_us",
            joins=(),
        )

    def offset_join(self, table: str, instant: str) -> str:
        return (
            f"ASOF LEFT JOIN local_offset ON {table}.shopper_country = local_offset.country AND {table}.{instant} >= local_offset.from_us"
        )

    def views(self, views: Views) -> list[Step]:
        return [step for view, features in views.items() for step in asof_steps(view, features)]

    def tables(self, views: Views) -> list[str]:
        return [f"view_{view.name}" for view in views]

    def counted(self, tables: Sequence[str]) -> Step | None:
        del tables
        return None


class _Spark:
    """Codes are the values themselves: numbers that are given out would have to be counted in one place."""

    def text(self, query: str) -> str:
        return query.replace(" // ", " div ")

    def created(self, table: str, query: str) -> str:
        return f"CREATE OR REPLACE TEMPORARY VIEW {table} AS\n{query};"

    def in_order(self, column: str) -> str:
        del column
        return ""

    def code_table(self, part: str) -> str | None:
        del part
        return None

    def code(self, part: str, *, table: str) -> str:
        return f"coalesce(concat('=', CAST({table}.{part} AS STRING)), '')"

    def arrivals(self, windows: Windows) -> list[Step]:
        """By the hour, so that no task has to walk all answers: each hour begins with what had arrived before it.

        Where windows begin is known once for all entities: there are as many beginnings as tiles, not as rows.
        """
        begins = [f"(at_us // {tile_s * 1_000_000} - {tiles - 1}) * {tile_s * 1_000_000}" for tile_s, tiles in windows]
        asked = [f"SELECT at_us // {HOUR_US} AS hour FROM spine"]
        steps = []
        if windows:
            asked.append(f"SELECT (begins_us - 1) // {HOUR_US} AS hour FROM begins")
            stacked = ", ".join(begins)
            steps.append(Step("begins", f"SELECT DISTINCT begins_us FROM spine LATERAL VIEW stack({len(begins)}, {stacked}) AS begins_us"))
        hours = "\n    UNION ALL ".join(["SELECT hour, seq FROM arrived", *(f"SELECT hour, NULL FROM ({one})" for one in asked)])
        known = (
            f"WITH arrived AS (\n    SELECT arrived_us // {HOUR_US} AS hour, arrived_us, max(seq) AS seq FROM answers GROUP BY arrived_us\n"
            f"), hours AS (SELECT hour, max(seq) AS seq FROM (\n    {hours}\n) GROUP BY hour)\n"
            f"SELECT hour, arrived_us, seq FROM arrived UNION ALL\nSELECT hour, hour * {HOUR_US} - 1 AS arrived_us,\n"
            "    max(seq) OVER (ORDER BY hour ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS seq FROM hours"
        )
        steps.append(Step("arrivals", known))
        if windows:
            source = _arrived_by("begins", instant="begins_us - 1", read=("begins_us",))
            steps.append(Step("begun", f"SELECT begins.begins_us, coalesce(arrivals.seq, 0) AS seq\nFROM {source}"))
        return steps

    def seen(self, windows: Windows, *, read: Sequence[str]) -> Seen:
        columns, joins = [_SEEN], []
        for tile_s, tiles in windows:
            name, size_us = seen_name(tile_s, tiles), tile_s * 1_000_000
            columns.append(f"{name}.seq AS {name}")
            joins.append(f"JOIN begun AS {name} ON (spine.at_us // {size_us} - {tiles - 1}) * {size_us} = {name}.begins_us")
        return Seen("", tuple(columns), _arrived_by("spine", instant="at_us", read=read), tuple(joins))

    def offset_join(self, table: str, instant: str) -> str:
        until = "lead(from_us) OVER (PARTITION BY country ORDER BY from_us) AS until_us"
        return (
            f"LEFT JOIN (SELECT country, from_us, offset_us, {until} FROM local_offset) AS local_offset\n"
            f"ON {table}.shopper_country = local_offset.country AND {table}.{instant} >= local_offset.from_us "
            f"AND ({table}.{instant} < local_offset.until_us OR local_offset.until_us IS NULL)"
        )

    def views(self, views: Views) -> list[Step]:
        return list(one_pass_steps(views))

    def tables(self, views: Views) -> list[str]:
        return one_pass_tables(views)

    def counted(self, tables: Sequence[str]) -> Step | None:
        if not tables:
            return None
        columns = ", ".join(f"struct(max(if(which = {at}, n, NULL)) AS n) AS {table}" for at, table in enumerate(tables))
        rows = "\nUNION ALL ".join(f"SELECT row_id, {at} AS which, n FROM {table}" for at, table in enumerate(tables))
        return Step("gathered_distinct", f"SELECT row_id, {columns}\nFROM (\n{rows}\n) GROUP BY row_id")


_SEEN = "least(spine.seq - 1, coalesce(arrivals.seq, 0)) AS seen"


def _arrived_by(table: str, *, instant: str, read: Sequence[str]) -> str:
    """Rows of a table, each beside the last of `arrivals` that does not come after its instant."""
    asked = f"struct({', '.join(read)}) AS {table}"
    return (
        f"(SELECT {table}, arrivals FROM (\n    SELECT side, {table}, last_value(arrivals) IGNORE NULLS OVER so_far AS arrivals FROM (\n"
        f"        SELECT ({instant}) // {HOUR_US} AS hour, {instant} AS place, 1 AS side, {asked}, NULL AS arrivals\n"
        f"        FROM {table}\n        UNION ALL\n"
        f"        SELECT hour, arrived_us AS place, 0 AS side, NULL AS {table}, struct(seq) AS arrivals FROM arrivals\n    )\n"
        "    WINDOW so_far AS (PARTITION BY hour ORDER BY place, side ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)\n) WHERE side = 1)"
    )


DUCKDB: Final[Dialect] = _DuckDB()
SPARK: Final[Dialect] = _Spark()
DIALECTS: Final[dict[Engine, Dialect]] = {"duckdb": DUCKDB, "spark": SPARK}

"""What differs between the engines that run the feature SQL: a few things, said once for DuckDB and once for Spark.

Everything else is one text for both (`sql`). Spark has no ASOF JOIN: there the rows of both sides stand in one order, and a window
carries the last row of the right side along, so that each side is sorted once and no pair of rows is ever made.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isqrt
from typing import Final, Literal, NamedTuple, Protocol

Engine = Literal["duckdb", "spark"]
HOUR_US = 3_600_000_000


class Asof(NamedTuple):
    """For each row of a left table the last row of another that does not come after it; nothing where there is none.

    table, alias  the other, and what it is called
    same          what must be equal: expression of the left table, column of the other
    at            which is later: expression of the left table, column of the other
    columns       what is read of the other
    """

    table: str
    alias: str
    same: tuple[tuple[str, str], ...]
    at: tuple[str, str]
    columns: tuple[str, ...]


class Earlier(NamedTuple):
    """Columns of the tiles before a window, and the join that brings them, if one is needed."""

    columns: tuple[str, ...]
    join: str


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

    def asof(self, left: str, *, columns: Sequence[str], others: Sequence[Asof]) -> str:
        """What stands behind FROM: the left table, of which `columns` are read, with the others joined to it."""
        ...

    def arrivals(self) -> tuple[str, Asof]:
        """The last answer that had arrived by the instant of each row of the spine: a clause before SELECT, and the join."""
        ...

    def offset_join(self, table: str, instant: str) -> str:
        """Joins the UTC offset of the shopper's country at an instant."""
        ...

    def once(self) -> str:
        """Behind AS of a query in WITH that is read several times."""
        ...

    def earlier(self, names: Sequence[str], *, before: str, tiles: int, codes: Sequence[str]) -> Earlier:
        """What had been counted so many tiles before each tile, from `tiles`: a row per key and tile with the totals at its end."""
        ...

    def gathered(self, tables: Sequence[str]) -> list[tuple[str, str]]:
        """Tables to join in the place of `tables`, which have a row_id: each holds several of them. None where all are joined at once."""
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

    def asof(self, left: str, *, columns: Sequence[str], others: Sequence[Asof]) -> str:
        del columns  # It reads what the query names.
        lines = [left]
        for other in others:
            same = "".join(f"{expression} = {other.alias}.{column} AND " for expression, column in other.same)
            called = other.table if other.table == other.alias else f"{other.table} AS {other.alias}"
            lines.append(f"ASOF LEFT JOIN {called} ON {same}{other.at[0]} >= {other.alias}.{other.at[1]}")
        return "\n".join(lines)

    def arrivals(self) -> tuple[str, Asof]:
        known = "WITH arrivals AS (SELECT arrived_us, max(seq) AS seq FROM answers GROUP BY arrived_us)\n"
        return known, Asof("arrivals", "arrivals", (), ("spine.at_us", "arrived_us"), ("seq",))

    def offset_join(self, table: str, instant: str) -> str:
        return (
            f"ASOF LEFT JOIN local_offset ON {table}.shopper_country = local_offset.country AND {table}.{instant} >= local_offset.from_us"
        )

    def once(self) -> str:
        return " MATERIALIZED"

    def earlier(self, names: Sequence[str], *, before: str, tiles: int, codes: Sequence[str]) -> Earlier:
        same = "".join(f"tiles.{code} = {before}.{code} AND " for code in codes)
        join = f"ASOF LEFT JOIN tiles AS {before} ON {same}tiles.tile - {tiles} >= {before}.tile"
        return Earlier(tuple(f"{before}.{name} AS {name}_earlier_{before}" for name in names), f"\n{join}")

    def gathered(self, tables: Sequence[str]) -> list[tuple[str, str]]:
        del tables
        return []


class _Spark:
    """Codes are the values themselves: numbers that are given out would have to be counted in one place.

    In the tiles a frame over tile numbers does for all windows what ASOF joins do in DuckDB: its upper end only moves on.
    """

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

    def asof(self, left: str, *, columns: Sequence[str], others: Sequence[Asof]) -> str:
        source, known = f"(SELECT struct({', '.join(columns)}) AS {left} FROM {left})", [left]
        for other in others:
            keys = [f"key_{at}" for at in range(len(other.same))]
            asked = [f"{pair[0]} AS {key}" for key, pair in zip(keys, other.same, strict=True)]
            told = [f"{pair[1]} AS {key}" for key, pair in zip(keys, other.same, strict=True)]
            asked += [f"{other.at[0]} AS place", "1 AS side", *known, f"NULL AS {other.alias}"]
            told += [f"{other.at[1]} AS place", "0 AS side", *(f"NULL AS {name}" for name in known)]
            told.append(f"struct({', '.join(other.columns)}) AS {other.alias}")
            per = f"PARTITION BY {', '.join(keys)} " if keys else ""
            last = f"last_value({other.alias}) IGNORE NULLS OVER so_far AS {other.alias}"
            source = (
                f"(SELECT {', '.join(known)}, {other.alias} FROM (\n"
                f"SELECT side, {', '.join(known)}, {last} FROM (\n"
                f"SELECT {', '.join(asked)} FROM {source}\nUNION ALL\nSELECT {', '.join(told)} FROM {other.table}\n)\n"
                f"WINDOW so_far AS ({per}ORDER BY place, side ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)\n) WHERE side = 1)"
            )
            known.append(other.alias)
        return source

    def arrivals(self) -> tuple[str, Asof]:
        """By the hour, so that no task has to walk all answers: each hour begins with what had arrived before it."""
        known = (
            "WITH arrived AS (SELECT arrived_us, max(seq) AS seq FROM answers GROUP BY arrived_us),\n"
            f"hours AS (SELECT hour, max(seq) AS seq FROM (\n    SELECT arrived_us // {HOUR_US} AS hour, seq FROM arrived\n"
            f"    UNION ALL SELECT at_us // {HOUR_US} AS hour, NULL AS seq FROM spine\n) GROUP BY hour),\n"
            f"arrivals AS (\n    SELECT arrived_us // {HOUR_US} AS hour, arrived_us, seq FROM arrived UNION ALL\n"
            f"    SELECT hour, hour * {HOUR_US} - 1 AS arrived_us,\n"
            "        max(seq) OVER (ORDER BY hour ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS seq FROM hours\n)\n"
        )
        same = ((f"spine.at_us // {HOUR_US}", "hour"),)
        return known, Asof("arrivals", "arrivals", same, ("spine.at_us", "arrived_us"), ("seq",))

    def offset_join(self, table: str, instant: str) -> str:
        until = "lead(from_us) OVER (PARTITION BY country ORDER BY from_us) AS until_us"
        return (
            f"LEFT JOIN (SELECT country, from_us, offset_us, {until} FROM local_offset) AS local_offset\n"
            f"ON {table}.shopper_country = local_offset.country AND {table}.{instant} >= local_offset.from_us "
            f"AND ({table}.{instant} < local_offset.until_us OR local_offset.until_us IS NULL)"
        )

    def once(self) -> str:
        return ""

    def earlier(self, names: Sequence[str], *, before: str, tiles: int, codes: Sequence[str]) -> Earlier:
        per = f"PARTITION BY {', '.join(codes)} " if codes else ""
        frame = f"({per}ORDER BY tile RANGE BETWEEN UNBOUNDED PRECEDING AND {tiles} PRECEDING)"
        return Earlier(tuple(f"last_value({name}) OVER {frame} AS {name}_earlier_{before}" for name in names), "")

    def gathered(self, tables: Sequence[str]) -> list[tuple[str, str]]:
        """A task that joins sorts every table at the same time, and has memory for a dozen: few at once, each as a struct of its name."""
        size = max(1, isqrt(len(tables)))
        found = []
        for at, first in enumerate(range(0, len(tables), size)):
            some = tables[first : first + size]
            columns = ", ".join(f"struct({table}.*) AS {table}" for table in some)
            joins = "\n".join(f"LEFT JOIN {table} USING (row_id)" for table in some)
            found.append((f"gathered_{at}", f"SELECT asked.row_id, {columns}\nFROM asked\n{joins}"))
        return found


DUCKDB: Final[Dialect] = _DuckDB()
SPARK: Final[Dialect] = _Spark()
DIALECTS: Final[dict[Engine, Dialect]] = {"duckdb": DUCKDB, "spark": SPARK}

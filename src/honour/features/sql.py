"""The catalogue as point-in-time SQL for DuckDB, and for Spark (`dialect`): the same numbers as the online fold, over millions of rows.

Tables it reads
    answers       seq, arrived_us, the columns that entities use, approved, failed, status, response_code, amount_minor, latency_ms
    spine         row_id, seq, at_us, the columns of payment and candidate: one row per question "what was known then?"
    local_offset  country, from_us, offset_us: UTC offsets of each country, the first from before all instants
    local_day     country, day (since 1970, local), days_since_payday, is_holiday; only where a feature asks for it
    reasons       REASON_COLUMNS of declines, and the reason that the networks' tables give; only where a feature asks for it

How it works. Columns that entities use become codes (`code_...`), in DuckDB small numbers, which sort and join many times faster than
text. Each spine row learns the last answer it may see (`asked.seen`: smaller seq, arrived by `at_us`). Then each entity's totals are
read where a row stands and where its windows begin: by ASOF joins (`sql_asof`), or in one pass over rows in order (`sql_one_pass`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import get_args

from honour.features.catalogue import CATALOGUE
from honour.features.columns import CANDIDATE_COLUMNS, CLOCK_COLUMNS, PAYMENT_COLUMNS
from honour.features.dialect import DUCKDB, Dialect
from honour.features.group import is_folded
from honour.features.sql_value import (
    HOUR_OF_WEEK,
    Step,
    View,
    added,
    distinct_name,
    eras,
    fading,
    lasts,
    lines,
    sql_value,
    summed,
    view_of,
    windows,
)
from honour.features.view import (
    CALENDAR_PARTS,
    DISTINCT_MAX,
    Catalogue,
    FoldedFeature,
    LastFeature,
    LocalTimeFeature,
    WindowFeature,
)
from honour.records.attempt import Status

REASON_COLUMNS = ("status", "network", "issuer_country", "merchant_country", "response_code")
"""What the reason of a decline follows from."""


def steps(catalogue: Catalogue = CATALOGUE, *, dialect: Dialect = DUCKDB) -> tuple[Step, ...]:
    """The tables to make, in order; the last, `features`, has row_id and every feature by name."""
    return (*view_steps(catalogue, dialect=dialect), features_step(catalogue, dialect=dialect))


def view_steps(catalogue: Catalogue = CATALOGUE, *, dialect: Dialect = DUCKDB) -> tuple[Step, ...]:
    """The tables before the last: for each entity a view with one line per row of the spine."""
    folded = _folded(catalogue)
    parts = list(dict.fromkeys(part for feature in folded for part in feature.entity if part not in CLOCK_COLUMNS))
    made = [Step(f"code_{part}", query) for part in parts if (query := dialect.code_table(part)) is not None]
    made += dialect.arrivals(windows(folded))
    made += [_answered(catalogue, parts, dialect), _asked(catalogue, parts, dialect)]
    made += dialect.views(_views(folded))
    made += [_distinct(feature, dialect) for feature in _distincts(folded)]
    made += [counted] if (counted := dialect.counted(_distinct_names(folded))) else []
    return tuple(Step(step.table, dialect.text(step.query)) for step in made)


def features_step(
    catalogue: Catalogue = CATALOGUE, *, rows: tuple[int, int] | None = None, beside: Sequence[str] = (), dialect: Dialect = DUCKDB
) -> Step:
    """Every feature by name, from the views; a rate that shrinks names its parent, which stands above it.

    rows    first and last row_id, for a part of the answer; absent, all of it
    beside  further columns of the spine, between row_id and the features
    """
    folded = _folded(catalogue)
    columns = ["spine.row_id", *(f"spine.{name}" for name in beside if name not in catalogue.names)]
    columns += [f"{sql_value(feature)} AS {feature.name}" for feature in catalogue.features]
    joins = [f"JOIN {_some(table, rows)} USING (row_id)" for table in dialect.tables(_views(folded))]
    counted = dialect.counted(_distinct_names(folded))
    joins += [f"LEFT JOIN {_some(table, rows)} USING (row_id)" for table in ([counted.table] if counted else _distinct_names(folded))]
    if any(isinstance(feature, LocalTimeFeature) for feature in catalogue.features):
        local = "asked" if rows is None else f"(SELECT row_id, local_us FROM asked WHERE row_id BETWEEN {rows[0]} AND {rows[1]}) AS asked"
        joins.append(f"JOIN {local} USING (row_id)")
    if needs_calendar(catalogue):
        day = "asked.local_us // 86400000000 = local_day.day"
        joins.append(f"LEFT JOIN local_day ON spine.shopper_country IS NOT DISTINCT FROM local_day.country AND {day}")
    source = f"FROM {_some('spine', rows)}"
    query = f"SELECT\n{lines(columns)}\n" + "\n".join([source, *joins]) + dialect.in_order("spine.row_id")
    return Step("features", dialect.text(query))


def sql_of(catalogue: Catalogue = CATALOGUE, *, dialect: Dialect = DUCKDB) -> str:
    """The whole computation as a script that a person can read and run."""
    return "\n\n".join(dialect.created(*step) for step in steps(catalogue, dialect=dialect))


def feature_sql(name: str, *, catalogue: Catalogue = CATALOGUE, dialect: Dialect = DUCKDB) -> str:
    """The SQL of one feature, with what it shrinks to and nothing else."""
    return sql_of(catalogue.needed_for(name), dialect=dialect)


def answer_columns(catalogue: Catalogue) -> tuple[str, ...]:
    """Columns of payment and candidate that the answers must have."""
    folded = _folded(catalogue)
    used = {part for feature in folded for part in feature.entity} | {feature.of for feature in _distincts(folded)}
    used |= {"shopper_country"} if by_clock(catalogue) else set()
    used |= {"network", "issuer_country", "merchant_country"} if needs_reasons(catalogue) else set()
    return tuple(name for name in (*PAYMENT_COLUMNS, *CANDIDATE_COLUMNS) if name in used | {"amount_minor", "route", "authentication"})


def needs_reasons(catalogue: Catalogue) -> bool:
    """Whether a feature reads why answers were declined."""
    return any(
        (feature.only is not None and feature.only not in get_args(Status))
        or (isinstance(feature, LastFeature) and feature.column == "reason")
        or (isinstance(feature, WindowFeature) and feature.of == "reason")
        for feature in catalogue.features
        if is_folded(feature)
    )


def needs_calendar(catalogue: Catalogue) -> bool:
    """Whether a feature reads paydays or holidays."""
    return any(isinstance(feature, LocalTimeFeature) and feature.part in CALENDAR_PARTS for feature in catalogue.features)


def by_clock(catalogue: Catalogue) -> bool:
    """Whether an entity is made of the shopper's clock."""
    return any(set(feature.entity) & set(CLOCK_COLUMNS) for feature in _folded(catalogue))


def _answered(catalogue: Catalogue, parts: Sequence[str], dialect: Dialect) -> Step:
    """The answers with codes for columns, and what follows from them: why they were declined, the shopper's hour of the week."""
    columns = [f"answers.{name}" for name in _read_of_answers(catalogue)]
    columns += [f"{dialect.code(part, table='answers')} AS {part}_code" for part in parts]
    joins = [f"JOIN code_{part} ON answers.{part} IS NOT DISTINCT FROM code_{part}.{part}" for part in _in_tables(parts, dialect)]
    if needs_reasons(catalogue):
        columns.append("reasons.reason")
        same = " AND ".join(f"answers.{name} IS NOT DISTINCT FROM reasons.{name}" for name in REASON_COLUMNS)
        joins.append(f"LEFT JOIN reasons ON {same}")
    if by_clock(catalogue):
        columns.append(f"{_hour_of_week('answers.arrived_us')} AS local_hour_of_week_code")
        joins.append(dialect.offset_join("answers", "arrived_us"))
    return Step("answered", f"SELECT\n{lines(columns)}\n" + "\n".join(["FROM answers", *joins]) + dialect.in_order("seq"))


def _asked(catalogue: Catalogue, parts: Sequence[str], dialect: Dialect) -> Step:
    """Spine rows with codes, local time, and the last answer they may see: of all that had arrived, what stands before them."""
    read = ["row_id", "seq", "at_us", *parts]
    more, joins = [], []
    if by_clock(catalogue) or any(isinstance(feature, LocalTimeFeature) for feature in catalogue.features):
        more.append("spine.at_us + coalesce(local_offset.offset_us, 0) AS local_us")
        more.append(f"{_hour_of_week('spine.at_us')} AS local_hour_of_week_code")
        joins.append(dialect.offset_join("spine", "at_us"))
        read.append("shopper_country")
    seen = dialect.seen(windows(_folded(catalogue)), read=list(dict.fromkeys(read)))
    codes = [f"LEFT JOIN code_{part} ON spine.{part} IS NOT DISTINCT FROM code_{part}.{part}" for part in _in_tables(parts, dialect)]
    columns = ["spine.row_id", "spine.at_us", *seen.columns, *(f"{dialect.code(part, table='spine')} AS {part}_code" for part in parts)]
    source = "\n".join([f"FROM {seen.source}", *seen.joins, *codes, *joins])
    return Step("asked", f"{seen.before}SELECT\n{lines([*columns, *more])}\n{source}{dialect.in_order('row_id')}")


def _distinct(feature: WindowFeature, dialect: Dialect) -> Step:
    """Different values of a column in a window: answers in it that no later one of the same value followed before the instant."""
    view, of = view_of(feature), feature.of or ""
    key, size_us = ", ".join(dict.fromkeys((*view.codes, of))), feature.tile_s * 1_000_000
    same = "".join(f"asked.{code} = valued.{code} AND " for code in view.codes)
    where = f"{view.where.strip()} AND" if view.where else "WHERE"
    return Step(
        distinct_name(feature),
        f"WITH valued AS (\n    SELECT {key}, seq, arrived_us, lead(seq) OVER (PARTITION BY {key} ORDER BY seq) AS next_seq\n"
        f"    FROM answered\n    {where} {feature.of} IS NOT NULL\n)\n"
        f"SELECT asked.row_id, least(count(*), {DISTINCT_MAX}) AS n\nFROM asked JOIN valued\nON {same}"
        f"valued.arrived_us >= (asked.at_us // {size_us} - {feature.tiles - 1}) * {size_us} AND valued.seq <= asked.seen\n"
        f"AND (valued.next_seq IS NULL OR valued.next_seq > asked.seen)\nGROUP BY asked.row_id{dialect.in_order('row_id')}",
    )


def _folded(catalogue: Catalogue) -> list[FoldedFeature]:
    return [feature for feature in catalogue.features if is_folded(feature)]


def _views(folded: Sequence[FoldedFeature]) -> dict[View, list[FoldedFeature]]:
    views: dict[View, list[FoldedFeature]] = {}
    for feature in folded:
        views.setdefault(view_of(feature), []).append(feature)
    return views


def _read_of_answers(catalogue: Catalogue) -> list[str]:
    """Columns of the answers that totals, conditions and last answers read as they are."""
    folded = _folded(catalogue)
    known = ("status", "response_code", "latency_ms", "amount_minor", "approved", "failed", "route", "authentication")
    said = " ".join(added(name) for features in _views(folded).values() for name in (*summed(features), *_all_faded(features)))
    said += " ".join(f" {name}" for name, _ in lasts(folded)) + "".join(view.where for view in _views(folded))
    words = set(re.findall(r"\w+", said)) | {feature.of for feature in _distincts(folded)}
    extra = [feature.of for feature in _distincts(folded) if feature.of and feature.of not in (*known, "reason")]
    return ["seq", "arrived_us", *(name for name in known if name in words), *dict.fromkeys(extra)]


def _hour_of_week(instant_us: str) -> str:
    return HOUR_OF_WEEK.replace("local_us", f"({instant_us} + coalesce(local_offset.offset_us, 0))")


def _in_tables(parts: Sequence[str], dialect: Dialect) -> list[str]:
    """Columns whose codes are kept in tables."""
    return [part for part in parts if dialect.code_table(part) is not None]


def _all_faded(features: Sequence[FoldedFeature]) -> list[str]:
    return [name for era in eras(features) for name in fading(features, era)]


def _distincts(features: Sequence[object]) -> list[WindowFeature]:
    """Features that count values, one of each table."""
    found = [feature for feature in features if isinstance(feature, WindowFeature) and feature.measure == "distinct"]
    return list({distinct_name(feature): feature for feature in found}.values())


def _distinct_names(folded: Sequence[FoldedFeature]) -> list[str]:
    return [distinct_name(feature) for feature in _distincts(folded)]


def _some(table: str, rows: tuple[int, int] | None) -> str:
    return table if rows is None else f"(SELECT * FROM {table} WHERE row_id BETWEEN {rows[0]} AND {rows[1]}) AS {table}"

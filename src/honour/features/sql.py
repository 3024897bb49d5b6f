"""The catalogue as point-in-time SQL for DuckDB, and for Spark (`dialect`): the same numbers as the online fold, over millions of rows.

Tables it reads
    answers       seq, arrived_us, the columns that entities use, approved, failed, status, response_code, amount_minor, latency_ms
    spine         row_id, seq, at_us, the columns of payment and candidate: one row per question "what was known then?"
    local_offset  country, from_us, offset_us: UTC offsets of each country, the first from before all instants
    local_day     country, day (since 1970, local), days_since_payday, is_holiday; only where a feature asks for it
    reasons       REASON_COLUMNS of declines, and the reason that the networks' tables give; only where a feature asks for it

How it works. Columns that entities use become small numbers (`code_...`), which sort and join many times faster than text. Each
spine row learns the last answer it may see (`asked.seen`: smaller seq, arrived by `at_us`). Then each entity gets running totals per
key, ordered by seq, and one ASOF join gives what stood at `seen`. Windows run in whole tiles: what had come before a window's first
tile is one running total per key and tile, joined by equality. A window is the first minus the second. No frame runs over instants.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple, get_args

from honour.features.catalogue import CATALOGUE
from honour.features.columns import CANDIDATE_COLUMNS, CLOCK_COLUMNS, PAYMENT_COLUMNS
from honour.features.dialect import DUCKDB, Asof, Dialect
from honour.features.group import is_folded, sums_of
from honour.features.sql_value import (
    HOUR_OF_WEEK,
    LAST,
    Era,
    View,
    added,
    before_name,
    distinct_name,
    era_of,
    faded,
    last_name,
    sql_value,
    summed,
    view_of,
)
from honour.features.view import (
    CALENDAR_PARTS,
    DISTINCT_MAX,
    NUMBERS,
    Catalogue,
    DecayedFeature,
    FoldedFeature,
    LastFeature,
    LocalTimeFeature,
    WindowFeature,
)
from honour.records.attempt import Status

REASON_COLUMNS = ("status", "network", "issuer_country", "merchant_country", "response_code")
"""What the reason of a decline follows from."""


class Step(NamedTuple):
    """One table of the computation, and the query that makes it."""

    table: str
    query: str


def steps(catalogue: Catalogue = CATALOGUE, *, dialect: Dialect = DUCKDB) -> tuple[Step, ...]:
    """The tables to make, in order; the last, `features`, has row_id and every feature by name."""
    return (*view_steps(catalogue, dialect=dialect), features_step(catalogue, dialect=dialect))


def view_steps(catalogue: Catalogue = CATALOGUE, *, dialect: Dialect = DUCKDB) -> tuple[Step, ...]:
    """The tables before the last: for each entity a view with one line per row of the spine."""
    folded = _folded(catalogue)
    parts = list(dict.fromkeys(part for feature in folded for part in feature.entity if part not in CLOCK_COLUMNS))
    made = [Step(f"code_{part}", query) for part in parts if (query := dialect.code_table(part)) is not None]
    made += [_answered(catalogue, parts, dialect), _asked(catalogue, parts, dialect)]
    for view, features in _views(folded).items():
        made.append(_totals(view, features))
        made += [_tiles(view, tile_s, features, dialect) for tile_s in _tile_sizes(features)]
        made += [_fading(view, era, features) for era in _eras(features)]
        made.append(_view(view, features, dialect))
    made += [_distinct(feature, dialect) for feature in _distincts(folded)]
    made += [Step(*gathered) for gathered in dialect.gathered(_joined(folded))]
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
    tables = [table for table, _ in dialect.gathered(_joined(folded))] or _joined(folded)
    joins = [f"{'LEFT ' * table.startswith('distinct_')}JOIN {_some(table, rows)} USING (row_id)" for table in tables]
    if any(isinstance(feature, LocalTimeFeature) for feature in catalogue.features):
        local = "asked" if rows is None else f"(SELECT row_id, local_us FROM asked WHERE row_id BETWEEN {rows[0]} AND {rows[1]}) AS asked"
        joins.append(f"JOIN {local} USING (row_id)")
    if needs_calendar(catalogue):
        day = "asked.local_us // 86400000000 = local_day.day"
        joins.append(f"LEFT JOIN local_day ON spine.shopper_country IS NOT DISTINCT FROM local_day.country AND {day}")
    source = f"FROM {_some('spine', rows)}"
    query = f"SELECT\n{_lines(columns)}\n" + "\n".join([source, *joins]) + dialect.in_order("spine.row_id")
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
    return Step("answered", f"SELECT\n{_lines(columns)}\n" + "\n".join(["FROM answers", *joins]) + dialect.in_order("seq"))


def _asked(catalogue: Catalogue, parts: Sequence[str], dialect: Dialect) -> Step:
    """Spine rows with codes, local time, and the last answer they may see: of all that had arrived, what stands before them."""
    known, arrivals = dialect.arrivals()
    columns = ["spine.row_id", "spine.at_us", "least(spine.seq - 1, coalesce(arrivals.seq, 0)) AS seen"]
    columns += [f"{dialect.code(part, table='spine')} AS {part}_code" for part in parts]
    joins = [f"LEFT JOIN code_{part} ON spine.{part} IS NOT DISTINCT FROM code_{part}.{part}" for part in _in_tables(parts, dialect)]
    read = ["row_id", "seq", "at_us", *parts]
    if by_clock(catalogue) or any(isinstance(feature, LocalTimeFeature) for feature in catalogue.features):
        columns.append("spine.at_us + coalesce(local_offset.offset_us, 0) AS local_us")
        columns.append(f"{_hour_of_week('spine.at_us')} AS local_hour_of_week_code")
        joins.append(dialect.offset_join("spine", "at_us"))
        read.append("shopper_country")
    source = "\n".join([f"FROM {dialect.asof('spine', columns=list(dict.fromkeys(read)), others=[arrivals])}", *joins])
    return Step("asked", f"{known}SELECT\n{_lines(columns)}\n{source}{dialect.in_order('row_id')}")


def _totals(view: View, features: Sequence[FoldedFeature]) -> Step:
    """Running totals of an entity: at each of its answers, how much came so far, and that answer."""
    columns = [*_codes(view), "seq", "CAST(count(*) OVER so_far AS INTEGER) AS n"]
    columns += [f"{_sum(name, of=added(name), frame='so_far')} AS {name}_total" for name in summed(features)]
    columns += [f"{_nth(name, nth)} AS {last_name(name, nth)}" for name, nth in _lasts(features)]
    windows = f"so_far AS ({_per(view)}ORDER BY seq ROWS UNBOUNDED PRECEDING)"
    windows += f", in_order AS ({_per(view)}ORDER BY seq)" if any(nth > 1 for _, nth in _lasts(features)) else ""
    return Step(f"totals_{view.name}", f"SELECT\n{_lines(columns)}\nFROM answered{view.where}\nWINDOW {windows}")


def _tiles(view: View, tile_s: int, features: Sequence[FoldedFeature], dialect: Dialect) -> Step:
    """What an entity had counted before each window that ends in a tile, for every tile in which it was asked for."""
    sized = [feature for feature in features if isinstance(feature, WindowFeature | LastFeature) and feature.tile_s == tile_s]
    names, keys, size_us = ("n", *summed(sized)), "".join(f"{code}, " for code in _codes(view)), tile_s * 1_000_000
    columns, joins = [*(f"tiles.{code}" for code in _codes(view)), "tiles.tile"], ""
    for _, tiles in _windows(sized):
        earlier = dialect.earlier(names, before=before_name(tile_s, tiles), tiles=tiles, codes=_codes(view))
        columns += earlier.columns
        joins += earlier.join
    counted = "".join(f", {'1' if name == 'n' else added(name)} AS {name}" for name in names)
    nothing = "".join(f", 0 AS {name}" for name in names)
    totals = "".join(f", {_sum(name, of=f'sum({name})', frame='so_far')} AS {name}" for name in names)
    where = view.where.replace("\n", " ")
    return Step(
        f"tiles_{view.name}_{tile_s}s",
        f"WITH counted AS (\n    SELECT {keys}arrived_us // {size_us} AS tile{counted} FROM answered{where}\n"
        f"    UNION ALL SELECT {keys}at_us // {size_us} AS tile{nothing} FROM asked\n"
        f"), tiles AS{dialect.once()} (\n    SELECT {keys}tile{totals} FROM counted GROUP BY {keys}tile\n"
        f"    WINDOW so_far AS ({_per(view)}ORDER BY tile ROWS UNBOUNDED PRECEDING)\n)\n"
        f"SELECT\n{_lines(columns)}\nFROM tiles{joins}",
    )


def _fading(view: View, era: Era, features: Sequence[FoldedFeature]) -> Step:
    """Running totals of an entity in which an answer weighs twice as much with every half-life since its era began."""
    weight = f"pow(2e0, CAST(arrived_us % {era.us} AS DOUBLE) / {era.half_life_us})"
    columns = [*_codes(view), "seq", "arrived_us", f"arrived_us // {era.us} AS era", f"sum({weight}) OVER so_far AS n_total"]
    columns += [f"sum({added(name)} * {weight}) OVER so_far AS {name}_total" for name in _faded(features, era)]
    partition = ", ".join((*_codes(view), f"arrived_us // {era.us}"))
    return Step(
        f"fading_{view.name}_{era.name}",
        f"SELECT\n{_lines(columns)}\nFROM answered{view.where}\n"
        f"WINDOW so_far AS (PARTITION BY {partition} ORDER BY seq ROWS UNBOUNDED PRECEDING)",
    )


def _view(view: View, features: Sequence[FoldedFeature], dialect: Dialect) -> Step:
    """Counts and sums of each window of an entity, and its last answers, for every spine row.

    What a row sees may end before one of its windows begins, when it was asked after its instant: then the window is empty.
    """
    columns = ["asked.row_id"]
    same = tuple((f"asked.{code}", code) for code in _codes(view))
    known = ("n", *(f"{name}_total" for name in summed(features)), *(last_name(name, nth) for name, nth in _lasts(features)))
    others, joins = [Asof(f"totals_{view.name}", "now", same, ("asked.seen", "seq"), known)], []
    for tile_s in _tile_sizes(features):
        tiles = f"tiles_{view.name}_{tile_s}s"
        joins.append(f"JOIN {tiles} ON {_same_key(view, tiles)}asked.at_us // {tile_s * 1_000_000} = {tiles}.tile")
    for tile_s, n_tiles in _windows(features):
        before, tiles = before_name(tile_s, n_tiles), f"tiles_{view.name}_{tile_s}s"
        window = [
            feature
            for feature in features
            if isinstance(feature, WindowFeature | LastFeature) and (feature.tile_s, feature.tiles) == (tile_s, n_tiles)
        ]
        n = _difference("n", f"{tiles}.n_earlier_{before}")
        columns.append(f"{n} AS n_{before}")
        columns += [f"{_difference(f'{name}_total', f'{tiles}.{name}_earlier_{before}')} AS {name}_{before}" for name in summed(window)]
        columns += [
            f"CASE WHEN {n} >= {nth} THEN now.{last_name(name, nth)} END AS {last_name(name, nth)}_{before}" for name, nth in _lasts(window)
        ]
    for era in _eras(features):
        columns += [f"{faded(name, era=era)} AS {name}_{era.name}" for name in ("n", *_faded(features, era))]
        known = ("arrived_us", "n_total", *(f"{name}_total" for name in _faded(features, era)))
        for name, ago in ((f"fading_{era.name}", 0), (f"former_{era.name}", 1)):
            during = (*same, (f"asked.at_us // {era.us} - {ago}", "era"))
            others.append(Asof(f"fading_{view.name}_{era.name}", name, during, ("asked.seen", "seq"), known))
    source = dialect.asof("asked", columns=("row_id", "at_us", "seen", *_codes(view)), others=others)
    query = f"SELECT\n{_lines(columns)}\n" + "\n".join([f"FROM {source}", *joins]) + dialect.in_order("row_id")
    return Step(f"view_{view.name}", query)


def _distinct(feature: WindowFeature, dialect: Dialect) -> Step:
    """Different values of a column in a window: answers in it that no later one of the same value followed before the instant."""
    view, of = view_of(feature), feature.of or ""
    key, size_us = ", ".join(dict.fromkeys((*_codes(view), of))), feature.tile_s * 1_000_000
    where = f"{view.where.strip()} AND" if view.where else "WHERE"
    return Step(
        distinct_name(feature),
        f"WITH valued AS (\n    SELECT {key}, seq, arrived_us, lead(seq) OVER (PARTITION BY {key} ORDER BY seq) AS next_seq\n"
        f"    FROM answered\n    {where} {feature.of} IS NOT NULL\n)\n"
        f"SELECT asked.row_id, least(count(*), {DISTINCT_MAX}) AS n\nFROM asked JOIN valued\nON {_same_key(view, 'valued')}"
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


def _joined(folded: Sequence[FoldedFeature]) -> list[str]:
    """Tables with what features of answers are made of."""
    return [*(f"view_{view.name}" for view in _views(folded)), *(distinct_name(feature) for feature in _distincts(folded))]


def _read_of_answers(catalogue: Catalogue) -> list[str]:
    """Columns of the answers that totals, conditions and last answers read as they are."""
    folded = _folded(catalogue)
    known = ("status", "response_code", "latency_ms", "amount_minor", "approved", "failed", "route", "authentication")
    said = " ".join(added(name) for features in _views(folded).values() for name in (*summed(features), *_all_faded(features)))
    said += " ".join(f" {name}" for name, _ in _lasts(folded)) + "".join(view.where for view in _views(folded))
    words = set(re.findall(r"\w+", said)) | {feature.of for feature in _distincts(folded)}
    extra = [feature.of for feature in _distincts(folded) if feature.of and feature.of not in (*known, "reason")]
    return ["seq", "arrived_us", *(name for name in known if name in words), *dict.fromkeys(extra)]


def _hour_of_week(instant_us: str) -> str:
    return HOUR_OF_WEEK.replace("local_us", f"({instant_us} + coalesce(local_offset.offset_us, 0))")


def _in_tables(parts: Sequence[str], dialect: Dialect) -> list[str]:
    """Columns whose codes are kept in tables."""
    return [part for part in parts if dialect.code_table(part) is not None]


def _difference(total: str, before: str) -> str:
    return f"coalesce(now.{total} - least(now.{total}, coalesce({before}, 0)), 0)"


def _sum(name: str, *, of: str, frame: str) -> str:
    """A running total, as small as it can be: a sum of integers is 16 bytes wide, which is what sorting and joining then carry."""
    return f"CAST(sum({of}) OVER {frame} AS {'BIGINT' if name in NUMBERS else 'INTEGER'})"


def _tile_sizes(features: Sequence[FoldedFeature]) -> list[int]:
    return sorted({tile_s for tile_s, _ in _windows(features)})


def _windows(features: Sequence[FoldedFeature]) -> list[tuple[int, int]]:
    """Tile size and number of tiles of each window."""
    return sorted({(feature.tile_s, feature.tiles) for feature in features if isinstance(feature, WindowFeature | LastFeature)})


def _eras(features: Sequence[FoldedFeature]) -> list[Era]:
    return sorted({era_of(feature) for feature in features if isinstance(feature, DecayedFeature)})


def _faded(features: Sequence[FoldedFeature], era: Era) -> list[str]:
    """Sums that fade with one half-life, beside the count."""
    return sorted(
        {name for feature in features if isinstance(feature, DecayedFeature) and era_of(feature) == era for name in sums_of(feature)}
    )


def _all_faded(features: Sequence[FoldedFeature]) -> list[str]:
    return [name for era in _eras(features) for name in _faded(features, era)]


def _distincts(features: Sequence[object]) -> list[WindowFeature]:
    """Features that count values, one of each table."""
    found = [feature for feature in features if isinstance(feature, WindowFeature) and feature.measure == "distinct"]
    return list({distinct_name(feature): feature for feature in found}.values())


def _lasts(features: Sequence[FoldedFeature]) -> list[tuple[str, int]]:
    """Columns of the last answers, each with how far back it is."""
    return sorted({(LAST[feature.column], feature.nth) for feature in features if isinstance(feature, LastFeature)})


def _nth(name: str, nth: int) -> str:
    return name if nth == 1 else f"lag({name}, {nth - 1}) OVER in_order"


def _codes(view: View) -> list[str]:
    return [f"{part}_code" for part in view.entity]


def _per(view: View) -> str:
    return f"PARTITION BY {', '.join(_codes(view))} " if view.entity else ""


def _same_key(view: View, other: str) -> str:
    return "".join(f"asked.{code} = {other}.{code} AND " for code in _codes(view))


def _some(table: str, rows: tuple[int, int] | None) -> str:
    return table if rows is None else f"(SELECT * FROM {table} WHERE row_id BETWEEN {rows[0]} AND {rows[1]}) AS {table}"


def _lines(columns: Sequence[str]) -> str:
    return ",\n".join(f"    {column}" for column in columns)

"""The catalogue as point-in-time SQL for DuckDB: the same numbers as the online fold, over millions of rows.

Tables it reads
    answers       seq, arrived_us, the columns that entities use, approved, failed, status, response_code, amount_minor
    spine         row_id, seq, at_us, the columns of payment and candidate: one row per question "what was known then?"
    local_offset  country, from_us, offset_us: UTC offsets of each country, the first from before all instants

How it works. First each spine row learns the last answer it may see (smaller seq, arrived by `at_us`) and, for each window,
the last answer before it. Then each entity gets running totals per key, ordered by seq, and one ASOF join per instant:
a window is the total at the first instant minus the total at the second. There are no RANGE frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from honour.features.catalogue import CATALOGUE
from honour.features.view import (
    CANDIDATE_COLUMNS,
    PAYMENT_COLUMNS,
    AttributeFeature,
    Catalogue,
    ContextFeature,
    Feature,
    FoldedFeature,
    LastFeature,
    LocalTimeFeature,
    WindowFeature,
)

_SUMS = {"approval_rate": "approved", "failed_rate": "failed", "amount_ratio": "amount_minor"}
_LAST = {
    "status": "status",
    "response_code": "response_code",
    "approved": "approved",
    "seconds_since": "arrived_us",
    "route": "route",
    "same_route": "route",
    "authentication": "authentication",
    "amount_minor": "amount_minor",
}
_LOCAL = {
    "hour": "local_us % 86400000000 // 3600000000",
    # 1970-01-01 was a Thursday; Monday is 0.
    "weekday": "(local_us // 86400000000 + 3) % 7",
    "day_of_month": "extract(day FROM DATE '1970-01-01' + CAST(local_us // 86400000000 AS INTEGER))",
}


class Step(NamedTuple):
    """One table of the computation, and the query that makes it."""

    table: str
    query: str


def steps(catalogue: Catalogue = CATALOGUE) -> tuple[Step, ...]:
    """The tables to make, in order; the last, `features`, has row_id and every feature by name."""
    folded = [feature for feature in catalogue.features if isinstance(feature, WindowFeature | LastFeature)]
    entities: dict[tuple[str, ...], list[FoldedFeature]] = {}
    for feature in folded:
        entities.setdefault(feature.entity, []).append(feature)
    made = [_moments(catalogue, folded), _instants(folded)]
    for entity, features in entities.items():
        made += [_totals(entity, features), _view(entity, features)]
    return (*made, _features(catalogue, tuple(entities)))


def sql_of(catalogue: Catalogue = CATALOGUE) -> str:
    """The whole computation as a script that a person can read and run."""
    return "\n\n".join(f"CREATE TEMP TABLE {step.table} AS\n{step.query};" for step in steps(catalogue))


def feature_sql(name: str, *, catalogue: Catalogue = CATALOGUE) -> str:
    """The SQL of one feature, with what it shrinks to and nothing else."""
    return sql_of(catalogue.needed_for(name))


def _moments(catalogue: Catalogue, folded: Sequence[FoldedFeature]) -> Step:
    """For each instant of the spine: the last answer arrived by then, the last one before each window, the shopper's local time."""
    seen = ["spine.at_us", "spine.shopper_country", "coalesce(seen.seq, 0) AS seen_seq"]
    joins = ["ASOF LEFT JOIN arrivals AS seen ON spine.at_us >= seen.arrived_us"]
    for tile_s, tiles in _windows(folded):
        before = _before(tile_s, tiles)
        first_us = f"(spine.at_us // {tile_s * 1_000_000} - {tiles - 1}) * {tile_s * 1_000_000}"
        seen.append(f"coalesce({before}.seq, 0) AS {before}")
        joins.append(f"ASOF LEFT JOIN arrivals AS {before} ON {first_us} > {before}.arrived_us")
    if any(isinstance(feature, LocalTimeFeature) for feature in catalogue.features):
        seen.append("spine.at_us + coalesce(local_offset.offset_us, 0) AS local_us")
        joins.append("ASOF LEFT JOIN local_offset ON spine.shopper_country = local_offset.country AND spine.at_us >= local_offset.from_us")
    return Step(
        "moments",
        "WITH arrivals AS (SELECT arrived_us, max(seq) AS seq FROM answers GROUP BY arrived_us)\n"
        f"SELECT\n{_lines(seen)}\nFROM (SELECT DISTINCT at_us, shopper_country FROM spine) AS spine\n" + "\n".join(joins),
    )


def _instants(folded: Sequence[FoldedFeature]) -> Step:
    """Spine rows with what they may see: of all that had arrived, what stands before them."""
    names = ["seen_seq", *(_before(tile_s, tiles) for tile_s, tiles in _windows(folded))]
    columns = [f"least(spine.seq - 1, moments.{name}) AS {name}" for name in names]
    return Step(
        "instants",
        f"SELECT spine.*, moments.* EXCLUDE (at_us, shopper_country, {', '.join(names)}),\n{_lines(columns)}\nFROM spine JOIN moments\n"
        "ON spine.at_us = moments.at_us AND spine.shopper_country IS NOT DISTINCT FROM moments.shopper_country",
    )


def _totals(entity: Sequence[str], features: Sequence[FoldedFeature]) -> Step:
    """Running totals of an entity: at each of its answers, how much came so far, and that answer."""
    columns = [*entity, "seq", "count(*) OVER so_far AS n"]
    columns += [f"sum({name}) OVER so_far AS {name}_total" for name in _summed(features)]
    columns += [f"{_nth(name, nth)} AS {_last(name, nth)}" for name, nth in _lasts(features)]
    partition = f"PARTITION BY {', '.join(entity)} " if entity else ""
    return Step(
        f"totals_{_named(entity)}",
        f"SELECT\n{_lines(columns)}\nFROM answers\nWINDOW so_far AS ({partition}ORDER BY seq ROWS UNBOUNDED PRECEDING)",
    )


def _view(entity: Sequence[str], features: Sequence[FoldedFeature]) -> Step:
    """Counts and sums of each window of an entity, and its last answer, for every spine row."""
    totals = f"totals_{_named(entity)}"
    columns = ["instants.row_id"]
    joins = [f"ASOF LEFT JOIN {totals} AS now ON {_same_key(entity, 'now')}instants.seen_seq >= now.seq"]
    for tile_s, tiles in _windows(features):
        before = _before(tile_s, tiles)
        window = [feature for feature in features if (feature.tile_s, feature.tiles) == (tile_s, tiles)]
        columns.append(f"coalesce(now.n, 0) - coalesce({before}.n, 0) AS n_{before}")
        columns += [f"coalesce(now.{name}_total, 0) - coalesce({before}.{name}_total, 0) AS {name}_{before}" for name in _summed(window)]
        n = f"now.n - coalesce({before}.n, 0)"
        columns += [
            f"CASE WHEN {n} >= {nth} THEN now.{_last(name, nth)} END AS {_last(name, nth)}_{before}" for name, nth in _lasts(window)
        ]
        joins.append(f"ASOF LEFT JOIN {totals} AS {before} ON {_same_key(entity, before)}instants.{before} >= {before}.seq")
    return Step(f"view_{_named(entity)}", f"SELECT\n{_lines(columns)}\nFROM instants\n" + "\n".join(joins))


def _features(catalogue: Catalogue, entities: Sequence[tuple[str, ...]]) -> Step:
    """Every feature by name; a rate that shrinks names its parent, which stands above it."""
    columns = ["instants.row_id", *(f"{_value(feature)} AS {feature.name}" for feature in catalogue.features)]
    joins = [f"JOIN view_{_named(entity)} USING (row_id)" for entity in entities]
    return Step("features", f"SELECT\n{_lines(columns)}\nFROM instants\n" + "\n".join([*joins, "ORDER BY instants.row_id"]))


def _value(feature: Feature) -> str:
    match feature:
        case ContextFeature():
            return f"instants.{feature.name}"
        case AttributeFeature():
            return f"instants.{feature.column}"
        case LocalTimeFeature():
            return _LOCAL[feature.part]
        case WindowFeature():
            return _window_value(feature)
        case LastFeature():
            view, before = f"view_{_named(feature.entity)}", _before(feature.tile_s, feature.tiles)
            last = f"{view}.{_last(_LAST[feature.column], feature.nth)}_{before}"
            match feature.column:
                case "seconds_since":
                    return f"(instants.at_us - {last}) / 1e6"
                case "same_route":
                    return f"CAST({last} = instants.route AS INTEGER)"
                case _:
                    return last


def _window_value(feature: WindowFeature) -> str:
    view, before = f"view_{_named(feature.entity)}", _before(feature.tile_s, feature.tiles)
    n = f"{view}.n_{before}"
    match feature.measure:
        case "count":
            return n
        case "next_number":
            return f"{n} + 1"
        case "amount_ratio":
            mean = f"(CAST({view}.amount_minor_{before} AS DOUBLE) / nullif({n}, 0))"
            return f"instants.amount_minor / nullif({mean}, 0)"
        case _:
            total = f"CAST({view}.{_SUMS[feature.measure]}_{before} AS DOUBLE)"
            share = f"{total} / nullif({n}, 0)"
            if feature.shrink_to is None:
                return share
            strength = f"{feature.strength!r}e0"
            return f"coalesce(({total} + {strength} * {feature.shrink_to}) / ({n} + {strength}), {share})"


def _summed(features: Sequence[FoldedFeature]) -> list[str]:
    return sorted({_SUMS[feature.measure] for feature in features if isinstance(feature, WindowFeature) and feature.measure in _SUMS})


def _lasts(features: Sequence[FoldedFeature]) -> list[tuple[str, int]]:
    """Columns of the last answers, each with how far back it is."""
    return sorted({(_LAST[feature.column], feature.nth) for feature in features if isinstance(feature, LastFeature)})


def _last(name: str, nth: int) -> str:
    return f"last_{name}" if nth == 1 else f"last_{name}_{nth}"


def _nth(name: str, nth: int) -> str:
    return name if nth == 1 else f"lag({name}, {nth - 1}) OVER so_far"


def answer_columns(catalogue: Catalogue) -> tuple[str, ...]:
    """Columns of payment and candidate that the answers must have."""
    used = {part for feature in catalogue.features if isinstance(feature, WindowFeature | LastFeature) for part in feature.entity}
    return tuple(name for name in (*PAYMENT_COLUMNS, *CANDIDATE_COLUMNS) if name in used | {"amount_minor", "route", "authentication"})


def _windows(features: Sequence[FoldedFeature]) -> list[tuple[int, int]]:
    """Tile size and number of tiles of each window."""
    return sorted({(feature.tile_s, feature.tiles) for feature in features})


def _before(tile_s: int, tiles: int) -> str:
    return f"before_{tiles}x{tile_s}s"


def _named(entity: Sequence[str]) -> str:
    return "_".join(entity) or "overall"


def _same_key(entity: Sequence[str], other: str) -> str:
    """Equality in which None is a value of its own."""
    return "".join(f"instants.{part} IS NOT DISTINCT FROM {other}.{part} AND " for part in entity)


def _lines(columns: Sequence[str]) -> str:
    return ",\n".join(f"    {column}" for column in columns)

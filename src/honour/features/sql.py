"""The catalogue as point-in-time SQL for DuckDB: the same numbers as the online fold, over millions of rows.

Tables it reads
    answers       seq, arrived_us, the columns that entities use, approved, failed, status, response_code, amount_minor, latency_ms
    spine         row_id, seq, at_us, the columns of payment and candidate: one row per question "what was known then?"
    local_offset  country, from_us, offset_us: UTC offsets of each country, the first from before all instants
    local_day     country, day (since 1970, local), days_since_payday, is_holiday; only where a feature asks for it
    reasons       REASON_COLUMNS of declines, and the reason that the networks' tables give; only where a feature asks for it

How it works. First each spine row learns the last answer it may see (smaller seq, arrived by `at_us`) and, for each window,
the last answer before it. Then each entity gets running totals per key, ordered by seq, and one ASOF join per instant:
a window is the total at the first instant minus the total at the second. There are no RANGE frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, get_args

from honour.features.catalogue import CATALOGUE
from honour.features.columns import CANDIDATE_COLUMNS, CLOCK_COLUMNS, PAYMENT_COLUMNS
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


def steps(catalogue: Catalogue = CATALOGUE) -> tuple[Step, ...]:
    """The tables to make, in order; the last, `features`, has row_id and every feature by name."""
    folded = [feature for feature in catalogue.features if is_folded(feature)]
    views: dict[View, list[FoldedFeature]] = {}
    for feature in folded:
        views.setdefault(view_of(feature), []).append(feature)
    source = _source(catalogue, folded)
    made = [_told(catalogue, folded)] if source == "told" else []
    made += [_moments(catalogue, folded), _instants(folded)]
    for view, features in views.items():
        made += [_totals(view, features, source), *(_fading(view, era, features, source) for era in _eras(features)), _view(view, features)]
    made += [_distinct(feature, source) for feature in _distincts(folded)]
    return (*made, _features(catalogue, tuple(views)))


def sql_of(catalogue: Catalogue = CATALOGUE) -> str:
    """The whole computation as a script that a person can read and run."""
    return "\n\n".join(f"CREATE TEMP TABLE {step.table} AS\n{step.query};" for step in steps(catalogue))


def feature_sql(name: str, *, catalogue: Catalogue = CATALOGUE) -> str:
    """The SQL of one feature, with what it shrinks to and nothing else."""
    return sql_of(catalogue.needed_for(name))


def answer_columns(catalogue: Catalogue) -> tuple[str, ...]:
    """Columns of payment and candidate that the answers must have."""
    folded = [feature for feature in catalogue.features if is_folded(feature)]
    used = {part for feature in folded for part in feature.entity} | {feature.of for feature in _distincts(folded)}
    used |= {"shopper_country"} if _by_clock(folded) else set()
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


def _told(catalogue: Catalogue, folded: Sequence[FoldedFeature]) -> Step:
    """Answers with what follows from them: why they were declined, the shopper's hour of the week at their arrival."""
    columns, joins = ["answers.*"], []
    if needs_reasons(catalogue):
        columns.append("reasons.reason")
        same = " AND ".join(f"answers.{name} IS NOT DISTINCT FROM reasons.{name}" for name in REASON_COLUMNS)
        joins.append(f"LEFT JOIN reasons ON {same}")
    if _by_clock(folded):
        local_us = "(answers.arrived_us + coalesce(local_offset.offset_us, 0))"
        columns.append(f"{HOUR_OF_WEEK.replace('local_us', local_us)} AS local_hour_of_week")
        joins.append(
            "ASOF LEFT JOIN local_offset ON answers.shopper_country = local_offset.country AND answers.arrived_us >= local_offset.from_us"
        )
    return Step("told", f"SELECT\n{_lines(columns)}\nFROM answers\n" + "\n".join(joins))


def _moments(catalogue: Catalogue, folded: Sequence[FoldedFeature]) -> Step:
    """For each instant of the spine: the last answer arrived by then, the last one before each window, the shopper's local time."""
    seen = ["spine.at_us", "spine.shopper_country", "coalesce(seen.seq, 0) AS seen_seq"]
    joins = ["ASOF LEFT JOIN arrivals AS seen ON spine.at_us >= seen.arrived_us"]
    for tile_s, tiles in _windows(folded):
        before = before_name(tile_s, tiles)
        first_us = f"(spine.at_us // {tile_s * 1_000_000} - {tiles - 1}) * {tile_s * 1_000_000}"
        seen.append(f"coalesce({before}.seq, 0) AS {before}")
        joins.append(f"ASOF LEFT JOIN arrivals AS {before} ON {first_us} > {before}.arrived_us")
    if _by_clock(folded) or any(isinstance(feature, LocalTimeFeature) for feature in catalogue.features):
        seen.append("spine.at_us + coalesce(local_offset.offset_us, 0) AS local_us")
        joins.append("ASOF LEFT JOIN local_offset ON spine.shopper_country = local_offset.country AND spine.at_us >= local_offset.from_us")
    return Step(
        "moments",
        "WITH arrivals AS (SELECT arrived_us, max(seq) AS seq FROM answers GROUP BY arrived_us)\n"
        f"SELECT\n{_lines(seen)}\nFROM (SELECT DISTINCT at_us, shopper_country FROM spine) AS spine\n" + "\n".join(joins),
    )


def _instants(folded: Sequence[FoldedFeature]) -> Step:
    """Spine rows with what they may see: of all that had arrived, what stands before them."""
    names = ["seen_seq", *(before_name(tile_s, tiles) for tile_s, tiles in _windows(folded))]
    columns = [f"least(spine.seq - 1, moments.{name}) AS {name}" for name in names]
    columns += [f"{HOUR_OF_WEEK} AS local_hour_of_week"] if _by_clock(folded) else []
    return Step(
        "instants",
        f"SELECT spine.*, moments.* EXCLUDE (at_us, shopper_country, {', '.join(names)}),\n{_lines(columns)}\nFROM spine JOIN moments\n"
        "ON spine.at_us = moments.at_us AND spine.shopper_country IS NOT DISTINCT FROM moments.shopper_country",
    )


def _totals(view: View, features: Sequence[FoldedFeature], source: str) -> Step:
    """Running totals of an entity: at each of its answers, how much came so far, and that answer."""
    columns = [*view.entity, "seq", "count(*) OVER so_far AS n"]
    columns += [f"sum({added(name)}) OVER so_far AS {name}_total" for name in summed(features)]
    columns += [f"{_nth(name, nth)} AS {last_name(name, nth)}" for name, nth in _lasts(features)]
    partition = f"PARTITION BY {', '.join(view.entity)} " if view.entity else ""
    return Step(
        f"totals_{view.name}",
        f"SELECT\n{_lines(columns)}\nFROM {source}{view.where}\nWINDOW so_far AS ({partition}ORDER BY seq ROWS UNBOUNDED PRECEDING)",
    )


def _fading(view: View, era: Era, features: Sequence[FoldedFeature], source: str) -> Step:
    """Running totals of an entity in which an answer weighs twice as much with every half-life since its era began."""
    weight = f"pow(2e0, CAST(arrived_us % {era.us} AS DOUBLE) / {era.half_life_us})"
    columns = [*view.entity, "seq", "arrived_us", f"arrived_us // {era.us} AS era", f"sum({weight}) OVER so_far AS n_total"]
    columns += [f"sum({added(name)} * {weight}) OVER so_far AS {name}_total" for name in _faded(features, era)]
    partition = ", ".join((*view.entity, f"arrived_us // {era.us}"))
    return Step(
        f"fading_{view.name}_{era.name}",
        f"SELECT\n{_lines(columns)}\nFROM {source}{view.where}\n"
        f"WINDOW so_far AS (PARTITION BY {partition} ORDER BY seq ROWS UNBOUNDED PRECEDING)",
    )


def _view(view: View, features: Sequence[FoldedFeature]) -> Step:
    """Counts and sums of each window of an entity, and its last answers, for every spine row."""
    columns = ["instants.row_id"]
    joins = [f"ASOF LEFT JOIN totals_{view.name} AS now ON {_same_key(view, 'now')}instants.seen_seq >= now.seq"]
    for tile_s, tiles in _windows(features):
        before = before_name(tile_s, tiles)
        window = [
            feature
            for feature in features
            if isinstance(feature, WindowFeature | LastFeature) and (feature.tile_s, feature.tiles) == (tile_s, tiles)
        ]
        n = f"coalesce(now.n, 0) - coalesce({before}.n, 0)"
        columns.append(f"{n} AS n_{before}")
        columns += [f"coalesce(now.{name}_total, 0) - coalesce({before}.{name}_total, 0) AS {name}_{before}" for name in summed(window)]
        columns += [
            f"CASE WHEN {n} >= {nth} THEN now.{last_name(name, nth)} END AS {last_name(name, nth)}_{before}" for name, nth in _lasts(window)
        ]
        joins.append(f"ASOF LEFT JOIN totals_{view.name} AS {before} ON {_same_key(view, before)}instants.{before} >= {before}.seq")
    for era in _eras(features):
        columns += [f"{faded(name, era=era)} AS {name}_{era.name}" for name in ("n", *_faded(features, era))]
        for name, ago in ((f"fading_{era.name}", 0), (f"former_{era.name}", 1)):
            joins.append(
                f"ASOF LEFT JOIN fading_{view.name}_{era.name} AS {name} "
                f"ON {_same_key(view, name)}instants.at_us // {era.us} - {ago} = {name}.era AND instants.seen_seq >= {name}.seq"
            )
    return Step(f"view_{view.name}", f"SELECT\n{_lines(columns)}\nFROM instants\n" + "\n".join(joins))


def _distinct(feature: WindowFeature, source: str) -> Step:
    """Different values of a column in a window: answers in it that no later one of the same value followed before the instant."""
    view, before = view_of(feature), before_name(feature.tile_s, feature.tiles)
    key = ", ".join(dict.fromkeys((*view.entity, feature.of or "")))
    where = f"{view.where.strip()} AND" if view.where else "WHERE"
    return Step(
        distinct_name(feature),
        f"WITH valued AS (\n    SELECT {key}, seq, lead(seq) OVER (PARTITION BY {key} ORDER BY seq) AS next_seq\n"
        f"    FROM {source}\n    {where} {feature.of} IS NOT NULL\n)\n"
        f"SELECT instants.row_id, least(count(*), {DISTINCT_MAX}) AS n\nFROM instants JOIN valued\n"
        f"ON {_same_key(view, 'valued')}valued.seq > instants.{before} AND valued.seq <= instants.seen_seq\n"
        "AND (valued.next_seq IS NULL OR valued.next_seq > instants.seen_seq)\nGROUP BY instants.row_id",
    )


def _features(catalogue: Catalogue, views: Sequence[View]) -> Step:
    """Every feature by name; a rate that shrinks names its parent, which stands above it."""
    columns = ["instants.row_id", *(f"{sql_value(feature)} AS {feature.name}" for feature in catalogue.features)]
    joins = [f"JOIN view_{view.name} USING (row_id)" for view in views]
    if needs_calendar(catalogue):
        day = "instants.local_us // 86400000000 = local_day.day"
        joins.append(f"LEFT JOIN local_day ON instants.shopper_country IS NOT DISTINCT FROM local_day.country AND {day}")
    joins += [f"LEFT JOIN {distinct_name(feature)} USING (row_id)" for feature in _distincts(catalogue.features)]
    return Step("features", f"SELECT\n{_lines(columns)}\nFROM instants\n" + "\n".join([*joins, "ORDER BY instants.row_id"]))


def _by_clock(folded: Sequence[FoldedFeature]) -> bool:
    return any(set(feature.entity) & set(CLOCK_COLUMNS) for feature in folded)


def _source(catalogue: Catalogue, folded: Sequence[FoldedFeature]) -> str:
    """The answers that features are made of."""
    return "told" if _by_clock(folded) or needs_reasons(catalogue) else "answers"


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


def _distincts(features: Sequence[object]) -> list[WindowFeature]:
    """Features that count values, one of each table."""
    found = [feature for feature in features if isinstance(feature, WindowFeature) and feature.measure == "distinct"]
    return list({distinct_name(feature): feature for feature in found}.values())


def _lasts(features: Sequence[FoldedFeature]) -> list[tuple[str, int]]:
    """Columns of the last answers, each with how far back it is."""
    return sorted({(LAST[feature.column], feature.nth) for feature in features if isinstance(feature, LastFeature)})


def _nth(name: str, nth: int) -> str:
    return name if nth == 1 else f"lag({name}, {nth - 1}) OVER so_far"


def _same_key(view: View, other: str) -> str:
    """Equality in which None is a value of its own."""
    return "".join(f"instants.{part} IS NOT DISTINCT FROM {other}.{part} AND " for part in view.entity)


def _lines(columns: Sequence[str]) -> str:
    return ",\n".join(f"    {column}" for column in columns)

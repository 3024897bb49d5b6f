"""Totals of each entity as of each question by ASOF joins, as DuckDB has them: a few tables for each entity.

Running totals per key, ordered by seq, and one ASOF join give what stood at `seen`. What had come before a window's first tile is one
running total per key and tile, joined by equality. A window is the first minus the second. No frame runs over instants.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from honour.features.sql_value import (
    Aliases,
    Era,
    Step,
    View,
    added,
    before_name,
    eras,
    fading,
    in_window,
    last_name,
    lasts,
    lines,
    summed,
    view_columns,
    weight,
    windows,
)
from honour.features.view import NUMBERS, FoldedFeature


def asof_steps(view: View, features: Sequence[FoldedFeature]) -> Iterator[Step]:
    """Running totals, tiles and sums that fade of an entity; from them `view_<name>`, a line for each row of the spine."""
    yield _totals(view, features)
    for tile_s in _tile_sizes(features):
        yield _tiles(view, tile_s, features)
    for era in eras(features):
        yield _fading(view, era, features)
    yield _view(view, features)


def _totals(view: View, features: Sequence[FoldedFeature]) -> Step:
    """Running totals of an entity: at each of its answers, how much came so far, and that answer."""
    columns = [*view.codes, "seq", "CAST(count(*) OVER so_far AS INTEGER) AS n"]
    columns += [f"{_sum(name, of=added(name))} AS {name}_total" for name in summed(features)]
    columns += [f"{_nth(name, nth)} AS {last_name(name, nth)}" for name, nth in lasts(features)]
    frames = f"so_far AS ({_per(view)}ORDER BY seq ROWS UNBOUNDED PRECEDING)"
    frames += f", in_order AS ({_per(view)}ORDER BY seq)" if any(nth > 1 for _, nth in lasts(features)) else ""
    return Step(f"totals_{view.name}", f"SELECT\n{lines(columns)}\nFROM answered{view.where}\nWINDOW {frames}")


def _tiles(view: View, tile_s: int, features: Sequence[FoldedFeature]) -> Step:
    """What an entity had counted before each window that ends in a tile, for every tile in which it was asked for."""
    sized = [one for of_size, tiles in windows(features) if of_size == tile_s for one in in_window(features, tile_s, tiles)]
    names, keys, size_us = ("n", *summed(sized)), "".join(f"{code}, " for code in view.codes), tile_s * 1_000_000
    columns, joins = [*(f"tiles.{code}" for code in view.codes), "tiles.tile"], ""
    for _, tiles in windows(sized):
        before = before_name(tile_s, tiles)
        same = "".join(f"tiles.{code} = {before}.{code} AND " for code in view.codes)
        columns += [f"{before}.{name} AS {name}_earlier_{before}" for name in names]
        joins += f"\nASOF LEFT JOIN tiles AS {before} ON {same}tiles.tile - {tiles} >= {before}.tile"
    counted = "".join(f", {'1' if name == 'n' else added(name)} AS {name}" for name in names)
    nothing = "".join(f", 0 AS {name}" for name in names)
    totals = "".join(f", {_sum(name, of=f'sum({name})')} AS {name}" for name in names)
    where = view.where.replace("\n", " ")
    return Step(
        f"tiles_{view.name}_{tile_s}s",
        f"WITH counted AS (\n    SELECT {keys}arrived_us // {size_us} AS tile{counted} FROM answered{where}\n"
        f"    UNION ALL SELECT {keys}at_us // {size_us} AS tile{nothing} FROM asked\n"
        f"), tiles AS MATERIALIZED (\n    SELECT {keys}tile{totals} FROM counted GROUP BY {keys}tile\n"
        f"    WINDOW so_far AS ({_per(view)}ORDER BY tile ROWS UNBOUNDED PRECEDING)\n)\n"
        f"SELECT\n{lines(columns)}\nFROM tiles{joins}",
    )


def _fading(view: View, era: Era, features: Sequence[FoldedFeature]) -> Step:
    """Running totals of an entity in which an answer weighs twice as much with every half-life since its era began."""
    columns = [*view.codes, "seq", "arrived_us", f"arrived_us // {era.us} AS era", f"sum({weight(era)}) OVER so_far AS n_total"]
    columns += [f"sum({added(name)} * {weight(era)}) OVER so_far AS {name}_total" for name in fading(features, era)]
    partition = ", ".join((*view.codes, f"arrived_us // {era.us}"))
    return Step(
        f"fading_{view.name}_{era.name}",
        f"SELECT\n{lines(columns)}\nFROM answered{view.where}\n"
        f"WINDOW so_far AS (PARTITION BY {partition} ORDER BY seq ROWS UNBOUNDED PRECEDING)",
    )


def _view(view: View, features: Sequence[FoldedFeature]) -> Step:
    """Counts and sums of each window of an entity, and its last answers, for every spine row."""
    aliases = Aliases(
        now="now",
        earlier=lambda name, tile_s, tiles: f"{_tiles_name(view, tile_s)}.{name}_earlier_{before_name(tile_s, tiles)}",
        running=lambda era: f"fading_{era.name}",
        former=lambda era: f"former_{era.name}",
    )
    columns = ["asked.row_id", *view_columns(features, aliases)]
    joins = [f"ASOF LEFT JOIN totals_{view.name} AS now ON {_same_key(view, 'now')}asked.seen >= now.seq"]
    for era in eras(features):
        for name, ago in ((aliases.running(era), 0), (aliases.former(era), 1)):
            key = f"{_same_key(view, name)}asked.at_us // {era.us} - {ago} = {name}.era"
            joins.append(f"ASOF LEFT JOIN fading_{view.name}_{era.name} AS {name} ON {key} AND asked.seen >= {name}.seq")
    for tile_s in _tile_sizes(features):
        tiles = _tiles_name(view, tile_s)
        joins.append(f"JOIN {tiles} ON {_same_key(view, tiles)}asked.at_us // {tile_s * 1_000_000} = {tiles}.tile")
    query = f"SELECT\n{lines(columns)}\n" + "\n".join(["FROM asked", *joins]) + "\nORDER BY row_id"
    return Step(f"view_{view.name}", query)


def _sum(name: str, *, of: str) -> str:
    """A running total, as small as it can be: a sum of integers is 16 bytes wide, which is what sorting and joining then carry."""
    return f"CAST(sum({of}) OVER so_far AS {'BIGINT' if name in NUMBERS else 'INTEGER'})"


def _nth(name: str, nth: int) -> str:
    return name if nth == 1 else f"lag({name}, {nth - 1}) OVER in_order"


def _tile_sizes(features: Sequence[FoldedFeature]) -> list[int]:
    return sorted({tile_s for tile_s, _ in windows(features)})


def _tiles_name(view: View, tile_s: int) -> str:
    return f"tiles_{view.name}_{tile_s}s"


def _per(view: View) -> str:
    return f"PARTITION BY {', '.join(view.codes)} " if view.entity else ""


def _same_key(view: View, other: str) -> str:
    return "".join(f"asked.{code} = {other}.{code} AND " for code in view.codes)

"""Totals of many entities as of each question in one pass, for an engine without ASOF joins: Spark.

A *series* is the answers of every entity of a view; a question *looks up* its totals where the question stands, and where each of its
windows begins. Answers and look-ups of several views stand in one table, sorted once by key and place; a window function carries the
totals along, and what was looked up is put together by `row_id`. So a table of few views costs two exchanges, however many they are.

No task is a key that many answers have (all of them, one route): where a sample finds over SPLIT_ROWS of one, its answers are split
by `seq`, and each part begins with what the parts before it came to.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Final, NamedTuple

from honour.features.columns import CLOCK_COLUMNS
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

SPLIT_ROWS: Final = 1 << 18
"""Events of the log in one part of a key that has more answers than that."""
SAMPLED: Final = 64
"""One answer in so many is looked at to find such keys."""
_FIELDS_MAX = 32  # Of the views of one pass: with twice as many Spark makes of them one method that Java does not compile any more.
_FEW_SUMS = 4  # Views with more of them are not put together with others: every row would carry them.
Views = Mapping[View, Sequence[FoldedFeature]]


class _Field(NamedTuple):
    """A total that is looked up: its name there, the column that carries it, its type there; without a type, one of the last answer."""

    name: str
    column: str
    kind: str | None


class _Lookup(NamedTuple):
    """What each question reads of a series: of which key, and up to which `seq`, in columns of `asked`."""

    name: str
    keys: tuple[str, ...]
    seen: str
    fields: tuple[_Field, ...]


class _Series(NamedTuple):
    """Answers that are added up by key, in columns of `answered`; condition: which of them, empty for all."""

    number: int
    condition: str
    keys: tuple[str, ...]
    lookups: tuple[_Lookup, ...]


class _Pass(NamedTuple):
    """Views that are computed together. n_keys: columns of the longest key of any pass"""

    views: Views
    series: tuple[_Series, ...]
    n_keys: int


def one_pass_steps(views: Views) -> Iterator[Step]:
    """The keys that are split, and tables `gathered_<number>` with row_id and a struct `view_<name>` for each of some views."""
    passes = _passes(views)
    if not passes:
        return
    yield _hot(passes)
    for number, together in enumerate(passes):
        yield Step(f"gathered_{number}", _query(together))


def one_pass_tables(views: Views) -> list[str]:
    """Tables that hold the views."""
    return [f"gathered_{number}" for number in range(len(_passes(views)))]


def seen_name(tile_s: int, tiles: int) -> str:
    """The column of `asked` with the last answer that had arrived when a window began."""
    return f"seen_{before_name(tile_s, tiles)}"


def _passes(views: Views) -> list[_Pass]:
    found: list[_Pass] = []
    n_keys = max((len(keys) for view, features in views.items() for keys in _keys(view, features)), default=0)
    number = 0
    for _, alike in groupby(sorted(views, key=lambda view: _shape(views[view])), key=lambda view: _shape(views[view])):
        n_fields = _FIELDS_MAX + 1
        for view in alike:
            series = tuple(_series(view, views[view], number=number))
            number += len(series)
            n_new = sum(len(lookup.fields) for one in series for lookup in one.lookups)
            if n_fields + n_new > _FIELDS_MAX:
                found.append(_Pass({view: views[view]}, series, n_keys))
                n_fields = n_new
            else:
                found[-1] = _Pass({**found[-1].views, view: views[view]}, (*found[-1].series, *series), n_keys)
                n_fields += n_new
    return found


def _shape(features: Sequence[FoldedFeature]) -> tuple[bool, bool, tuple[str, ...]]:
    """What rows carry; views for which that is the same go together."""
    names = summed(features)
    return bool(lasts(features)), bool(eras(features)), tuple(names) if len(names) > _FEW_SUMS else ()


def _series(view: View, features: Sequence[FoldedFeature], *, number: int) -> Iterator[_Series]:
    keys = tuple(_text_code(part) for part in view.entity)
    if windows(features):
        whole = [_Field("n", "n", "INT"), *(_total(name) for name in summed(features))]
        last = [_Field(last_name(name, nth), last_name(name, nth), None) for name, nth in lasts(features)]
        lookups = [_Lookup(f"{view.name}_now", keys, "seen", (*whole, *last))]
        for tile_s, tiles in windows(features):
            fields = (whole[0], *(_total(name) for name in summed(in_window(features, tile_s, tiles))))
            lookups.append(_Lookup(f"{view.name}_{before_name(tile_s, tiles)}", keys, seen_name(tile_s, tiles), fields))
        yield _Series(number, view.condition, keys, tuple(lookups))
        number += 1
    for era in eras(features):
        reals = [_Field(f"{name}_total", f"{name}_{era.name}", "DOUBLE") for name in ("n", *fading(features, era))]
        fields = (_Field("arrived_us", last_name("arrived_us", 1), None), *reals)
        lookups = [
            _Lookup(f"{view.name}_{name}_{era.name}", (*keys, f"CAST(at_us // {era.us} - {ago} AS STRING)"), "seen", fields)
            for name, ago in (("fading", 0), ("former", 1))
        ]
        yield _Series(number, view.condition, (*keys, f"CAST(arrived_us // {era.us} AS STRING)"), tuple(lookups))
        number += 1


def _keys(view: View, features: Sequence[FoldedFeature]) -> list[tuple[str, ...]]:
    return [one.keys for one in _series(view, features, number=0)]


def _text_code(part: str) -> str:
    return f"CAST({part}_code AS STRING)" if part in CLOCK_COLUMNS else f"{part}_code"


def _total(name: str) -> _Field:
    return _Field(f"{name}_total", name, "BIGINT" if name in NUMBERS else "INT")


def _hot(passes: Sequence[_Pass]) -> Step:
    """Keys to split: any may be, the totals are the same; those that a sample of the answers holds so many times should be."""
    keys = _key_names(passes[0])
    series = [one for together in passes for one in together.series]
    return Step(
        "hot",
        f"SELECT series, {keys} FROM answered\n{_stacked_answers(series, passes[0])}\n"
        f"WHERE series IS NOT NULL AND pmod(xxhash64(seq), {SAMPLED}) = 0\n"
        f"GROUP BY series, {keys} HAVING count(*) > {SPLIT_ROWS // SAMPLED}",
    )


def _query(together: _Pass) -> str:
    """Each view as a struct, from what was looked up for its rows."""
    read = {view.name: lines(view_columns(features, _aliases(view))) for view, features in together.views.items()}
    views = [f"struct(\n{columns}\n) AS view_{name}" for name, columns in read.items()]
    lookups = [lookup for one in together.series for lookup in one.lookups]
    looked = [f"struct({_fields(lookup, number)}) AS {lookup.name}" for number, lookup in enumerate(lookups)]
    looked += ["struct(max(at_us) AS at_us) AS asked"] if _fades(together) else []
    totals = [f"sum({name}) OVER so_far AS {name}" for name in _added(together)]
    totals += ["last_value(latest) IGNORE NULLS OVER so_far AS latest"] if _latest(together) else []
    totals += ["at_us"] if _fades(together) else []
    per = f"PARTITION BY hash, series, {_key_names(together)}, part"
    return (
        f"WITH told AS (\n{_told(together)}\n), looked AS (\n{_looked(together)}\n), carried AS (\n{_carried(together)}\n)\n"
        f"SELECT row_id,\n" + ",\n".join(views) + "\nFROM (\n    SELECT row_id,\n" + lines(looked) + "\n    FROM (\n"
        f"        SELECT /*+ REPARTITION(row_id) */ * FROM (\n"
        f"            SELECT row_id, lookup, {', '.join(totals)}\n            FROM (\n{_in_parts(together)}\n            )\n"
        f"            WINDOW so_far AS ({per} ORDER BY place ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)\n"
        "        ) WHERE lookup IS NOT NULL\n    ) GROUP BY row_id\n)"
    )


def _told(together: _Pass) -> str:
    """Answers by key of each series; an answer comes before the look-ups up to it, which its `seq` times three leaves room for."""
    latest = _latest(together)
    columns = [f"{column} AS {name}" for name, column in _added(together).items()]
    columns += [f"struct({', '.join(f'{column} AS {name}' for name, column in latest.items())}) AS latest"] if latest else []
    keys = _key_names(together)
    in_order = f"\nWINDOW in_order AS (PARTITION BY series, {keys} ORDER BY seq)" if any("in_order" in one for one in columns) else ""
    return (
        f"    SELECT {_hash(together)} AS hash, series, {keys}, 3 * seq + 1 AS place, {', '.join(columns)}\n    FROM answered\n"
        f"{_stacked_answers(together.series, together)}\n    WHERE series IS NOT NULL{in_order}"
    )


def _looked(together: _Pass) -> str:
    """The look-ups of each question."""
    rows, number = [], 0
    for one in together.series:
        for lookup in one.lookups:
            rows.append(f"{one.number}, {number}, {_padded(lookup.keys, together)}, {lookup.seen}")
            number += 1
    at = ", at_us" if _fades(together) else ""
    keys = _key_names(together)
    return (
        f"    SELECT {_hash(together)} AS hash, series, {keys}, 3 * up_to + 2 AS place, row_id, lookup{at}\n    FROM asked\n"
        f"{_stacked(rows, f'series, lookup, {keys}, up_to')}"
    )


def _carried(together: _Pass) -> str:
    """What the parts of a split key begin with: all that came before them."""
    names, keys = list(_added(together)), _key_names(together)
    latest = ["latest"] if _latest(together) else []
    of_hot = ", ".join(f"hot.{name}" for name in ("series", *_key_list(together)))
    every = f"explode(sequence(0L, (SELECT max(seq) // {SPLIT_ROWS} FROM answered)))"
    nothing = ", ".join(["NULL", *("NULL" for _ in (*names, *latest))])
    parts = [f"sum({name}) AS {name}" for name in names] + ["max_by(latest, place) AS latest" for _ in latest]
    before = [f"sum({name}) OVER earlier AS {name}" for name in names]
    before += ["last_value(latest) IGNORE NULLS OVER earlier AS latest" for _ in latest]
    return (
        f"    SELECT {_hash(together)} AS hash, series, {keys}, {3 * SPLIT_ROWS} * part AS place, {', '.join((*names, *latest))}, part\n"
        f"    FROM (\n        SELECT series, {keys}, part, {', '.join(before)}\n        FROM (\n"
        f"            SELECT series, {keys}, part, {', '.join(parts)} FROM (\n"
        f"                SELECT /*+ BROADCAST(hot) */ {of_hot}, {_part('told')} AS part, place, {', '.join((*names, *latest))}\n"
        f"                FROM told JOIN hot ON {_same_key(together, 'told')}\n"
        f"                UNION ALL SELECT {of_hot}, {every}, {nothing} FROM hot\n"
        f"            ) GROUP BY series, {keys}, part\n        )\n"
        f"        WINDOW earlier AS (PARTITION BY series, {keys} ORDER BY part ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)\n"
        "    ) WHERE part > 0"
    )


def _in_parts(together: _Pass) -> str:
    """Answers, look-ups and what is carried, each with the part of its key."""
    names = [*_added(together), *(["latest"] if _latest(together) else [])]
    key = f"hash, series, {_key_names(together)}, place"
    nothing = ", ".join(f"NULL AS {name}" for name in names)
    at, no_at = (", at_us", ", NULL AS at_us") if _fades(together) else ("", "")
    return (
        f"                SELECT /*+ BROADCAST(hot) */ placed.*, CASE WHEN hot.series IS NULL THEN 0 ELSE {_part('placed')} END AS part\n"
        f"                FROM (\n                    SELECT {key}, {', '.join(names)}, NULL AS row_id, NULL AS lookup{no_at} FROM told\n"
        f"                    UNION ALL SELECT {key}, {nothing}, row_id, lookup{at} FROM looked\n"
        f"                ) AS placed LEFT JOIN hot ON {_same_key(together, 'placed')}\n"
        f"                UNION ALL SELECT {key}, {', '.join(names)}, NULL, NULL{', NULL' if at else ''}, part FROM carried"
    )


def _fields(lookup: _Lookup, number: int) -> str:
    def read(field: _Field) -> str:
        if field.kind is None:
            return f"max(if(lookup = {number}, latest, NULL)).{field.column} AS {field.name}"
        return f"CAST(max(if(lookup = {number}, {field.column}, NULL)) AS {field.kind}) AS {field.name}"

    return ", ".join(read(field) for field in lookup.fields)


def _aliases(view: View) -> Aliases:
    def earlier(name: str, tile_s: int, tiles: int) -> str:
        return f"{view.name}_{before_name(tile_s, tiles)}.{name if name == 'n' else f'{name}_total'}"

    def running(era: Era) -> str:
        return f"{view.name}_fading_{era.name}"

    def former(era: Era) -> str:
        return f"{view.name}_former_{era.name}"

    return Aliases(now=f"{view.name}_now", earlier=earlier, running=running, former=former)


def _added(together: _Pass) -> dict[str, str]:
    """What an answer adds to each column that is added up."""
    columns = {"n": "1L"}
    for features in together.views.values():
        columns |= {name: added(name) for name in summed(features)}
        for era in eras(features):
            columns |= {f"n_{era.name}": weight(era)}
            columns |= {f"{name}_{era.name}": f"{added(name)} * {weight(era)}" for name in fading(features, era)}
    return columns


def _latest(together: _Pass) -> dict[str, str]:
    """What is kept of the last answer, and of those before it."""
    found = {pair for features in together.views.values() for pair in lasts(features)}
    found |= {("arrived_us", 1)} if _fades(together) else set()
    return {last_name(name, nth): name if nth == 1 else f"lag({name}, {nth - 1}) OVER in_order" for name, nth in sorted(found)}


def _fades(together: _Pass) -> bool:
    return any(eras(features) for features in together.views.values())


def _stacked_answers(series: Sequence[_Series], together: _Pass) -> str:
    rows = []
    for one in series:
        number = f"CASE WHEN {one.condition} THEN {one.number} END" if one.condition else str(one.number)
        rows.append(f"{number}, {_padded(one.keys, together)}")
    return _stacked(rows, f"series, {_key_names(together)}")


def _stacked(rows: Sequence[str], columns: str) -> str:
    """A row for each of `rows` beside every row of the table before it."""
    return f"    LATERAL VIEW stack({len(rows)},\n" + ",\n".join(f"        {row}" for row in rows) + f"\n    ) AS {columns}"


def _padded(keys: Sequence[str], together: _Pass) -> str:
    return ", ".join([*keys, *["''"] * (len(_key_list(together)) - len(keys))])


def _key_list(together: _Pass) -> list[str]:
    return [f"key_{at}" for at in range(max(1, together.n_keys))]


def _key_names(together: _Pass) -> str:
    return ", ".join(_key_list(together))


def _hash(together: _Pass) -> str:
    """What rows are sorted by first, since numbers are compared faster than text."""
    return f"xxhash64(series, {_key_names(together)})"


def _part(table: str) -> str:
    return f"{table}.place // {3 * SPLIT_ROWS}"


def _same_key(together: _Pass, table: str) -> str:
    return " AND ".join(f"{table}.{name} = hot.{name}" for name in ("series", *_key_list(together)))

"""A catalogue written out as one Python function: what every decision asks, with nothing left to look up about the features.

As `sql` writes a catalogue as a query, this writes it as straight-line code: one look at each entity of the payment, one at each
entity of each candidate, then a line for each feature. Asking in a loop over declarations gave the same values at four times the cost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from honour.features.local_time import local_time
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

SUMS = ("approved", "failed", "amount_minor")
"""What a table may add up over answers, in the order in which it is folded."""
_SUM_OF = {"approval_rate": "approved", "failed_rate": "failed", "amount_ratio": "amount_minor"}
_LOCAL = ("hour", "weekday", "day_of_month")


class Group(NamedTuple):
    """Features of one entity in tiles of one size: they share a table.

    sums     what the table adds up
    windows  each length in tiles, with the sums that are asked over it
    n_last   how many of its last answers are asked for
    """

    entity: tuple[str, ...]
    tile_s: int
    sums: tuple[str, ...]
    windows: tuple[tuple[int, tuple[str, ...]], ...]
    n_last: int

    @property
    def key(self) -> tuple[tuple[str, ...], int]:
        """What makes it one table."""
        return self.entity, self.tile_s

    def places(self) -> list[tuple[int, tuple[int, ...]]]:
        """Windows with the places of their sums in `sums`."""
        return [(tiles, tuple(self.sums.index(name) for name in names)) for tiles, names in self.windows]


def groups(catalogue: Catalogue) -> list[Group]:
    """Every table that the features of a catalogue need, in the order of first use."""
    asked: dict[tuple[tuple[str, ...], int], list[FoldedFeature]] = {}
    for feature in catalogue.features:
        if isinstance(feature, WindowFeature | LastFeature):
            asked.setdefault((feature.entity, feature.tile_s), []).append(feature)
    return [_group(entity, tile_s, features) for (entity, tile_s), features in asked.items()]


def written(catalogue: Catalogue) -> Callable[..., Any]:
    """A function (gets, sees) -> (payment row, candidates, now_us) -> (payment values, values of each candidate).

    gets  of each group, from the key of an entity to what the table holds of it, or None
    sees  of each group, from that and the tile of now to the counts and sums of the group's windows
    """
    scope: dict[str, Any] = {"local_time": local_time}
    exec(compile(source(catalogue), "<features>", "exec"), scope)  # The text is made here, of a checked catalogue.
    function: Callable[..., Any] = scope["bound"]
    return function


def source(catalogue: Catalogue) -> str:
    """The text of that function."""
    tables = groups(catalogue)
    place = {feature.name: at for at, feature in enumerate(catalogue.features)}
    numbered = range(len(tables))
    lines = [
        "def bound(gets, sees):",
        f"    [{_list(f'get{at}' for at in numbered)}] = gets",
        f"    [{_list(f'see{at}' for at in numbered)}] = sees",
        "    def as_of(paid, candidates, now_us):",
        f"        {_list(_column(name) for name in PAYMENT_COLUMNS)} = paid",
        *(f"        tile{tile_s} = now_us // {tile_s * 1_000_000}" for tile_s in sorted({table.tile_s for table in tables})),
    ]
    if any(isinstance(feature, LocalTimeFeature) for feature in catalogue.features):
        lines.append(f"        {_list(_LOCAL)} = local_time({_column('shopper_country')}, at_us=now_us)")
    lines += (f"        {line}" for line in _body(catalogue.payment, tables, place, seen=set()))
    lines += ["        served = []", f"        for {_list(_column(name) for name in CANDIDATE_COLUMNS)} in candidates:"]
    looked = {table.key for table in tables if not set(table.entity) & set(CANDIDATE_COLUMNS)}
    asked = {(feature.entity, feature.tile_s) for feature in catalogue.payment if isinstance(feature, WindowFeature | LastFeature)}
    lines += (f"            {line}" for line in _body(catalogue.candidate, tables, place, seen=looked & asked))
    split = len(catalogue.payment)
    lines += [
        f"            served.append(({_list(f'v{at}' for at in range(split, len(place)))}))",
        f"        return ({_list(f'v{at}' for at in range(split))}), tuple(served)",
        "    return as_of",
    ]
    return "\n".join(lines) + "\n"


def _group(entity: tuple[str, ...], tile_s: int, features: Sequence[FoldedFeature]) -> Group:
    over: dict[int, set[str]] = {}
    for feature in features:
        summed = over.setdefault(feature.tiles, set())
        if isinstance(feature, WindowFeature) and feature.measure in _SUM_OF:
            summed.add(_SUM_OF[feature.measure])
    windows = tuple((tiles, tuple(name for name in SUMS if name in summed)) for tiles, summed in over.items())
    sums = tuple(name for name in SUMS if any(name in names for _, names in windows))
    n_last = max((feature.nth for feature in features if isinstance(feature, LastFeature)), default=0)
    return Group(entity, tile_s, sums, windows, n_last)


def _body(
    features: Sequence[Feature], tables: Sequence[Group], place: dict[str, int], *, seen: set[tuple[tuple[str, ...], int]]
) -> Iterator[str]:
    """A line for each feature, after the look at its entity unless that is in `seen`."""
    for feature in features:
        at = place[feature.name]
        if isinstance(feature, ContextFeature | AttributeFeature):
            column = feature.column if isinstance(feature, AttributeFeature) else feature.name
            yield f"v{at} = {_column(column)}"
        elif isinstance(feature, LocalTimeFeature):
            yield f"v{at} = {feature.part}"
        else:
            number = next(n for n, table in enumerate(tables) if table.key == (feature.entity, feature.tile_s))
            if tables[number].key not in seen:
                seen = {*seen, tables[number].key}
                yield from _look(tables[number], number)
            yield f"v{at} = {_value(feature, tables[number], number, place)}"


def _look(table: Group, number: int) -> Iterator[str]:
    """Counts and sums of every window of one entity; nothing is known of one that was never answered."""
    seen = [name for at, (_, sums) in enumerate(table.windows) for name in (f"n{number}_{at}", *(f"{one}{number}_{at}" for one in sums))]
    key = [_column(part) for part in table.entity]
    tile = f"tile{table.tile_s}"
    yield f"ring = get{number}({key[0] if len(key) == 1 else f'({_list(key)})'})"
    yield "if ring is None:"
    yield f"    {' = '.join(seen)} = 0"
    yield "else:"
    yield f"    {_list(seen)} = ring.seen if ring.seen_at == {tile} else see{number}(ring, {tile})"
    if table.n_last:
        yield f"    last{number} = ring.last"


def _value(feature: FoldedFeature, table: Group, number: int, place: dict[str, int]) -> str:
    at = next(at for at, (tiles, _) in enumerate(table.windows) if tiles == feature.tiles)
    n = f"n{number}_{at}"
    if isinstance(feature, LastFeature):
        return f"{_of_last(feature.column, f'last{number}[{feature.nth - 1}]')} if {n} >= {feature.nth} else None"
    if feature.measure in ("count", "next_number"):
        return f"{n} + 1" if feature.measure == "next_number" else n
    total = f"{_SUM_OF[feature.measure]}{number}_{at}"
    if feature.measure == "amount_ratio":
        return f"{_column('amount_minor')} / ({total} / {n}) if {n} and {total} else None"
    alone = f"{total} / {n} if {n} else None"
    if feature.shrink_to is None:
        return alone
    prior, strength = f"v{place[feature.shrink_to]}", repr(float(feature.strength))
    return f"({total} + {strength} * {prior}) / ({n} + {strength}) if {prior} is not None else {alone}"


def _of_last(column: str, last: str) -> str:
    match column:
        case "approved":
            return f"int({last}.status == 'approved')"
        case "seconds_since":
            return f"(now_us - {last}.arrived_us) / 1e6"
        case "same_route":
            return f"int({last}.route == {_column('route')})"
        case _:
            return f"{last}.{column}"


def _column(name: str) -> str:
    return f"c_{name}"


def _list(names: Iterator[str] | Sequence[str]) -> str:
    """Names with a comma behind each: a tuple of one or more."""
    return "".join(f"{name}, " for name in names).strip()

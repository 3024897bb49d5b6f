"""A catalogue written out as one Python function: what every decision asks, with nothing left to look up about the features.

As `sql` writes a catalogue as a query, this writes it as straight-line code: one look at each entity of the payment, one at each
entity of each candidate, then a line for each feature. Asking in a loop over declarations gave the same values at four times the cost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from honour.features.beside import Beside, Program, program
from honour.features.calendar import days_since_payday, is_holiday
from honour.features.columns import CANDIDATE_COLUMNS, CLOCK_COLUMNS, PAYMENT_COLUMNS
from honour.features.group import Group, TableKey, groups, is_folded, sums_of, table_key
from honour.features.local_time import local_time, month_number
from honour.features.view import (
    AttributeFeature,
    Catalogue,
    ContextFeature,
    DecayedFeature,
    Feature,
    FoldedFeature,
    LastFeature,
    LocalTimeFeature,
    WindowFeature,
)

_LOCAL = ("hour", "weekday", "day_of_month", "day")
_OF_CLOCK = {
    "hour_of_week": "24 * weekday + hour",
    "days_since_payday": "days_since_payday(c_shopper_country, day)",
    "is_holiday": "int(is_holiday(c_shopper_country, day))",
    "card_expired": "None if c_expires_month is None else int(c_expires_month < month_number(day))",
}


def written(catalogue: Catalogue) -> Callable[..., Any]:
    """A function (gets, sees, places) -> (payment row, candidates, now_us) -> (payment values, values of each candidate).

    gets    of each group, from the key of an entity to what the table holds of it, or None; of a nested one from what of the key is
            the payment's to the entities with it (`beside`)
    sees    of each group, from an entity and the moment of now to what the group's features are made of
    places  of those that lie side by side
    """
    scope: dict[str, Any] = {
        "Beside": Beside,
        "local_time": local_time,
        "month_number": month_number,
        "days_since_payday": days_since_payday,
        "is_holiday": is_holiday,
    }
    exec(compile(source(catalogue), "<features>", "exec"), scope)  # The text is made here, of a checked catalogue.
    function: Callable[..., Any] = scope["bound"]
    return function


def source(catalogue: Catalogue) -> str:
    """The text of that function."""
    tables, beside = groups(catalogue), program(catalogue)
    place = {feature.name: at for at, feature in enumerate(catalogue.features)}
    numbered = range(len(tables))
    tiled = sorted({table.key.step_s for table in tables if table.key.kind != "decayed"})
    lines = [
        "def bound(gets, sees, places):",
        "    nothing = Beside()",
        f"    [{_list(f'get{at}' for at in numbered)}] = gets",
        f"    [{_list(f'see{at}' for at in numbered)}] = sees",
        "    rows_of, values = places.rows_of, places.values",
        *(f"    fill{at}, bare{at} = places.filler({n}, see=see{at}), Beside()" for n, at in enumerate(beside.tables)),
        "    def as_of(paid, candidates, now_us):",
        f"        {_list(_column(name) for name in PAYMENT_COLUMNS)} = paid",
        *(f"        tile{tile_s} = now_us // {tile_s * 1_000_000}" for tile_s in tiled),
    ]
    by_clock = any(set(table.key.entity) & set(CLOCK_COLUMNS) for table in tables)
    if by_clock or any(isinstance(feature, LocalTimeFeature) for feature in catalogue.features):
        lines.append(f"        {_list(_LOCAL)} = local_time({_column('shopper_country')}, at_us=now_us)")
    if by_clock:
        lines.append(f"        {_column('local_hour_of_week')} = 24 * weekday + hour")
    lines += (f"        {line}" for line in _body(catalogue.payment, tables, place, seen=set()))
    rest = [feature for feature in catalogue.candidate if feature not in (*beside.rates, *beside.counts)]
    one_by_one = {table_key(feature) for feature in rest if is_folded(feature)}
    lines += (f"        {line}" for line in _side_by_side(beside, tables, place))
    lines += (
        f"        within{at} = get{at}({_key(table.of_payment)}, nothing).rings.get"
        for at, table in enumerate(tables)
        if table.is_nested and table.key in one_by_one
    )
    lines += (f"        {_before(name)} = nothing" for name in CANDIDATE_COLUMNS)
    values = "".join(f", ({_list(f'v{place[feature.name]}' for feature in made)})" for made in (beside.rates, beside.counts))
    lines += ["        served = []", f"        for ({_list(_column(name) for name in CANDIDATE_COLUMNS)}){values} in told:"]
    asked = {table_key(feature) for feature in catalogue.payment if is_folded(feature)}
    of_payment = {table.key for table in tables if not table.of_candidate}
    lines += (f"            {line}" for line in _of_candidates(rest, catalogue, tables, place, seen=of_payment & asked))
    lines += (f"            {_before(name)} = {_column(name)}" for name in CANDIDATE_COLUMNS)
    split = len(catalogue.payment)
    lines += [
        f"            served.append(({_list(f'v{at}' for at in range(split, len(place)))}))",
        f"        return ({_list(f'v{at}' for at in range(split))}), tuple(served)",
        "    return as_of",
    ]
    return "\n".join(lines) + "\n"


def _side_by_side(beside: Program, tables: Sequence[Group], place: dict[str, int]) -> Iterator[str]:
    """Lines for the values of all candidates that are made of arrays: candidates with their rates and their counts, `told`."""
    if not beside.tables:
        yield "told = [(one, (), ()) for one in candidates]"
        return
    yield "rows, version = rows_of(candidates), places.version"
    for at in beside.tables:
        moment = f"tile{tables[at].key.step_s}"
        yield f"beside{at} = get{at}({_key(tables[at].of_payment)}, bare{at})"
        yield f"if beside{at}.seen_at != {moment} or beside{at}.stale or beside{at}.of_places != version:"
        yield f"    fill{at}(beside{at}, {moment})"
    arrays, priors = _list(f"beside{at}.seen" for at in beside.tables), _list(f"v{place[name]}" for name in beside.priors)
    yield f"told = zip(candidates, *values(rows, ({arrays}), ({priors})))"


def _of_candidates(
    features: Sequence[Feature], catalogue: Catalogue, tables: Sequence[Group], place: dict[str, int], *, seen: set[TableKey]
) -> Iterator[str]:
    """Lines for the other features of a candidate: those that follow from the same of its columns together, left out while these stay as
    they were of the candidate before. What a feature shrinks to follows from no more columns, so that it stands before."""
    blocks: dict[tuple[str, ...], list[Feature]] = {}
    for feature in features:
        blocks.setdefault(_follows_from(feature, catalogue), []).append(feature)
    for columns in sorted(blocks, key=len):
        yield f"if {' or '.join(f'{_column(name)} != {_before(name)}' for name in columns) or 'not served'}:"
        yield from (f"    {line}" for line in _body(blocks[columns], tables, place, seen=seen))


def _follows_from(feature: Feature, catalogue: Catalogue) -> tuple[str, ...]:
    """The columns of a candidate that decide the value of a feature for one payment."""
    if isinstance(feature, ContextFeature | AttributeFeature):
        read = {feature.name}
    elif isinstance(feature, LocalTimeFeature):
        read = set()
    else:
        read = {*feature.entity, *(("route",) if isinstance(feature, LastFeature) and feature.column == "same_route" else ())}
        parent = getattr(feature, "shrink_to", None)
        read.update(*(_follows_from(one, catalogue) for one in catalogue.features if one.name == parent))
    return tuple(name for name in CANDIDATE_COLUMNS if name in read)


def _body(features: Sequence[Feature], tables: Sequence[Group], place: dict[str, int], *, seen: set[TableKey]) -> Iterator[str]:
    """A line for each feature, after the look at its entity unless that is in `seen`, to which it is added."""
    for feature in features:
        at = place[feature.name]
        if isinstance(feature, ContextFeature | AttributeFeature):
            column = feature.column if isinstance(feature, AttributeFeature) else feature.name
            yield f"v{at} = {_column(column)}"
        elif isinstance(feature, LocalTimeFeature):
            yield f"v{at} = {_OF_CLOCK.get(feature.part, feature.part)}"
        else:
            key = table_key(feature)
            number = next(n for n, table in enumerate(tables) if table.key == key)
            if key not in seen:
                seen.add(key)
                yield from _look(tables, number, asked=seen)
            yield f"v{at} = {_value(feature, tables[number], number, place)}"


def _look(tables: Sequence[Group], number: int, *, asked: set[TableKey]) -> Iterator[str]:
    """What the features of one entity are made of; nothing is known of one that was never answered.

    asked  tables that were looked at before
    """
    table = tables[number]
    names = _names(table, number)
    moment = "now_us" if table.key.kind == "decayed" else f"tile{table.key.step_s}"
    before = next((at for at, other in enumerate(tables) if other.key in asked and table.of_candidate and other.outlives(table)), None)
    if table.is_nested:
        yield f"ring = within{number}({_key(table.of_candidate)})"
    elif before is not None:
        yield f"ring = get{number}({_key(table.key.entity)}) if known{before} else None"
    else:
        yield f"ring = get{number}({_key(table.key.entity)})"
    if any(table.outlives(other) and not other.is_nested for other in tables if other.of_candidate):
        yield f"known{number} = ring is not None"
    yield "if ring is None:"
    yield f"    {' = '.join(names)} = {'None' if table.key.kind == 'quantile' else '0'}"
    yield "else:"
    yield f"    {_list(names)} = ring.seen if ring.seen_at == {moment} else see{number}(ring, {moment})"
    if table.n_last:
        yield f"    last{number} = ring.last"


def _names(table: Group, number: int) -> list[str]:
    """Names of what `see` gives, in its order."""
    if table.key.kind in ("distinct", "quantile"):
        return [f"x{number}_{at}" for at, _ in enumerate(table.asked)]
    if table.key.kind == "decayed":
        return [f"n{number}_0", *(f"{one}{number}_0" for one in table.sums)]
    return [name for at, (_, sums) in enumerate(table.windows) for name in (f"n{number}_{at}", *(f"{one}{number}_{at}" for one in sums))]


def _value(feature: FoldedFeature, table: Group, number: int, place: dict[str, int]) -> str:
    if isinstance(feature, WindowFeature) and feature.measure in ("distinct", "quantile"):
        return f"x{number}_{table.asked.index((feature.tiles, feature.q or 0.0))}"
    at = 0 if isinstance(feature, DecayedFeature) else [tiles for tiles, _ in table.windows].index(feature.tiles)
    n = f"n{number}_{at}"
    if isinstance(feature, LastFeature):
        return f"{_of_last(feature.column, f'last{number}[{feature.nth - 1}]')} if {n} >= {feature.nth} else None"
    total, *known = [f"{name}{number}_{at}" for name in sums_of(feature)] or [n]
    match feature.measure:
        case "count" | "sum":
            return total
        case "next_number":
            return f"{n} + 1"
        case "amount_ratio":
            return f"{_column('amount_minor')} / ({total} / {n}) if {n} and {total} else None"
        case "mean":
            n = known[0] if known else n
            return f"{total} / {n} if {n} else None"
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


def _key(entity: Sequence[str]) -> str:
    """The key of an entity: a value, or a tuple of several."""
    parts = [_column(part) for part in entity]
    return parts[0] if len(parts) == 1 else f"({_list(parts)})"


def _column(name: str) -> str:
    return f"c_{name}"


def _before(name: str) -> str:
    """The column of the candidate before."""
    return f"b_{name}"


def _list(names: Iterator[str] | Sequence[str]) -> str:
    """Names with a comma behind each: a tuple of one or more."""
    return "".join(f"{name}, " for name in names).strip()

"""One answer folded into every table of a catalogue, written out as straight-line code like the look-up (`written`).

Most answers fall into a tile that their entity has already: that takes a few additions in place, written here for each table. A new entity,
a new tile and tables of other kinds go through `Table.fold`, which does the same and is what defines it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from honour.features.answer import SUMS, only_field
from honour.features.group import Group
from honour.features.local_time import BEFORE_ALL
from honour.features.ring import COLUMN_AT, Told


def folding(groups: Sequence[Group], tables: Sequence[Any]) -> Callable[[Told], None]:
    """A function that folds an answer into all tables; they stand in the order of their groups."""
    scope: dict[str, Any] = {}
    exec(compile(source(groups), "<folding>", "exec"), scope)  # The text is made here, of a checked catalogue.
    function: Callable[[Told], None] = scope["bound"](tables)
    return function


def source(groups: Sequence[Group]) -> str:
    """The text of that function, made for the tables it is given."""
    steps = sorted({group.key.step_s for group in groups if _is_plain(group)})
    lines = ["def bound(tables):"]
    for number, group in enumerate(groups):
        lines.append(f"    fold{number} = tables[{number}].fold")
        if _is_plain(group):
            lines.append(f"    get{number}, move{number} = tables[{number}].rings.get, tables[{number}].rings.move_to_end")
            lines.append(f"    within{number} = tables[{number}].within")
    lines += [
        "    def fold(told):",
        "        row, answer, sums = told",
        f"        {', '.join(SUMS)}, = sums",
        *(f"        tile{step_s} = answer.arrived_us // {step_s * 1_000_000}" for step_s in steps),
    ]
    for number, group in enumerate(groups):
        lines += (f"        {line}" for line in (_plain(group, number) if _is_plain(group) else _other(group, number)))
    if not groups:
        lines.append("        pass")
    return "\n".join([*lines, "    return fold"]) + "\n"


def _is_plain(group: Group) -> bool:
    return group.key.kind == "totals" and group.key.only is None


def _plain(group: Group, number: int) -> Iterator[str]:
    yield f"key = {_key(group.key.entity)}"
    yield f"ring = get{number}(key)"
    yield f"if ring is None or ring.newest != tile{group.key.step_s}:"
    yield f"    fold{number}(told)"
    yield "else:"
    yield f"    move{number}(key)"
    if group.is_nested:
        yield f"    if ring.seen_at != {BEFORE_ALL}:"
        yield f"        within{number}[{_key(group.of_payment)}].stale.append({_key(group.of_candidate)})"
    yield f"    ring.seen_at = {BEFORE_ALL}"
    yield "    ring.counts[-1] += 1"
    for at, name in enumerate(group.sums):
        yield f"    if {name}:"
        yield f"        ring.sums[{at}][-1] += {name}"
    if group.n_last:
        yield f"    ring.last = (answer, *ring.last[:{group.n_last - 1}])" if group.n_last > 1 else "    ring.last = (answer,)"


def _key(entity: Sequence[str]) -> str:
    """The key of an entity: a value of the row, or a tuple of several."""
    parts = [f"row[{COLUMN_AT[part]}]" for part in entity]
    return parts[0] if len(parts) == 1 else f"({', '.join(parts)})"


def _other(group: Group, number: int) -> Iterator[str]:
    if group.key.only is not None:
        yield f"if answer.{only_field(group.key.only)} == {group.key.only!r}:"
        yield f"    fold{number}(told)"
    else:
        yield f"fold{number}(told)"

"""Cells to values: what a field of a mapping makes of a row. What cannot be used says why, without repeating what is not categorical."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, Literal, get_args, get_origin
from zoneinfo import ZoneInfo

import msgspec

from honour.errors import MappingBroken
from honour.records.domain import CURRENCIES
from honour.records.instant import EPOCH
from honour.stores.mapping import Field, FileSettings
from honour.stores.table import Cells

Reader = Callable[[Cells], Any]
"""A row's value for one field; None when its cell is empty."""

SHOWN = 40
KINDS_BY = 1_000
"""Rows that say of what kind a column is."""
_NOISE = Decimal("0.000001")  # Of binary fractions: 19.99 may come as 19.989999999999998.


class Unusable(Exception):
    """Why a row is left out. `by_mapping`: another mapping might use it."""

    def __init__(self, why: str, *, by_mapping: bool = False) -> None:
        super().__init__(why)
        self.why, self.by_mapping = why, by_mapping


def reader_of(name: str, field: Field, *, columns: Sequence[str], settings: FileSettings, kind: Any) -> Reader:
    """How field `name` of type `kind` is read; instants and amounts come as cells, for `Instants` and `minor_units`."""
    if field.source is not None or field.value is not None:
        constant = field.value
        return lambda _: constant
    if field.columns:
        places = [columns.index(column) for column in field.columns]
        return lambda cells: "_".join((text_of(cells[place]) or "").replace(" ", "_") for place in places)
    assert field.column is not None
    place = columns.index(field.column)
    if field.entry is not None:
        return _entry_reader(name, place, columns.index(field.entry))
    if field.values is not None:
        return _translator(name, field, place)
    if kind is datetime or name == "payment.amount_minor":
        return lambda cells: None if text_of(cells[place]) is None else cells[place]
    if _is_text(kind):
        return lambda cells: text_of(cells[place])
    comma = settings.decimal == "," and kind is not None
    return lambda cells: _number(cells[place], comma=comma)


class Kinds:
    """What the cells of each column are, by its first rows: number, instant, truth, text, or empty. Mixed is text."""

    def __init__(self, columns: Sequence[str]) -> None:
        self._columns = columns
        self._kinds: list[set[str]] = [set() for _ in columns]
        self._left = KINDS_BY

    def look(self, cells: Cells) -> None:
        """Take a row into account, if it is among the first."""
        if self._left:
            self._left -= 1
            for kinds, cell in zip(self._kinds, cells, strict=True):
                if (kind := _kind_of(cell)) is not None:
                    kinds.add(kind)

    def named(self) -> dict[str, str]:
        """Kinds by column."""
        told = (kinds.pop() if len(kinds) == 1 else "text" if kinds else "empty" for kinds in map(set, self._kinds))
        return dict(zip(self._columns, told, strict=True))


def _kind_of(cell: Any) -> str | None:
    if isinstance(cell, str):
        if not (cell := cell.strip()):
            return None
        try:
            float(cell)
        except ValueError:
            return "text"
        return "number"
    if cell is None or cell != cell:
        return None
    return "truth" if isinstance(cell, bool) else "instant" if isinstance(cell, datetime) else "number"


def text_of(cell: Any) -> str | None:
    """A cell as text; None when it is empty or not a number."""
    if isinstance(cell, str):
        return cell.strip() or None
    if cell is None or cell != cell:
        return None
    if isinstance(cell, bool):
        return str(cell).lower()
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell)


def minor_units(cell: Any, *, currency: str, field: Field, decimal: str) -> int:
    """An amount in minor units, exact: one with more decimals than its currency has is unusable."""
    text = text_of(cell) or ""
    if isinstance(cell, str) and decimal == ",":
        text = text.replace(".", "").replace(" ", "").replace(",", ".")
    try:
        amount = Decimal(text)
    except InvalidOperation:
        raise Unusable("payment.amount_minor is no number", by_mapping=True) from None
    if not amount.is_finite() or abs(amount) > 10**15:
        raise Unusable("payment.amount_minor is no amount")
    scaled = amount.scaleb(CURRENCIES.get(currency, 2)) if field.unit == "major" else amount
    whole = scaled.to_integral_value()
    if abs(scaled - whole) > _NOISE:
        raise Unusable("payment.amount_minor has more decimals than its currency")
    if whole < 0:
        raise Unusable("payment.amount_minor is below 0")
    return int(whole)


class Instants:
    """Instants of one file in UTC. A time that comes twice, when clocks go back, is taken as the earlier; `n_twofold` counts them."""

    def __init__(self, *, zone: str | None) -> None:
        self._zone = ZoneInfo(zone) if zone is not None else None
        self.n_twofold = 0

    def read(self, cell: Any, *, name: str, field: Field) -> datetime:
        """The instant in a cell."""
        try:
            instant = _instant(cell, field.format)
        except (ValueError, TypeError, OverflowError, ArithmeticError):
            raise Unusable(f"{name} is no instant of format {field.format}", by_mapping=True) from None
        if instant.tzinfo is not None:
            return instant.astimezone(UTC)
        if self._zone is None:
            raise MappingBroken(f"fields.{name}: its times do not say their zone; state file.zone, such as Europe/Berlin or UTC.")
        local = instant.replace(tzinfo=self._zone)
        there = local.astimezone(UTC)
        if there.astimezone(self._zone).replace(tzinfo=None) != instant:
            raise Unusable(f"{name} is a time that clocks in {self._zone.key} skip")
        self.n_twofold += local.utcoffset() != local.replace(fold=1).utcoffset()
        return there


def _instant(cell: Any, form: str) -> datetime:
    if isinstance(cell, datetime):
        return datetime.fromisoformat(cell.isoformat()[:32]) if type(cell) is not datetime else cell
    text = text_of(cell) or ""
    match form:
        case "iso":
            return datetime.fromisoformat(text)
        case "unix_s" | "unix_ms":
            return EPOCH + timedelta(**{"seconds" if form == "unix_s" else "milliseconds": float(text)})
        case _:
            return datetime.strptime(text, form)


def _translator(name: str, field: Field, place: int) -> Reader:
    meanings = {told.strip().casefold(): meant for told, meant in (field.values or {}).items()}
    seen: dict[Any, Any] = {}

    def read(cells: Cells) -> Any:
        cell = cells[place]
        if type(cell) is str and cell in seen:
            return seen[cell]
        told = text_of(cell)
        if told is None and "" not in meanings:
            return field.otherwise
        meant = meanings.get((told or "").casefold(), field.otherwise)
        if meant is None:
            raise Unusable(f"{field.column} is {(told or '')[:SHOWN]!r}, which fields.{name} does not translate", by_mapping=True)
        if type(cell) is str:
            seen[cell] = meant
        return meant

    return read


def _entry_reader(name: str, place: int, entry: int) -> Reader:
    def read(cells: Cells) -> Any:
        if (text := text_of(cells[place])) is None:
            return None
        try:
            found = msgspec.json.decode(text)[text_of(cells[entry]) or ""]
        except (msgspec.DecodeError, KeyError, TypeError, IndexError):
            raise Unusable(f"{name}: its column holds no JSON object with that entry", by_mapping=True) from None
        return found if isinstance(found, str | int | float | bool) else None

    return read


def _number(cell: Any, *, comma: bool) -> Any:
    """A cell as it is, text for msgspec to convert; without the not finite."""
    if isinstance(cell, str):
        text = cell.strip()
        if comma and any(digit.isdigit() for digit in text):
            text = text.replace(".", "").replace(",", ".")
        if text.lower().lstrip("+-") in ("nan", "inf", "infinity"):
            return None
        return text or None
    if cell is None or isinstance(cell, bool | int):
        return cell
    if isinstance(cell, float):
        return None if cell - cell != 0 else int(cell) if cell.is_integer() else cell
    return str(cell)


def _is_text(kind: Any) -> bool:
    """Whether a field holds text, looked for inside unions, annotations and choices; attributes hold anything."""
    if kind is None:
        return False
    if get_origin(kind) is Literal:
        return all(isinstance(value, str) for value in get_args(kind))
    return kind is str or any(_is_text(part) for part in get_args(kind) if part is not type(None) and not isinstance(part, msgspec.Meta))

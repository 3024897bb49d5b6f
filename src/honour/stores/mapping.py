"""Mappings: how the columns of somebody's file become records. examples/psp_routing/mapping.toml explains the language."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_type_hints
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from honour.errors import MappingBroken
from honour.records.attempt import Attempt
from honour.records.payment import Identifier
from honour.records.route import Merchant

Unit = Literal["major", "minor"]
Constant = str | int | float | bool
Name = Annotated[str, msgspec.Meta(min_length=1)]


class Field(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where one field comes from: exactly one of column, columns, value and `from`.

    values     what each cell means, compared as text without regard to case; otherwise: what every other cell means
    entry      the cell is a JSON object, of which the entry named by the cell of this other column is taken
    format     of instants: iso, unix_s, unix_ms, or a pattern of strptime such as %d.%m.%Y %H:%M
    """

    column: Name | None = None
    columns: tuple[Name, ...] = ()
    value: Constant | None = None
    source: Literal["payment_id"] | None = msgspec.field(default=None, name="from")
    values: dict[str, Constant] | None = None
    otherwise: Constant | None = None
    unit: Unit = "minor"
    entry: Name | None = None
    format: Name = "iso"

    def named(self) -> tuple[str, ...]:
        """Columns it reads."""
        return (*(name for name in (self.column, self.entry) if name is not None), *self.columns)


class FileSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the files are written.

    zone            of instants that do not say theirs; needed when there are such
    delimiter, encoding  of CSV; decimal  the sign before the decimals of numbers
    answer_delay_s  how long after its attempt an answer came, where the file does not say
    """

    zone: str | None = None
    delimiter: Annotated[str, msgspec.Meta(min_length=1, max_length=1)] = ","
    encoding: str = "utf-8"
    decimal: Literal[".", ","] = "."
    answer_delay_s: Annotated[float, msgspec.Meta(ge=0)] = 0.0


class Chaining(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Attempts that agree on the columns `same` are of one payment while each is within `within_s` of the one before.

    A chain does not end at an approval: what comes after one within seconds was sent beside it, and the report counts it.
    """

    same: Annotated[tuple[Name, ...], msgspec.Meta(min_length=1)]
    within_s: Annotated[float, msgspec.Meta(gt=0)]


class FeeTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A second file in the data's folder with what each route charges, by its column names; without `fees`, nothing."""

    fees: Name | None = None
    route: Name = "route"
    approval: Name = "approval"
    decline: Name = "decline"
    unit: Unit = "minor"


class DisputeTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A second file in the data's folder: rows whose columns have the values of `where` are disputes of `payment_id`."""

    file: Name
    payment_id: Name
    where: dict[str, Constant] = {}
    kind: Literal["chargeback", "fraud_report", "retrieval_request"] = "chargeback"


class Mapping(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A whole mapping file."""

    fields: dict[str, Field]
    file: FileSettings = FileSettings()
    payments: Chaining | None = None
    routes: FeeTable = FeeTable()
    merchant: Merchant = Merchant()
    disputes: DisputeTable | None = None


NEEDED = (
    "attempted_at",
    "route",
    "status",
    "payment.merchant_id",
    "payment.amount_minor",
    "payment.currency",
    "payment.card.card_id",
    "payment.card.bin",
    "payment.card.network",
)
ATTRIBUTES = "payment.attributes."


def field_types(kind: type[msgspec.Struct] = Attempt, prefix: str = "") -> dict[str, Any]:
    """Path of every field of an attempt to its type; the payment's own attributes are free and not among them."""
    types: dict[str, Any] = {}
    for name, hint in get_type_hints(kind, include_extras=True).items():
        inner = [part for part in (hint, *get_args(hint)) if isinstance(part, type) and issubclass(part, msgspec.Struct)]
        types |= field_types(inner[0], f"{prefix}{name}.") if inner else {f"{prefix}{name}": hint}
    return {path: hint for path, hint in types.items() if path != ATTRIBUTES.rstrip(".")}


def load_mapping(path: Path) -> Mapping:
    """The mapping in `path`, checked; MappingBroken names the place, what was found and what is allowed."""
    try:
        tree = tomllib.loads(path.read_text(encoding="utf-8"))
        mapping = msgspec.convert(tree, Mapping)
    except OSError as error:
        raise MappingBroken(f"{path}: cannot be read ({error.strerror}).") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise MappingBroken(f"{path}: not valid TOML: {error}.") from None
    except msgspec.ValidationError as error:
        message, _, where = str(error).partition(" - at `$.")
        raise MappingBroken(f"{path}: {where.rstrip('`') or 'the file'}: {message[:1].lower()}{message[1:]}.") from None
    for where, what in _faults(mapping):
        raise MappingBroken(f"{path}: {where}: {what}.")
    return mapping


def check_columns(mapping: Mapping, columns: Sequence[str], *, path: Path) -> None:
    """Every column that the mapping names is in the file at `path`."""
    named = [(f"fields.{name}", column) for name, field in mapping.fields.items() for column in field.named()]
    named += [("payments.same", column) for column in (mapping.payments.same if mapping.payments else ())]
    for where, column in named:
        if column not in columns:
            close = get_close_matches(column, columns, n=1)
            hint = f" Perhaps {close[0]!r}?" if close else ""
            raise MappingBroken(f"{path}: no column {column!r}, which the mapping names in {where}.{hint} Columns: {', '.join(columns)}.")


def _faults(mapping: Mapping) -> Iterator[tuple[str, str]]:
    """What cannot be right whatever the file holds: place, and what is wrong."""
    if mapping.file.zone is not None:
        try:
            ZoneInfo(mapping.file.zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            yield "file.zone", f"{mapping.file.zone!r} is no time zone; allowed: IANA names such as Europe/Berlin, or UTC"
    types = field_types()
    for name, field in mapping.fields.items():
        if name == "payment.payment_id" and mapping.payments is not None:
            yield f"fields.{name}", "[payments] makes the payments; give one or the other"
        if name not in types and not (name.startswith(ATTRIBUTES) and len(name) > len(ATTRIBUTES)):
            close = get_close_matches(name, types, n=3, cutoff=0.5)
            hint = f" Perhaps {' or '.join(close)}?" if close else ""
            yield f"fields.{name}", f"no field of an attempt.{hint} Allowed: {', '.join(sorted(types))}, {ATTRIBUTES}<name>"
        yield from ((f"fields.{name}", what) for what in _field_faults(name, field, types.get(name, Constant)))
    for name in (*NEEDED, *(() if mapping.payments else ("payment.payment_id",))):
        if name not in mapping.fields:
            hint = ", or a table [payments] that chains attempts" if name == "payment.payment_id" else ""
            yield "fields", f"{name!r} is missing; every attempt needs it{hint}"


def _field_faults(name: str, field: Field, kind: Any) -> Iterator[str]:
    said = [field.column is not None, bool(field.columns), field.value is not None, field.source is not None]
    if sum(said) != 1:
        yield f"found {sum(said)} of column, columns, value and from; give exactly one"
    if field.column is None and (field.values is not None or field.entry is not None):
        yield "values and entry say what a column means; give column"
    if field.otherwise is not None and field.values is None:
        yield "otherwise stands beside values; give values"
    if field.unit == "major" and name != "payment.amount_minor":
        yield "unit is for payment.amount_minor; leave it out"
    if name == "payment.payment_id" and field.source is not None:
        yield "a payment id cannot come from itself; give column or columns"
    constants = [field.value, field.otherwise, *(field.values or {}).values()]
    if name == "payment.amount_minor" and field.unit == "major":
        constants = []
    for constant in constants:
        try:
            if constant is not None:
                msgspec.convert(constant, kind, strict=False)
        except msgspec.ValidationError as error:
            message = str(error)
            choice = _choice_of(kind)
            allowed = f"allowed: {', '.join(choice)}" if choice else f"{message[0].lower()}{message[1:]}"
            yield f"found {constant!r}; {allowed}"


def _choice_of(kind: Any) -> list[str]:
    """Values of a literal type, also inside a union."""
    return (
        [value for part in (kind, *get_args(kind)) for value in get_args(part) if isinstance(value, str)] if kind is not Identifier else []
    )

"""Mappings: how the columns of somebody's file become records. examples/psp_routing/mapping.toml explains the language."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping as Map
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from honour.errors import MappingBroken
from honour.records.attempt import Attempt
from honour.records.payment import Card, Customer, Payment
from honour.records.route import Merchant

Unit = Literal["major", "minor"]


class Field(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where one field comes from: exactly one of column, columns, value and `from`."""

    column: str | None = None
    columns: tuple[str, ...] = ()
    value: str | int | float | bool | None = None
    source: Literal["payment_id"] | None = msgspec.field(default=None, name="from")
    values: dict[str, str] | None = None
    unit: Unit = "minor"


class FileSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """zone: of instants that do not say theirs; delimiter: of CSV."""

    zone: str
    delimiter: Annotated[str, msgspec.Meta(min_length=1, max_length=1)] = ","


class Chaining(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Attempts that agree on the columns `same` are of one payment while each is within `within_s` of the one before."""

    same: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    within_s: Annotated[float, msgspec.Meta(gt=0)]


class FeeTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A second file in the data's folder with what each route charges, by its column names; without `fees`, nothing."""

    fees: str | None = None
    route: str = "route"
    approval: str = "approval"
    decline: str = "decline"
    unit: Unit = "minor"


class DisputeTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A second file in the data's folder: rows whose columns have the values of `where` are disputes of `payment_id`."""

    file: str
    payment_id: str
    where: dict[str, str]


class Mapping(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A whole mapping file."""

    file: FileSettings
    fields: dict[str, Field]
    payments: Chaining | None = None
    routes: FeeTable = FeeTable()
    merchant: Merchant = Merchant()
    disputes: DisputeTable | None = None


_NEEDED = ("attempt_id", "attempted_at", "route", "status", "payment.merchant_id", "payment.amount_minor", "payment.currency")
_NEEDED_OF_CARD = ("payment.card.card_id", "payment.card.bin", "payment.card.network")


def load_mapping(path: Path) -> Mapping:
    """The mapping in `path`, checked; MappingBroken names the place, what was found and what is allowed."""
    try:
        mapping = msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), Mapping)
    except OSError as error:
        raise MappingBroken(f"{path}: cannot be read ({error.strerror}).") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise MappingBroken(f"{path}: not valid TOML: {error}.") from None
    except msgspec.ValidationError as error:
        raise MappingBroken(f"{path}: {error}.") from None
    try:
        ZoneInfo(mapping.file.zone)
    except (ZoneInfoNotFoundError, ValueError):
        raise MappingBroken(f"{path}: file.zone {mapping.file.zone!r} is no time zone; allowed: IANA names such as Europe/Berlin, or UTC.") from None
    allowed = set(_paths(Attempt)) - {"payment.payment_id"} if mapping.payments else set(_paths(Attempt))
    for name, field in mapping.fields.items():
        if name not in allowed and not name.startswith("payment.attributes."):
            raise MappingBroken(f"{path}: fields: {name!r} is no field here; allowed: {', '.join(sorted(allowed))}, payment.attributes.<name>.")
        said = [field.column is not None, bool(field.columns), field.value is not None, field.source is not None]
        if sum(said) != 1:
            raise MappingBroken(f"{path}: fields.{name}: give exactly one of column, columns, value and from; found {sum(said)}.")
    needed = (*_NEEDED, *_NEEDED_OF_CARD, *(() if mapping.payments else ("payment.payment_id",)))
    for name in needed:
        if name not in mapping.fields:
            hint = " or a table [payments] that chains attempts" if name == "payment.payment_id" else ""
            raise MappingBroken(f"{path}: fields: {name!r} is missing; every attempt needs it{hint}.")
    return mapping


def check_columns(mapping: Mapping, columns: Map[str, Any], *, path: Path) -> None:
    """Every column that the mapping names is in the file at `path`."""
    named = [(f"fields.{name}", column) for name, field in mapping.fields.items() for column in (field.column, *field.columns) if column]
    named += [("payments.same", column) for column in (mapping.payments.same if mapping.payments else ())]
    for where, column in named:
        if column not in columns:
            raise MappingBroken(f"{path}: no column {column!r}, which the mapping names in {where}. The file has: {', '.join(columns)}.")


def _paths(kind: type[msgspec.Struct], prefix: str = "") -> list[str]:
    nested: dict[tuple[type, str], type[msgspec.Struct]] = {(Attempt, "payment"): Payment, (Payment, "card"): Card, (Payment, "customer"): Customer}
    paths: list[str] = []
    for name in kind.__struct_fields__:
        inner = nested.get((kind, name))
        paths += _paths(inner, f"{prefix}{name}.") if inner else [f"{prefix}{name}"]
    return [path for path in paths if path != "payment.attributes"]

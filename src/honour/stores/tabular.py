"""Reading past attempts from CSV, Parquet, XLSX or NDJSON files, by a mapping."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from honour.errors import BadInput, MappingBroken
from honour.features.quality import QualityReport, Refusal, quality_of
from honour.records.attempt import Attempt, Dispute
from honour.records.card_number import holds_card_number
from honour.records.domain import CURRENCIES, check_payment
from honour.records.event import AttemptReported, DisputeReported, Event
from honour.records.instant import to_us
from honour.records.route import Merchant, Route, RouteCost
from honour.stores.mapping import Field, Mapping, Unit, check_columns, load_mapping

Step = Callable[[str, int, int | None], None]
Row = dict[str, Any]
SUFFIXES = (".csv", ".parquet", ".xlsx", ".ndjson", ".jsonl")


class Imported(NamedTuple):
    """What files of attempts hold.

    events     with arrival times, in the order in which they arrived
    routes     the routes taken, with what they charge; merchants: terms of the merchants seen
    """

    events: list[tuple[Event, int]]
    routes: tuple[Route, ...]
    merchants: dict[str, Merchant]
    quality: QualityReport


class _Read(NamedTuple):
    number: int
    row: Row
    at: datetime


def read_attempts(paths: Sequence[Path], mapping_path: Path, *, with_fees: bool = False, step: Step | None = None) -> Imported:
    """Attempts of the files in order of time, and what is wrong with them.

    with_fees  also read the fee and dispute files that the mapping names, beside the first file

    A row that cannot be used is left out and stands in the report with its reason; a column that is not there is an error.
    """
    mapping = load_mapping(mapping_path)
    refusals: list[Refusal] = []
    reads = sorted(_instants(paths, mapping, refusals, step), key=lambda read: read.at)
    attempts = [attempt for read, payment_id in _chained(reads, mapping) if (attempt := _attempt(read, payment_id, mapping, refusals))]
    events: list[tuple[Event, int]] = [(AttemptReported(attempt=attempt), to_us(attempt.happened_at or attempt.attempted_at)) for attempt in attempts]
    if with_fees and mapping.disputes is not None and attempts:
        events += [(dispute, events[-1][1]) for dispute in _disputes(mapping, folder=paths[0].parent, delimiter=mapping.file.delimiter)]
    events.sort(key=lambda pair: pair[1])
    return Imported(
        events=events,
        routes=_routes(attempts, mapping, folder=paths[0].parent) if with_fees else (),
        merchants={attempt.payment.merchant_id: mapping.merchant for attempt in attempts},
        quality=quality_of(attempts, refusals=refusals, identical_rows=_identical(reads, mapping)),
    )


def read_rows(path: Path, *, delimiter: str = ",") -> Iterator[Row]:
    """Rows of one file as dictionaries by column."""
    if not path.exists():
        raise BadInput(f"{path}: no such file.")
    match path.suffix.lower():
        case ".csv":
            with path.open(encoding="utf-8-sig", newline="") as file:
                yield from csv.DictReader(file, delimiter=delimiter)
        case ".ndjson" | ".jsonl":
            with path.open(encoding="utf-8") as file:
                yield from (json.loads(line) for line in file if line.strip())
        case ".parquet":
            import pyarrow.parquet  # type: ignore[import-untyped]  # pyarrow ships no types; only those who read Parquet need it

            for batch in pyarrow.parquet.ParquetFile(path).iter_batches():
                yield from batch.to_pylist()
        case ".xlsx":
            import openpyxl  # type: ignore[import-untyped]  # no types; only those who read XLSX need it

            cells = openpyxl.load_workbook(path, read_only=True, data_only=True).active.iter_rows(values_only=True)
            names = [str(name) for name in next(cells)]
            yield from (dict(zip(names, row, strict=False)) for row in cells)
        case other:
            raise BadInput(f"{path}: files ending in {other!r} are not read; allowed: {', '.join(SUFFIXES)}.")


def _instants(paths: Sequence[Path], mapping: Mapping, refusals: list[Refusal], step: Step | None) -> Iterator[_Read]:
    zone, when, number = ZoneInfo(mapping.file.zone), mapping.fields["attempted_at"], 0
    read = {column for field in mapping.fields.values() for column in (field.column, *field.columns) if column}
    for path in paths:
        for at, row in enumerate(read_rows(path, delimiter=mapping.file.delimiter)):
            number += 1
            if at == 0:
                check_columns(mapping, row, path=path)
            if step is not None and number % 5_000 == 0:
                step("reading rows", number, None)
            if any(holds_card_number(str(row[column])) for column in read):
                refusals.append(Refusal("holds a card number", number))
                continue
            try:
                yield _Read(number, row, _instant(_value(when, row), zone))
            except (ValueError, TypeError):
                refusals.append(Refusal("attempted_at is not an instant", number))


def _chained(reads: Sequence[_Read], mapping: Mapping) -> Iterator[tuple[_Read, str]]:
    """Each row with its payment: named by its column, or by the first attempt of its chain."""
    chaining, named = mapping.payments, mapping.fields.get("payment.payment_id")
    latest: dict[tuple[str, ...], tuple[datetime, str]] = {}
    for read in reads:
        if chaining is None:
            yield read, str(_value(named, read.row)) if named else ""
            continue
        key = tuple(str(read.row[column]) for column in chaining.same)
        before = latest.get(key)
        if before is not None and (read.at - before[0]).total_seconds() <= chaining.within_s:
            payment_id = before[1]
        else:
            payment_id = f"pay/{_value(mapping.fields['attempt_id'], read.row)}"
        latest[key] = (read.at, payment_id)
        yield read, payment_id


def _attempt(read: _Read, payment_id: str, mapping: Mapping, refusals: list[Refusal]) -> Attempt | None:
    tree: Row = {"payment": {"payment_id": payment_id, "created_at": None, "card": {}}}
    try:
        for path, field in mapping.fields.items():
            value = payment_id if field.source else _value(field, read.row)
            _place(tree, path.split("."), value)
        tree["attempted_at"] = read.at
        amount = mapping.fields["payment.amount_minor"]
        tree["payment"]["amount_minor"] = _minor(tree["payment"]["amount_minor"], currency=str(tree["payment"]["currency"]), unit=amount.unit)
        attempt = msgspec.convert(tree, Attempt, strict=False)
        check_payment(attempt.payment)
    except _Unlisted as unlisted:
        refusals.append(Refusal(str(unlisted), read.number))
        return None
    except (msgspec.ValidationError, BadInput, ValueError, TypeError) as error:
        where = error.path if isinstance(error, BadInput) else str(error).rpartition("`$.")[2].rstrip("`") if "`$." in str(error) else "a value"
        refusals.append(Refusal(f"{where.removeprefix('$.')} is not allowed", read.number))
        return None
    return attempt


class _Unlisted(Exception):
    """A value that the mapping does not translate."""


def _value(field: Field, row: Row) -> Any:
    if field.columns:
        return "/".join(str(row[column]) for column in field.columns)
    if field.column is None:
        return field.value
    value = row[field.column]
    if value is None or value == "":
        return None
    if field.values is None:
        return value
    told = str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
    if told not in field.values:
        raise _Unlisted(f"{field.column} is {told[:40]!r}, which the mapping does not translate")
    return field.values[told]


def _instant(value: Any, zone: ZoneInfo) -> datetime:
    instant = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    return (instant if instant.tzinfo else instant.replace(tzinfo=zone)).astimezone(UTC)


def _minor(value: Any, *, currency: str, unit: Unit) -> int:
    if unit == "minor":
        return int(value)
    return round(float(value) * 10.0 ** CURRENCIES.get(currency, 2))


def _place(tree: Row, keys: list[str], value: Any) -> None:
    if value is None:
        return
    for key in keys[:-1]:
        tree = tree.setdefault(key, {})
    tree[keys[-1]] = value


def _identical(reads: Sequence[_Read], mapping: Mapping) -> int:
    """Rows that equal an earlier one in everything but what makes the attempt's id."""
    ids = mapping.fields["attempt_id"]
    instants = mapping.fields["attempted_at"]
    ignored = ({ids.column, *ids.columns}) - {instants.column, *instants.columns}
    seen = {tuple(str(value) for name, value in read.row.items() if name not in ignored) for read in reads}
    return len(reads) - len(seen)


def _routes(attempts: Sequence[Attempt], mapping: Mapping, *, folder: Path) -> tuple[Route, ...]:
    costs = _costs(mapping, folder=folder)
    taken: dict[str, list[Attempt]] = {}
    for attempt in attempts:
        taken.setdefault(attempt.route, []).append(attempt)
    return tuple(
        Route(
            id=route_id,
            networks=tuple(sorted({attempt.payment.card.network for attempt in sent})),
            currencies=tuple(sorted({attempt.payment.currency for attempt in sent})),
            authentications=tuple(sorted({attempt.authentication for attempt in sent})),
            cost=costs.get(route_id, RouteCost()),
        )
        for route_id, sent in sorted(taken.items())
    )


def _costs(mapping: Mapping, *, folder: Path) -> dict[str, RouteCost]:
    table = mapping.routes
    if table.fees is None:
        return {}
    path, factor = folder / table.fees, 100.0 if table.unit == "major" else 1.0
    rows = list(read_rows(path, delimiter=mapping.file.delimiter))
    for column in (table.route, table.approval, table.decline):
        if rows and column not in rows[0]:
            raise MappingBroken(f"{path}: no column {column!r}, which the mapping names in [routes]. The file has: {', '.join(rows[0])}.")
    return {
        str(row[table.route]): RouteCost(approval_minor=float(row[table.approval]) * factor, decline_minor=float(row[table.decline]) * factor)
        for row in rows
    }


def _disputes(mapping: Mapping, *, folder: Path, delimiter: str) -> Iterator[DisputeReported]:
    table = mapping.disputes
    assert table is not None
    for row in read_rows(folder / table.file, delimiter=delimiter):
        for column in (table.payment_id, *table.where):
            if column not in row:
                raise MappingBroken(f"{folder / table.file}: no column {column!r}, which the mapping names in [disputes].")
        if all(str(row[column]) == value for column, value in table.where.items()):
            payment_id = str(row[table.payment_id])
            yield DisputeReported(dispute=Dispute(dispute_id=f"dispute/{payment_id}", payment_id=payment_id))

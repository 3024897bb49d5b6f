"""Reading past attempts from CSV, Parquet, XLSX or NDJSON files, by a mapping."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from honour.errors import BadInput, MappingBroken
from honour.features.quality import Found, QualityReport, Refusal, quality_of
from honour.records.attempt import Attempt
from honour.records.card_number import holds_card_number
from honour.records.domain import check_payment
from honour.records.event import AttemptReported, Event
from honour.records.instant import EPOCH, to_us
from honour.records.route import Merchant, Route
from honour.stores.beside import Disputes, disputes_of, routes_of
from honour.stores.cells import Instants, Kinds, Reader, Unusable, reader_of, text_of
from honour.stores.cells import minor_units as _minor_units
from honour.stores.mapping import NEEDED, Field, Mapping, check_columns, field_types, load_mapping
from honour.stores.table import Cells, Table, read_table

Step = Callable[[str, int, int | None], None]
Refuse = Callable[[Attempt], str | None]
_LETTERS = str.maketrans("0123456789", "ghijklmnop")  # An id made of letters is never taken for a card number.
_AHEAD_MAX = timedelta(days=1)


class Imported(NamedTuple):
    """What files of attempts hold.

    events     with arrival times, in the order in which they arrived
    routes     the routes taken, with what they charge; merchants: terms of the merchants seen
    refusals   rows left out, with their reasons
    found      what reading came across, counted
    """

    events: list[tuple[Event, int]]
    routes: tuple[Route, ...]
    merchants: dict[str, Merchant]
    quality: QualityReport
    refusals: tuple[Refusal, ...]
    found: Found


class _Read(NamedTuple):
    attempt: Attempt
    same: tuple[str | None, ...]


def read_attempts(
    paths: Sequence[Path],
    mapping_path: Path,
    *,
    with_fees: bool = False,
    now: datetime | None = None,
    step: Step | None = None,
    refuse: Refuse | None = None,
) -> Imported:
    """Attempts of the files in order of time, and what is wrong with them.

    with_fees  also read the fee and dispute files that the mapping names, beside the first file
    now        later attempts cannot have happened; absent, the clock
    refuse     why an attempt is left out although it can be read, or None

    A row that cannot be used is left out and stands in the report with its reason; a column that is not there is an error.
    Disputes come without instants: they arrive when the last attempt of the files did.
    """
    mapping = load_mapping(mapping_path)
    found = Found()
    reading = _Reading(mapping, found, latest=(now or datetime.now(UTC)) + _AHEAD_MAX, names_files=len(paths) > 1, refuse=refuse, step=step)
    reads = [read for path in paths for read in reading.file(path)]
    if not reads and found.refusals and found.n_by_mapping == len(found.refusals):
        first = found.refusals[0]
        raise MappingBroken(f"{mapping_path}: none of {found.n_rows} rows can be used; row {first.row}: {first.reason}.")
    reads.sort(key=lambda read: read.attempt.attempted_at)
    attempts = list(_chained(reads, mapping))
    events: list[tuple[Event, int]] = [
        (AttemptReported(attempt=attempt), to_us(attempt.happened_at or attempt.attempted_at)) for attempt in attempts
    ]
    events.sort(key=lambda pair: pair[1])
    disputes = disputes_of(attempts, mapping, folder=paths[0].parent) if with_fees else Disputes([], 0)
    found.n_unmatched_disputes = disputes.n_unmatched
    events += [(dispute, events[-1][1]) for dispute in disputes.events]
    return Imported(
        events=events,
        routes=routes_of(attempts, mapping, folder=paths[0].parent) if with_fees else (),
        merchants={attempt.payment.merchant_id: mapping.merchant for attempt in attempts},
        quality=quality_of(attempts, found=found, n_disputes=len(disputes.events)),
        refusals=tuple(found.refusals),
        found=found,
    )


class _Reading(NamedTuple):
    """Files one after the other, what they hold counted in `found`."""

    mapping: Mapping
    found: Found
    latest: datetime
    names_files: bool
    refuse: Refuse | None
    step: Step | None

    def file(self, path: Path) -> Iterator[_Read]:
        """Attempts of one file."""
        found = self.found
        table = read_table(path, delimiter=self.mapping.file.delimiter, encoding=self.mapping.file.encoding)
        check_columns(self.mapping, table.columns, path=path)
        rows = _Rows(table, self.mapping, latest=self.latest)
        kept, kinds = found.kept, Kinds(table.columns)
        empty = [0] * len(table.columns)
        for place in table.rows:
            found.n_rows += 1
            if self.step is not None and found.n_rows % 5_000 == 0:
                self.step("reading rows", found.n_rows, None)
            where = f"{path.name}:{place.row}" if self.names_files else str(place.row)
            try:
                if isinstance(place.cells, str):
                    raise Unusable(place.cells)
                kinds.look(place.cells)
                for at, cell in enumerate(place.cells):
                    empty[at] += cell is None or cell == ""
                attempt = rows.attempt(place.cells)
                key = (attempt.attempt_id, attempt.status == "unknown")
                if (stands := kept.get(key)) is not None and stands != attempt:
                    raise Unusable("its attempt_id is that of an earlier row with other content")
                if self.refuse is not None and (why := self.refuse(attempt)) is not None:
                    raise Unusable(why)
            except Unusable as unusable:
                kept_cells = None if isinstance(place.cells, str) or rows.holds_card_number(place.cells) else rows.named(place.cells)
                found.refuse(unusable.why, row=where, cells=kept_cells, by_mapping=unusable.by_mapping)
                continue
            if stands is not None:
                found.n_repeated += 1
                continue
            kept[key] = attempt
            found.see(hash(rows.without_id(place.cells)))
            yield _Read(attempt, rows.same(place.cells))
        found.n_twofold += rows.instants.n_twofold
        found.columns.append(kinds.named())
        for column, n in zip(table.columns, empty, strict=True):
            found.empty_cells[column] = found.empty_cells.get(column, 0) + n


class _Rows:
    """Rows of one file as attempts. With [payments], an attempt has for now the payment that it would be the first of."""

    def __init__(self, table: Table, mapping: Mapping, *, latest: datetime) -> None:
        self._mapping, self._latest, self._columns = mapping, latest, table.columns
        types = field_types()
        self._readers: list[tuple[list[str], str, Field, Reader]] = [
            (name.split("."), name, field, reader_of(name, field, columns=table.columns, settings=mapping.file, kind=types.get(name)))
            for name, field in mapping.fields.items()
            if field.source is None
        ]
        self._copies = [name.split(".") for name, field in mapping.fields.items() if field.source is not None]
        self._same = [table.columns.index(column) for column in mapping.payments.same] if mapping.payments else []
        numbers = [field for field in mapping.fields.values() if field.format.startswith("unix_")]
        clocks = {table.columns.index(field.column) for field in numbers if field.column is not None}
        self._scanned = [at for at in range(len(table.columns)) if at not in clocks]
        ids = mapping.fields.get("attempt_id", Field())
        named_by_id = set(ids.named()) - set(mapping.fields["attempted_at"].named())
        self._beyond_id = [at for at, column in enumerate(table.columns) if column not in named_by_id]
        self.instants = Instants(zone=mapping.file.zone)

    def attempt(self, cells: Cells) -> Attempt:
        """The attempt in a row; Unusable when there is none."""
        if self.holds_card_number(cells):
            raise Unusable("a cell holds a card number")
        tree: dict[str, Any] = {"payment": {"card": {}}}
        for keys, name, field, read in self._readers:
            value = read(cells)
            if value is not None:
                if name in ("attempted_at", "happened_at", "payment.created_at", "payment.deadline_at"):
                    value = self.instants.read(value, name=name, field=field)
                _put(tree, keys, value)
            elif name in NEEDED or name in ("attempt_id", "payment.payment_id"):
                raise Unusable(f"{name} is missing")
        self._complete(tree, cells)
        try:
            attempt = msgspec.convert(tree, Attempt, strict=False)
            check_payment(attempt.payment)
        except msgspec.ValidationError as error:
            message, _, where = str(error).partition(" - at `$.")
            raise Unusable(f"{where.rstrip('`')}: {message[0].lower()}{message[1:]}") from None
        except BadInput as error:
            raise Unusable(f"{error.path.removeprefix('$.')}: {error.message.partition(';')[0]}") from None
        return attempt

    def holds_card_number(self, cells: Cells) -> bool:
        """Whether a cell holds what looks like a card number."""
        return holds_card_number("\n".join(_scanned(cells[at]) for at in self._scanned))

    def named(self, cells: Cells) -> dict[str, Any]:
        """Cells by column, as JSON keeps them."""
        plain = (cell if cell is None or isinstance(cell, str | int | float) else str(cell) for cell in cells)
        return dict(zip(self._columns, plain, strict=True))

    def same(self, cells: Cells) -> tuple[str | None, ...]:
        """What attempts of one payment agree on."""
        return tuple(text_of(cells[at]) for at in self._same)

    def without_id(self, cells: Cells) -> tuple[str, ...]:
        """Everything but what only names the attempt."""
        return tuple(str(cells[at]) for at in self._beyond_id)

    def _complete(self, tree: dict[str, Any], cells: Cells) -> None:
        """Ids, amount and instants, and what the merchant's terms say where the row does not."""
        payment, terms, file = tree["payment"], self._mapping.merchant, self._mapping.file
        if "attempt_id" not in tree:
            whole = "\x1f".join(f"{name}={cell}" for name, cell in sorted(zip(self._columns, map(str, cells), strict=True)))
            tree["attempt_id"] = "att_" + hashlib.blake2b(whole.encode(), digest_size=12).hexdigest().translate(_LETTERS)
        if self._mapping.payments is not None:
            payment["payment_id"] = f"pay_{tree['attempt_id']}"
        for keys in self._copies:
            _put(tree, keys, payment["payment_id"])
        amount = self._mapping.fields["payment.amount_minor"]
        payment["amount_minor"] = _minor_units(
            payment["amount_minor"], currency=str(payment["currency"]), field=amount, decimal=file.decimal
        )
        if terms.country is not None:
            payment.setdefault("merchant_country", terms.country)
        if terms.mcc is not None:
            payment.setdefault("mcc", terms.mcc)
        attempted_at: datetime = tree["attempted_at"]
        if attempted_at > self._latest:
            raise Unusable("attempted_at is in the future")
        if attempted_at < EPOCH:
            raise Unusable("attempted_at is before 1970")
        if file.answer_delay_s:
            tree.setdefault("happened_at", attempted_at + timedelta(seconds=file.answer_delay_s))
        if tree.get("happened_at", attempted_at) < attempted_at:
            raise Unusable("happened_at is before attempted_at")
        if tree.get("happened_at", attempted_at) > self._latest:
            raise Unusable("happened_at is in the future")


def _chained(reads: Sequence[_Read], mapping: Mapping) -> Iterator[Attempt]:
    """Attempts in order of time, each with its payment: as named, or as the first attempt of its chain."""
    chaining = mapping.payments
    if chaining is None:
        yield from (read.attempt for read in reads)
        return
    named = [["payment", "payment_id"], *(name.split(".") for name, field in mapping.fields.items() if field.source is not None)]
    within, latest = timedelta(seconds=chaining.within_s), dict[tuple[str | None, ...], tuple[datetime, str]]()
    for attempt, same in reads:
        payment_id, before = attempt.payment.payment_id, latest.get(same)
        if before is not None and attempt.attempted_at - before[0] <= within:
            payment_id = before[1]
            for keys in named:
                attempt = _with(attempt, keys, payment_id)
        latest[same] = (attempt.attempted_at, payment_id)
        yield attempt


def _scanned(cell: Any) -> str:
    if isinstance(cell, str):
        return cell
    if isinstance(cell, float):
        return str(int(cell)) if abs(cell) < 1e20 else ""
    return "" if cell is None or isinstance(cell, datetime) else str(cell)


def _put(tree: dict[str, Any], keys: Sequence[str], value: Any) -> None:
    for key in keys[:-1]:
        tree = tree.setdefault(key, {})
    tree[keys[-1]] = value


def _with(record: Any, keys: Sequence[str], value: str) -> Any:
    """The record with another value at a path."""
    inner = _with(record[keys[0]] if isinstance(record, dict) else getattr(record, keys[0]), keys[1:], value) if len(keys) > 1 else value
    return {**record, keys[0]: inner} if isinstance(record, dict) else msgspec.structs.replace(record, **{keys[0]: inner})

"""Rows of CSV, Parquet, XLSX and NDJSON files, each with its place in the file. What cannot be read as a row says why."""

from __future__ import annotations

import csv
import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from honour.errors import BadInput, MappingBroken

SUFFIXES = (".csv", ".parquet", ".xlsx", ".ndjson", ".jsonl")
Cells = tuple[Any, ...]


class Place(NamedTuple):
    """A row: line of CSV and NDJSON, row of a sheet, number from 1 in Parquet; and its cells, or why there are none."""

    row: int
    cells: Cells | str


class Table(NamedTuple):
    """A file as columns and rows; reading happens as the rows are taken."""

    path: Path
    columns: tuple[str, ...]
    rows: Iterator[Place]


def read_table(path: Path, *, delimiter: str = ",", encoding: str = "utf-8") -> Table:
    """Open one file by its suffix. A byte order mark is skipped, nested NDJSON becomes `outer.inner` columns."""
    if not path.is_file():
        raise BadInput(f"{path}: no such file.")
    match path.suffix.lower():
        case ".csv":
            rows = _csv(path, delimiter=delimiter, encoding="utf-8-sig" if encoding.lower() in ("utf-8", "utf8") else encoding)
        case ".ndjson" | ".jsonl":
            return _ndjson(path)
        case ".parquet":
            return _parquet(path)
        case ".xlsx":
            rows = _xlsx(path)
        case other:
            raise BadInput(f"{path}: files ending in {other!r} are not read; allowed: {', '.join(SUFFIXES)}.")
    header = next(rows, Place(1, ()))
    columns = tuple("" if name is None else str(name).strip() for name in header.cells)
    if not any(columns):
        raise BadInput(f"{path}: the file is empty; its first row must name the columns.")
    if twice := sorted({name for name in columns if name and columns.count(name) > 1}):
        raise BadInput(f"{path}: two columns are called {twice[0]!r}; give every column a name of its own.")
    return Table(path, columns, (_whole(place, n_columns=len(columns)) for place in rows))


def records_of(table: Table, *columns: str, named_in: str) -> Iterator[dict[str, Any]]:
    """Rows of a small table as dictionaries; MappingBroken when one of `columns`, which the mapping names, is not there."""
    for column in columns:
        if column not in table.columns:
            raise MappingBroken(
                f"{table.path}: no column {column!r}, which the mapping names in [{named_in}]. Columns: {', '.join(table.columns)}."
            )
    for place in table.rows:
        if isinstance(place.cells, str):
            raise MappingBroken(f"{table.path}: row {place.row} {place.cells}. Correct the file; every row of it counts.")
        yield dict(zip(table.columns, place.cells, strict=True))


def _whole(place: Place, *, n_columns: int) -> Place:
    if isinstance(place.cells, str) or len(place.cells) == n_columns:
        return place
    return Place(place.row, f"has {len(place.cells)} cells where the header has {n_columns}")


def _csv(path: Path, *, delimiter: str, encoding: str) -> Iterator[Place]:
    try:
        with path.open(encoding=encoding, newline="") as file:
            reader = csv.reader(file, delimiter=delimiter)
            line = 1
            for cells in reader:
                if cells:
                    yield Place(line, tuple(cells))
                line = reader.line_num + 1
    except UnicodeDecodeError as error:
        raise MappingBroken(
            f"{path}: not {error.encoding}: {error.reason}. Name the file's encoding in the mapping, file.encoding."
        ) from error
    except LookupError:
        raise MappingBroken(f"{path}: file.encoding {encoding!r} is no encoding; allowed: names such as utf-8 or cp1252.") from None
    except csv.Error as error:
        raise BadInput(f"{path}: not CSV: {error}. Check file.delimiter and quotes.") from error


def _ndjson(path: Path) -> Table:
    columns: dict[str, None] = {}
    with path.open("rb") as file:
        for line in file:
            columns.update(dict.fromkeys(_flat(_object(line))))
    if not columns:
        raise BadInput(f"{path}: holds no JSON object; every line must be one.")

    def rows() -> Iterator[Place]:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if not line.strip():
                    continue
                flat = _flat(_object(line))
                yield Place(number, tuple(flat.get(name) for name in columns) if flat else "is no JSON object")

    return Table(path, tuple(columns), rows())


def _object(line: bytes) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(line) if line.strip() else {}
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}
    return found if isinstance(found, dict) else {}


def _flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return flat


def _parquet(path: Path) -> Table:
    pyarrow_parquet = _library("pyarrow.parquet", path)
    try:
        file = pyarrow_parquet.ParquetFile(path)
    except Exception as error:  # The library has errors of its own kind; it is not loaded where none is needed.
        raise BadInput(f"{path}: not Parquet: {error}.") from error

    def rows() -> Iterator[Place]:
        number = 0
        for batch in file.iter_batches():
            for cells in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                number += 1
                yield Place(number, cells)

    return Table(path, tuple(file.schema_arrow.names), rows())


def _xlsx(path: Path) -> Iterator[Place]:
    openpyxl = _library("openpyxl", path)
    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
    except Exception as error:  # As above.
        raise BadInput(f"{path}: not XLSX: {error}.") from error
    try:
        for number, cells in enumerate(book.worksheets[0].iter_rows(values_only=True), start=1):
            if any(cell is not None for cell in cells):
                yield Place(number, tuple(cells))
    finally:
        book.close()


def _library(name: str, path: Path) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise BadInput(f"{path}: reading {path.suffix} needs {name.split('.')[0]}: pip install 'honour[train]'.") from error

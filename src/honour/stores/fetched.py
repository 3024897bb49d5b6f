"""Tables that are not files here: of PostgreSQL, and objects of S3-compatible storage, as files that an import reads."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import parse_qs, quote, urlencode, urlsplit, urlunsplit

from honour.errors import BadInput

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)?")


@contextmanager
def fetched(sources: Sequence[str | Path]) -> Iterator[list[Path]]:
    """The sources as local files, in their order; what was fetched is gone afterwards.

    sources  paths; `s3://bucket/key.parquet` (AWS_* credentials); `postgresql://user@host/database?table=schema.table`, whose rows
             come as CSV in any order (PGPASSWORD, or a service file, holds the password)
    """
    with TemporaryDirectory(prefix="honour-fetched-") as folder:
        yield [_fetch(str(source), Path(folder) / str(place)) for place, source in enumerate(sources)]


def named(sources: Sequence[str | Path]) -> list[str]:
    """What reports call the sources: names of files, keys and tables, without addresses, users and passwords.

    >>> named(["past/a.csv", "s3://bucket/b.parquet?region=x", "postgresql://reader:secret@db/shop?table=payments.attempts"])
    ['a.csv', 'b.parquet', 'payments.attempts']
    """
    return [_named(str(source)) for source in sources]


def _named(source: str) -> str:
    if "://" not in source:
        return Path(source).name
    parts = urlsplit(source)
    (table,) = parse_qs(parts.query).get("table", [""])[:1]
    return table if parts.scheme.startswith("postgres") else Path(parts.path).name


def _fetch(source: str, folder: Path) -> Path:
    if source.startswith("s3://"):
        return _of_bucket(source, folder)
    if source.startswith(("postgresql://", "postgres://")):
        return _of_postgresql(source, folder)
    return Path(source)


def _of_bucket(source: str, folder: Path) -> Path:
    try:
        from pyarrow import fs  # type: ignore[import-untyped]  # pyarrow ships no types; only where an object is read
    except ImportError:
        raise BadInput("reading s3:// needs pyarrow: pip install 'honour[train]'.") from None
    said = source.partition("?")[0]
    try:
        storage, key = fs.FileSystem.from_uri(source)
        folder.mkdir()
        path = folder / Path(key).name
        with storage.open_input_stream(key) as stream, path.open("wb") as file:
            while chunk := stream.read(1 << 20):
                file.write(chunk)
    except (OSError, ValueError) as error:
        raise BadInput(f"{said}: {error}. Check bucket and key, AWS_* credentials, and endpoint_override for other than AWS.") from None
    return path


def _of_postgresql(source: str, folder: Path) -> Path:
    try:
        import psycopg
        from psycopg import sql
    except ImportError:
        raise BadInput("reading postgresql:// needs psycopg: pip install 'honour[postgres]'.") from None
    parts = urlsplit(source)
    query = parse_qs(parts.query)
    (table,) = query.pop("table", [""])[:1]
    where = f"{parts.scheme}://{parts.hostname or ''}{parts.path}"  # Without user and password: it goes into messages.
    if not _NAME.fullmatch(table):
        raise BadInput(f"{where}: name the table, as in {where}?table=schema.attempts; found {table!r}. A view is a table too.")
    rest = urlencode(query, doseq=True, quote_via=quote)
    folder.mkdir()
    path = folder / f"{table}.csv"
    copy = sql.SQL("COPY (SELECT * FROM {}) TO STDOUT (FORMAT csv, HEADER)").format(sql.Identifier(*table.split(".")))
    try:
        address = urlunsplit(parts._replace(query=rest))
        with (
            psycopg.connect(address) as connection,
            connection.cursor() as cursor,
            path.open("wb") as file,
        ):
            cursor.execute("SET timezone = 'UTC'; SET datestyle = 'ISO'")
            with cursor.copy(copy) as rows:
                for chunk in rows:
                    file.write(chunk)
    except psycopg.Error as error:
        said = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise BadInput(f"{where}, table {table}: {said}. Check address, user, password and that the table may be read.") from None
    return path

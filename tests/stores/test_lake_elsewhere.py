"""Lakes and imports on S3-compatible storage and out of PostgreSQL, each against a real server that the test starts."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from lake_kit import days_of_events, filled, log_of
from table_kit import HEADER, ROWS, write
from typer.testing import CliRunner

from honour.cli.app import app
from honour.errors import BadInput
from honour.stores.fetched import fetched
from honour.stores.lake import MANIFEST, Lake
from honour.stores.training import build_training_set
from real_postgres import RealPostgres

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """`address` of a bucket, with a place for a key: `address.format("key")`."""
    server = pytest.importorskip("moto.server")
    boto3 = pytest.importorskip("boto3")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    running = server.ThreadedMotoServer(ip_address="127.0.0.1", port=port, verbose=False)
    running.start()
    with pytest.MonkeyPatch.context() as environment:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            environment.setenv(name, "test")
        environment.setenv("AWS_DEFAULT_REGION", "us-east-1")
        boto3.client("s3", endpoint_url=f"http://127.0.0.1:{port}").create_bucket(Bucket="attempts")
        yield f"s3://attempts/{{}}?endpoint_override=127.0.0.1:{port}&scheme=http&region=us-east-1"
    running.stop()


def test_a_lake_on_s3_is_that_in_a_folder_and_gives_the_same_training_set(bucket: str, tmp_path: Path) -> None:
    log = log_of(tmp_path, days_of_events(40))
    there, here = Lake(bucket.format("lake")), Lake(str(tmp_path / "lake"))
    assert there.manifest() is None
    filled(log, there, to_seq=25)
    filled(log, there)
    filled(log, here)
    assert there.wanted() == here.wanted()
    names = ["card_approval_rate_30d", "payment_last_status"]
    sets = [build_training_set(lake, folder=tmp_path / name, features=names) for lake, name in ((here, "a"), (there, "b"))]
    assert sets[0].inputs == sets[1].inputs
    assert Path(sets[0].path).read_bytes() == Path(sets[1].path).read_bytes()


def test_on_s3_what_no_manifest_names_is_not_read_and_goes_with_the_next_build(bucket: str, tmp_path: Path) -> None:
    from pyarrow import fs

    log = log_of(tmp_path, days_of_events(20))
    lake = Lake(bucket.format("crashed"))
    filled(log, lake, to_seq=10)
    storage, path = fs.FileSystem.from_uri(bucket.format("crashed"))
    with storage.open_output_stream(f"{path}/day=2026-03-02/attempts-half.parquet") as stream:
        stream.write(b"PAR1")
    filled(log, lake)
    names = {found.path.removeprefix(f"{path}/") for found in storage.get_file_info(fs.FileSelector(path, recursive=True)) if found.is_file}
    assert "day=2026-03-02/attempts-half.parquet" not in names
    assert names >= {MANIFEST, *(one.file for one in lake.wanted().partitions)}
    assert lake.check(lake.wanted()) == []


def test_parquet_on_s3_is_imported_as_from_a_folder(bucket: str, tmp_path: Path) -> None:
    import pyarrow.csv
    import pyarrow.parquet
    from pyarrow import fs

    file, mapping = write(tmp_path)
    table = pyarrow.csv.read_csv(file, convert_options=pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(HEADER.split(","), "string")))
    storage, path = fs.FileSystem.from_uri(bucket.format("past.parquet"))
    with storage.open_output_stream(path) as stream:
        pyarrow.parquet.write_table(table, stream)
    assert built(tmp_path / "a", bucket.format("past.parquet"), mapping=mapping) == built(tmp_path / "b", str(file), mapping=mapping)
    with pytest.raises(BadInput, match=r"s3://attempts/none\.parquet:"), fetched([bucket.format("none.parquet")]):
        pass


def test_a_table_of_postgresql_goes_straight_into_a_lake_as_its_csv_does(real_postgres: RealPostgres, tmp_path: Path) -> None:
    address = real_postgres.new_address()
    with psycopg.connect(address) as session:
        session.execute('CREATE TABLE attempts (id text, "when" timestamp, euros numeric(9, 2), via text, ok int, card text, note text)')
        for row in ROWS:
            session.execute("INSERT INTO attempts VALUES (%s, %s, %s, %s, %s, %s, %s)", [cell or None for cell in row.split(",")])
    rows = (ROWS[0], *(row.replace(",80,", ",80.00,") for row in ROWS[1:]))  # numeric(9, 2) comes with its decimals
    file, mapping = write(tmp_path, rows=rows)
    there, here = built(tmp_path / "a", f"{address}&table=attempts", mapping=mapping), built(tmp_path / "b", str(file), mapping=mapping)
    assert there == here


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("", "name the table"),
        ("attempts; DROP TABLE x", "name the table"),
        ("absent", 'table absent: relation "absent" does not exist'),
    ],
)
def test_a_table_that_cannot_be_read_is_named_without_user_or_password(real_postgres: RealPostgres, table: str, message: str) -> None:
    address = real_postgres.new_address().replace("postgres:@", "postgres:secret@")
    assert "secret" in address
    with pytest.raises(BadInput, match=message) as error, fetched([f"{address}&table={table}"]):
        pass
    assert "secret" not in str(error.value)


def built(folder: Path, source: str, *, mapping: Path) -> list[dict[str, object]]:
    """Rows of a lake that the command fills from a source."""
    lake = folder / "lake"
    ran = CliRunner().invoke(app, ["lake", "build", source, "--mapping", str(mapping), "--lake", str(lake), "--json"])
    assert ran.exit_code == 0, ran.output + str(ran.exception)
    found = Lake(str(lake))
    rows: list[dict[str, object]] = found.read(found.wanted()).to_pylist()
    assert len(rows) == len(ROWS)
    return rows

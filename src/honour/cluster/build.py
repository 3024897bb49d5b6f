"""A training set made by Spark, from a lake to a folder of Parquet files with the record that a local one has.

The rows and their order are those of a training set that DuckDB makes, and each number is the same to 1e-9. Its files are as many as
Spark has parts, so that its bytes are not those of another run.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import msgspec

from honour.cluster.execute import features_in, given_frame
from honour.cluster.session import spark_place, spark_session
from honour.errors import LakeBroken
from honour.features.dialect import SPARK
from honour.features.from_log import ATTEMPT_COLUMNS
from honour.features.given import Given
from honour.features.offline import BESIDE, landed_views
from honour.stores.blobs import open_blobs
from honour.stores.lake import DAY_US, Lake, Partition
from honour.stores.training import Chosen, Step, TrainingSet, choose, known_set

COMPUTED_BY = ("pyspark", "tzdata")
_EPOCH = date(1970, 1, 1).toordinal()
_DONE = "_SUCCESS"  # Spark writes it last.
_SQL_TYPES = {"string": "STRING", "int64": "BIGINT", "double": "DOUBLE"}


def build_on_spark(
    lake: Lake,
    *,
    folder: str,
    out: str | None = None,
    until_us: int | None = None,
    to_seq: int | None = None,
    features: Sequence[str] | None = None,
    step: Step | None = None,
) -> TrainingSet:
    """As `stores.training.build_training_set`, computed by Spark.

    folder, out  where training sets are kept, or where this one goes: on this machine, or at an s3:// address
    """
    session = spark_session()
    chosen = choose(lake, features=features, until_us=until_us, to_seq=to_seq, computed_by=COMPUTED_BY)
    where, _, settings = (out or f"{folder.rstrip('/')}/{chosen.inputs.name}.parquet").partition("?")
    parent, _, name = where.rpartition("/")
    beside = open_blobs(f"{parent or '.'}?{settings}" if settings else parent or ".")
    record = f"{name.removesuffix('.parquet')}.json"
    if (known := known_set(beside.read(record), chosen.inputs)) is not None and beside.read(f"{name}/{_DONE}") is not None:
        return msgspec.structs.replace(known, path=where, was_there=True)
    _sound(session, lake, chosen.partitions)
    _landed(session, lake, chosen)
    with _working_folder(session, f"{parent or '.'}/.{name}.work") as work:
        frame = features_in(session, chosen.catalogue, work=work, beside=BESIDE, progress=_progress(step))
        content_hash = _written(frame, where, session=session)
    built = TrainingSet(
        path=where,
        n_rows=session.read.parquet(spark_place(where, session=session)).count(),
        n_features=len(chosen.catalogue.names),
        content_hash=content_hash,
        inputs=chosen.inputs,
    )
    beside.write(record, msgspec.json.format(msgspec.json.encode(built), indent=1))
    return built


def _landed(session: Any, lake: Lake, chosen: Chosen) -> None:
    """The attempts of the lake as a view, each with its place among all, and from it the answers and the spine.

    Places are given day by day, from the number of rows that the manifest says of each: nothing is counted in one place.
    """
    columns = ", ".join(f"{name} {_SQL_TYPES[str(kind)]}" for name, kind in ATTEMPT_COLUMNS.items())
    places = [spark_place(lake.address(one.file), session=session) for one in chosen.partitions]
    files = session.read.schema(columns).parquet(*places) if places else session.createDataFrame([], columns)
    files.createOrReplaceTempView("files")
    days, before = [], 0
    for one in chosen.partitions:
        days.append((one.day.toordinal() - _EPOCH, before))
        before += one.n_rows
    given_frame(session, Given("days", {"day": "integer", "rows_before": "integer"}, days)).createOrReplaceTempView("days")
    day = SPARK.text(f"arrived_us // {DAY_US}")
    place = f"days.rows_before + row_number() OVER (PARTITION BY {day} ORDER BY seq) - 1 AS place"
    session.sql(f"SELECT files.*, {place} FROM files JOIN days ON {day} = days.day").createOrReplaceTempView("landed")
    for view in landed_views(to_seq=chosen.inputs.to_seq, row_id="place"):
        session.sql(view.query).createOrReplaceTempView(view.table)


def _sound(session: Any, lake: Lake, partitions: Sequence[Partition]) -> None:
    """Raise LakeBroken unless every file is what the manifest says; the executors read and hash them."""
    places = {spark_place(lake.address(one.file), session=session): one for one in partitions}
    found = _hashes(session, list(places)) if places else {}
    for place, one in places.items():
        if found.get(place.rpartition("/")[2]) != one.sha256:
            raise LakeBroken(
                f"{lake.place}/{one.file} is not what the manifest says. Delete the lake and build it again; the event log has everything."
            )


def _written(frame: Any, where: str, *, session: Any) -> str:
    """Write the rows in their order, as a whole; the hash of what was written."""
    place = spark_place(where, session=session)
    if where.startswith("s3://"):
        frame.write.mode("overwrite").parquet(place)
    else:
        beside = Path(where).with_name(f".{Path(where).name}.part")
        frame.write.mode("overwrite").parquet(spark_place(str(beside), session=session))
        shutil.rmtree(where, ignore_errors=True)
        os.replace(beside, where)
    parts = _hashes(session, [place])
    return f"sha256:{hashlib.sha256(''.join(parts[name] for name in sorted(parts)).encode()).hexdigest()}"


@contextmanager
def _working_folder(session: Any, where: str) -> Iterator[str]:
    """An empty folder for tables in between, gone afterwards; one that a crash left is emptied."""
    place = spark_place(where, session=session)
    path = session.sparkContext._jvm.org.apache.hadoop.fs.Path(place)
    files = path.getFileSystem(session.sparkContext._jsc.hadoopConfiguration())
    files.delete(path, True)
    try:
        yield place
    finally:
        files.delete(path, True)


def _hashes(session: Any, places: list[str]) -> dict[str, str]:
    """SHA-256 of Parquet files by name."""
    files = session.read.format("binaryFile").option("pathGlobFilter", "*.parquet").load(places)
    return {row[0].rpartition("/")[2]: row[1] for row in files.selectExpr("path", "sha2(content, 256)").collect()}


def _progress(step: Step | None) -> Any:
    return None if step is None else lambda done, total: step("computing features on Spark", done, total)

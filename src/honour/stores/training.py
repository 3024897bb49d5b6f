"""Training sets on disk: named by what they are made of, made once, the same bytes each time.

The name is the hash of the attempts, the catalogue, and the versions of what computes. Beside `<name>.parquet` lies `<name>.json`,
written last: it says what went in, and the hash of the file.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pyarrow.compute as pc  # type: ignore[import-untyped]  # pyarrow ships no types
import pyarrow.parquet as pq  # type: ignore[import-untyped]  # as above

from honour import __version__
from honour.errors import BadInput
from honour.features.catalogue import CATALOGUE
from honour.features.execute import Rows, database
from honour.features.offline import training_batches
from honour.features.view import Catalogue
from honour.stores.lake import Lake, Manifest, Partition

MEMORY_LIMIT = "5GB"
"""Of the database; buffers and the process come on top, so that all of it stays below 8 GB."""
ROWS_AT_ONCE = 500_000
_ROW_GROUP = 100_000
_NAME_CHARACTERS = 16
_COMPUTED_BY = ("duckdb", "pyarrow", "tzdata")

Step = Callable[[str, int, int | None], None]
"""Progress: what is done, how much of it, of how much."""


class Inputs(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a training set follows from.

    days     SHA-256 of the attempts of each day; the last may be a part of one
    to_seq   the last answer in it
    schema   of the catalogue; features in the order of their columns
    versions  of Honour and of what computes
    """

    days: tuple[str, ...]
    to_seq: int
    schema: str
    features: tuple[str, ...]
    versions: dict[str, str]

    @property
    def name(self) -> str:
        """Name of the training set: the same inputs are the same rows, bit for bit."""
        return hashlib.sha256(msgspec.json.encode(self, order="deterministic")).hexdigest()[:_NAME_CHARACTERS]


class Chosen(NamedTuple):
    """What a training set is to be made of. manifest: of the days that count alone"""

    catalogue: Catalogue
    manifest: Manifest
    inputs: Inputs

    @property
    def partitions(self) -> tuple[Partition, ...]:
        """Days that count, the last perhaps in part."""
        return self.manifest.partitions


class TrainingSet(msgspec.Struct, frozen=True, kw_only=True):
    """A training set that is there.

    path          Parquet file, or a folder of them; content_hash: SHA-256 of it, or of the SHA-256 of its parts
    was_there     it had been built before, and nothing was computed
    """

    path: str
    n_rows: int
    n_features: int
    content_hash: str
    inputs: Inputs
    was_there: bool = False

    def to_arrow(self) -> Any:
        """The rows as an Arrow table."""
        return pq.read_table(self.path)

    def to_pandas(self) -> Any:
        """The rows as a pandas data frame: categories as text, None where not known."""
        return self.to_arrow().to_pandas()

    def to_polars(self) -> Any:
        """The rows as a Polars data frame; needs `pip install polars`."""
        try:
            import polars  # Optional: Honour itself does without it.
        except ImportError:
            raise BadInput("to_polars needs Polars, which is not installed: pip install 'honour[train,polars]'.") from None
        return polars.from_arrow(self.to_arrow())


def build_training_set(
    lake: Lake,
    *,
    folder: Path,
    out: Path | None = None,
    manifest: Manifest | None = None,
    until_us: int | None = None,
    to_seq: int | None = None,
    features: Sequence[str] | None = None,
    memory_limit: str = MEMORY_LIMIT,
    threads: int | None = None,
    step: Step | None = None,
) -> TrainingSet:
    """The training set of a lake: one row per answered attempt, with the features that were known when it was sent.

    folder    where training sets are kept by their names; `out` writes it to a file of its own instead
    manifest  what was in the lake, to build from that; absent, what is in it now
    until_us  only answers that arrived before this instant; to_seq: only up to this one
    features  names; absent, the whole catalogue. What a feature shrinks to comes with it
    """
    chosen = choose(lake, manifest=manifest, features=features, until_us=until_us, to_seq=to_seq, computed_by=_COMPUTED_BY)
    inputs, kept = chosen.inputs, chosen.partitions
    path = out or folder / f"{inputs.name}.parquet"
    record = path.with_suffix(".json")
    if record.is_file() and (known := known_set(record.read_bytes(), inputs)) is not None and path.is_file():
        return msgspec.structs.replace(known, path=str(path), was_there=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    lake.sound(kept)
    files = lake.dataset(chosen.manifest) if kept else lake.read(chosen.manifest)
    progress = (lambda done, total: step("computing features", done, total)) if step is not None else None
    with database(memory_limit=memory_limit, threads=threads or os.cpu_count(), beside=path.parent) as connection:
        batches = training_batches(
            connection, files, catalogue=chosen.catalogue, parts=_parts(kept), to_seq=inputs.to_seq, progress=progress
        )
        n_rows = _write(path, batches)
    built = TrainingSet(
        path=str(path), n_rows=n_rows, n_features=len(chosen.catalogue.names), content_hash=f"sha256:{_hash_of(path)}", inputs=inputs
    )
    _write_whole(record, msgspec.json.format(msgspec.json.encode(built), indent=1))
    return built


def choose(
    lake: Lake,
    *,
    manifest: Manifest | None = None,
    features: Sequence[str] | None,
    until_us: int | None,
    to_seq: int | None,
    computed_by: Sequence[str],
) -> Chosen:
    """What a training set is made of; arguments as of `build_training_set`.

    computed_by  packages whose versions may change a number
    """
    found = manifest or lake.wanted()
    catalogue = CATALOGUE if features is None else CATALOGUE.needed_for(*features)
    end = _end(lake, found, until_us=until_us, to_seq=to_seq)
    kept = tuple(one for one in found.partitions if one.from_seq <= end)
    inputs = Inputs(
        days=tuple(one.sha256 if one.to_seq <= end else lake.hash_upto(one, end) for one in kept),
        to_seq=kept[-1].to_seq if kept and kept[-1].to_seq <= end else end,
        schema=catalogue.schema_id,
        features=catalogue.names,
        versions={"honour": __version__} | {name: version(name) for name in computed_by},
    )
    return Chosen(catalogue, msgspec.structs.replace(found, partitions=kept), inputs)


def known_set(record: bytes | None, inputs: Inputs) -> TrainingSet | None:
    """The training set that a record tells of, if it was made of `inputs`."""
    try:
        found = msgspec.json.decode(record or b"", type=TrainingSet)
    except msgspec.DecodeError:
        return None
    return found if found.inputs == inputs else None


def _end(lake: Lake, manifest: Manifest, *, until_us: int | None, to_seq: int | None) -> int:
    """The last answer that counts."""
    end = manifest.partitions[-1].to_seq if manifest.partitions else 0
    end = min(end, to_seq) if to_seq is not None else end
    if until_us is not None:
        for one in reversed(manifest.partitions):
            seqs, arrived = (lake.read_part(one, columns=["seq", "arrived_us"])[name] for name in ("seq", "arrived_us"))
            before = seqs.filter(pc.less(arrived, until_us))
            if len(before):
                return min(end, int(before[-1].as_py()))
        return 0
    return end


def _parts(partitions: Sequence[Partition]) -> list[Rows | None]:
    """Days put together to parts that are computed at once."""
    parts: list[Rows | None] = []
    first, n_rows = 0, 0
    for one in partitions:
        n_rows += one.n_rows
        if n_rows >= ROWS_AT_ONCE:
            parts.append((first, one.to_seq))
            first, n_rows = one.to_seq + 1, 0
    if n_rows or not parts:
        parts.append((first, partitions[-1].to_seq if partitions else 0))
    return parts


def _write(path: Path, batches: Any) -> int:
    """Parquet of the batches in groups of one size, whatever sizes they come in: the same rows are the same bytes."""
    beside, n_rows = path.with_name(f".{path.name}.part"), 0
    waiting: list[Any] = []
    first = next(batches)
    with pq.ParquetWriter(beside, first.schema, compression="zstd") as writer:
        for batch in batches:
            waiting.append(batch)
            n_rows += len(batch)
            while (table := _whole(waiting)) is not None:
                writer.write_table(table, row_group_size=_ROW_GROUP)
        if waiting:
            writer.write_table(_table(waiting), row_group_size=_ROW_GROUP)
    with beside.open("rb+") as file:
        os.fsync(file.fileno())
    os.replace(beside, path)
    return n_rows


def _whole(waiting: list[Any]) -> Any:
    if sum(map(len, waiting)) < _ROW_GROUP:
        return None
    table = _table(waiting)
    waiting[:] = table.slice(_ROW_GROUP).to_batches()
    return table.slice(0, _ROW_GROUP)


def _table(batches: list[Any]) -> Any:
    import pyarrow as pa  # Here: everything else of it is used by its submodules.

    return pa.Table.from_batches(batches).combine_chunks()


def _write_whole(path: Path, content: bytes) -> None:
    beside = path.with_name(f".{path.name}.part")
    beside.write_bytes(content)
    os.replace(beside, path)


def _hash_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

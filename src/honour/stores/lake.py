"""A lake of answered attempts: Parquet by day of arrival, in a folder or on S3-compatible storage.

    lake.json                                 what is in it; replaced as a whole, last
    day=2026-03-01/attempts-<hash>.parquet    the attempts whose answers arrived on that day (UTC), in that order

Only files that `lake.json` names are ever read, by its hash of their content where it matters: a file cut off by a crash is not
there for anybody, and the next build removes it. Files that a build replaces stay until the next one, for who is still reading them.
One process builds at a time.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from typing import Any, Literal

import msgspec
import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow ships no types
import pyarrow.compute as pc  # type: ignore[import-untyped]  # as above
import pyarrow.parquet as pq  # type: ignore[import-untyped]  # as above

from honour.errors import BadInput, LakeBroken, LogContractBroken
from honour.features.from_log import ATTEMPT_COLUMNS
from honour.records.instant import date_of
from honour.stores.blobs import Blobs, open_blobs

MANIFEST = "lake.json"
FORMAT = 1
DAY_US = 86_400_000_000
_ROW_GROUP = 131_072
_HASH = 16

Source = Literal["log", "files"]


class Partition(msgspec.Struct, frozen=True, kw_only=True):
    """Attempts whose answers arrived on one day, all in one file.

    file    relative to the lake; sha256 of its bytes
    from_seq, to_seq  places of the first and the last answer
    """

    day: date
    file: str
    sha256: str
    n_rows: int
    from_seq: int
    to_seq: int


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is in a lake.

    source     what fills it: the event log of a data folder, or files and tables of past attempts
    columns    of every file: name and Arrow type
    after_seq  events of the source up to here are in it
    """

    format: int = FORMAT
    source: Source
    columns: dict[str, str]
    after_seq: int = 0
    partitions: tuple[Partition, ...] = ()

    @property
    def n_rows(self) -> int:
        """Attempts in all."""
        return sum(one.n_rows for one in self.partitions)

    @property
    def last_day(self) -> Partition | None:
        """The newest day."""
        return self.partitions[-1] if self.partitions else None


def columns_now() -> dict[str, str]:
    """The columns that a lake has when it is built by this installation: its own features may add attributes."""
    return {name: str(kind) for name, kind in ATTEMPT_COLUMNS.items()}


class Lake:
    """A lake by its place: a folder, or `s3://bucket/folder?endpoint_override=host:port&scheme=http` with AWS_* credentials."""

    def __init__(self, place: str) -> None:
        self.place = place
        self._blobs: Blobs = open_blobs(place)

    def manifest(self) -> Manifest | None:
        """What is in it; None where there is no lake yet. LakeBroken when it cannot be read by this version."""
        content = self._blobs.read(MANIFEST)
        if content is None:
            return None
        try:
            found = msgspec.json.decode(content, type=Manifest)
        except msgspec.DecodeError as error:
            raise LakeBroken(f"{self.place}/{MANIFEST}: {error}. Restore it from a copy, or delete the lake and build it again.") from None
        if found.format != FORMAT:
            raise LakeBroken(
                f"{self.place}/{MANIFEST}: format {found.format}; this version reads {FORMAT}. Delete the lake and build it again."
            )
        return found

    def wanted(self) -> Manifest:
        """As `manifest`, or BadInput where there is none."""
        if (found := self.manifest()) is None:
            raise BadInput(f"{self.place}: there is no lake here. Fill one: honour lake build")
        return found

    @contextmanager
    def building(self) -> Iterator[None]:
        """Alone with the lake, what was left over removed; waits for another process of this machine that builds it."""
        with self._blobs.alone():
            known = self.manifest()
            self._blobs.keep_only({MANIFEST, *(one.file for one in (known.partitions if known else ()))})
            yield

    def begin(self, source: Source) -> Manifest:
        """The manifest to go on from. A lake of other columns is begun anew when its source can be read again from the start."""
        known = self.manifest()
        if known is not None and known.source != source:
            raise BadInput(f"{self.place}: this lake is filled from {known.source}, not from {source}. Give another place with --lake.")
        if known is not None and known.columns != columns_now():
            if source != "log":
                gone = sorted(known.columns.keys() ^ columns_now().keys()) or ["other types"]
                raise BadInput(f"{self.place}: its columns are not those of now ({', '.join(gone)}). Delete it and fill it again.")
            known = None
        return known or Manifest(source=source, columns=columns_now())

    def land(self, attempts: pa.Table, known: Manifest, *, after_seq: int) -> Manifest:
        """Take in attempts that follow those of `known`, day by day; each day is there as a whole or not at all.

        attempts   columns `ATTEMPT_COLUMNS`, `seq` ascending, `arrived_us` never decreasing
        after_seq  where the source stands once all of them are in
        """
        _check_columns(attempts, known)
        days = pc.divide(attempts["arrived_us"], DAY_US).to_numpy() if len(attempts) else []
        _check_order(attempts, known)
        start = 0
        while start < len(attempts):
            stop = start + int((days[start:] == days[start]).sum())
            part = attempts.slice(start, stop - start)
            start = stop
            done = after_seq if start == len(attempts) else int(part["seq"][-1].as_py())
            known = self._commit(part, known, day=date_of(int(days[stop - 1])), after_seq=done)
        if known.after_seq != after_seq:
            known = msgspec.structs.replace(known, after_seq=after_seq)
            self._write(known)
        return known

    def read(self, manifest: Manifest, *, columns: Sequence[str] | None = None) -> pa.Table:
        """Every attempt of a manifest, or some of its columns."""
        parts = [self.read_part(one, columns=columns) for one in manifest.partitions]
        return pa.concat_tables(parts) if parts else pa.table({name: pa.nulls(0, kind) for name, kind in ATTEMPT_COLUMNS.items()})

    def read_part(self, one: Partition, *, columns: Sequence[str] | None = None) -> pa.Table:
        """The attempts of one day, or some of their columns; LakeBroken when the file is not what the manifest says."""
        return pq.read_table(io.BytesIO(self._content(one)), columns=columns, partitioning=None)

    def hash_upto(self, one: Partition, to_seq: int) -> str:
        """What the hash of a day would be if it ended with the answer `to_seq`."""
        part = self.read_part(one)
        return _sha256(_parquet(part.filter(pc.less_equal(part["seq"], to_seq))))

    def dataset(self, manifest: Manifest) -> Any:
        """The files of a manifest: local paths, which DuckDB reads itself, or an Arrow dataset on other storage."""
        return self._blobs.dataset([one.file for one in manifest.partitions])

    def address(self, file: str) -> str:
        """Where a file of the lake is, without settings of its storage."""
        return f"{self.place.partition('?')[0].rstrip('/')}/{file}"

    def check(self, manifest: Manifest) -> list[str]:
        """Files whose content is not what the manifest says."""
        return [one.file for one in manifest.partitions if _sha256(self._blobs.read(one.file) or b"") != one.sha256]

    def sound(self, partitions: Sequence[Partition]) -> None:
        """Raise LakeBroken unless every file is what the manifest says."""
        for one in partitions:
            self._content(one)

    def _commit(self, part: pa.Table, known: Manifest, *, day: date, after_seq: int) -> Manifest:
        before, partitions = known.last_day, known.partitions
        if before is not None and day < before.day:
            raise BadInput(f"{self.place}: an answer of {day} after one of {before.day}; give attempts in the order of their answers.")
        if before is not None and day == before.day:
            part, partitions = pa.concat_tables([self.read_part(before), part]), partitions[:-1]
        content = _parquet(part)
        digest = _sha256(content)
        file = f"day={day}/attempts-{digest[:_HASH]}.parquet"
        self._blobs.write(file, content)
        seqs = part["seq"]
        new = Partition(day=day, file=file, sha256=digest, n_rows=len(part), from_seq=int(seqs[0].as_py()), to_seq=int(seqs[-1].as_py()))
        landed = msgspec.structs.replace(known, partitions=(*partitions, new), after_seq=after_seq)
        self._write(landed)
        return landed

    def _content(self, one: Partition) -> bytes:
        content = self._blobs.read(one.file)
        if content is None or _sha256(content) != one.sha256:
            what = "is not there" if content is None else "is not what the manifest says"
            raise LakeBroken(f"{self.place}/{one.file} {what}. Delete the lake and build it again; the event log has everything.")
        return content

    def _write(self, manifest: Manifest) -> None:
        self._blobs.write(MANIFEST, msgspec.json.format(msgspec.json.encode(manifest), indent=1))


def _check_columns(attempts: pa.Table, known: Manifest) -> None:
    """Raise LogContractBroken unless the columns are those of the lake: one that is missing would be found only when it is read."""
    for what, names in (
        ("lacks", sorted(known.columns.keys() - set(attempts.column_names))),
        ("does not know", sorted(set(attempts.column_names) - known.columns.keys())),
    ):
        if names:
            whose = "the table" if what == "lacks" else "the lake"
            raise LogContractBroken(f"attempts: {whose} {what} {', '.join(names)}. Give the columns of `columns_now`.")


def _check_order(attempts: pa.Table, known: Manifest) -> None:
    """Raise LogContractBroken unless places ascend and arrivals never decrease."""
    for name, holds, rule in (("seq", pc.less, "ascend"), ("arrived_us", pc.less_equal, "never decrease")):
        values = attempts[name].combine_chunks()
        if len(values) > 1 and pc.all(holds(values[:-1], values[1:])).as_py() is not True:
            raise LogContractBroken(
                f"attempts.{name} must {rule} from row to row. Give attempts in the order in which answers were learned."
            )
    if len(attempts) and attempts["seq"][0].as_py() <= known.after_seq:
        raise LogContractBroken(f"attempts.seq starts at {attempts['seq'][0]}; the lake already holds events up to {known.after_seq}.")


def _parquet(part: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(part.combine_chunks(), sink, compression="zstd", row_group_size=_ROW_GROUP)
    return sink.getvalue()


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()

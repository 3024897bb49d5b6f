"""Files by name, each written as a whole or not at all: in a folder, or on S3-compatible storage."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, Protocol

from pyarrow import fs  # type: ignore[import-untyped]  # pyarrow ships no types

from honour.errors import BadInput

_PART = ".part"


class Blobs(Protocol):
    """What a lake needs of storage."""

    def read(self, name: str) -> bytes | None:
        """The content, or None where there is no such file."""
        ...

    def write(self, name: str, content: bytes) -> None:
        """The whole content under this name, durable on return; until then what was there before."""
        ...

    def keep_only(self, names: set[str]) -> None:
        """Remove every other file."""
        ...

    def alone(self) -> Any:
        """A context in which no other process of this machine writes; waits for one that does."""
        ...

    def dataset(self, names: list[str]) -> Any:
        """Parquet files as DuckDB takes them: a list of paths, or an Arrow dataset."""
        ...


def open_blobs(place: str) -> Blobs:
    """Storage at a folder or an s3:// address."""
    if not place.startswith("s3://"):
        return _Folder(Path(place))
    try:
        storage, path = fs.FileSystem.from_uri(place)
    except (ValueError, OSError) as error:
        raise BadInput(f"{place.partition('?')[0]}: {error}. Give s3://bucket/folder; credentials come from AWS_* variables.") from None
    return _Bucket(storage, path)


class _Folder:
    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self, name: str) -> bytes | None:
        try:
            return (self._path / name).read_bytes()
        except FileNotFoundError:
            return None

    def write(self, name: str, content: bytes) -> None:
        path = self._path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f".{path.name}{_PART}")
        with beside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
        for folder in (path.parent, self._path):
            _synchronise(folder)

    def keep_only(self, names: set[str]) -> None:
        for path in [found for found in self._path.rglob("*") if found.is_file()]:
            if path.name != ".lock" and str(path.relative_to(self._path)) not in names:
                path.unlink()

    @contextmanager
    def alone(self) -> Iterator[None]:
        self._path.mkdir(parents=True, exist_ok=True)
        with (self._path / ".lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # A second build waits until the first is done; one that is killed lets go.
            yield

    def dataset(self, names: list[str]) -> Any:
        return [str(self._path / name) for name in names]


class _Bucket:
    """Objects appear when they are complete, so that nothing is renamed; who builds alone is up to whoever schedules it."""

    def __init__(self, storage: Any, path: str) -> None:
        self._storage, self._path = storage, path.rstrip("/")

    def read(self, name: str) -> bytes | None:
        try:
            with self._storage.open_input_stream(f"{self._path}/{name}") as stream:
                content: bytes = stream.read()
                return content
        except FileNotFoundError:
            return None

    def write(self, name: str, content: bytes) -> None:
        with self._storage.open_output_stream(f"{self._path}/{name}") as stream:
            stream.write(content)

    def keep_only(self, names: set[str]) -> None:
        found = self._storage.get_file_info(fs.FileSelector(self._path, recursive=True, allow_not_found=True))
        for one in found:
            if one.type == fs.FileType.File and one.path.removeprefix(f"{self._path}/") not in names:
                self._storage.delete_file(one.path)

    def alone(self) -> Any:
        return nullcontext()

    def dataset(self, names: list[str]) -> Any:
        from pyarrow import dataset  # Slow to import, and only needed here.

        return dataset.dataset([f"{self._path}/{name}" for name in names], filesystem=self._storage, format="parquet")


def _synchronise(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

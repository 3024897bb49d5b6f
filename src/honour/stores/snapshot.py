"""Snapshots of the online state: written whole, checked when read, the newest sound one wins.

A file is one line of JSON (seq, schema, SHA-256 of the rest) and the state's bytes. A snapshot ahead of the log saw events that the
log does not hold (it was restored from a copy, say). It is passed over, and whoever writes the log must `drop_ahead` before writing:
when the log has grown past it, it would look sound.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import NamedTuple

import msgspec

KEPT = 2
_SUFFIX, _PART = ".snapshot", ".part"


class _Header(msgspec.Struct, frozen=True, kw_only=True):
    seq: int
    schema: str
    sha256: str


class Snapshot(NamedTuple):
    """State after the event `seq`, and which newer files were passed over and why."""

    seq: int
    state: bytes
    passed_over: tuple[str, ...]


def write_snapshot(folder: Path, state: bytes, *, seq: int, schema: str) -> Path:
    """Write the state after event `seq`, synchronised and renamed into place; the two newest up to `seq` are kept."""
    folder.mkdir(parents=True, exist_ok=True)
    for left_over in folder.glob(f"*{_PART}"):
        left_over.unlink(missing_ok=True)
    header = msgspec.json.encode(_Header(seq=seq, schema=schema, sha256=hashlib.sha256(state).hexdigest()))
    path = folder / f"{seq:016d}{_SUFFIX}"
    beside = path.with_suffix(_PART)
    with beside.open("wb") as file:
        file.write(header + b"\n" + state)
        file.flush()
        os.fsync(file.fileno())
    os.replace(beside, path)
    _synchronise_folder(folder)
    there = sorted(folder.glob(f"*{_SUFFIX}"), reverse=True)
    for old in there[there.index(path) + KEPT :]:
        old.unlink(missing_ok=True)
    return path


def read_snapshot(folder: Path, *, schema: str, seq_max: int) -> Snapshot | None:
    """The newest sound snapshot of `schema` that is not ahead of the log, or None."""
    passed_over: list[str] = []
    for path in sorted(folder.glob(f"*{_SUFFIX}"), reverse=True):
        try:
            line, _, state = path.read_bytes().partition(b"\n")
            header = msgspec.json.decode(line, type=_Header)
        except (OSError, msgspec.DecodeError) as error:
            passed_over.append(f"{path.name}: cannot be read ({error})")
            continue
        if header.schema != schema:
            passed_over.append(f"{path.name}: of another feature catalogue")
        elif header.seq > seq_max:
            passed_over.append(f"{path.name}: ahead of the log, which ends at {seq_max}")
        elif hashlib.sha256(state).hexdigest() != header.sha256:
            passed_over.append(f"{path.name}: its content does not match its checksum")
        else:
            return Snapshot(header.seq, state, tuple(passed_over))
    return None


def drop_ahead(folder: Path, *, seq_max: int) -> tuple[str, ...]:
    """Delete snapshots of events that the log, which ends at `seq_max`, does not hold; their names.

    Only within a turn on the log: else it may grow meanwhile.
    """
    ahead = [path for path in sorted(folder.glob(f"*{_SUFFIX}")) if path.stem.isdigit() and int(path.stem) > seq_max]
    for path in ahead:
        path.unlink(missing_ok=True)
    return tuple(path.name for path in ahead)


def _synchronise_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

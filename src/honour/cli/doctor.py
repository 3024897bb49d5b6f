"""Is this installation, configuration and store sound?"""

from __future__ import annotations

import importlib.util
import os
import shutil
import sqlite3
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from honour import __version__
from honour.cli.settings import load_settings
from honour.errors import HonourError
from honour.outcomes.state import STATE_SCHEMA
from honour.records.settings import DataSettings, Settings
from honour.release.bundle import load_bundle
from honour.serving.recovery import restore
from honour.stores.opening import EVENTS, open_log
from honour.stores.snapshot import read_snapshot

ROOM_MIN_BYTES = 1_000_000_000
CODES_SHOWN = 5
TRAINING = ("duckdb", "lightgbm", "onnxmltools", "pyarrow", "scipy", "sklearn")


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was looked at."""

    what: str
    ok: bool
    detail: str


def examine(config: Path | None, *, data_dir: Path | None) -> list[Finding]:
    """Look at everything; nothing is changed."""
    findings = [*_installation()]
    try:
        settings = load_settings(config, data_dir=data_dir)
    except HonourError as error:
        return [*findings, Finding(what="configuration", ok=False, detail=str(error))]
    where = str(config) if config else "none found, defaults hold"
    findings.append(
        Finding(what="configuration", ok=True, detail=f"{where}: {len(settings.routes)} routes, {len(settings.merchants)} merchants")
    )
    findings.append(Finding(what="routes", ok=bool(settings.routes), detail=_routes(settings)))
    findings.append(_checked("data folder", lambda: _room(Path(settings.data.dir))))
    findings.append(_checked("event log", lambda: _log(settings.data)))
    findings.append(_checked("codes", lambda: _codes(settings.data)))
    findings.append(_checked("bundle", lambda: _bundle(Path(settings.data.dir) / "bundle")))
    return findings


def _installation() -> Iterator[Finding]:
    yield Finding(what="honour", ok=True, detail=f"{__version__} on Python {sys.version.split()[0]}")
    missing = [name for name in TRAINING if importlib.util.find_spec(name) is None]
    detail = f"not installed: {', '.join(missing)}; serving works, training needs honour[train]" if missing else "all there"
    yield Finding(what="training libraries", ok=True, detail=detail)


def _checked(what: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(what=what, ok=True, detail=look())
    except (HonourError, OSError, sqlite3.Error) as error:
        return Finding(what=what, ok=False, detail=str(error))


def _routes(settings: Settings) -> str:
    enabled = [route.id for route in settings.routes if route.enabled]
    return f"enabled: {', '.join(enabled)}" if enabled else "none is configured and enabled; add [[routes]] (`honour init DIR` shows how)"


def _room(folder: Path) -> str:
    there = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    if not os.access(there, os.W_OK):
        raise OSError(f"{there} cannot be written to")
    free = shutil.disk_usage(there).free
    if free < ROOM_MIN_BYTES:
        raise OSError(f"{there}: only {free / 1e6:.0f} MB free; make room before the log cannot be kept")
    return f"{folder}: {free / 1e9:.0f} GB free"


def _log(data: DataSettings) -> str:
    path = Path(data.dir) / EVENTS
    if data.log is None and not path.exists():
        return f"none yet at {path}"
    log = open_log(data, read_only=True)
    try:
        n_read = sum(1 for _ in log.read())
        found = read_snapshot(Path(data.dir) / "snapshots", schema=STATE_SCHEMA, seq_max=log.last_seq)
    finally:
        log.close()
    newest = f"newest sound snapshot at {found.seq}" if found else "no snapshot"
    passed_over = f"; passed over: {', '.join(found.passed_over)}" if found and found.passed_over else ""
    return f"{n_read} events read, all sound; {newest}{passed_over}"


def _codes(data: DataSettings) -> str:
    """Codes of answers that no table knows: nothing is broken by them, but nothing is learned from them either."""
    if data.log is None and not (Path(data.dir) / EVENTS).exists():
        return "none reported yet"
    log = open_log(data, read_only=True)
    try:
        unknown = restore(log, snapshots=Path(data.dir) / "snapshots").retries.unknown
    finally:
        log.close()
    if not unknown:
        return "every reported code is in the tables"
    most = sorted(unknown.items(), key=lambda one: (-one[1], one[0]))[:CODES_SHOWN]
    named = ", ".join(f"{network} {code} ({n})" for (network, _, code), n in most)
    return f"{sum(unknown.values())} answers with {len(unknown)} codes that no table knows, most often {named}; map them with [[code_maps]]"


def _bundle(folder: Path) -> str:
    if not folder.exists():
        return "none: decisions take the static order until `honour train` makes one"
    bundle = load_bundle(folder)
    return f"{bundle.bundle_id[:19]}, {bundle.manifest.training.n_rows} attempts, hashes and numeric parity hold"

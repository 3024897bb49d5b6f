"""The event log that the settings name: a file in the data folder, or a database that servers on several machines share."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any

from honour.errors import BadSettings
from honour.records.settings import DataSettings
from honour.stores.port import EventLog
from honour.stores.postgres import PostgresRows, PostgresTurn
from honour.stores.shared_log import SharedLog
from honour.stores.sqlite import sqlite_log
from honour.stores.stand_in import StandIn

EVENTS = "events.db"


def open_log(data: DataSettings, *, read_only: bool = False) -> SharedLog:
    """The event log of an installation, to append, or `read_only`."""
    if data.log is None:
        return sqlite_log(Path(data.dir) / EVENTS, read_only=read_only)
    return postgres_log(data.log, limit_s=data.log_timeout_ms / 1_000, read_only=read_only)


def serving_log(data: DataSettings) -> SharedLog:
    """The log of a server: where the settings say so, it may stand in for a database that is away."""
    if data.log is None or data.while_away == "refuse":
        return open_log(data)
    limit_s = data.log_timeout_ms / 1_000
    turn = PostgresTurn(data.log, limit_s=limit_s)
    rows = StandIn(PostgresRows(data.log, turn=turn, limit_s=limit_s), turn, folder=Path(data.dir))
    return SharedLog(rows, turn=rows.turn)


def data_of(folder: Path) -> DataSettings:
    """Where the log of a data folder is, for commands that are given the folder alone: its honour.toml and the environment say."""
    told = told_in(folder).get("data", {})
    found = os.environ.get("HONOUR_DATA__LOG") or (told.get("log") if isinstance(told, dict) else None)
    return DataSettings(dir=str(folder), log=found)


def told_in(folder: Path) -> dict[str, Any]:
    """The honour.toml of a data folder as it is written, unchecked; nothing where there is none."""
    file = folder / "honour.toml"
    try:
        return tomllib.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    except (OSError, ValueError) as error:
        raise BadSettings(f"{file}: cannot be read ({error}).") from None


def postgres_log(address: str, *, limit_s: float, read_only: bool = False) -> SharedLog:
    """The event log in the database at `address`. Any number of processes on any machine may open it.

    limit_s  seconds without an answer after which the server counts as away
    """
    turn = None if read_only else PostgresTurn(address, limit_s=limit_s)
    return SharedLog(PostgresRows(address, turn=turn, limit_s=limit_s), turn=turn)


def seq_before(log: EventLog, instant_us: int, *, n_max: int | None = None) -> int:
    """The position after which everything arrived at an instant or later; at most `n_max` before the end where that is later."""
    low, high = max(0, log.last_seq - n_max) if n_max is not None else 0, log.last_seq
    while low < high:
        middle = (low + high) // 2
        found = next(iter(log.read(after_seq=middle)), None)
        if found is not None and found.arrived_us < instant_us:
            low = middle + 1
        else:
            high = middle
    return low

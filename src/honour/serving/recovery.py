"""Restarting: the newest sound snapshot, then the rest of the log. And snapshots, which are no more than that, written down.

python -m honour.serving.recovery snapshots     writes a snapshot beside a running service; standard input says where its log is (JSON)
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec

from honour.features.catalogue import SCHEMA_ID
from honour.features.online import FeatureState
from honour.features.shared import SharedFeatures
from honour.outcomes.state import State
from honour.outcomes.uncollected import uncollected
from honour.records.settings import DataSettings
from honour.stores.opening import open_log
from honour.stores.port import EventLog
from honour.stores.redis_state import RedisState
from honour.stores.snapshot import read_snapshot, write_snapshot

Step = Callable[[str, int, int | None], None]


def features_of(data: DataSettings, *, asks_store: bool = True) -> FeatureState | SharedFeatures:
    """Features without answers, kept as the settings say.

    asks_store  False for who folds what each process holds by itself and nothing else
    """
    if data.state is None:
        return FeatureState(entities_max=data.entities_max)
    if not asks_store:
        return SharedFeatures(None, entities_max=data.entities_max)
    store = RedisState(data.state, schema=SCHEMA_ID, limit_s=data.state_timeout_ms / 1_000)
    return SharedFeatures(store, entities_max=data.entities_max).anew()


def restore(
    log: EventLog,
    *,
    snapshots: Path | None = None,
    step: Step | None = None,
    features: FeatureState | SharedFeatures | None = None,
) -> State:
    """The state of the whole log. The result has the same bytes as a full replay, only sooner.

    features  without answers; absent, all of them are kept in this process
    """
    with uncollected():
        state = State(features)
        found = read_snapshot(snapshots, schema=state.schema, seq_max=log.last_seq) if snapshots is not None else None
        if found is not None:
            state = State.from_bytes(found.state, features=state.features)
        for logged in log.read(after_seq=state.seq):
            state.apply(logged)
            if step is not None and logged.seq % 10_000 == 0:
                step("folding the log", logged.seq, log.last_seq)
    gc.freeze()
    return state


def snapshot(state: State, *, folder: Path) -> Path:
    """Write the state as it is now; every event in it must be durable."""
    return keep(state.to_bytes(), seq=state.seq, schema=state.schema, folder=folder)


def keep(state: bytes, *, seq: int, schema: str, folder: Path) -> Path:
    """Write the bytes of the state after event `seq`, and what they mean."""
    return write_snapshot(folder, state, seq=seq, schema=schema)


def main(data: DataSettings, folder: Path) -> Path:
    """Fold the durable log from its last snapshot on and write the next one, after everything else that runs here."""
    os.nice(10)
    log = open_log(data, read_only=True)
    try:
        return snapshot(restore(log, snapshots=folder, features=features_of(data, asks_store=False)), folder=folder)
    finally:
        log.close()


if __name__ == "__main__":
    main(msgspec.json.decode(sys.stdin.buffer.read(), type=DataSettings), Path(sys.argv[1]))

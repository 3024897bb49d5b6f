"""From a data folder to a running service."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import structlog

from honour.errors import StateAway
from honour.features.shared import SharedFeatures
from honour.records.settings import Settings
from honour.serving.bundles import Bundles
from honour.serving.hot_path import Engine
from honour.serving.recovery import Step, features_of, restore
from honour.serving.server import log_to_stderr, serve
from honour.serving.shared_state import catch_up
from honour.stores.opening import serving_log
from honour.stores.shared_log import SharedLog
from honour.stores.snapshot import drop_ahead

SNAPSHOTS = "snapshots"


def prepare(settings: Settings, *, bundle: Path | None, step: Step | None = None) -> Engine:
    """The engine on the data folder's log. `bundle` None takes the live one, if there is one; one that does not hold is refused."""
    log_to_stderr()
    folder = Path(settings.data.dir)
    log = serving_log(settings.data)
    try:
        log.take_turn()  # The log must not grow past a snapshot that is ahead of it.
        try:
            drop_ahead(folder / SNAPSHOTS, seq_max=log.last_seq)
        finally:
            log.end_turn()
        state = restore(log, snapshots=folder / SNAPSHOTS, step=step, features=features_of(settings.data))
        if isinstance(state.features, SharedFeatures):
            _fill(log, state.features, step=step)
        engine = Engine(settings, log=log, state=state)
        Bundles(engine, data_dir=folder).begin(bundle)
    except BaseException:
        log.close()
        raise
    return engine


def _fill(log: SharedLog, features: SharedFeatures, *, step: Step | None) -> None:
    """Bring the shared state to the end of the log before anything is decided; without it the service starts, and tries again."""
    try:
        catch_up(log, features, step=step)
        log.take_turn()
        try:
            features.return_to_store()
        finally:
            log.end_turn()
    except StateAway as error:
        structlog.get_logger("honour").error("shared_state_away", why=error.message)


def run(
    engine: Engine, settings: Settings, *, host: str | None, port: int | None, config: Path | None, load: Callable[[], Settings]
) -> None:
    """Serve until stopped, then close the log."""
    folder = Path(settings.data.dir)
    try:
        serve(
            engine,
            snapshots=folder / SNAPSHOTS,
            host=host if host is not None else settings.serving.host,
            port=port if port is not None else settings.serving.port,
            config=config,
            load=load,
            data=settings.data,
            bundles=Bundles(engine, data_dir=folder),
        )
    finally:
        engine.log.close()

"""From a data folder to a running service."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from honour.records.settings import Settings
from honour.release.bundle import load_bundle
from honour.serving.hot_path import Engine
from honour.serving.recovery import Step, restore
from honour.serving.server import log_to_stderr, serve
from honour.stores.sqlite import SqliteLog


EVENTS, SNAPSHOTS = "events.db", "snapshots"


def run(
    settings: Settings,
    *,
    bundle: Path | None,
    host: str | None,
    port: int | None,
    config: Path | None,
    load: Callable[[], Settings],
    step: Step | None = None,
) -> None:
    """Serve until stopped. `bundle` None takes the one in the data folder, if it is there; a bundle that does not hold is refused."""
    log_to_stderr()
    folder = Path(settings.data.dir)
    found = bundle or (folder / "bundle" if (folder / "bundle").exists() else None)
    engine = open_engine(settings, bundle=found, step=step)
    try:
        serve(
            engine,
            snapshots=folder / SNAPSHOTS,
            host=host if host is not None else settings.serving.host,
            port=port if port is not None else settings.serving.port,
            config=config,
            load=load,
            log_file=folder / EVENTS,
        )
    finally:
        engine.log.close()


def open_engine(settings: Settings, *, bundle: Path | None, step: Step | None = None) -> Engine:
    """The engine of the data folder: its log, the state that the log says, and a bundle whose promises hold.

    bundle  None answers in the static order; one that is refused raises BundleRefused before the log is opened
    """
    loaded = load_bundle(bundle) if bundle is not None else None
    model, bundle_id = (loaded.model, loaded.bundle_id) if loaded is not None else (None, None)
    folder = Path(settings.data.dir)
    log = SqliteLog(folder / EVENTS)
    try:
        state = restore(log, snapshots=folder / SNAPSHOTS, step=step)
    except BaseException:
        log.close()
        raise
    return Engine(settings, log=log, state=state, model=model, bundle_id=bundle_id)

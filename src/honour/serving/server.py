"""Running the service: sockets, signals, snapshots, recovery, and changed settings."""

from __future__ import annotations

import asyncio
import gc
import logging
import socket
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path

import structlog
import uvicorn

from honour.errors import BadSettings, HonourError
from honour.outcomes.state import STATE_SCHEMA
from honour.records.settings import Settings
from honour.serving.app import Service
from honour.serving.hot_path import Engine
from honour.serving.recovery import restore, snapshot
from honour.stores.snapshot import write_snapshot

LOOK_EVERY_S = 1.0

_log = structlog.get_logger("honour")


def serve(
    engine: Engine, *, snapshots: Path, host: str, port: int, config: Path | None = None, load: Callable[[], Settings] | None = None
) -> None:
    """Answer HTTP until SIGTERM or Ctrl-C; then finish what was accepted, write a snapshot and close the log.

    port    0 takes a free one; the address is printed on standard output once requests are answered
    config  file that is watched; `load` reads and checks it when it changes
    """
    log_to_stderr()
    service = Service(engine)
    listening = _listen(host, port)
    told = uvicorn.Config(
        service, loop="uvloop", http="httptools", lifespan="off", access_log=False, log_config=None, server_header=False, timeout_graceful_shutdown=10
    )
    server = uvicorn.Server(told)

    async def run() -> None:
        tend = asyncio.create_task(_tend(service, snapshots=snapshots, config=config, load=load))
        say = asyncio.create_task(_say_when_started(server, listening))
        try:
            await server.serve(sockets=[listening])
        finally:
            for task in (tend, say):
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task

    gc.collect()
    gc.freeze()
    try:
        with asyncio.Runner(loop_factory=told.get_loop_factory()) as runner:
            runner.run(run())
    except KeyboardInterrupt:
        pass
    finally:
        if service.why_not_ready is None and engine.log.why_unavailable is None:
            engine.log.close()
            with suppress(OSError):
                snapshot(engine.state, folder=snapshots)
        else:
            engine.log.close()


def log_to_stderr() -> None:
    """One JSON object a line on standard error; never a body, never a header."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
    )
    logging.getLogger("uvicorn").setLevel(logging.WARNING)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        raise BadSettings(f"cannot listen on {host} port {port}: {error.strerror}. Choose another with --port; 0 takes a free one.") from None
    return listening


async def _say_when_started(server: uvicorn.Server, listening: socket.socket) -> None:
    while not server.started:
        await asyncio.sleep(0.01)
    host, port = listening.getsockname()[:2]
    sys.stdout.write(f"Honour answers on http://{f'[{host}]' if ':' in host else host}:{port}  (docs: /docs, Ctrl-C stops)\n")
    sys.stdout.flush()


async def _tend(service: Service, *, snapshots: Path, config: Path | None, load: Callable[[], Settings] | None) -> None:
    """Every second: mend what broke, write a snapshot when one is due, take changed settings."""
    engine = service.engine
    written = engine.state.seq
    changed = _changed_at(config)
    with ThreadPoolExecutor(1, thread_name_prefix="snapshots") as writer:
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            if (why := engine.log.why_unavailable) is not None:
                service.fail(f"the event log keeps nothing at present: {why}")
            if service.why_not_ready is not None:
                mend(service, snapshots=snapshots)
                continue
            if engine.state.seq - written >= engine.settings.data.snapshot_every:
                written = engine.state.seq
                write = partial(write_snapshot, snapshots, engine.state.to_bytes(), seq=written, schema=STATE_SCHEMA)
                await asyncio.get_running_loop().run_in_executor(writer, write)
            if config is not None and load is not None and _changed_at(config) != changed:
                changed = _changed_at(config)
                _take(engine, load)


def mend(service: Service, *, snapshots: Path) -> bool:
    """Try to write again; when it works, rebuild the state from the log and accept work. True when it did."""
    engine = service.engine
    if not engine.log.recover():
        return False
    engine.state = restore(engine.log, snapshots=snapshots)
    service.recovered()
    return True


def _take(engine: Engine, load: Callable[[], Settings]) -> None:
    try:
        engine.take_settings(load())
        _log.info("settings_taken", routes=len(engine.settings.routes))
    except HonourError as error:
        _log.error("settings_refused", why=str(error))


def _changed_at(path: Path | None) -> int:
    try:
        return path.stat().st_mtime_ns if path is not None else 0
    except OSError:
        return 0

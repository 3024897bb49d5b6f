"""Running the service: sockets, signals, and the log of what happens."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import socket
import ssl
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO, cast

import structlog
import uvicorn

from honour.errors import BadSettings
from honour.records.settings import DataSettings, ServingSettings, Settings
from honour.serving.app import Service
from honour.serving.bundles import Bundles, owner_of
from honour.serving.hot_path import Engine
from honour.serving.keys import check_reachable
from honour.serving.live_quality import LiveQuality
from honour.serving.protocol import protocol_of
from honour.serving.recovery import snapshot
from honour.serving.shadow import Shadows
from honour.serving.upkeep import Upkeep, following

_log = structlog.get_logger("honour")

SWITCH_S = 0.001
"""The log's writer waits at most this long for Python's lock, some ten times in a commit; the default is five times as long."""
_GARBAGE = (1_000, 1_000_000, 1_000_000)
"""A look for cycles through all of the state stops everything while it lasts, and finds none: only young objects are looked at, a few
at a time, so that nobody waits for it."""


def serve(
    engine: Engine,
    *,
    snapshots: Path,
    host: str,
    port: int,
    config: Path | None = None,
    load: Callable[[], Settings] | None = None,
    data: DataSettings | None = None,
    bundles: Bundles | None = None,
) -> None:
    """Answer HTTP until SIGTERM or Ctrl-C; then finish what was accepted, write a snapshot and close the log.

    port      0 takes a free one; the address is printed on standard output once requests are answered
    config    file that is watched; `load` reads and checks it when it changes, and on SIGHUP
    data      where the engine's log is: snapshots are then made from it beside the service; absent, they are made in it
    bundles   follows releases; absent, the engine keeps the bundle that it has
    """
    log_to_stderr()
    check_reachable(engine.settings, host=host)
    service = Service(engine, host=host)
    listening = _listen(host, port)
    told = uvicorn.Config(
        service,
        loop="uvloop",
        http=protocol_of(service),  # type: ignore[arg-type]  # a factory where a class is expected; uvicorn only calls it
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=10,
        **_tls(engine.settings.serving),
    )
    server = uvicorn.Server(told)
    upkeep = Upkeep(service, snapshots=snapshots, config=config, load=load, data=data)

    async def run() -> None:
        works = [upkeep.forever(), service.push.forever(), following(engine), _say_when_started(server, listening)]
        if data is not None:
            works.append(LiveQuality(service, data=data).forever())
        if bundles is not None:
            shadows = Shadows(service, data_dir=bundles.data_dir)
            service.metrics.follow_bundles(bundles, shadows)
            works += [bundles.forever(), shadows.forever()]
        tasks = [asyncio.create_task(work) for work in works]
        if threading.current_thread() is threading.main_thread():
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, upkeep.look_again)
        try:
            await server.serve(sockets=[listening])
        finally:
            for task in tasks:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task

    engine.take_settings(engine.settings, by=owner_of(config))
    sys.setswitchinterval(SWITCH_S)
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GARBAGE)
    _outlive_signals()
    try:
        with asyncio.Runner(loop_factory=told.get_loop_factory()) as runner:
            runner.run(run())
    finally:
        _close(engine, snapshots=snapshots)


class _Stderr:
    """Standard error as it is at present. When nobody reads it any more, payments are still decided."""

    def write(self, text: str) -> None:
        with suppress(OSError, ValueError):
            sys.stderr.write(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            sys.stderr.flush()


def log_to_stderr() -> None:
    """One JSON object a line on standard error; never a body, never a header."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(file=cast(TextIO, _Stderr())),
    )
    # What uvicorn has to say of broken requests may quote them.
    logging.getLogger("uvicorn").setLevel(logging.CRITICAL)
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    logging.getLogger("psycopg").setLevel(logging.CRITICAL)  # What matters of it is said as log_away.


def _outlive_signals() -> None:
    """uvicorn stops on SIGTERM and SIGINT and then raises them again; what is left to write would never be written."""
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)


def _close(engine: Engine, *, snapshots: Path) -> None:
    leads = engine.log.leads()
    engine.log.close()
    if not leads or engine.why_not_ready is not None:
        return
    try:
        snapshot(engine.state, folder=snapshots)
    except OSError as error:
        _log.error("snapshot_failed", error=type(error).__name__, why=error.strerror)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        raise BadSettings(
            f"cannot listen on {host} port {port}: {error.strerror}. Choose another with --port; 0 takes a free one."
        ) from None
    return listening


def _tls(told: ServingSettings) -> dict[str, Any]:
    """What uvicorn wants to know of certificates."""
    if told.tls_certificate is None:
        return {}
    asks = ssl.CERT_REQUIRED if told.tls_client_ca is not None else ssl.CERT_NONE
    return {
        "ssl_certfile": told.tls_certificate,
        "ssl_keyfile": told.tls_key,
        "ssl_ca_certs": told.tls_client_ca,
        "ssl_cert_reqs": asks,
    }


async def _say_when_started(server: uvicorn.Server, listening: socket.socket) -> None:
    while not server.started:
        await asyncio.sleep(0.01)
    host, port = listening.getsockname()[:2]
    protocol = "https" if server.config.is_ssl else "http"
    sys.stdout.write(f"Honour answers on {protocol}://{f'[{host}]' if ':' in host else host}:{port}  (docs: /docs, Ctrl-C stops)\n")
    sys.stdout.flush()

"""One experiment: a folder, a server that is started again when it dies, callers, and the stores it needs."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from callers import Callers

from honour.loop import write_settings
from honour.records.route import Merchant, Route, RouteCost
from honour.records.settings import DataSettings, Settings, StreamSettings

HERE = Path(__file__).resolve().parent
SOURCE = HERE.parents[1] / "src"
START_S_MAX = 90.0


@dataclass
class World:
    """Everything a fault may touch.

    hold_s  how long a fault lasts; notes are figures of this fault alone
    """

    folder: Path
    settings: Settings
    callers: Callers
    port: int
    hold_s: float
    postgres: Any = None
    redis: Any = None
    notes: dict[str, Any] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    n_starts: int = 0
    _supervising: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start the server and whoever starts it again; return when it answers."""
        self._supervising = asyncio.create_task(self._supervise())
        began = time.monotonic()
        while not await self.is_ready():
            if time.monotonic() - began > START_S_MAX:
                raise RuntimeError(f"the server did not start: {(self.folder / 'server.log').read_text()[-2_000:]}")
            await asyncio.sleep(0.1)

    async def is_ready(self) -> bool:
        """Whether /readyz says 200."""
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            writer.write(b"GET /readyz HTTP/1.1\r\nHost: honour\r\nConnection: close\r\n\r\n")
            head = await asyncio.wait_for(reader.read(15), 2.0)
            writer.close()
        except (OSError, TimeoutError):
            return False
        return head.startswith(b"HTTP/1.1 200")

    def kill(self) -> None:
        """kill -9."""
        assert self.process is not None
        self.process.kill()

    async def stop(self) -> None:
        """Stop the server in order."""
        if self._supervising is not None:
            self._supervising.cancel()
            with suppress(asyncio.CancelledError):
                await self._supervising
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                await asyncio.to_thread(self.process.wait, 30)
            self.process.kill()
            self.process.wait()

    def program(self, *arguments: str) -> subprocess.Popen[bytes]:
        """A command of Honour on the folder, in a process of its own."""
        command = [sys.executable, "-c", "from honour.cli.main import main; main()", *arguments, "--data", str(self.folder)]
        with (self.folder / "programs.log").open("ab") as log:
            return subprocess.Popen(command, env=_environment(), stdout=log, stderr=log)

    async def _supervise(self) -> None:
        while True:
            command = [sys.executable, str(HERE / "tested_server.py"), str(self.folder), str(self.port)]
            with (self.folder / "server.log").open("ab") as log:
                self.process = subprocess.Popen(command, env=_environment(), stdout=log, stderr=log)
            self.n_starts += 1
            while self.process.poll() is None:
                await asyncio.sleep(0.05)
            await asyncio.sleep(0.2)


def made_world(
    folder: Path,
    *,
    bundle: Path,
    address: str | None,
    postgres: Any,
    redis: Any,
    rate: float,
    hold_s: float,
    stream: StreamSettings | None,
) -> World:
    """A folder with settings and a bundle, and callers for it."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copytree(bundle, folder / "bundle")
    routes = (
        Route(id="acq_1", cost=RouteCost(attempt_minor=5, approval_bps=150)),
        Route(id="acq_usd", currencies=("USD",), cost=RouteCost(attempt_minor=4, approval_bps=140)),
        Route(id="acq_brl", currencies=("BRL",), cost=RouteCost(attempt_minor=3, approval_bps=130)),
    )
    settings = Settings(
        data=DataSettings(dir=str(folder), log=address, log_timeout_ms=500, state=redis.address if redis else None, snapshot_every=2_000),
        routes=routes,
        merchants={"default": Merchant(margin_bps=9_000, exploration_budget_minor=2.0)},
        stream=stream or StreamSettings(),
    )
    write_settings(folder / "honour.toml", settings)
    port = _free_port()
    # About eighteen payments for each card: a third of them meet the limit of twenty, the others keep outcomes flowing.
    callers = Callers(port, rate=rate, cards=max(5, round(rate * hold_s * 2.5 / 18)), seed=11)
    return World(folder, settings, callers, port, hold_s, postgres=postgres, redis=redis)


async def until(condition: Callable[[], object], *, seconds: float) -> bool:
    """Whether it came in time."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > seconds:
            return False
        await asyncio.sleep(0.1)
    return True


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def _environment() -> dict[str, str]:
    path = os.pathsep.join((str(SOURCE), str(HERE.parent)))
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

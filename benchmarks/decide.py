"""What a decision costs over HTTP: features, a model of 300 trees with 63 leaves, the durable log, all included.

Every case has a server process of its own on one core; the load generator has another. Open loop at fixed rates for latency,
closed loop for the most that goes through.
"""

from __future__ import annotations

import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import made
import msgspec
import numpy as np
from load import Load, Timings, post

HERE = Path(__file__).resolve().parent


class Case(NamedTuple):
    """One row of the table. `rate` is what is offered, requests a second; None is as much as goes through."""

    name: str
    n_routes: int
    rate: float | None
    with_outcomes: bool = False


class _Id(msgspec.Struct):
    decision_id: str


CASES = (
    Case("empty handler", 0, 1_000),
    Case("empty handler", 0, None),
    Case("decision, 4 candidates", 4, 200),
    Case("decision, 4 candidates", 4, 1_000),
    Case("decision, 4 candidates", 4, None),
    Case("decision, 8 candidates", 8, 200),
    Case("decision, 8 candidates", 8, 1_000),
    Case("decision, 8 candidates", 8, None),
    Case("decision, 4 candidates, outcomes flowing", 4, 500, with_outcomes=True),
    Case("decision, 4 candidates, outcomes flowing", 4, 1_000, with_outcomes=True),
    Case("decision, 8 candidates, outcomes flowing", 8, 1_000, with_outcomes=True),
    Case("decision, 4 candidates, outcomes flowing", 4, None, with_outcomes=True),
)


def run(*, seconds: float, repeats: int, n_past: int, say: Callable[[str], None]) -> list[dict[str, Any]]:
    """Results of all cases, each measured `repeats` times for about `seconds` after a warm-up; figures are medians of the repeats."""
    results = []
    with tempfile.TemporaryDirectory(prefix="honour-bench-") as kept, _cores() as server_core:
        folder = Path(kept)
        say(f"training {made.N_TREES} trees with {made.N_LEAVES} leaves, writing {n_past} past attempts")
        made.bundle(folder / "bundle")
        made.past(folder / "past", n_attempts=n_past)
        for case in CASES:
            with _server(case, folder, core=server_core) as (port, pid):
                result = _measured(case, port=port, seconds=seconds, repeats=repeats)
                result["server_memory_mb"] = round(_resident_mb(pid), 1)
            results.append(result)
            say(line_of(result))
    return results


def line_of(result: dict[str, Any]) -> str:
    """One row of the table."""
    offered = f"{result['offered_per_s']:g}/s" if result["offered_per_s"] else "closed loop"
    figures = "  ".join(f"{result[name]:7.2f}" for name in ("p50_ms", "p99_ms", "p999_ms"))
    overloaded = "  overloaded" if result["is_overloaded"] else ""
    return f"{result['case']:44} {offered:>12} {result['decisions_per_s']:9.0f}/s  {figures} ms{overloaded}"


def _measured(case: Case, *, port: int, seconds: float, repeats: int) -> dict[str, Any]:
    n = int(seconds * (case.rate or 1_000))
    _figures(case, port=port, n=500, prefix="warm")
    runs = [_figures(case, port=port, n=n, prefix=f"pay{repeat}") for repeat in range(repeats)]
    figures = {name: round(statistics.median(run[name] for run in runs), 3) for name in runs[0]}
    told = {"case": case.name, "candidates": case.n_routes, "offered_per_s": case.rate, "n": n * repeats, **figures}
    return told | {"is_overloaded": case.rate is not None and figures["decisions_per_s"] < 0.97 * case.rate}


def _figures(case: Case, *, port: int, n: int, prefix: str) -> dict[str, float]:
    follow = _outcome_of if case.with_outcomes else None
    load = Load("127.0.0.1", port, n_connections=32 if case.rate is not None else 16)
    try:
        decisions, outcomes = _timed(load, case, n=n, prefix=prefix, follow=follow)
    finally:
        load.close()
    if decisions.n_refused or outcomes.n_refused:
        raise SystemExit(f"{case.name}: {decisions.n_refused + outcomes.n_refused} answers were not 200")
    figures = {"decisions_per_s": n / decisions.wall_s, **_quantiles(decisions)}
    if outcomes.latencies_s:
        figures |= {f"outcome_{name}": value for name, value in _quantiles(outcomes).items()}
    return figures


def _timed(load: Load, case: Case, *, n: int, prefix: str, follow: Callable[[bytes], bytes] | None) -> tuple[Timings, Timings]:
    requests = [post("/v1/decisions", body) for body in made.decision_bodies(n=n, seed=3, prefix=prefix)]
    if case.rate is None:
        return load.closed_loop(requests, follow=follow), Timings([], 0.0, 0)
    return load.open_loop(requests, rate=case.rate, follow=follow)


def _outcome_of(answer: bytes) -> bytes:
    decision_id = msgspec.json.decode(answer, type=_Id).decision_id
    status = "approved" if hash(decision_id) % 10 else "declined"
    return post("/v1/outcomes", msgspec.json.encode({"decision_id": decision_id, "status": status, "response_code": "00"}))


def _quantiles(timings: Timings) -> dict[str, float]:
    ms = np.array(timings.latencies_s) * 1_000
    return {name: round(float(np.quantile(ms, q)), 3) for name, q in (("p50_ms", 0.5), ("p99_ms", 0.99), ("p999_ms", 0.999))}


@contextmanager
def _cores() -> Iterator[int]:
    """The core of the server; the load generator keeps to the others, if there are any."""
    first, *others = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, set(others) or {first})
    try:
        yield first
    finally:
        os.sched_setaffinity(0, {first, *others})


@contextmanager
def _server(case: Case, folder: Path, *, core: int) -> Iterator[tuple[int, int]]:
    """A server on its own copy of the past: its port and process id."""
    arguments = ["floor"]
    data = folder / "data"
    if case.n_routes:
        shutil.copytree(folder / "past", data)
        arguments = ["honour", str(data), str(case.n_routes), str(folder / "bundle")]
    process = subprocess.Popen([sys.executable, str(HERE / "server.py"), *arguments], stdout=subprocess.PIPE, text=True)
    try:
        os.sched_setaffinity(process.pid, {core})
        assert process.stdout is not None
        line = process.stdout.readline()
        if "http://" not in line:
            raise SystemExit(f"{case.name}: the server did not start")
        yield int(line.split("http://", 1)[1].split()[0].rsplit(":", 1)[1]), process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)
        shutil.rmtree(data, ignore_errors=True)


def _resident_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

"""What a decision costs over HTTP: features, a model of 300 trees with 63 leaves, the durable log, all included.

Every case has a server process of its own on one core; the load generator has another. Open loop at fixed rates for latency,
closed loop for the most that goes through. Peers answer in the same run: a naive service, and servers of models that are sent a matrix.
"""

from __future__ import annotations

import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import made
import msgspec
import numpy as np
import peers
from load import Load, Timings, post

HERE = Path(__file__).resolve().parent


QUANTILES = {"p50_ms": 0.5, "p95_ms": 0.95, "p99_ms": 0.99, "p999_ms": 0.999}


class Case(NamedTuple):
    """One row of the table.

    rate       what is offered, requests a second; None is as much as goes through
    n_workers  processes on one log; the second shares the core of the load generator where there are two
    peer       key of `peers.NAMES`; None is Honour, or with no routes the empty handler
    """

    name: str
    n_routes: int
    rate: float | None
    with_outcomes: bool = False
    n_workers: int = 1
    peer: str | None = None


class _Id(msgspec.Struct):
    decision_id: str


CASES = (
    Case("empty handler", 0, None),
    Case("empty handler", 0, 1_000),
    *(Case(f"decision, {n} candidates", n, None) for n in (1, 4, 8, 16)),
    Case("decision, 8 candidates, outcomes flowing", 8, None, with_outcomes=True),
    Case("decision, 8 candidates", 8, 200),
    Case("decision, 8 candidates", 8, 1_000),
    Case("decision, 8 candidates", 8, 3_000),
    Case("decision, 8 candidates, outcomes flowing", 8, 500, with_outcomes=True),
    Case("decision, 8 candidates, outcomes flowing", 8, 1_000, with_outcomes=True),
    Case("decision, 8 candidates, 2 workers", 8, None, n_workers=2),
    *(Case(peers.NAMES[peer], 8, rate, peer=peer) for peer in peers.NAMES for rate in (None, 200)),
)


def run(*, seconds: float, repeats: int, n_past: int, only: Sequence[str] = (), say: Callable[[str], None]) -> list[dict[str, Any]]:
    """Results of the cases whose names hold one of `only`, each measured `repeats` times for about `seconds` after a warm-up; figures
    are medians of the repeats.
    """
    results = []
    cases = [case for case in CASES if not only or any(words in case.name for words in only)]
    python = peers.environment(say) if any(case.peer for case in cases) else None
    with tempfile.TemporaryDirectory(prefix="honour-bench-") as kept, cores() as server_core:
        folder = Path(kept)
        say(f"training {made.N_TREES} trees with {made.N_LEAVES} leaves, writing {n_past} past attempts")
        made.bundle(folder / "bundle", booster_file=folder / "model.txt")
        made.past(folder / "past", n_attempts=n_past)
        for case in cases:
            if case.peer is not None and python is None:
                results.append({"case": case.name, "is_left_out": True})
                continue
            try:
                with _answering(case, folder, core=server_core, python=python) as (ports, pid):
                    result = _measured(case, ports=ports, pid=pid, seconds=seconds, repeats=repeats)
                    result["server_memory_mb"] = round(resident_mb(pid), 1)
            except peers.NotStarted as error:
                say(str(error))
                results.append({"case": case.name, "is_left_out": True})
                continue
            results.append(result)
            say(line_of(result))
    return results


def line_of(result: dict[str, Any]) -> str:
    """One row of the table."""
    offered = f"{result['offered_per_s']:g}/s" if result["offered_per_s"] else "closed loop"
    figures = "  ".join(f"{result[name]:7.2f}" for name in ("p50_ms", "p99_ms", "p999_ms"))
    overloaded = "  overloaded" if result["is_overloaded"] else ""
    refused = f"  {result['refused_share']:.1%} refused" if result["refused_share"] else ""
    cpu = f"{result['server_cpu_us']:7.0f} us CPU" if "server_cpu_us" in result else ""
    return f"{result['case']:44} {offered:>12} {result['decisions_per_s']:9.0f}/s  {figures} ms{cpu}{overloaded}{refused}"


def _measured(case: Case, *, ports: Sequence[int], pid: int, seconds: float, repeats: int) -> dict[str, Any]:
    warm = _figures(case, ports=ports, n=300, prefix="warm")
    n = int(seconds * (case.rate or warm["decisions_per_s"]))
    before_s = cpu_s(pid)
    runs = [_figures(case, ports=ports, n=n, prefix=f"pay{repeat}") for repeat in range(repeats)]
    cpu_us = (cpu_s(pid) - before_s) / (n * repeats) * 1e6
    figures = {name: round(statistics.median(run[name] for run in runs), 3) for name in runs[0]}
    told = {"case": case.name, "candidates": case.n_routes, "offered_per_s": case.rate, "workers": case.n_workers, "n": n * repeats}
    if case.n_workers == 1:
        told["server_cpu_us"] = round(cpu_us, 1)
    return told | figures | {"is_overloaded": case.rate is not None and figures["decisions_per_s"] < 0.97 * case.rate}


def _figures(case: Case, *, ports: Sequence[int], n: int, prefix: str) -> dict[str, float]:
    follow = outcome_of if case.with_outcomes else None
    load = Load("127.0.0.1", *ports, n_connections=32 if case.rate is not None else 16)
    try:
        decisions, outcomes = _timed(load, case, n=n, prefix=prefix, follow=follow)
    finally:
        load.close()
    n_refused = decisions.n_refused + outcomes.n_refused
    if decisions.n_refused == n:
        raise SystemExit(f"{case.name}: no answer was 200")
    figures = {"decisions_per_s": (n - decisions.n_refused) / decisions.wall_s, **_quantiles(decisions)}
    figures["refused_share"] = n_refused / (n + len(outcomes.latencies_s))
    if outcomes.latencies_s:
        figures |= {f"outcome_{name}": value for name, value in _quantiles(outcomes).items()}
    return figures


def _timed(load: Load, case: Case, *, n: int, prefix: str, follow: Callable[[bytes], bytes] | None) -> tuple[Timings, Timings]:
    if case.peer is not None:
        requests = peers.requests_of(case.peer, n=n, prefix=prefix)
    else:
        requests = [post("/v1/decisions", body) for body in made.decision_bodies(n=n, seed=3, prefix=prefix)]
    if case.rate is None:
        return load.closed_loop(requests, follow=follow), Timings([], 0.0, 0)
    return load.open_loop(requests, rate=case.rate, follow=follow)


def outcome_of(answer: bytes) -> bytes:
    """The report of what came back for a decision: nine in ten approved."""
    decision_id = msgspec.json.decode(answer, type=_Id).decision_id
    status = "approved" if hash(decision_id) % 10 else "declined"
    return post("/v1/outcomes", msgspec.json.encode({"decision_id": decision_id, "status": status, "response_code": "00"}))


def _quantiles(timings: Timings) -> dict[str, float]:
    ms = np.array(timings.latencies_s) * 1_000
    return {name: round(float(np.quantile(ms, q)), 3) for name, q in QUANTILES.items()}


@contextmanager
def cores() -> Iterator[int]:
    """The core of the server; the load generator keeps to the others, if there are any."""
    first, *others = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, set(others) or {first})
    try:
        yield first
    finally:
        os.sched_setaffinity(0, {first, *others})


@contextmanager
def _answering(case: Case, folder: Path, *, core: int, python: Path | None) -> Iterator[tuple[list[int], int]]:
    """Ports of what the case asks, and the process id of the first server."""
    if case.peer is not None:
        assert python is not None
        with peers.server(case.peer, python=python, model=folder / "model.txt", core=core) as (port, pid):
            yield [port], pid
        return
    data = folder / "data"
    if case.n_routes:
        shutil.copytree(folder / "past", data)
    others = sorted(os.sched_getaffinity(0))
    try:
        with ExitStack() as stack:
            cores = [core, *others][: case.n_workers]
            started = [stack.enter_context(server(case, folder, core=one)) for one in cores]
            yield [port for port, _ in started], started[0][1]
    finally:
        shutil.rmtree(data, ignore_errors=True)


@contextmanager
def server(case: Case, folder: Path, *, core: int) -> Iterator[tuple[int, int]]:
    """Port and process id of one server: Honour on `folder`/data with `folder`/bundle, or the empty handler."""
    arguments = ["honour", str(folder / "data"), str(case.n_routes), str(folder / "bundle")] if case.n_routes else ["floor"]
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
        process.wait(60)


def cpu_s(pid: int) -> float:
    """Seconds that a server and every process it started have had a core: what others on the machine take is not in it."""
    children: dict[int, list[int]] = {}
    spent: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:  # It has ended.
            continue
        children.setdefault(int(fields[1]), []).append(int(stat.parent.name))
        spent[int(stat.parent.name)] = sum(map(int, fields[11:15]))
    family, ticks = [pid], 0
    for one in family:  # Grows while it is walked.
        ticks += spent.get(one, 0)
        family += children.get(one, [])
    return ticks / os.sysconf("SC_CLK_TCK")


def resident_mb(pid: int) -> float:
    """Memory of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

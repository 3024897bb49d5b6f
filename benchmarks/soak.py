"""Decisions and outcomes for a long time at a steady rate: does memory grow beyond what the state holds, does latency creep?"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import decide
import made
import numpy as np
from load import Load, post

RATE = 150.0
"""Decisions a second, each followed by its outcome."""
PART_S = 30.0
CASE = decide.Case("soak, 8 candidates, outcomes flowing", 8, RATE, with_outcomes=True)


def run(*, minutes: float, n_past: int, say: Callable[[str], None]) -> list[dict[str, Any]]:
    """Parts of half a minute: latency, memory of the server, and bytes of it for each decision since the first part."""
    told: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="honour-soak-") as kept, decide.cores() as core:
        folder = Path(kept)
        made.bundle(folder / "bundle")
        made.past(folder / "data", n_attempts=n_past)
        say(f"{RATE:g} decisions and as many outcomes a second for {minutes:g} minutes")
        with decide.server(CASE, folder, core=core) as (port, pid):
            until = time.monotonic() + minutes * 60
            while time.monotonic() < until or not told:
                told.append(_part(port, pid, number=len(told), before=told[0] if told else None))
                say("  ".join(f"{name} {value}" for name, value in told[-1].items()))
        shutil.rmtree(folder, ignore_errors=True)
    return told


def _part(port: int, pid: int, *, number: int, before: dict[str, Any] | None) -> dict[str, Any]:
    n = int(RATE * PART_S)
    load = Load("127.0.0.1", port, n_connections=32)
    try:
        requests = [post("/v1/decisions", body) for body in made.decision_bodies(n=n, seed=number, prefix=f"soak{number}")]
        decisions, outcomes = load.open_loop(requests, rate=RATE, follow=decide.outcome_of)
    finally:
        load.close()
    ms, memory_mb = np.array(decisions.latencies_s) * 1_000, round(decide.resident_mb(pid), 1)
    part: dict[str, Any] = {"part": number, "decisions_per_s": round(n / decisions.wall_s, 1)}
    part |= {name: round(float(np.quantile(ms, q)), 3) for name, q in (("p50_ms", 0.5), ("p99_ms", 0.99), ("p999_ms", 0.999))}
    part |= {"refused": decisions.n_refused + outcomes.n_refused, "server_memory_mb": memory_mb}
    grown = (memory_mb - before["server_memory_mb"]) * 2**20 / (n * number) if before is not None else None
    return part | {"bytes_per_decision": grown if grown is None else round(grown)}

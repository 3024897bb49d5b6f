"""All benchmarks, into results/latest.json, with the machine and the versions they ran on.

python benchmarks/run.py [--seconds S] [--repeats R] [--past N] [--only WORDS ...] [--soak [MINUTES]]
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import decide
import msgspec
import soak

RESULTS = Path(__file__).resolve().parent / "results" / "latest.json"
EXCLUDES = (
    "Client and server are on one machine: no network, no TLS. The server, its log's writer included, has one core; the load generator "
    "has another. Trees are grown on random rows. Latency counts from when a request was due."
)
_PACKAGES = ("honour", "uvicorn", "uvloop", "httptools", "msgspec", "numpy", "onnxruntime", "lightgbm")


def main() -> None:
    """Measure, print the table, write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=4.0, help="measured time of each repeat")
    parser.add_argument("--repeats", type=int, default=3, help="repeats of each case; figures are medians of them")
    parser.add_argument("--past", type=int, default=20_000, help="attempts in the log before the first decision")
    parser.add_argument("--only", nargs="*", default=(), help="cases whose names hold one of these words; results are then not written")
    parser.add_argument("--soak", nargs="?", type=float, const=30.0, metavar="MINUTES", help="decisions and outcomes for so long (30)")
    arguments = parser.parse_args()
    if arguments.soak is not None:
        told = soak.run(minutes=arguments.soak, n_past=arguments.past, say=say)
        write(RESULTS.with_name("soak.json"), {"soak": told})
        return
    say(f"{'case':44} {'offered':>12} {'decisions':>11}  {'p50':>7}  {'p99':>7}  {'p99.9':>7}")
    results = decide.run(seconds=arguments.seconds, repeats=arguments.repeats, n_past=arguments.past, only=arguments.only, say=say)
    for line in ratios(results):
        say(line)
    if not arguments.only:
        write(RESULTS, {"cases": results, "against_peers": ratios(results)})


def ratios(results: list[dict[str, Any]]) -> list[str]:
    """8 candidates against each peer in the same run: throughput, and time of a core for each answer, which a shared machine bends less."""
    closed = {one["case"]: one for one in results if not one.get("is_left_out") and one["offered_per_s"] is None}
    ours = closed.get("decision, 8 candidates")
    if ours is None:
        return []
    told = []
    for name in decide.peers.NAMES.values():
        if (one := closed.get(name)) is not None:
            faster, cheaper = ours["decisions_per_s"] / one["decisions_per_s"], one["server_cpu_us"] / ours["server_cpu_us"]
            told.append(f"{faster:.1f} x as many a second as {name}, {cheaper:.1f} x as many for the same time of a core")
    return told


def write(path: Path, results: dict[str, Any]) -> None:
    """Results with the machine, the versions and the day."""
    written = {"measured_at": f"{datetime.now(tz=UTC):%Y-%m-%d}", "machine": machine(), "excludes": EXCLUDES, **results}
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(written), indent=2) + b"\n")
    say(f"wrote {path.name}")


def machine() -> dict[str, Any]:
    """What it ran on: cpu, cores, system, versions, commit."""
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "load_before": round(os.getloadavg()[0], 2),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "versions": versions,
        "commit": commit,
    }


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()

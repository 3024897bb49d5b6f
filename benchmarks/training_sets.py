"""Training sets at size: seconds, CPU seconds and peak memory, and what others take for the same windows.

python benchmarks/training_sets.py [--sizes 1000000 3000000 10000000] [--peer-rows 1000000] [--feast-rows 3000] [--no-feast]

Each case runs in a process of its own. Honour builds FEATURES from a lake of made-up attempts, as `honour features build` does. pandas
computes the windows of a few of them by the usual means: a running total per key, and one `merge_asof` for each instant. Feast joins
views that were computed for it beforehand: a row with the running totals of its key at each answer. Both compute
one rate for each of KEYS, with nothing of the rest (last answers, rates that shrink, whole tiles, writing the file), so that they are
compared per row and value.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd
import pyarrow.parquet as pq  # type: ignore[import-untyped]  # pyarrow ships no types
from made_attempts import made_attempts
from run import machine

from honour.features.catalogue import CATALOGUE
from honour.features.group import is_folded
from honour.stores.lake import Lake, Manifest, columns_now
from honour.stores.training import build_training_set

HERE = Path(__file__).resolve().parent
WORK = HERE.parent / "build" / "bench-features"
RESULTS = HERE / "results" / "features.json"
FEAST = ("feast==0.67.0", "pandas<2.4")
FOLDED = [feature.name for feature in CATALOGUE.features if is_folded(feature)]
FEATURES = [*FOLDED[:42], "amount_minor", "issuer_country", "local_hour"]
"""45: what answers say, and three columns as they are."""
KEYS = ("card_id", "route", "issuer", "merchant_id")
DAY_US = 86_400_000_000
WINDOW_US = 7 * DAY_US


def main() -> None:
    """Measure, print the table, write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000_000, 3_000_000, 10_000_000])
    parser.add_argument("--peer-rows", type=int, default=1_000_000, help="rows that pandas is given")
    parser.add_argument("--feast-rows", type=int, default=3_000, help="its join holds every pair of rows of a key: 20,000 took over 13 GB")
    parser.add_argument("--no-feast", action="store_true", help="leave Feast out; it needs a virtual environment of its own")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--case", nargs=2, metavar=("NAME", "ROWS"), help="one case in this process (honour, pandas, feast or make); prints one JSON object"
    )
    arguments = parser.parse_args()
    if arguments.case:
        sys.stdout.buffer.write(msgspec.json.encode(_case(arguments.case[0], int(arguments.case[1]), threads=arguments.threads)))
        return
    cases = [_asked("honour", rows, threads=arguments.threads) for rows in arguments.sizes]
    cases.append(_asked("pandas", arguments.peer_rows, threads=1))
    if not arguments.no_feast:
        cases.append(_asked("feast", arguments.feast_rows, threads=1))
    written = {
        "measured_at": f"{datetime.now(tz=UTC):%Y-%m-%d}",
        "machine": machine(),
        "features": FEATURES,
        "made_s": "seconds that making the attempts and their lake took before; the other figures are without it",
        "cases": cases,
    }
    RESULTS.write_bytes(msgspec.json.format(msgspec.json.encode(written), indent=2) + b"\n")
    _say(f"wrote results/{RESULTS.name}")


def _asked(name: str, rows: int, *, threads: int) -> dict[str, Any]:
    """A case in a process of its own, and in another one before it what it reads."""

    def run(what: str) -> dict[str, Any]:
        command = [sys.executable, __file__, "--threads", str(threads), "--case", what, str(rows)]
        told: dict[str, Any] = msgspec.json.decode(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
        return told

    made_s = 0.0 if name == "feast" else run("make")["seconds"]
    case = {**run(name), "made_s": made_s}
    _say(
        f"{name:8}{rows:>12,} rows {case['values']:>4} values {case['seconds']:>9.1f} s {case['cpu_s']:>9.1f} s of CPU "
        f"{case['peak_gb']:>6.2f} GB {1e9 * case['cpu_s'] / rows / case['values']:>9.0f} ns of CPU per row and value, "
        f"{case['made_s']:.1f} s to make them"
    )
    return case


def _case(name: str, rows: int, *, threads: int) -> dict[str, Any]:
    began, before_s = time.perf_counter(), used()[0]
    values = {"honour": _honour, "pandas": _pandas, "feast": _feast, "make": _make}[name](rows, threads)
    seconds = round(time.perf_counter() - began, 2)
    cpu_s, peak_gb = used()
    return {
        "name": name,
        "rows": rows,
        "values": values,
        "threads": threads,
        "seconds": seconds,
        "cpu_s": round(cpu_s - before_s, 2),
        "peak_gb": peak_gb,
        "load": round(os.getloadavg()[0], 1),
    }


def _make(rows: int, _threads: int) -> int:
    """The lake, made anew."""
    shutil.rmtree(made_at(rows), ignore_errors=True)
    made_lake(rows)
    return 1


def _honour(rows: int, threads: int) -> int:
    """The training set, from the lake to a Parquet file."""
    out = WORK / f"set-{rows}.parquet"
    out.with_suffix(".json").unlink(missing_ok=True)
    built = build_training_set(made_lake(rows), folder=WORK, out=out, features=FEATURES, threads=threads)
    assert built.n_rows == rows
    return len(FEATURES)


def _pandas(rows: int, _threads: int) -> int:
    """Approval rates of a week for a few keys: total at the instant less the total at the window's beginning."""
    lake = made_lake(rows)
    table = lake.read(lake.wanted(), columns=["seq", "arrived_us", "at_us", "status", *KEYS]).to_pandas()
    for key in KEYS:
        told = table[[key, "arrived_us"]].copy()
        told["approved"] = (table["status"] == "approved").astype("int64")
        told["n"] = 1
        totals = told.groupby(key, sort=False)[["n", "approved"]].cumsum()
        known = pd.concat([told[[key, "arrived_us"]], totals], axis=1)
        asked = table[["seq", "at_us", key]].sort_values("at_us")
        now = pd.merge_asof(asked, known, left_on="at_us", right_on="arrived_us", by=key)
        asked["at_us"] -= WINDOW_US
        before = pd.merge_asof(asked, known, left_on="at_us", right_on="arrived_us", by=key)
        table[f"{key}_rate"] = ((now["approved"] - before["approved"].fillna(0)) / (now["n"] - before["n"].fillna(0))).to_numpy()
    return len(KEYS)


def _feast(rows: int, _threads: int) -> int:
    """Feast's point-in-time join of the same keys, in a virtual environment of its own."""
    python = WORK / "feast" / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", WORK / "feast"], check=True, stdout=subprocess.DEVNULL)
        command = [python, "-m", "pip", "install", "-qq", "--disable-pip-version-check", *FEAST]
        subprocess.run(command, check=True, stdout=sys.stderr)
    told = WORK / f"feast-{rows}.parquet"
    pq.write_table(made_attempts(rows).select(["seq", "arrived_us", "at_us", "status", *KEYS]), told)
    environment = {**os.environ, "FEAST_USAGE": "False"}
    subprocess.run([python, HERE / "feast_join.py", told, ",".join(KEYS)], check=True, stdout=sys.stderr, env=environment)
    return len(KEYS)


def made_lake(rows: int) -> Lake:
    """A lake of that many made-up attempts, made once."""
    place = Lake(str(made_at(rows)))
    if place.manifest() is None:
        place.land(made_attempts(rows), Manifest(source="files", columns=columns_now()), after_seq=rows)
    return place


def made_at(rows: int) -> Path:
    """Where the lake of that many attempts lies."""
    return WORK / f"lake-{rows}"


def used() -> tuple[float, float]:
    """CPU seconds of this process and of those it waited for, and gigabytes of the largest.

    The peak of this one is the kernel's VmHWM: what getrusage says holds the memory of whoever started the process, too.
    """
    own, waited = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    peak_kb = next(int(line.split()[1]) for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    cpu_s = sum(one.ru_utime + one.ru_stime for one in (own, waited))
    return round(cpu_s, 2), round(max(peak_kb, waited.ru_maxrss) / 1e6, 2)


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()

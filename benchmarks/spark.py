"""Training sets by DuckDB and by Spark on this machine, from the same lake: seconds, memory, and whether they are the same.

python benchmarks/spark.py [--rows 10000 100000 300000] [--add] [--threads 2] [--features 45] [--memory 4g]

Each case runs in a process of its own, Spark with its Java from start to end. The attempts, and the 45 features, are those of
`training_sets.py`. What Spark costs on one machine is mostly its own keep: it is there for what one machine cannot hold.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow ships no types
import pyarrow.compute as pc  # type: ignore[import-untyped]  # as above
import pyarrow.parquet as pq  # type: ignore[import-untyped]  # as above
from run import machine
from training_sets import FEATURES, RESULTS, WORK, made_lake, used

TOLERANCE = 1e-9
RESULT = RESULTS.parent / "spark.json"


def main() -> None:
    """Measure, compare, print the table, write the file; exits with 1 when a value differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000, 300_000])
    parser.add_argument("--add", action="store_true", help="keep what the file says of other numbers of rows")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--features", type=int, default=len(FEATURES), help="only so many of them")
    parser.add_argument("--memory", default="4g", help="of Spark's Java")
    parser.add_argument("--case", nargs=2, metavar=("NAME", "ROWS"), help="one case in this process; prints one JSON object")
    arguments = parser.parse_args()
    if arguments.case:
        case = _case(arguments.case[0], int(arguments.case[1]), arguments)
        sys.stdout.buffer.write(msgspec.json.encode(case))
        return
    before = msgspec.json.decode(RESULT.read_bytes()) if arguments.add else {"cases": [], "differing": 0}
    cases = [case for case in before["cases"] if case["rows"] not in arguments.rows]
    n_differing = 0
    for rows in arguments.rows:
        made_lake(rows)
        for name in ("duckdb", "spark"):
            asked = ["--threads", str(arguments.threads), "--memory", arguments.memory, "--features", str(arguments.features)]
            command = [sys.executable, __file__, *asked, "--case", name, str(rows)]
            case = msgspec.json.decode(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
            cases.append(case)
            sys.stdout.write(
                f"{name:7}{rows:>11,} rows {case['seconds']:>8.1f} s {case['cpu_s']:>8.1f} s of CPU {case['peak_gb']:>6.2f} GB\n"
            )
            sys.stdout.flush()
        differing = _differing(_path("duckdb", rows), _path("spark", rows))
        n_differing += sum(differing.values())
        sys.stdout.write(f"{rows:>18,} rows x {arguments.features} features, values apart by over {TOLERANCE}: {differing or 0}\n")
    written = {
        "machine": machine(),
        "excludes": "making the attempts; the start of Spark is in. On a machine that is shared seconds are more, CPU seconds hardly",
        "features": FEATURES[: arguments.features],
        "differing": n_differing + before["differing"],
        "cases": sorted(cases, key=lambda case: (case["rows"], case["name"])),
    }
    RESULT.write_bytes(msgspec.json.format(msgspec.json.encode(written), indent=2) + b"\n")
    sys.exit(1 if n_differing else 0)


def _case(name: str, rows: int, asked: argparse.Namespace) -> dict[str, Any]:
    began = time.perf_counter()
    {"duckdb": _duckdb, "spark": _spark}[name](rows, asked)
    cpu_s, peak_gb = used()
    load = round(os.getloadavg()[0], 1)
    seconds = round(time.perf_counter() - began, 1)
    at = f"{datetime.now(tz=UTC):%Y-%m-%d}"
    figures = {"seconds": seconds, "cpu_s": cpu_s, "peak_gb": peak_gb, "load": load}
    return {"name": name, "rows": rows, "threads": asked.threads, "measured_at": at, **figures}


def _duckdb(rows: int, asked: argparse.Namespace) -> None:
    from honour.stores.training import build_training_set

    out = _path("duckdb", rows)
    out.with_suffix(".json").unlink(missing_ok=True)
    build_training_set(made_lake(rows), folder=WORK, out=out, features=FEATURES[: asked.features], threads=asked.threads)


def _spark(rows: int, asked: argparse.Namespace) -> None:
    from pyspark.sql import SparkSession

    from honour.cluster.build import build_on_spark

    builder = SparkSession.builder.master(f"local[{asked.threads}]").config("spark.driver.memory", asked.memory)
    builder = builder.config("spark.sql.shuffle.partitions", str(2 * asked.threads))
    for key in ("spark.ui.enabled", "spark.ui.showConsoleProgress"):
        builder = builder.config(key, "false")
    session = builder.config("spark.driver.host", "127.0.0.1").config("spark.driver.bindAddress", "127.0.0.1").getOrCreate()
    out = _path("spark", rows)
    out.with_suffix(".json").unlink(missing_ok=True)
    build_on_spark(made_lake(rows), folder=str(WORK), out=str(out), features=FEATURES[: asked.features])
    java = session.sparkContext._gateway.proc
    session.stop()
    java.stdin.close()  # It ends, and what it used is known.
    java.wait()


def _differing(one: Path, other: Path) -> dict[str, int]:
    """Values of each column that are not the same in both."""
    computed, by_spark = pq.read_table(one), pq.read_table(other)
    assert computed.schema.names == by_spark.schema.names
    assert len(computed) == len(by_spark)
    found = {}
    for name in computed.column_names:
        a, b = computed[name], by_spark[name]
        near = pc.equal(a, b)
        if pa.types.is_floating(a.type):
            near = pc.less_equal(pc.abs(pc.subtract(a, b)), pc.multiply(pc.abs(a), TOLERANCE))
        both_missing = pc.and_(pc.is_null(a), pc.is_null(b))
        if n := len(a) - (pc.sum(pc.or_(pc.fill_null(near, fill_value=False), both_missing)).as_py() or 0):
            found[name] = n
    return found


def _path(name: str, rows: int) -> Path:
    return WORK / f"by-{name}-{rows}.parquet"


if __name__ == "__main__":
    main()

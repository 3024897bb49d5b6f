"""Faults, one by one, under load: what was lost, what was wrong, what was answered, and how long nobody was.

python benchmarks/chaos/main.py [--quick] [--only WORD] [--rate R]

Every fault has a server of its own, with a real bundle, on a fresh log, under an open loop of payments that ask for a decision and
report what came back. Afterwards the log is read and compared with what callers were told, and with the rules. Exits with 1 when
something was lost or wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
import tempfile
import time
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec

sys.path.insert(1, str(Path(__file__).resolve().parents[1]))
sys.path.insert(1, str(Path(__file__).resolve().parents[2] / "tests"))
import made
from check import check
from faults import FAULTS, Fault, Redis, SmallDisk, started_brokers
from run import machine
from world import World, made_world

from honour.records.settings import StreamSettings
from real_postgres import RealPostgres

RESULTS = Path(__file__).resolve().parents[1] / "results" / "chaos.json"
WARM_S = 2.0
_LEGEND = """
lost: acknowledged decisions and outcomes that the log does not hold as they were told. wrong: contradictions, broken limits, attempts
that were not permitted. first: answered at the first request; fallback: of these, by segment rates or in the static order. refused: first
requests answered with an error, or not at all; asked again, late: answered then; never: given up after 20 s. away s: longest time without
any decision."""
_COLUMNS = "{:28} {:9} {:>8} {:>6} {:>6} {:>6} {:>8} {:>9} {:>6} {:>6} {:>9}"


def main() -> int:
    """Do everything, print the table, write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="short faults; no file is written")
    parser.add_argument("--only", default="", help="faults whose name or store holds this word; no file is written")
    parser.add_argument("--rate", type=float, default=40.0, help="payments a second")
    arguments = parser.parse_args()
    chosen = [fault for fault in FAULTS if arguments.only.lower() in f"{fault.name} {fault.store}".lower()]
    hold_s = 3.0 if arguments.quick else 6.0
    folder = Path(tempfile.mkdtemp(prefix="honour-chaos-"))
    say(_COLUMNS.format("fault", "log", "payments", "lost", "wrong", "first", "fallback", "refused", "late", "never", "away s"))
    postgres: RealPostgres | None = None
    try:
        made.bundle(folder / "bundle")
        postgres = RealPostgres(folder / "postgres") if any(fault.store == "postgres" for fault in chosen) else None
        rows = [_one(fault, folder=folder, at=at, postgres=postgres, rate=arguments.rate, hold_s=hold_s) for at, fault in enumerate(chosen)]
    finally:
        if postgres is not None:
            postgres.resume()
            postgres.stop()
        shutil.rmtree(folder, ignore_errors=True)
    say(_LEGEND)
    if not arguments.quick and not arguments.only:
        written = {
            "measured_at": f"{datetime.now(tz=UTC):%Y-%m-%d}",
            "machine": machine(),
            "rate": arguments.rate,
            "hold_s": hold_s,
            "faults": rows,
        }
        RESULTS.write_bytes(msgspec.json.format(msgspec.json.encode(written), indent=2) + b"\n")
    return int(any(row["lost"] or row["wrong"] or _failed(row) for row in rows))


def say(text: str) -> None:
    """A line on standard output, at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _one(fault: Fault, *, folder: Path, at: int, postgres: RealPostgres | None, rate: float, hold_s: float) -> dict[str, Any]:
    place = folder / f"fault_{at}"
    small = SmallDisk(place) if fault.is_small else None
    brokers, stream = (started_brokers() if fault.has_stream else (None, None)), None
    if brokers is not None and fault.has_stream:
        stream = StreamSettings(brokers=brokers[1])
    address = postgres.new_address() if postgres is not None and fault.store == "postgres" else None
    redis = Redis() if fault.has_redis else None
    stores = {"address": address, "postgres": postgres, "redis": redis, "stream": stream}
    world = made_world(place, bundle=folder / "bundle", rate=rate, hold_s=hold_s, **stores)
    if fault.has_stream:
        world.notes["brokers"] = brokers[0]
    try:
        row = asyncio.run(_run(fault, world)) if small is None or small.is_there else _skipped(fault)
    finally:
        if world.process is not None and world.process.poll() is None:
            world.process.kill()
        if redis is not None:
            redis.stop()
        if fault.has_stream:
            brokers[0].kill()
            brokers[0].wait()
        if small is not None:
            small.close()
    _print(row)
    return row


async def _run(fault: Fault, world: World) -> dict[str, Any]:
    await world.start()
    callers = asyncio.create_task(world.callers.run())
    try:
        await asyncio.sleep(WARM_S)
        began = time.monotonic()
        await fault.work(world)
        await asyncio.sleep(WARM_S)
        over = time.monotonic()
        await world.callers.stop()
        await callers
    finally:
        await world.stop()
    told = world.callers.told
    checked = check(told, settings=world.settings)
    instants = [began, *(one for one in told.answered_at if began < one < over), over]
    n_first = told.first.get("ok", 0) + told.first.get("fallback", 0)
    return {
        "fault": fault.name,
        "log": fault.store,
        "payments": sum(told.first.values()),
        "lost": len(checked.lost),
        "wrong": len(checked.wrong),
        "answered_at_first": n_first,
        "fallback": told.first.get("fallback", 0),
        "refused_at_first": {kind: n for kind, n in sorted(told.first.items()) if kind not in ("ok", "fallback")},
        "answered_late": told.n_late,
        "given_up": told.n_given_up,
        "reports_given_up": told.n_reports_given_up,
        "longest_without_answer_s": round(max(b - a for a, b in pairwise(instants)), 2),
        "stopped_by_limits": sum(one["action"] == "stop" for one in told.decisions.values()),
        "acknowledged": len(told.decisions) + len(told.outcomes),
        "log_events": checked.n_events,
        "notes": world.notes,
        "examples": [*checked.lost[:3], *checked.wrong[:3]],
    }


def _skipped(fault: Fault) -> dict[str, Any]:
    return {"fault": fault.name, "log": fault.store, "lost": 0, "wrong": 0, "skipped": "no file system may be mounted here"}


def _failed(row: dict[str, Any]) -> bool:
    notes = row.get("notes", {})
    return bool(
        notes.get("hostile_5xx")
        or notes.get("card_numbers_kept")
        or notes.get("topic_lacks")
        or not notes.get("came_back", True)
        or notes.get("bundles", 1) > 1
    )


def _print(row: dict[str, Any]) -> None:
    if "skipped" in row:
        say(f"{row['fault']:28} {row['log']:9} not run: {row['skipped']}")
        return
    refused = sum(row["refused_at_first"].values())
    figures = [row["payments"], row["lost"], row["wrong"], row["answered_at_first"], row["fallback"], refused]
    say(
        _COLUMNS.format(row["fault"], row["log"], *figures, row["answered_late"], row["given_up"], f"{row['longest_without_answer_s']:.2f}")
    )
    for text in [
        *row["examples"],
        *(f"{name}: {value}" for name, value in row["notes"].items()),
        *(f"{k}: {n}" for k, n in row["refused_at_first"].items()),
    ]:
        say(f"    {text}")


if __name__ == "__main__":
    sys.exit(main())

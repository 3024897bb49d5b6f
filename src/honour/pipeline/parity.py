"""Live parity: a sample of what decisions were served, recomputed offline, and told feature by feature, also as metrics."""

from __future__ import annotations

import os
import time
from pathlib import Path

from prometheus_client import CollectorRegistry, Gauge, write_to_textfile

from honour.features.parity import Parity, compare_with
from honour.loop import DataDir, Step, fill_lake
from honour.stores.lake import Lake
from honour.stores.opening import seq_before

HOUR_US = 3_600_000_000
MEMORY_LIMIT = "2GB"
"""Of the database; what does not fit goes to a temporary folder."""


def verify(data_dir: Path, *, hours: float | None = None, share: float = 1.0, threads: int | None = None, step: Step) -> Parity:
    """Features as served against the log recomputed with SQL, the answers taken from the lake of the data folder, filled first.

    hours  only decisions of the last so many hours; share: of decisions, in (0, 1]
    """
    where = DataDir(data_dir)
    with where.log() as log:
        last_seq = log.last_seq
        fill_lake(data_dir, to_seq=last_seq, step=step)
        lake = Lake(where.lake)
        manifest = lake.wanted()
        attempts = lake.dataset(manifest) if manifest.partitions else lake.read(manifest)
        after_seq = seq_before(log, time.time_ns() // 1_000 - round(hours * HOUR_US)) if hours is not None else 0
        step("recomputing features", 0, None)
        events = (logged for logged in log.read(after_seq=after_seq) if logged.seq <= last_seq)
        return compare_with(attempts, events, share=share, memory_limit=MEMORY_LIMIT, threads=threads or os.cpu_count())


def write_metrics(report: Parity, path: Path) -> None:
    """The report in the text format of Prometheus, for a collector of text files; written beside and renamed."""
    registry = CollectorRegistry()
    compared = Gauge("honour_parity_values", "Served values that were recomputed", ["feature"], registry=registry)
    apart = Gauge("honour_parity_apart", "Of them, those that are not the same", ["feature", "result"], registry=registry)
    decisions = Gauge("honour_parity_decisions", "Decisions, by what became of them", ["result"], registry=registry)
    at_s = Gauge("honour_parity_at_seconds", "When parity was looked at, seconds since 1970", registry=registry)
    for one in report.features:
        compared.labels(one.feature).set(one.n)
        for result, n in (("mismatch", one.mismatch), ("missing", one.missing), ("extra", one.extra)):
            apart.labels(one.feature, result).set(n)
    decisions.labels("compared").set(report.decisions)
    decisions.labels("skipped").set(report.skipped)
    at_s.set(time.time())
    path.parent.mkdir(parents=True, exist_ok=True)
    write_to_textfile(str(path), registry)

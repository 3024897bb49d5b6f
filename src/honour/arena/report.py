"""What a contest found: one JSON object with where it came from, and a picture of approval over time."""

from __future__ import annotations

import math
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec

from honour import __version__
from honour.arena.contest import Contest, Contested
from honour.arena.source import commit
from honour.simulator.scoreboard import APPROVALS, HONOUR, MARGIN, Interval, Row, Scoreboard

LIBRARIES = ("numpy", "lightgbm", "onnxruntime", "duckdb")
GAPS = {"gap_closed": MARGIN, "gap_closed_approval": APPROVALS}
"""Shares of the way from the best fixed route to an oracle, by the name in the report."""


def as_object(asked: Contest, found: Contested) -> dict[str, Any]:
    """Figures with intervals by scenario and policy, and what made them."""
    return {
        "commit": commit(),
        "versions": {"honour": __version__, "python": platform.python_version(), **{name: version(name) for name in LIBRARIES}},
        "seeds": list(asked.seeds),
        "payments": asked.payments,
        "streams": asked.streams,
        "history": asked.history,
        "scenarios": {name: _board(board) for name, board in found.boards.items()},
    }


def _board(board: Scoreboard) -> dict[str, Any]:
    return {
        "n_worlds": board.n_worlds,
        "n_payments": board.n_payments,
        "best_fixed": board.best_fixed,
        "policies": {row.policy: _row(row) for row in board.rows},
    }


def _row(row: Row) -> dict[str, Any]:
    return {
        **{name: _interval(interval) for name, interval in row.figures.items()},
        **{f"{name}_over_best_fixed": _interval(interval) for name, interval in row.over_best_fixed.items()},
        **{f"{name}_honour_less_this": _interval(interval) for name, interval in row.honour_less.items()},
        **{name: _interval(row.gap_closed[goal]) for name, goal in GAPS.items()},
        **{f"{name}_knowable": _interval(row.knowable_closed[goal]) for name, goal in GAPS.items()},
    }


def _interval(interval: Interval | None) -> dict[str, Any] | None:
    if interval is None or math.isnan(interval.value):
        return None
    return {"value": interval.value, "low": interval.low, "high": interval.high, "n": interval.n}


def write(folder: Path, *, report: dict[str, Any], found: Contested) -> list[Path]:
    """results.json, and for each scenario a picture as PNG and HTML; returns the files."""
    from honour.arena.picture import draw  # The plotting library is slow to load.

    folder.mkdir(parents=True, exist_ok=True)
    results = folder / "scoreboard.json"
    beside = results.with_suffix(".part")
    beside.write_bytes(msgspec.json.format(msgspec.json.encode(report, order="sorted"), indent=1))
    beside.replace(results)
    pictures = [path for name, plays in found.plays.items() for path in draw(folder, scenario=name, plays=plays, honour=HONOUR)]
    return [results, *pictures]

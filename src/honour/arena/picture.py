"""Pictures: share of payments approved over the hours of a scenario, policy by policy."""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from honour.simulator import scenario as scenarios
from honour.simulator.lineup import FIXED, ORACLE
from honour.simulator.played import Played

HOUR_US = 3_600_000_000
WINDOW_H = 6
"""Hours over which approval is averaged, so that the hours of few payments do not make the line jump."""
SHOWN = ("success rate, tuned", "static rules", ORACLE)
COLOURS = {ORACLE: "#888888", "static rules": "#c58a00", "success rate, tuned": "#b03a5b"}


def draw(folder: Path, *, scenario: str, plays: Sequence[Mapping[str, Played]], honour: str) -> list[Path]:
    """approval-SCENARIO.png and .html in `folder`, over all worlds together."""
    loaded = scenarios.load(scenario)
    names = [name for name in (*SHOWN, _best_fixed(plays), honour) if name in plays[0]]
    figure = Figure(figsize=(9.0, 4.2), layout="constrained")
    axes = figure.add_subplot()
    for name in names:
        hours, rates = _curve([each[name] for each in plays], start_us=loaded.start_us)
        own = name == honour
        axes.plot(hours / 24.0, rates * 100.0, label=name, color="#1858c8" if own else COLOURS.get(name), linewidth=2.2 if own else 1.3)
    for event in loaded.events:
        if event.to_day < loaded.days * 2 or 0.0 < event.from_day < loaded.days:
            axes.axvspan(event.from_day, min(event.to_day, loaded.days), color="#f0c0b0", alpha=0.35, linewidth=0)
    axes.set_xlim(0.0, loaded.days)
    axes.set_xlabel("days since the start; shaded while an event of the scenario lasts")
    axes.set_ylabel(f"payments approved, %, {WINDOW_H} h mean")
    axes.set_title(f"{scenario}: {loaded.description}", loc="left")
    axes.legend(loc="lower right", fontsize=8, ncols=2)
    stem = f"approval-{scenario.replace('+', '-')}"
    png, page = folder / f"{stem}.png", folder / f"{stem}.html"
    figure.savefig(png, dpi=110, metadata={"Software": None})
    page.write_text(_page(png, title=f"{scenario}: {loaded.description}"), encoding="utf-8")
    return [png, page]


def _best_fixed(plays: Sequence[Mapping[str, Played]]) -> str:
    fixed = [name for name in plays[0] if name.startswith(FIXED)]
    return max(fixed, key=lambda name: sum(float(each[name].expected_margin_minor.mean()) for each in plays), default="")


def _curve(played: Sequence[Played], *, start_us: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Middles of hours, and the share approved in the window around each."""
    at = np.concatenate([each.created_us for each in played])
    approved = np.concatenate([each.approved for each in played])
    hour = (at - start_us) // HOUR_US
    n_hours = int(hour.max()) + 1
    n, yes = np.bincount(hour, minlength=n_hours), np.bincount(hour, weights=approved, minlength=n_hours)
    window = np.ones(WINDOW_H)
    smooth = np.convolve(yes, window, mode="same") / np.maximum(1.0, np.convolve(n, window, mode="same"))
    return np.arange(n_hours, dtype=np.float64) + 0.5, smooth.astype(np.float64)


def _page(png: Path, *, title: str) -> str:
    """A page of its own, with the picture inside."""
    picture = base64.b64encode(png.read_bytes()).decode()
    name = html.escape(title)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{name}</title>'
        f'<body style="font-family:sans-serif;max-width:1000px;margin:2em auto"><h1>{name}</h1>'
        f'<img alt="{name}" style="max-width:100%" src="data:image/png;base64,{picture}"></body></html>\n'
    )

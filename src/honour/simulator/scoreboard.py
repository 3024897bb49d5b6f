"""Scoreboard: several policies in the same worlds, with intervals over worlds and differences in pairs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import NamedTuple

from honour.errors import BadInput
from honour.simulator.lineup import FIXED, KNOWABLE, ORACLE, MakePolicy
from honour.simulator.played import Played, play
from honour.simulator.world import World

HONOUR = "Honour"
APPROVALS, MARGIN = "payment_approval_rate", "expected_margin_minor"
GOALS = (APPROVALS, MARGIN, "net_margin_minor")
# Two-sided 95 % points of Student's t by degrees of freedom.
_T = (
    12.706,
    4.303,
    3.182,
    2.776,
    2.571,
    2.447,
    2.365,
    2.306,
    2.262,
    2.228,
    2.201,
    2.179,
    2.160,
    2.145,
    2.131,
    2.120,
    2.110,
    2.101,
    2.093,
    2.086,
)


class Interval(NamedTuple):
    """A mean over worlds with its 95 % t-interval; low and high are None for a single world, which cannot say."""

    value: float
    low: float | None
    high: float | None
    n: int


@dataclass(frozen=True, slots=True)
class Row:
    """One policy over all worlds.

    figures          mean of each figure of `Played.figures`; worlds in which there is nothing to take a mean of are left out
    over_best_fixed  paired difference to the best fixed route, by goal
    gap_closed       share of the way from the best fixed route to the oracle, by goal; None without both marks
    knowable_closed  the same to the knowable oracle
    honour_less      paired difference of the policy named Honour to this one, by goal; empty without it
    """

    policy: str
    figures: dict[str, Interval]
    over_best_fixed: dict[str, Interval]
    gap_closed: dict[str, Interval | None]
    knowable_closed: dict[str, Interval | None]
    honour_less: dict[str, Interval]


@dataclass(frozen=True, slots=True)
class Scoreboard:
    """Rows by net margin, best first; `best_fixed` is the fixed route that earned most over all worlds together."""

    scenario: str
    n_worlds: int
    n_payments: int
    best_fixed: str
    rows: tuple[Row, ...]


def scoreboard(
    worlds: Sequence[World], *, policies: Mapping[str, MakePolicy], step: Callable[[str, int, int | None], None] | None = None
) -> Scoreboard:
    """Every policy in every world. Names that begin with "fixed " compete for the mark that the others are measured from.

    step  called with (what is played, plays done, plays in all)
    """
    if not worlds or not any(name.startswith(FIXED) for name in policies):
        raise BadInput(
            f"scoreboard: {len(worlds)} worlds and policies {', '.join(policies) or 'none'}; "
            f"it needs a world and at least one policy named "
            f"{FIXED!r} and a route to measure from."
        )
    played: dict[str, list[Played]] = {name: [] for name in policies}
    done = 0
    for world in worlds:
        for name, make in policies.items():
            if step is not None:
                step(f"{world.scenario.name}: {name}", done, len(worlds) * len(policies))
            played[name].append(play(world, policy=make(world)))
            done += 1
    return compare(played, scenario=worlds[0].scenario.name)


def compare(played: Mapping[str, Sequence[Played]], *, scenario: str) -> Scoreboard:
    """The scoreboard of plays that were made already; every policy must have played the same worlds in the same order."""
    means = {name: [result.figures() for result in results] for name, results in played.items()}
    fixed = [name for name in means if name.startswith(FIXED)]
    best_fixed = max(fixed, key=lambda name: fmean(figures[MARGIN] for figures in means[name]))
    rows = []
    for name, figures in means.items():
        over = {goal: [a[goal] - b[goal] for a, b in zip(figures, means[best_fixed], strict=True)] for goal in GOALS}
        rows.append(
            Row(
                policy=name,
                figures={key: _mean_of([each[key] for each in figures]) for key in figures[0]},
                over_best_fixed={goal: mean_interval(over[goal]) for goal in GOALS},
                gap_closed=_closed(over, means=means, mark=ORACLE, best_fixed=best_fixed),
                knowable_closed=_closed(over, means=means, mark=KNOWABLE, best_fixed=best_fixed),
                honour_less={
                    goal: mean_interval([a[goal] - b[goal] for a, b in zip(means[HONOUR], means[name], strict=True)]) for goal in GOALS
                }
                if HONOUR in means
                else {},
            )
        )
    rows.sort(key=lambda row: -row.figures[MARGIN].value)
    first = next(iter(played.values()))
    return Scoreboard(
        scenario=scenario,
        n_worlds=len(first),
        n_payments=sum(len(each.approved) for each in first),
        best_fixed=best_fixed,
        rows=tuple(rows),
    )


def _closed(
    over: dict[str, list[float]], *, means: Mapping[str, Sequence[dict[str, float]]], mark: str, best_fixed: str
) -> dict[str, Interval | None]:
    """Share of the way from the best fixed route to a mark, by goal."""
    if mark not in means:
        return dict.fromkeys(GOALS)
    gap = {goal: [a[goal] - b[goal] for a, b in zip(means[mark], means[best_fixed], strict=True)] for goal in GOALS}
    return {goal: ratio_interval(over[goal], gap[goal]) for goal in GOALS}


def table(board: Scoreboard) -> tuple[list[str], list[list[str]]]:
    """Column names and cells of the scoreboard as text."""
    columns = [
        "policy",
        "approved",
        "margin, cents",
        "over best fixed",
        "gap closed",
        "of knowable",
        "attempts",
        "renewals recovered, retries each",
        "violations",
    ]
    rows = []
    for row in board.rows:
        knowable = row.knowable_closed[MARGIN]
        closed = row.gap_closed[MARGIN]
        rows.append(
            [
                row.policy + (" (best fixed)" if row.policy == board.best_fixed else ""),
                _text(row.figures["payment_approval_rate"], scale=100.0, unit=" %"),
                _text(row.figures[MARGIN]),
                _text(row.over_best_fixed[MARGIN]),
                "" if closed is None else _text(closed, scale=100.0, unit=" %", digits=0),
                "" if knowable is None else _text(knowable, scale=100.0, unit=" %", digits=0),
                f"{row.figures['attempts_per_payment'].value:.3f}",
                f"{row.figures['renewal_recovery_rate'].value:.0%}, {row.figures['retries_per_renewal_recovered'].value:.1f}",
                f"{row.figures['rule_violations'].value:g}",
            ]
        )
    return columns, rows


def mean_interval(values: Sequence[float]) -> Interval:
    """Mean of independent values with its t-interval.

    >>> mean_interval([2.0, 2.0, 2.0])
    Interval(value=2.0, low=2.0, high=2.0, n=3)
    """
    n = len(values)
    mean = fmean(values)
    if n < 2:
        return Interval(mean, None, None, n)
    half = _t(n - 1) * stdev(values) / math.sqrt(n)
    return Interval(mean, mean - half, mean + half, n)


def ratio_interval(above: Sequence[float], below: Sequence[float]) -> Interval | None:
    """Sum of `above` as a share of the sum of `below`, with its t-interval by leaving out one world at a time.

    None when `below` adds up to nothing or less: there is no gap to close. Biased by order 1/n, which the jackknife removes.
    """
    n, total = len(above), math.fsum(below)
    if total <= 0.0:
        return None
    ratio = math.fsum(above) / total
    if n < 2:
        return Interval(ratio, None, None, n)
    left_out = []
    for index in range(n):
        rest = total - below[index]
        if rest <= 0.0:
            return Interval(ratio, None, None, n)
        left_out.append((math.fsum(above) - above[index]) / rest)
    return mean_interval([n * ratio - (n - 1) * each for each in left_out])


def _mean_of(values: Sequence[float]) -> Interval:
    told = [value for value in values if not math.isnan(value)]
    return mean_interval(told) if told else Interval(math.nan, None, None, 0)


def _t(freedom: int) -> float:
    return _T[freedom - 1] if freedom <= len(_T) else 1.96 + 2.5 / freedom


def _text(interval: Interval, *, scale: float = 1.0, unit: str = "", digits: int = 1) -> str:
    value = f"{interval.value * scale:.{digits}f}{unit}"
    if interval.low is None or interval.high is None:
        return value
    return f"{value} [{interval.low * scale:.{digits}f}, {interval.high * scale:.{digits}f}]"

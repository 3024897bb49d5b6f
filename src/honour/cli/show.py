"""What every command prints: tables for people, one JSON object for programs, progress on standard error."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from honour.approval.metric import Figure
from honour.evaluation.estimator import Estimate

NAME_WIDTH = 24
"""Of the first column of a table this much stays, however narrow the terminal."""
FILE_WIDTH = 160
Step = Callable[[str, int, int | None], None]
"""Called as step("reading rows", done, total or None) while something long goes on."""


def out(text: str = "") -> None:
    """A line for a person, on standard output."""
    sys.stdout.write(text + "\n")


def note(text: str) -> None:
    """A line about progress or a warning, on standard error."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def as_json(value: Any) -> None:
    """One JSON object on standard output, keys sorted, nothing else."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(value, order="sorted"), indent=2).decode() + "\n")


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A plain table; numbers are right-aligned, the first column left.

    On a terminal that is too narrow the first column, which says what a row is about, is folded and kept; in a file nothing is cut.
    """
    drawn = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    name_width = min(NAME_WIDTH, max((len(row[0]) for row in rows), default=0))
    for index, column in enumerate(columns):
        drawn.add_column(
            column,
            justify="left" if index == 0 else "right",
            no_wrap=index > 0,
            min_width=name_width if index == 0 else None,
            overflow="fold" if index == 0 else "ellipsis",
        )
    for row in rows:
        drawn.add_row(*row)
    console = Console(file=sys.stdout, markup=False, highlight=False)
    if not sys.stdout.isatty():
        console.width = max(FILE_WIDTH, console.measure(drawn, options=console.options.update(width=10 * FILE_WIDTH)).maximum)
    console.print(drawn)


def figure(value: Figure | None, *, digits: int = 4, unit: str = "") -> str:
    """`0.4563 [0.4490, 0.4637]`, or `cannot say`."""
    if value is None:
        return "cannot say"
    return f"{value.value:.{digits}f}{unit} [{value.low:.{digits}f}, {value.high:.{digits}f}]"


def estimate(value: Estimate | None, *, digits: int) -> str:
    """As `figure`, of an off-policy estimate."""
    if value is None:
        return "cannot say"
    return f"{value.value:.{digits}f} [{value.low:.{digits}f}, {value.high:.{digits}f}]"


@contextmanager
def progress() -> Iterator[Step]:
    """Progress on standard error: a bar on a terminal, a line for each new task elsewhere."""
    if not sys.stderr.isatty():
        seen: set[str] = set()

        def line(task: str, _done: int, _total: int | None) -> None:
            if task not in seen:
                seen.add(task)
                note(f"  {task} ...")

        yield line
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(file=sys.stderr), transient=True) as bar:
        tasks: dict[str, Any] = {}

        def draw(task: str, done: int, total: int | None) -> None:
            if task not in tasks:
                tasks[task] = bar.add_task(task, total=total)
            bar.update(tasks[task], completed=done, total=total)

        yield draw

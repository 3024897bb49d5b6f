"""The quality of a data folder as one page of HTML that needs nothing else: what does not hold, figures, examples."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from honour.features.batch import BatchReport, Checked
    from honour.stores.overview import Overview

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 76rem; padding: 0 1rem; color: #1a1a1a; background: #fff }
table { border-collapse: collapse; width: 100%; margin: .5rem 0 2rem }
th, td { text-align: left; vertical-align: top; padding: .35rem .6rem }
tr { border-bottom: 1px solid #ddd } td.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }
.broken { color: #a40000; font-weight: 600 } .warn { color: #8a5200; font-weight: 600 } .holds { color: #1d6b2c } .say { color: #666 }
code { background: #f3f3f3; padding: 0 .25rem } p.lead { font-size: 1.1rem }
@media (prefers-color-scheme: dark) { body { color: #e6e6e6; background: #161616 } tr { border-color: #333 } code { background: #2a2a2a }
.broken { color: #ff8a80 } .warn { color: #ffc46b } .holds { color: #84d494 } .say { color: #999 } }
"""
_WORDS = {"broken": "does not hold", "holds": "holds", "cannot say": "cannot say"}


def page(of: Overview) -> str:
    """The whole page."""
    report = of.checked
    broken = sorted(report.broken(), key=lambda one: one.severity != "refuse")
    parts = [
        f"<h1>Data quality of {escape(of.data)}</h1>",
        f'<p class="lead">{escape(headline(report))}</p>',
        f"<p>{escape(_range(report))} Looked at {report.at:%Y-%m-%d %H:%M} UTC.</p>",
        *(_one(one) for one in broken),
        "<h2>Every expectation</h2>",
        _table(["expectation", "expects", "severity", "", "figure", "limit", "found"], map(_row, report.checked)),
        "<h2>Rows in quarantine</h2>",
        _table(
            ["reason", "for", "rows", "first"],
            ([escape(one.reason), escape(one.where), str(one.n), escape(", ".join(one.first_rows))] for one in of.quarantine),
        ),
        "<h2>Last batches</h2>",
        _table(["at (UTC)", "source", "files", "attempts", "days", "does not hold"], map(_batch, of.batches)),
    ]
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Data quality</title><style>{_STYLE}</style>'
    return f'<!doctype html><html lang="en"><head>{head}</head><body>{"".join(parts)}</body></html>\n'


def headline(report: BatchReport) -> str:
    """One sentence: how many expectations hold."""
    refused, warned = len(report.broken("refuse")), len(report.broken("warn"))
    silent = sum(one.status == "cannot say" for one in report.checked)
    if not report.n_attempts:
        return "There are no answered attempts to look at."
    said = f"{refused} expectations that refuse and {warned} that warn do not hold" if refused or warned else "Every expectation holds"
    return f"{said}, of {len(report.checked)}{f'; of {silent} nothing can be said' if silent else ''}."


def figure_of(one: Checked) -> str:
    """The figure, or that there is none."""
    return "cannot say" if one.figure is None else f"{one.figure:.4g}"


def _range(report: BatchReport) -> str:
    return f"{report.n_attempts} attempts on {report.n_days} days, {report.first_day} to {report.last_day}." if report.n_days else ""


def _one(one: Checked) -> str:
    style = "broken" if one.severity == "refuse" else "warn"
    told = (
        f'<h3 class="{style}">{escape(one.name)} ({one.severity})</h3><p>Expected: {escape(one.expects)}. '
        f"Found on {one.day}: {escape(one.found)}. "
        f"Figure <b>{figure_of(one)}</b>, limit {one.limit:g}; does not hold on {one.days_broken} of {one.days_judged} days.</p>"
    )
    if not one.examples:
        return told
    rows = ([f"<code>{escape(of.attempt_id)}</code>", escape("not known" if of.value is None else of.value)] for of in one.examples)
    return told + _table(["attempt", "value"], rows)


def _row(one: Checked) -> list[str]:
    style = {"holds": "holds", "cannot say": "say"}.get(one.status, "broken" if one.severity == "refuse" else "warn")
    state = f'<span class="{style}">{_WORDS[one.status]}</span>'
    return [escape(one.name), escape(one.expects), one.severity, state, figure_of(one), f"{one.limit:g}", escape(one.found)]


def _batch(one: BatchReport) -> list[str]:
    names = ", ".join(checked.name for checked in one.broken())
    return [f"{one.at:%Y-%m-%d %H:%M}", one.source, escape(", ".join(one.files)), str(one.n_attempts), str(one.n_days), escape(names)]


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Cells are HTML already."""
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    if not body:
        return "<p>None.</p>"
    return f"<table><thead><tr>{''.join(f'<th>{escape(name)}</th>' for name in columns)}</tr></thead><tbody>{body}</tbody></table>"

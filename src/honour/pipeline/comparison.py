"""Every kind of model on the attempts of a log, as a table and a picture."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import msgspec
import numpy as np
from matplotlib.figure import Figure as Picture

from honour.approval.metric import Figure
from honour.approval.model import ApprovalModel
from honour.learning.dataset import hold_out, rows_of
from honour.learning.served import ServedRow, served_rows
from honour.loop import DataDir, Step, build_features
from honour.outcomes.uncollected import uncollected
from honour.outcomes.windows import Windows
from honour.records.settings import Settings
from honour.release.trade_off import Compared, Comparison, compare
from honour.release.value import replay_rows, same_form, value_gain

REPLAYED_MAX = 2_000
"""Later attempts on which the value of deciding by a model is estimated: the last ones."""
ENSEMBLES = (("lightgbm", "tabm"), ("lightgbm", "logistic"))
PAGE, PICTURE, FIGURES = "comparison.md", "comparison.png", "comparison.json"


def compare_kinds(
    data_dir: Path,
    *,
    settings: Settings,
    kinds: Sequence[str],
    out: Path,
    holdout_days: float,
    price_per_hour: float,
    seed: int,
    threads: int,
    deep_rows_max: int | None = None,
    step: Step,
) -> Comparison:
    """Fit every kind on the log without its last `holdout_days`, judge it on those, and leave table, picture and figures in `out`."""
    with DataDir(data_dir).log() as log:
        to_seq = log.last_seq
    table = build_features(data_dir, to_seq=to_seq, step=step, threads=threads).to_arrow()
    rows = rows_of(table)
    held = hold_out(rows, days=holdout_days)
    step("looking features up as served", 0, None)
    late_us = np.sort(rows.at_us[held.late])
    served = _served(data_dir, settings=settings, to_seq=to_seq, after_us=int(late_us[max(0, len(late_us) - REPLAYED_MAX)]) - 1)

    def value(model: ApprovalModel) -> Figure | None:
        return _value(model, served=served, settings=settings)

    found = compare(
        table,
        early=rows.where(held.early),
        late=rows.where(held.late),
        kinds=kinds,
        together=ENSEMBLES,
        value=value,
        price_per_hour=price_per_hour,
        seed=seed,
        n_threads=threads,
        deep_rows_max=deep_rows_max,
        step=step,
    )
    out.mkdir(parents=True, exist_ok=True)
    for name, content in (
        (PAGE, page(found).encode()),
        (PICTURE, picture(found)),
        (FIGURES, msgspec.json.format(msgspec.json.encode(found))),
    ):
        beside = out / f".{name}.part"
        beside.write_bytes(content)
        beside.replace(out / name)
    return found


def page(found: Comparison) -> str:
    """The table as Markdown."""
    heads = ("kind", *_HEADS)
    lines = [f"| {' | '.join(heads)} |", "|" + "---|" * len(heads)]
    for one in found.kinds:
        name, *rest = row_of(one)
        lines.append(f"| {' | '.join([f'{name} (take this)' if one.name == found.recommended else name, *rest])} |")
    return "\n".join([f"Fitted on {found.n_early} attempts, judged on {found.n_late} later ones.", "", *lines, "", found.why]) + "\n"


def row_of(one: Compared) -> list[str]:
    """One line of the table."""
    measured = [_said(one.metrics.get(name)) for name in ("log_loss", "brier", "auc", "pr_auc", "calibration_error")]
    timed = " / ".join(f"{latency.p50_ms:.3f}" for latency in one.latency)
    worst = " / ".join(f"{latency.p99_ms:.3f}" for latency in one.latency)
    value = "cannot say" if one.value is None else f"{one.value.value:.1f} [{one.value.low:.1f}, {one.value.high:.1f}]"
    name = f"**{one.name}**" if one.on_front else one.name
    size = f"{one.bytes / 1024:.0f} KiB"
    return [
        name,
        f"{one.settings}; {one.size}",
        *measured,
        value,
        timed,
        worst,
        size,
        f"{one.cpu_s:.0f} s",
        f"{one.cost:.4f}",
        str(one.n_rows),
    ]


def picture(found: Comparison) -> bytes:
    """PNG: log loss with its interval against latency; the front is joined."""
    drawn = Picture(figsize=(7.0, 4.5), layout="constrained")
    axes = drawn.add_subplot()
    for one in found.kinds:
        loss, ms = one.metrics["log_loss"], one.latency[1].p50_ms
        colour = "#1858c8" if one.on_front else "#888888"
        error = ([max(0.0, loss.value - loss.low)], [max(0.0, loss.high - loss.value)])
        axes.errorbar([ms], [loss.value], yerr=error, fmt="o", color=colour, alpha=0.8)
        if one.name == found.recommended:
            axes.plot(
                [ms],
                [loss.value],
                marker="o",
                linestyle="none",
                markersize=14,
                markerfacecolor="none",
                color="#c84818",
                label="recommended",
            )
        axes.annotate(one.name, (ms, loss.value), textcoords="offset points", xytext=(6, 4), fontsize=8)
    front = sorted((one.latency[1].p50_ms, one.metrics["log_loss"].value) for one in found.kinds if one.on_front)
    axes.plot([ms for ms, _ in front], [loss for _, loss in front], color="#1858c8", linewidth=0.8, label="Pareto front")
    axes.legend(fontsize=8)
    axes.set_xscale("log")
    axes.margins(x=0.25)  # Names stand to the right of their points.
    axes.set_xlabel("milliseconds for 8 candidates, median")
    axes.set_ylabel("log loss on later attempts, 95 % interval")
    sink = BytesIO()
    drawn.savefig(sink, format="png", dpi=110, metadata={"Software": None})
    return sink.getvalue()


_HEADS = (
    *("settings", "log loss", "Brier", "AUC", "PR-AUC", "calibration error", "value, minor units per attempt"),
    *("ms, median, 1 / 8 / 32 candidates", "ms, p99", "size", "CPU time to fit", "cost", "attempts fitted"),
)


def _said(figure: Figure | None) -> str:
    return "cannot say" if figure is None else f"{figure.value:.4f} [{figure.low:.4f}, {figure.high:.4f}]"


def _served(data_dir: Path, *, settings: Settings, to_seq: int, after_us: int) -> list[ServedRow]:
    """Attempts sent after an instant as a server had them, with candidates on every route that is enabled."""
    routes = tuple(route for route in settings.routes if route.enabled)
    known = {route.id for route in routes}
    with uncollected():
        with DataDir(data_dir).log() as log:
            events = [logged for logged in log.read() if logged.seq <= to_seq]
        asked = served_rows(events, state=Windows(), after_us=after_us, candidates_of=same_form(routes))
        return [row for row in asked if row.sent[0] in known]


def _value(model: ApprovalModel, *, served: Sequence[ServedRow], settings: Settings) -> Figure | None:
    """Value per attempt of deciding by the model less that of what was done."""
    routes = tuple(route for route in settings.routes if route.enabled)
    if len(routes) < 2 or not served:
        return None
    terms = {row.payment.merchant_id: settings.terms_of(row.payment.merchant_id) for row in served}
    return value_gain(replay_rows(served, routes=routes, model=model), against=None, terms=terms).gain

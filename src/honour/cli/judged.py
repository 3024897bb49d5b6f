"""What `honour evaluate` prints: how a bundle does on later attempts, and where the policy stands on precision and recall."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from honour.cli import show
from honour.records.instant import from_us

if TYPE_CHECKING:
    from honour.approval.metric import Figure
    from honour.learning.judge import Judgement
    from honour.learning.retry_judge import DelayReport
    from honour.release.operating import PrCurve, PrPoint

POINTS = 10
"""Points of a curve that are printed; all of them are in the picture and in the JSON."""


def show_judgement(judged: Judgement) -> None:
    """Figures with intervals, reliability, weeks, segments, and retries where there are any."""
    title = f"{judged.n} attempts from {from_us(judged.first_us):%Y-%m-%d} to {from_us(judged.last_us):%Y-%m-%d}, after the training range"
    show_figures(title, {**judged.metrics, **{f"gain over {name}": gain for name, gain in judged.gains.items()}})
    parts = judged.murphy
    show.out(
        f"Brier score taken apart: reliability {parts.reliability:.4f} - resolution {parts.resolution:.4f} + uncertainty "
        f"{parts.uncertainty:.4f} + within {parts.within:.4f}. Smooth calibration error {judged.smooth_calibration_error:.4f}."
    )
    columns = ["probability given", "share approved, 95 % interval", "attempts"]
    bins = [[f"{one.p_mean:.3f}", f"{one.approval_rate:.3f} [{one.low:.3f}, {one.high:.3f}]", str(one.n)] for one in judged.reliability]
    show.table("Reliability", columns, bins)
    weeks = [[f"{from_us(one.from_us):%Y-%m-%d}", show.figure(one.gap), str(one.n)] for one in judged.weeks]
    show.table("Does calibration drift?", ["week from", "mean p less approval rate", "attempts"], weeks)
    rows = [
        [segment.name, str(segment.n), *(show.figure(segment.metrics.get(key)) for key in ("log_loss", "calibration_error"))]
        for segment in judged.segments
        if segment.metrics
    ]
    show.table("By segment", ["segment", "attempts", "log loss", "calibration error"], rows)
    if judged.retries:
        _show_retries(judged.retries)


def show_figures(title: str, figures: Mapping[str, Figure]) -> None:
    """Figures by name, with their intervals."""
    show.table(title, ["figure", "value and 95 % interval"], [[name.replace("_", " "), show.figure(one)] for name, one in figures.items()])


def show_curves(curves: Sequence[PrCurve], *, has_fees: bool) -> None:
    """Where retries and attempts with 3-D Secure are worth their costs, and some points of each curve.

    has_fees  routes are configured
    """
    rows = []
    for one in curves:
        at = one.operating
        stands = ["", "", "", ""] if at is None else [f"{at.threshold:.4f}", *map(show.figure, (at.sent, at.precision, at.recall))]
        rows.append([one.name, str(one.n), f"{one.average_precision:.4f}", *stands])
    columns = ["attempts", "number", "average precision", "threshold, median", "share worth it", "precision there", "recall there"]
    show.table("Precision and recall, and where an attempt is worth its costs", columns, rows)
    if not has_fees:
        show.out("No routes are configured: fees count as 0, so that nearly every attempt is worth it. Give --config.")
    for one in curves:
        points = [[f"{at.p:.3f}", f"{at.precision:.3f}", f"{at.recall:.3f}"] for at in _some(one.points)]
        show.table(f"The curve of {one.name}", ["p at least", "precision: share approved", "recall: share of approvals"], points)


def _show_retries(retries: Sequence[DelayReport]) -> None:
    delays = [
        [
            f"{one.from_h:g} h and more" if one.to_h is None else f"{one.from_h:g} to {one.to_h:g} h",
            f"{one.p_mean:.3f}",
            f"{one.approval_rate:.3f} [{one.low:.3f}, {one.high:.3f}]",
            show.figure(one.gap),
            str(one.n),
        ]
        for one in retries
    ]
    title = "Retries by delay since the last answer: what the retry model says, and what came of it"
    show.table(title, ["delay", "probability given", "share approved, 95 % interval", "gap", "retries"], delays)


def _some(points: Sequence[PrPoint]) -> list[PrPoint]:
    """The points nearest to a tenth, two tenths, ... of the approvals."""
    asked = [number / POINTS for number in range(1, POINTS + 1)]
    return list({min(points, key=lambda one: abs(one.recall - recall)): None for recall in asked})

"""Pictures of a judged model: the reliability curve, and precision against recall with the points at which the policy stands."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO

from matplotlib.figure import Figure

from honour.approval.metric import ReliabilityBin
from honour.release.operating import PrCurve

COLOURS = ("#1858c8", "#c84818", "#188848")


def reliability_picture(bins: Sequence[ReliabilityBin]) -> bytes:
    """PNG of the curve; bars are 95 % intervals of each share."""
    figure = Figure(figsize=(5.0, 5.0), layout="constrained")
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color="#888888", linewidth=1.0, label="calibrated")
    below = [max(0.0, one.approval_rate - one.low) for one in bins]
    above = [max(0.0, one.high - one.approval_rate) for one in bins]
    places, rates = [one.p_mean for one in bins], [one.approval_rate for one in bins]
    axes.errorbar(places, rates, yerr=(below, above), fmt="o", color="#1858c8", label="later attempts")
    axes.set_xlabel("probability given")
    axes.set_ylabel("share approved")
    axes.legend()
    return _as_png(figure)


def precision_recall_picture(curves: Sequence[PrCurve]) -> bytes:
    """PNG of the curves; a mark where attempts of a sort are sent that are worth their costs, with 95 % intervals."""
    figure = Figure(figsize=(5.5, 5.0), layout="constrained")
    axes = figure.add_subplot()
    for one, colour in zip(curves, COLOURS, strict=False):
        recalls, precisions = [at.recall for at in one.points], [at.precision for at in one.points]
        axes.plot(recalls, precisions, color=colour, linewidth=1.2, label=f"{one.name}, {one.n} attempts")
        if (at := one.operating) is not None:
            spans = [[[part.value - part.low], [part.high - part.value]] for part in (at.recall, at.precision)]
            place = ([at.recall.value], [at.precision.value])
            axes.errorbar(*place, xerr=spans[0], yerr=spans[1], fmt="o", color=colour, label=f"{one.name}: worth its costs")
    axes.set_xlabel("recall: share of approvals")
    axes.set_ylabel("precision: share approved")
    axes.set_ylim(0.0, 1.02)
    axes.legend(fontsize=8, loc="lower left")
    return _as_png(figure)


def _as_png(figure: Figure) -> bytes:
    sink = BytesIO()
    figure.savefig(sink, format="png", dpi=110, metadata={"Software": None})
    return sink.getvalue()

"""The reliability curve: probability given against share approved, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO

from matplotlib.figure import Figure

from honour.approval.metric import ReliabilityBin


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
    sink = BytesIO()
    figure.savefig(sink, format="png", dpi=110, metadata={"Software": None})
    return sink.getvalue()

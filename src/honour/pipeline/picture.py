"""The reliability curve: probability given against share approved, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from math import sqrt

from matplotlib.figure import Figure

from honour.approval.metric import ReliabilityBin

Z = 1.959963984540054


def reliability_picture(bins: Sequence[ReliabilityBin]) -> bytes:
    """PNG of the curve; bars are 95 % intervals of each share (Wilson 1927), which leave out that attempts of one payment agree."""
    figure = Figure(figsize=(5.0, 5.0), layout="constrained")
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color="#888888", linewidth=1.0, label="calibrated")
    ends = [wilson(one.approval_rate, n=one.n) for one in bins]
    below = [max(0.0, one.approval_rate - low) for one, (low, _) in zip(bins, ends, strict=True)]
    above = [max(0.0, high - one.approval_rate) for one, (_, high) in zip(bins, ends, strict=True)]
    places, rates = [one.p_mean for one in bins], [one.approval_rate for one in bins]
    axes.errorbar(places, rates, yerr=(below, above), fmt="o", color="#1858c8", label="later attempts")
    axes.set_xlabel("probability given")
    axes.set_ylabel("share approved")
    axes.legend()
    sink = BytesIO()
    figure.savefig(sink, format="png", dpi=110, metadata={"Software": None})
    return sink.getvalue()


def wilson(rate: float, *, n: int) -> tuple[float, float]:
    """95 % interval of a share.

    >>> tuple(round(end, 3) for end in wilson(0.5, n=100))
    (0.404, 0.596)
    """
    if n == 0:
        return 0.0, 1.0
    middle = (rate + Z * Z / (2 * n)) / (1 + Z * Z / n)
    half = Z * sqrt(rate * (1 - rate) / n + Z * Z / (4 * n * n)) / (1 + Z * Z / n)
    return middle - half, middle + half

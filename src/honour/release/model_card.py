"""The model card: what a released model is, from what, how good, for whom, and where it ends. Generated, never written by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
from msgspec.structs import asdict

from honour.approval.card import Training
from honour.approval.metric import Figure
from honour.learning.judge import Judgement
from honour.records.instant import from_us
from honour.release.bundle import Bundle
from honour.release.gate import GateResult
from honour.release.operating import PrCurve

_LIMITS = (
    "It says what an issuer is likely to answer, not whether a payment is honest: it is no fraud model.",
    "It was judged on attempts that were sent. Of candidates that were hardly ever sent it knows little.",
    "A route, network or country that is not in the table below has been seen in fewer than 50 later attempts, or not at all.",
    "The shipped model may have been fitted on the later attempts too, after the figures here were taken without them.",
)


class Lineage(msgspec.Struct, frozen=True, kw_only=True):
    """Where a model comes from.

    run           of the pipeline; training_set: SHA-256 of its content
    honour        version of the code; catalogue: content hash of the features
    before        bundle_id of the champion at the time, or None
    """

    run: str
    training_set: str
    honour: str
    catalogue: str
    before: str | None


def card_text(bundle: Bundle, *, judgement: Judgement, curves: Sequence[PrCurve], gates: Sequence[GateResult], lineage: Lineage) -> str:
    """Markdown, without clock and host name: the same run gives the same card."""
    parts = {
        "Data": _data(bundle.manifest.training, judgement=judgement),
        "Model": _model(bundle.manifest.training),
        "Figures on later attempts": ["95 % intervals, clustered by payment.", "", *_figures(judgement)],
        "By segment": _segments(judgement, offsets=bundle.manifest.training.evidence.offsets),
        "Precision and recall": _curves(curves),
        "Gates": _gates(gates),
        "Limits": [f"- {limit}" for limit in _LIMITS],
        "Lineage": _table(("what", "value"), [(name.replace("_", " "), str(value or "none")) for name, value in asdict(lineage).items()]),
    }
    lines = ["# Approval model", "", f"Bundle `{bundle.bundle_id}`.", ""]
    lines += ["P(the issuer approves | payment, candidate), calibrated. " + judgement.verdict]
    for title, part in parts.items():
        lines += ["", f"## {title}", "", *part]
    return "\n".join(lines) + "\n"


def _data(training: Training, *, judgement: Judgement) -> list[str]:
    judged = f"{judgement.n} later attempts, {_day(judgement.first_us)} to {_day(judgement.last_us)}, unseen when judged"
    rows = [
        ("attempts", str(training.n_rows)),
        ("payments", str(training.n_payments)),
        ("period", f"{_day(training.from_us)} to {_day(training.until_us)} (UTC)"),
        ("judged on", judged),
        ("attempt approval rate", f"{training.approval_rate:.4f}"),
        ("routes", ", ".join(f"{route} {rate:.3f}" for route, rate in sorted(training.route_approval_rates.items()))),
    ]
    return _table(("what", "value"), rows)


def _model(training: Training) -> list[str]:
    rows = [
        ("kind", training.evidence.kind),
        ("configuration", training.evidence.configuration),
        ("size", training.evidence.size),
        ("calibrator", training.calibrator),
        ("features left out", ", ".join(training.evidence.left_out) or "none"),
        ("seed", str(training.seed)),
    ]
    return _table(("what", "value"), rows)


def _figures(judgement: Judgement) -> list[str]:
    rows = [(name.replace("_", " "), _said(one)) for name, one in judgement.metrics.items()]
    parts = judgement.murphy
    rows += [(f"Brier score: {name}", f"{getattr(parts, name):.4f}") for name in parts.__struct_fields__]
    rows.append(("smooth calibration error", f"{judgement.smooth_calibration_error:.4f}"))
    rows += [(f"p less approval rate, week from {_day(week.from_us)}", _said(week.gap)) for week in judgement.weeks]
    rows += [(f"gain in log loss over {name.replace('_', ' ')}", _said(one)) for name, one in judgement.gains.items()]
    return _table(("figure", "value"), rows)


def _segments(judgement: Judgement, *, offsets: Mapping[str, float]) -> list[str]:
    """Offsets are those of the model that was judged."""
    rows = [
        (
            one.name,
            str(one.n),
            _said(one.metrics["log_loss"]),
            _said(one.metrics["calibration_error"]),
            f"{offsets[one.name]:+.3f}" if one.name in offsets else "none",
        )
        for one in judgement.segments
        if one.metrics
    ]
    return _table(("segment", "attempts", "log loss", "calibration error", "offset, log-odds"), rows)


def _curves(curves: Sequence[PrCurve]) -> list[str]:
    """Curves as their areas, and where the policy stands on them."""
    rows = []
    for one in curves:
        at = one.operating
        stands = ("", "", "", "") if at is None else (f"{at.threshold:.4f}", _said(at.sent), _said(at.precision), _said(at.recall))
        rows.append((one.name, str(one.n), f"{one.average_precision:.4f}", *stands))
    said = "An attempt is worth its costs from a probability on that is its own: of its amount, the merchant's margin and the route's fees."
    heads = ("attempts", "number", "average precision", "threshold, median", "share worth it", "precision there", "recall there")
    return [f"{said} Curves: `precision-recall.png`.", "", *_table(heads, rows)]


def _gates(gates: Sequence[GateResult]) -> list[str]:
    """All but the latency: it is of the machine, not of the model, and differs from run to run."""
    rows = [
        (one.name, "cannot say" if one.figure is None else f"{one.figure:.6g}", f"{one.limit:g}", "yes" if one.passed else "no", one.found)
        for one in gates
        if one.name != "latency"
    ]
    return _table(("gate", "figure", "limit", "passed", "found"), rows)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    drawn = [f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in rows]
    return [f"| {' | '.join(head)} |", "|" + "---|" * len(head), *drawn]


def _said(figure: Figure) -> str:
    return f"{figure.value:.4f} [{figure.low:.4f}, {figure.high:.4f}]"


def _day(at_us: int) -> str:
    return f"{from_us(at_us):%Y-%m-%d}"

"""Gates: from the figures of a model to whether it may be released, each with what was found, what is allowed and where to look.

Pure: the figures come from `data_figures` and `model_figures`, the limits from `[gates]` of honour.toml. Gates stand in order of
precedence; the first that fails gives the exit code of `honour pipeline run`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Generic, NamedTuple, TypeVar

import msgspec

from honour.approval.metric import Figure
from honour.features.batch import BatchReport
from honour.records.gates import GateSettings

PARITY_MAX = 1e-5
"""What a compiled walk through the trees may differ from ONNX Runtime. No setting: a bundle promises it."""

BASE_RATE = "base_rate"
"""What the first model is compared with."""

_Figures = TypeVar("_Figures")


class DataFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What the data are like, before anything is trained.

    data_age_hours      age of the newest answer
    silent_hours_share  share of hours that are silent without a reason
    later_attempts      attempts to judge on, which neither the champion nor the judged model has seen
    drift               population stability index of later attempts against earlier ones, by what is compared
    uncovered           share of attempts, by segment that only one side of the cut knows
    feature_auc         AUC of each feature alone on the later attempts, by feature
    """

    data_age_hours: float
    silent_hours_share: float
    later_attempts: int
    drift: dict[str, float]
    uncovered: dict[str, float]
    feature_auc: dict[str, float]


class ModelFigures(msgspec.Struct, frozen=True, kw_only=True):
    """How the judged model does on attempts that are later than its own, and how the shipped one serves.

    against              who it is compared with: the bundle_id of the champion, or base_rate where there is none
    metrics              log_loss, auc, calibration_error and others
    log_loss_gain        log loss of `against` less that of the model, on the same attempts
    segments             calibration error of each segment with enough attempts
    value_gain_minor     value per attempt of deciding by the model less that of deciding by `against`; None: the log cannot say,
                         for the reason in `why_no_value`
    latency_ms           99th percentile of scoring 8 candidates
    model_apart          largest difference between the compiled walk and ONNX Runtime
    values_compared      feature values that a server had or would have had, held against the log recomputed
    values_apart         those that differ, by feature
    broken               why the bundle as written does not hold; None when it does
    """

    against: str
    metrics: dict[str, Figure]
    log_loss_gain: Figure
    segments: dict[str, Figure]
    value_gain_minor: Figure | None
    why_no_value: str | None
    latency_ms: float
    model_apart: float
    values_compared: int
    values_apart: dict[str, int]
    broken: str | None


class GateResult(msgspec.Struct, frozen=True, kw_only=True):
    """One gate: what was found and what is allowed. `figure` None: it cannot be said, for the reason in `found`.

    look_at  what to look at when it failed
    """

    name: str
    exit_code: int
    figure: float | None
    limit: float
    passed: bool
    found: str
    look_at: str


class Found(NamedTuple):
    """What a gate looks at: the figure, and the same in words."""

    figure: float | None
    words: str


class Gate(NamedTuple, Generic[_Figures]):
    """A gate as data. It passes while the figure is at most the limit; with `is_floor`, at least.

    what            the figure, for people
    may_be_silent   passes when the figure cannot be said
    """

    name: str
    exit_code: int
    what: str
    find: Callable[[_Figures], Found]
    limit: Callable[[GateSettings], float]
    look_at: str
    is_floor: bool = False
    may_be_silent: bool = False

    def judge(self, figures: _Figures, *, limits: GateSettings) -> GateResult:
        """Hold the figures against the limit."""
        figure, words = self.find(figures)
        limit = self.limit(limits)
        holds = figure is not None and (figure >= limit if self.is_floor else figure <= limit)  # False of NaN either way.
        passed = holds or (figure is None and self.may_be_silent)
        return GateResult(
            name=self.name, exit_code=self.exit_code, figure=figure, limit=limit, passed=passed, found=words, look_at=self.look_at
        )


def judge_data(figures: DataFigures, *, limits: GateSettings) -> tuple[GateResult, ...]:
    """Every gate on data, in order of precedence."""
    return tuple(gate.judge(figures, limits=limits) for gate in DATA_GATES)


def judge_model(figures: ModelFigures, *, limits: GateSettings) -> tuple[GateResult, ...]:
    """Every gate on a model, in order of precedence."""
    return tuple(gate.judge(figures, limits=limits) for gate in MODEL_GATES)


def first_failed(results: tuple[GateResult, ...]) -> GateResult | None:
    """The failed gate that comes first, or None."""
    return next((result for result in results if not result.passed), None)


def in_words(result: GateResult) -> str:
    """One line for a person: figure, limit, and where to look."""
    if result.figure is None:
        return f"{result.name}: cannot say, {result.found}. Look at: {result.look_at}."
    return f"{result.name}: {result.figure:.6g}, allowed {result.limit:g}; {result.found}. Look at: {result.look_at}."


def _largest(named: Mapping[str, float], *, of: str) -> Found:
    if not named:
        return Found(0.0, f"no {of} to compare")
    name = max(named, key=lambda one: named[one])
    return Found(named[name], f"{of} {name}")


def _total(named: Mapping[str, float]) -> Found:
    worst = sorted(named, key=lambda one: -named[one])[:5]
    return Found(max(named.values(), default=0.0), f"known on one side only: {', '.join(worst) or 'nothing'}")


def _worst_segment(figures: ModelFigures) -> Found:
    if not figures.segments:
        return Found(None, "no segment has enough later attempts")
    name = max(figures.segments, key=lambda one: figures.segments[one].low)
    return Found(figures.segments[name].low, f"segment {name}, {_said(figures.segments[name])}")


def _metric(figures: ModelFigures, name: str, *, end: str) -> Found:
    if name not in figures.metrics:
        return Found(None, f"{name} has no value: the later attempts all have one answer")
    figure = figures.metrics[name]
    return Found(float(getattr(figure, end)), _said(figure))


def _gain(figures: ModelFigures) -> Found:
    if figures.against == BASE_RATE:
        return Found(None, "there is no champion to compare with")
    return Found(figures.log_loss_gain.low, f"gain over {figures.against[:19]} {_said(figures.log_loss_gain)}")


def _value(figures: ModelFigures) -> Found:
    gain = figures.value_gain_minor
    if gain is None:
        return Found(None, figures.why_no_value or "nothing was replayed")
    return Found(-gain.high, f"gain over {figures.against[:19]} {_said(gain)} minor units per attempt")


def _apart(figures: ModelFigures) -> Found:
    if not figures.values_compared:
        return Found(None, "no feature value could be compared")
    named = ", ".join(sorted(figures.values_apart)[:5])
    share = sum(figures.values_apart.values()) / figures.values_compared
    return Found(share, f"of {figures.values_compared} values compared, apart: {named or 'none'}")


def _said(figure: Figure) -> str:
    return f"{figure.value:.4f} [{figure.low:.4f}, {figure.high:.4f}]"


def _refusals(report: BatchReport) -> Found:
    broken = report.broken("refuse")
    return Found(float(len(broken)), "; ".join(f"{one.name}: {one.found}" for one in broken) or "all of severity refuse hold")


EXPECTATIONS_GATE: Gate[BatchReport] = Gate(
    "expectations",
    9,
    "expectations of severity refuse that the last days break",
    _refusals,
    lambda _limits: 0.0,
    "`honour quality report`",
)
"""Before anything else, on the last days of the log."""

DATA_GATES: tuple[Gate[DataFigures], ...] = (
    Gate(
        "data_age",
        10,
        "hours since the newest answer",
        lambda of: Found(of.data_age_hours, "hours since the newest answer"),
        lambda limits: limits.data_age_hours_max,
        "whether outcomes still arrive: `honour_outcomes_total`, the last import",
    ),
    Gate(
        "silent_hours",
        11,
        "share of hours without an attempt at a time of day that usually has some",
        lambda of: Found(of.silent_hours_share, "of all hours"),
        lambda limits: limits.silent_hours_share_max,
        "`quality.json` of the run: silent_hours and longest_gap name the holes of the feed",
    ),
    Gate(
        "later_attempts",
        12,
        "attempts to judge on, later than what the champion and the judged model have seen",
        lambda of: Found(float(of.later_attempts), "attempts to judge on"),
        lambda limits: float(limits.later_attempts_min),
        "when the champion was trained: wait for more answers",
        is_floor=True,
    ),
    Gate(
        "drift",
        13,
        "population stability index of later attempts against earlier ones, the largest",
        lambda of: _largest(of.drift, of="index of"),
        lambda limits: limits.drift_max,
        "what changed in the mix of attempts; a shorter history may fit better",
    ),
    Gate(
        "segments",
        14,
        "share of attempts in a segment that only one side of the cut knows, the largest",
        lambda of: _total(of.uncovered),
        lambda limits: limits.uncovered_share_max,
        "whether an import left a route, network, funding or country out, or a new one has too little history",
    ),
    Gate(
        "feature_leak",
        15,
        "AUC of one feature alone, the largest",
        lambda of: _largest(of.feature_auc, of="AUC of"),
        lambda limits: limits.feature_auc_max,
        "whether that field is filled in after the answer is known",
    ),
)
"""Before training. Exit codes are part of the interface: docs/pipeline.md."""

MODEL_GATES: tuple[Gate[ModelFigures], ...] = (
    Gate(
        "too_good",
        16,
        "AUC of the model",
        lambda of: _metric(of, "auc", end="value"),
        lambda limits: limits.auc_max,
        "`honour features list`: a feature that moves the model most may know the answer",
    ),
    Gate(
        "too_much_gain",
        17,
        "log loss of the champion less that of the model, lower end of the interval",
        _gain,
        lambda limits: limits.log_loss_better_max,
        "a feature that knows the answer, or a champion that broke",
        may_be_silent=True,
    ),
    Gate(
        "log_loss",
        18,
        "log loss on later attempts above the champion's, upper end of the interval",
        lambda of: Found(-of.log_loss_gain.low, f"gain over {of.against[:19]} {_said(of.log_loss_gain)}"),
        lambda limits: limits.log_loss_worse_max,
        "`figures.json` of the run: which segment lost; a larger gates.later_attempts_min narrows the interval",
    ),
    Gate(
        "calibration",
        19,
        "calibration error on later attempts, lower end of the interval",
        lambda of: _metric(of, "calibration_error", end="low"),
        lambda limits: limits.calibration_error_max,
        "the reliability curve: `reliability.png` of the run",
    ),
    Gate(
        "segment_calibration",
        20,
        "calibration error in the worst segment of at least `gates.segment_share_min` of the attempts, lower end of the interval",
        _worst_segment,
        lambda limits: limits.segment_calibration_error_max,
        "that segment's attempts: a rate that changed, or a feature that it lacks",
    ),
    Gate(
        "value",
        21,
        "value per attempt that is surely lost by deciding so, doubly robust, minor units",
        _value,
        lambda limits: limits.value_worse_minor_max,
        "`honour replay --model BUNDLE`, and merchants.<id>.exploration_budget_minor where the log cannot say",
        may_be_silent=True,
    ),
    Gate(
        "latency",
        22,
        "99th percentile of scoring 8 candidates, ms",
        lambda of: Found(of.latency_ms, "ms for 8 candidates"),
        lambda limits: limits.latency_ms_max,
        "kind and size of the model, and what else runs on this machine",
    ),
    Gate(
        "feature_parity",
        23,
        "share of feature values that a server has and the log does not give again",
        _apart,
        lambda limits: limits.parity_share_max,
        "`honour features verify`",
    ),
    Gate(
        "model_parity",
        24,
        "largest difference between the compiled walk and ONNX Runtime",
        lambda of: Found(of.model_apart, "in probability"),
        lambda _limits: PARITY_MAX,
        "versions of onnxruntime and numba against constraints.txt",
    ),
    Gate(
        "files",
        25,
        "broken promises of the bundle as written",
        lambda of: Found(float(of.broken is not None), of.broken or "every hash and sample row holds"),
        lambda _limits: 0.0,
        "the disk; train again",
    ),
)
"""After training."""

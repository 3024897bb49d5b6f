"""Gates as pure functions: what passes, what does not, and what a person is told."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np
import pytest

from honour.approval.metric import Figure
from honour.learning.judge import SegmentReport
from honour.records.gates import GateSettings
from honour.release.data_figures import population_stability_index
from honour.release.gate import BASE_RATE, DataFigures, ModelFigures, first_failed, in_words, judge_data, judge_model
from honour.release.model_figures import segments_that_count

DATA = DataFigures(
    data_age_hours=1.0, silent_hours_share=0.0, later_attempts=5_000, drift={"route": 0.01}, uncovered={}, feature_auc={"mcc": 0.6}
)


def _figure(value: float, *, half: float = 0.001) -> Figure:
    return Figure(value=value, low=value - half, high=value + half, n=5_000)


MODEL = ModelFigures(
    against="sha256:champion",
    metrics={"auc": _figure(0.8), "calibration_error": Figure(value=0.01, low=0.0, high=0.02, n=5_000)},
    log_loss_gain=_figure(0.002),
    segments={"network=visa": _figure(0.01)},
    value_gain_minor=_figure(0.5),
    why_no_value=None,
    latency_ms=0.1,
    model_apart=1e-12,
    values_compared=1_000,
    values_apart={},
    broken=None,
)


def test_sound_data_and_a_sound_model_pass_every_gate() -> None:
    results = (*judge_data(DATA, limits=GateSettings()), *judge_model(MODEL, limits=GateSettings()))
    assert first_failed(results) is None


@pytest.mark.parametrize(
    ("changed", "gate"),
    [
        ({"data_age_hours": 49.0}, "data_age"),
        ({"silent_hours_share": 0.06}, "silent_hours"),
        ({"later_attempts": 999}, "later_attempts"),
        ({"drift": {"route": 0.01, "network": 0.3}}, "drift"),
        ({"uncovered": {"network=elo": 0.06}}, "segments"),
        ({"feature_auc": {"risk_score": 0.99}}, "feature_leak"),
        ({"drift": {"route": math.nan}}, "drift"),
    ],
)
def test_each_fault_of_the_data_is_stopped_by_its_own_gate(changed: dict[str, Any], gate: str) -> None:
    failed = [one.name for one in judge_data(msgspec.structs.replace(DATA, **changed), limits=GateSettings()) if not one.passed]
    assert failed == [gate]


@pytest.mark.parametrize(
    ("changed", "gate"),
    [
        ({"metrics": {**MODEL.metrics, "auc": _figure(0.99)}}, "too_good"),
        ({"log_loss_gain": _figure(0.2)}, "too_much_gain"),
        ({"log_loss_gain": _figure(-0.0045)}, "log_loss"),
        ({"metrics": {**MODEL.metrics, "calibration_error": Figure(value=0.03, low=0.021, high=0.04, n=9)}}, "calibration"),
        ({"segments": {"network=visa": _figure(0.01), "route=acq_1": _figure(0.09)}}, "segment_calibration"),
        ({"value_gain_minor": _figure(-0.5)}, "value"),
        ({"latency_ms": 5.1}, "latency"),
        ({"values_apart": {"mcc": 1}}, "feature_parity"),
        ({"values_compared": 0}, "feature_parity"),
        ({"model_apart": 2e-5}, "model_parity"),
        ({"broken": "model.onnx: SHA-256 differs"}, "files"),
        ({"metrics": {"auc": _figure(0.8)}}, "calibration"),
    ],
)
def test_each_fault_of_a_model_is_stopped_by_its_own_gate(changed: dict[str, Any], gate: str) -> None:
    failed = [one.name for one in judge_model(msgspec.structs.replace(MODEL, **changed), limits=GateSettings()) if not one.passed]
    assert failed == [gate]


def test_the_first_model_has_no_champion_to_gain_too_much_over() -> None:
    first = msgspec.structs.replace(MODEL, against=BASE_RATE, log_loss_gain=_figure(0.3))
    assert first_failed(judge_model(first, limits=GateSettings())) is None


def test_a_log_that_cannot_say_what_a_policy_is_worth_stops_nothing_and_says_why() -> None:
    silent = msgspec.structs.replace(MODEL, value_gain_minor=None, why_no_value="only 3 effective attempts")
    results = judge_model(silent, limits=GateSettings())
    assert first_failed(results) is None
    said = next(one for one in results if one.name == "value")
    assert (said.figure, said.found) == (None, "only 3 effective attempts")


def test_a_failed_gate_names_figure_limit_and_what_to_look_at() -> None:
    failed = first_failed(judge_data(msgspec.structs.replace(DATA, uncovered={"network=elo": 0.25}), limits=GateSettings()))
    assert failed is not None
    assert in_words(failed).startswith("segments: 0.25, allowed 0.05; known on one side only: network=elo. Look at: whether an import")


def test_the_index_of_drift_grows_with_the_shift_and_an_empty_bin_does_not_make_it_infinite() -> None:
    even = np.array([0.5, 0.5])
    shifts = [population_stability_index(even, np.array([0.5 - by, 0.5 + by])) for by in (0.0, 0.1, 0.3, 0.5)]
    assert shifts == sorted(shifts)
    assert shifts[0] == 0.0
    assert math.isfinite(shifts[-1])


def test_a_segment_of_few_attempts_is_shown_and_does_not_stop_a_model() -> None:
    wrong = {"calibration_error": _figure(0.2)}
    seen = [SegmentReport(name="route=acq_1", n=99, metrics=wrong), SegmentReport(name="route=acq_2", n=100, metrics=wrong)]
    assert list(segments_that_count([*seen, SegmentReport(name="route=acq_3", n=500, metrics={})], n_min=100.0)) == ["route=acq_2"]

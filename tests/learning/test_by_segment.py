"""Offsets by segment: what a model misses of a segment is found, thin segments keep little, and the whole stays where it is as good."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

from honour.approval.calibration import expit
from honour.approval.metric import log_loss
from honour.approval.segment import SEGMENTS, Offset, SegmentOffsets, segment_names
from honour.errors import BadInput
from honour.features.catalogue import FEATURES, SCHEMA_ID
from honour.features.encode import Encoder
from honour.learning.by_segment import fit_offsets, named_offsets, segment_numbers
from honour.learning.calibrate import choose_calibrator

ENCODER = Encoder(schema=SCHEMA_ID, categories={"route": {"acq_1": 0.8, "acq_2": 0.3, "acq_3": 0.1}}, unseen=0.5, missing=("network",))


def _columns(n: int, *, seed: int = 0, thin: int = 0) -> dict[str, np.ndarray]:
    """Raw columns of every feature: routes at random, the first `thin` attempts over acq_3, attempts numbered 1 to 7."""
    draw = np.random.default_rng(seed)
    columns: dict[str, np.ndarray] = {
        one.name: np.full(n, None, dtype=object) if one.kind == "category" else np.full(n, np.nan) for one in FEATURES
    }
    columns["route"] = draw.choice(np.array(["acq_1", "acq_2"], dtype=object), n)
    columns["route"][:thin] = "acq_3"
    columns["attempt_number"] = draw.integers(1, 8, n).astype(np.float64)
    return columns


def _answers(columns: dict[str, np.ndarray], *, missed: dict[str, float], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """What a model says that misses `missed` log-odds of each route, and answers."""
    draw = np.random.default_rng(seed + 1)
    z = draw.normal(0.2, 1.0, len(columns["route"]))
    return expit(z), (draw.random(len(z)) < expit(z + np.array([missed.get(route, 0.0) for route in columns["route"]]))).astype(float)


def _chosen(n: int, *, missed: dict[str, float]) -> Any:
    columns = _columns(n)
    p, y = _answers(columns, missed=missed)
    numbers = segment_numbers(columns, encoder=ENCODER)
    return choose_calibrator(p, y=y, payments=np.arange(n), at_us=np.arange(n), seed=1, numbers=numbers)


def test_what_a_model_misses_of_a_route_is_found_and_the_mean_of_the_route_is_right() -> None:
    columns = _columns(20_000)
    p, y = _answers(columns, missed={"acq_1": 0.5})
    numbers = segment_numbers(columns, encoder=ENCODER)
    offsets = fit_offsets(p, y=y, numbers=numbers, strength=1.0)
    named = named_offsets(offsets, columns, encoder=ENCODER)
    assert named["route=acq_1"] - named["route=acq_2"] == pytest.approx(0.5, abs=0.08)
    for route in ("acq_1", "acq_2"):
        here = columns["route"] == route
        assert abs(p[here].mean() - y[here].mean()) > 0.02 or route == "acq_2"
        assert offsets.moved(p, numbers)[here].mean() == pytest.approx(y[here].mean(), abs=0.002)


def test_a_segment_of_few_attempts_keeps_hardly_any_offset() -> None:
    columns = _columns(20_000, thin=20)
    p, y = _answers(columns, missed={"acq_1": 0.5})
    y[:20] = 0.0  # By chance all are refused.
    named = named_offsets(fit_offsets(p, y=y, numbers=segment_numbers(columns, encoder=ENCODER), strength=300.0), columns, encoder=ENCODER)
    assert abs(named["route=acq_3"]) < 0.05 < named["route=acq_1"]


def test_offsets_are_chosen_where_a_segment_is_missed_and_help_on_later_attempts() -> None:
    choice = _chosen(6_000, missed={"acq_1": 0.6, "acq_2": -0.6})
    assert choice.strength is not None
    assert choice.name.endswith(f"by segment, pulled by {choice.strength:g}")
    columns = _columns(6_000, seed=9)
    p, y = _answers(columns, missed={"acq_1": 0.6, "acq_2": -0.6}, seed=9)
    moved = choice.offsets.moved(choice.calibrator.apply(p), segment_numbers(columns, encoder=ENCODER))
    assert log_loss(moved, y) < log_loss(choice.calibrator.apply(p), y) - 0.02


def test_the_whole_stays_where_segments_are_no_better() -> None:
    choice = _chosen(6_000, missed={})
    assert (choice.strength, choice.offsets, choice.name) == (None, SegmentOffsets(), "identity")


def test_what_held_for_some_days_only_is_not_chosen() -> None:
    """Folds drawn by chance would find the offset of each route on both sides; going forward finds that it turns round."""
    n = 8_000
    columns = _columns(n)
    early, late = (_answers(columns, missed={"acq_1": sign * 0.6, "acq_2": -sign * 0.6}) for sign in (1.0, -1.0))
    turned = np.arange(n) // 500 % 2 == 0
    p, y = early[0], np.where(turned, early[1], late[1])
    numbers = segment_numbers(columns, encoder=ENCODER)
    choice = choose_calibrator(p, y=y, payments=np.arange(n), at_us=np.arange(n), seed=1, numbers=numbers)
    assert choice.strength is None


def test_what_is_served_is_what_was_fitted_to_the_last_bit() -> None:
    columns = _columns(3_000, thin=50)
    p, y = _answers(columns, missed={"acq_1": 0.5, "acq_3": -1.0})
    columns["route"][-50:] = "acq_new"
    columns["attempt_number"][-10:] = np.nan
    numbers = segment_numbers(columns, encoder=ENCODER)
    offsets = fit_offsets(p, y=y, numbers=numbers, strength=30.0)
    read = msgspec.json.decode(msgspec.json.encode(offsets), type=SegmentOffsets)
    matrix = ENCODER.encode_columns(columns)
    many = read.apply(p, matrix)
    assert many.tolist() == offsets.moved(p, numbers).tolist()
    assert [read.apply(p[at : at + 1], matrix[at : at + 1])[0] for at in range(0, 3_000, 100)] == many[::100].tolist()
    assert set(named_offsets(offsets, columns, encoder=ENCODER)) >= {"attempt_number=5 or more", "route=acq_new", "network=not known"}


def test_within_a_segment_no_higher_probability_is_made_the_lower_one() -> None:
    columns = _columns(2_000)
    p, y = _answers(columns, missed={"acq_1": 2.0})
    offsets = fit_offsets(p, y=y, numbers=segment_numbers(columns, encoder=ENCODER), strength=30.0)
    row = ENCODER.encode_columns({name: column[:1] for name, column in columns.items()})
    asked = np.sort(np.concatenate([p, [0.0, 1.0]]))
    moved = offsets.apply(asked, np.repeat(row, len(asked), axis=0))
    assert np.all(np.diff(moved) >= 0.0)
    assert (moved.min(), moved.max()) >= (1e-6, 1e-6)
    assert moved.max() <= 1.0 - 1e-6


def test_a_value_that_was_never_seen_has_the_offset_of_none() -> None:
    offsets = SegmentOffsets(of={"route": (Offset(number=float(np.float32(0.8)), log_odds=1.0),)})
    rows = ENCODER.encode_columns({name: column[:1] for name, column in (_columns(1) | {"route": np.array(["new"], dtype=object)}).items()})
    assert offsets.apply(np.array([0.3]), rows)[0] == pytest.approx(0.3, abs=1e-15)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"of": {"mcc": [{"number": 0.1, "log_odds": 1.0}]}}, "'mcc' is no feature that makes segments; allowed: route, network"),
        ({"of": {"route": [{"number": 0.1, "log_odds": float("inf")}]}}, "one of route is not finite"),
    ],
)
def test_offsets_of_what_makes_no_segments_cannot_be_made(said: dict[str, Any], message: str) -> None:
    with pytest.raises((BadInput, msgspec.ValidationError), match=message):
        msgspec.convert(said, SegmentOffsets)


def test_segments_have_names_for_people() -> None:
    assert segment_names("attempt_number", np.array([1.0, 5.0, 9.0, np.nan])).tolist() == ["1", "5 or more", "5 or more", "not known"]
    assert segment_names("route", np.array(["acq_1", None], dtype=object)).tolist() == ["acq_1", "not known"]
    assert SEGMENTS == ("route", "network", "funding", "issuer_country", "attempt_number")

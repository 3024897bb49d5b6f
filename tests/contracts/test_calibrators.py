"""What every kind of calibrator promises, however it was fitted."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from honour.approval.calibration import KINDS, Calibrator, kind_of
from honour.errors import BadInput, CannotTrain
from honour.learning.calibrate import fit_calibrator

every_kind = pytest.mark.parametrize("kind", KINDS)
PROBABILITIES = st.lists(st.floats(0.0, 1.0), min_size=1, max_size=50)
ANSWERED = st.lists(st.tuples(st.floats(0.0, 1.0), st.booleans()), min_size=2, max_size=80).filter(
    lambda rows: len({answer for _, answer in rows}) == 2
)


def _fitted(kind: str, rows: list[tuple[float, bool]]) -> Calibrator:
    return fit_calibrator(kind, p=np.array([p for p, _ in rows]), y=np.array([float(y) for _, y in rows]))


@every_kind
@given(rows=ANSWERED, asked=PROBABILITIES)
def test_a_higher_probability_is_never_made_the_lower_one(kind: str, rows: list[tuple[float, bool]], asked: list[float]) -> None:
    given_p = np.sort(np.array(asked))
    assert np.all(np.diff(_fitted(kind, rows).apply(given_p)) >= -1e-12)


@every_kind
@given(rows=ANSWERED, asked=PROBABILITIES)
def test_no_answer_is_held_for_certain(kind: str, rows: list[tuple[float, bool]], asked: list[float]) -> None:
    calibrated = _fitted(kind, rows).apply(np.array(asked))
    assert calibrated.shape == (len(asked),)
    assert np.all((calibrated >= 1e-6) & (calibrated <= 1.0 - 1e-6))


@every_kind
@given(rows=ANSWERED)
def test_what_is_written_is_what_is_read(kind: str, rows: list[tuple[float, bool]]) -> None:
    calibrator = _fitted(kind, rows)
    read = msgspec.json.decode(msgspec.json.encode(calibrator), type=Calibrator)
    assert read == calibrator
    assert kind_of(read) == kind


@every_kind
@given(rows=ANSWERED)
def test_the_same_rows_give_the_same_calibrator(kind: str, rows: list[tuple[float, bool]]) -> None:
    assert _fitted(kind, rows) == _fitted(kind, rows)


@every_kind
def test_one_answer_only_is_nothing_to_calibrate_on(kind: str) -> None:
    with pytest.raises(CannotTrain, match="all with the same answer"):
        fit_calibrator(kind, p=np.array([0.2, 0.4]), y=np.zeros(2))


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"type": "platt", "slope": -1.0, "intercept": 0.0}, "slope is -1.0"),
        ({"type": "beta", "a": 1.0, "b": -0.1, "c": 0.0}, "b is -0.1"),
        ({"type": "quadratic_logit", "at_low": 0.0, "slope_low": 1.0, "slope_high": -1.0, "z_low": 0.0, "z_high": 1.0}, "slope_high"),
        ({"type": "venn_abers", "knots": [0.1, 0.2], "p0": [0.2, 0.1], "p1": [0.3, 0.4]}, "p0 falls"),
        ({"type": "venn_abers", "knots": [0.1], "p0": [0.2, 0.3], "p1": [0.3]}, "1 knots, 2 p0"),
    ],
)
def test_a_calibrator_that_would_turn_a_ranking_over_cannot_be_made(said: dict[str, object], message: str) -> None:
    with pytest.raises((BadInput, msgspec.ValidationError), match=message):
        msgspec.convert(said, Calibrator)

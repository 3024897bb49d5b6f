"""Tables out of a file are used only when every look-up stays within them: compiled code has no check of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pytest
from numpy.typing import NDArray

from honour.approval.onnx_file import constants_of
from honour.approval.tables import tables_of
from honour.learning.kinds.logistic import LogisticModel

N_FEATURES = 4
Constants = Mapping[str, NDArray[np.generic]]


@pytest.fixture(scope="module")
def model() -> LogisticModel:
    generator = np.random.default_rng(1)
    matrix = generator.normal(size=(800, N_FEATURES)).astype(np.float32)
    matrix[:, 0], matrix[:, 1] = generator.integers(0, 4, 800), generator.integers(0, 7, 800)
    return LogisticModel(categories=(0, 1), crosses=((0, 1), (0, 2))).fit(matrix, (matrix[:, 0] + matrix[:, 2] > 1.5).astype(int))


@pytest.fixture(scope="module")
def constants(model: LogisticModel) -> Constants:
    return constants_of(model.to_onnx())


def test_tables_out_of_a_file_say_what_the_model_says(model: LogisticModel, constants: Constants) -> None:
    found = tables_of(constants, n_features=N_FEATURES)
    assert found is not None
    asked = np.array([[3, 6, 0.2, -1], [np.nan, 77, 1e38, np.nan], [-2, 0.5, -1e38, 1e30]], dtype=np.float32)
    np.testing.assert_allclose(found.log_odds(asked), model.decision_function(asked), atol=1e-12)


@pytest.mark.parametrize(
    ("name", "broken"),
    [
        ("places", lambda old: np.where(old == old.max(), 99, old)),
        ("places", lambda old: old - 1),
        ("factors", lambda old: old * 1_000),
        ("factors", lambda old: -old),
        ("starts", lambda old: old + 10_000),
        ("starts", lambda old: old - 1),
        ("starts", lambda old: old[:-1]),
        ("values", lambda old: old[:-1]),
        ("sizes", lambda old: old + 50),
        ("numbers", lambda old: old + N_FEATURES),
        ("categories", lambda old: old - 1),
        ("edges", lambda old: old[:-1]),
        ("intercept", lambda old: old[:0]),
        ("values", lambda old: old[:, None]),
    ],
)
def test_tables_that_lead_outside_are_not_used(
    name: str, broken: Callable[[NDArray[np.generic]], NDArray[np.generic]], constants: Constants
) -> None:
    assert tables_of({**constants, name: broken(constants[name])}, n_features=N_FEATURES) is None


def test_a_file_without_one_of_them_has_no_tables(constants: Constants) -> None:
    assert tables_of({name: value for name, value in constants.items() if name != "starts"}, n_features=N_FEATURES) is None

"""What every kind of model promises; a kind is found here as soon as it has a name."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
import pytest
from sklearn.base import clone
from sklearn.utils.estimator_checks import check_estimator

from honour.approval.calibration import expit
from honour.approval.scores import compiled_scores
from honour.errors import CannotTrain
from honour.learning.kinds.named import DEEP, MODULES, available, kind_named
from honour.learning.kinds.port import Estimator, Told

pytestmark = pytest.mark.slow
COMPILED = ("logistic", "forest", "lightgbm", "xgboost", "mixed")
N_FEATURES = 9
TOLD = Told(categories=(0, 1), rising=(2,), sequence=((4, 5), (6, 7)), seed=3, n_threads=1)
LITTLE: dict[str, dict[str, Any]] = {"tabm": {"width": 16, "members": 4}, "sequence": {"width": 16, "memory": 8}}
MAY_FAIL = {
    "check_sample_weight_equivalence_on_dense_data": "rows are drawn by chance, or come in batches",
    "check_methods_subset_invariance": "float32 products are added in another order for other numbers of rows",
}

every_kind = pytest.mark.parametrize("name", available())


def _model(name: str, *, n_steps: int) -> Estimator:
    kind = kind_named(name)
    model = kind.make(kind.configurations[-1], TOLD)
    for param, value in LITTLE.get(name, {}).items():
        setattr(model, param, value)
    if name == "logistic":
        model.crosses = ((0, 1), (0, 2), (0, 1, 2))  # type: ignore[attr-defined]  # its own parameter
    model.n_steps = n_steps
    return model


def _rows(n: int, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Two categories, a number with which approval rises, noise, a column of one value; a tenth of all is missing."""
    generator = np.random.default_rng(seed)
    matrix = generator.normal(size=(n, N_FEATURES)).astype(np.float32)
    matrix[:, 0], matrix[:, 1] = generator.integers(0, 5, n), generator.integers(0, 30, n)
    z = 1.2 * matrix[:, 2] + np.where(matrix[:, 0] == 2, 1.0, -0.5)
    matrix[generator.random(matrix.shape) < 0.1] = np.nan
    matrix[:, 8] = 0.0
    return matrix, (generator.random(n) < expit(z)).astype(int)


@pytest.fixture(scope="module")
def fitted() -> dict[str, Estimator]:
    matrix, y = _rows(1_500, seed=1)
    return {name: _model(name, n_steps=_steps(name)).fit(matrix, y) for name in available()}


def _steps(name: str) -> int:
    """Passes of a network over so few rows are short."""
    return 8 if name in DEEP else 3


def _asked() -> np.ndarray:
    """Rows as they come in life: more missing, categories never seen, numbers far outside."""
    matrix, _ = _rows(300, seed=2)
    generator = np.random.default_rng(3)
    matrix[generator.random(matrix.shape) < 0.3] = np.nan
    matrix[:20, 0], matrix[20:40, 1], matrix[40:60, 3] = 77.0, 30.0, 1e30
    matrix[60] = np.nan
    return matrix


def _onnx_says(content: bytes, matrix: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(content)
    (asked,), (said,) = session.get_inputs(), session.get_outputs()
    (p,) = session.run([said.name], {asked.name: matrix})
    return np.asarray(p if p.ndim == 1 else p[:, -1])


@every_kind
def test_a_kind_keeps_the_contract_of_scikit_learn(name: str) -> None:
    kind = kind_named(name)
    model = kind.make(kind.configurations[0], Told((), (), (), 1, 1))
    model.n_steps = 40 if name in DEEP else 1
    for param, value in LITTLE.get(name, {}).items():
        setattr(model, param, value)
    results = check_estimator(model, on_fail=None, on_skip=None)
    assert len(results) > 40
    failed = {result["check_name"]: repr(result["exception"]) for result in results if result["status"] == "failed"}
    assert {check: why for check, why in failed.items() if check not in MAY_FAIL} == {}


@every_kind
def test_onnx_says_what_the_training_library_says(name: str, fitted: dict[str, Estimator]) -> None:
    asked = _asked()
    assert np.abs(_onnx_says(fitted[name].to_onnx(), asked) - fitted[name].predict_proba(asked)[:, 1]).max() < 1e-5


@pytest.mark.parametrize("name", COMPILED)
def test_trees_and_tables_are_served_by_compiled_code_with_the_same_answer(name: str, fitted: dict[str, Estimator]) -> None:
    content = fitted[name].to_onnx()
    scores = compiled_scores(content, n_features=N_FEATURES, by_runtime=lambda rows: _onnx_says(content, rows))
    assert scores is not None
    asked = _asked()
    assert np.abs(scores(asked) - fitted[name].predict_proba(asked)[:, 1]).max() < 1e-6


@every_kind
def test_a_signal_is_found(name: str, fitted: dict[str, Estimator]) -> None:
    matrix, y = _rows(1_000, seed=4)
    p = np.clip(fitted[name].predict_proba(matrix)[:, 1], 1e-6, 1 - 1e-6)
    base = y.mean()
    assert -np.mean(np.where(y == 1, np.log(p), np.log1p(-p))) < -(base * np.log(base) + (1 - base) * np.log1p(-base)) - 0.01


@every_kind
def test_steps_one_by_one_say_what_a_fit_of_as_many_says(name: str, fitted: dict[str, Estimator]) -> None:
    matrix, y = _rows(1_500, seed=1)
    asked = _asked()
    stage = _model(name, n_steps=1).staged(matrix, y, [asked, asked[:5]])
    for _ in range(_steps(name)):
        said, few = next(stage)
    np.testing.assert_allclose(said.raw, fitted[name].decision_function(asked), atol=1e-5)
    np.testing.assert_allclose(few.raw, said.raw[:5], atol=1e-5)


@every_kind
def test_the_same_rows_and_seed_give_the_same_model(name: str, fitted: dict[str, Estimator]) -> None:
    matrix, y = _rows(1_500, seed=1)
    again = clone(fitted[name]).fit(matrix, y)
    assert again.to_onnx() == fitted[name].to_onnx()


@every_kind
def test_a_column_of_one_value_counts_for_nothing(name: str, fitted: dict[str, Estimator]) -> None:
    asked = _asked()
    other = asked.copy()
    other[:, 8] = 5.0
    assert np.array_equal(fitted[name].decision_function(asked), fitted[name].decision_function(other))


@every_kind
def test_a_category_never_seen_is_judged_between_those_that_were(name: str, fitted: dict[str, Estimator]) -> None:
    if kind_named(name).encoding == "rates":
        pytest.skip("the encoder gives it the base rate, which is between the others")
    matrix, _ = _rows(400, seed=5)
    means = {}
    for code in (*range(5), 77):
        matrix[:, 0] = code
        means[code] = fitted[name].predict_proba(matrix)[:, 1].mean()
    assert min(means[code] for code in range(5)) <= means[77] <= max(means[code] for code in range(5))


@every_kind
def test_a_category_never_seen_is_no_worst_one_where_all_rows_were_known(name: str) -> None:
    if kind_named(name).encoding == "rates":
        pytest.skip("the encoder gives it the base rate, which is between the others")
    generator = np.random.default_rng(6)
    matrix = generator.normal(size=(2_000, N_FEATURES)).astype(np.float32)
    matrix[:, 0], matrix[:, 1] = generator.integers(0, 5, 2_000), generator.integers(0, 30, 2_000)
    y = (generator.random(2_000) < expit(matrix[:, 0] - 2.0)).astype(int)
    model = _model(name, n_steps=10).fit(matrix, y)
    means = {}
    for code in (0.0, 4.0, np.nan):
        matrix[:, 0] = code
        means[code] = model.predict_proba(matrix)[:, 1].mean()
    assert means[0.0] + 0.1 < list(means.values())[-1] < means[4.0] - 0.1


def test_a_name_that_is_not_known_is_refused_with_those_that_are() -> None:
    with pytest.raises(CannotTrain, match=f"'perceptron' is not known; allowed: {', '.join(MODULES)}"):
        kind_named("perceptron")

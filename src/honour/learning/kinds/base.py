"""What the kinds share: scikit-learn's contract around "begin, grow a step, say the log-odds"."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin  # type: ignore[import-untyped]  # scikit-learn ships no types
from sklearn.utils.multiclass import check_classification_targets  # type: ignore[import-untyped]  # as above
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data  # type: ignore[import-untyped]  # as above

from honour.approval.calibration import expit
from honour.learning.kinds.port import Floats, Matrix, Said


class StepwiseClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn's classes are Any
    """A classifier of two classes that grows by steps. A kind says `_begin`, `_grow` and `_raw`."""

    n_steps: int

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:  # noqa: N803 - scikit-learn's names
        """Fit `n_steps` steps on rows (n, n_features), NaN missing, and two classes (n,)."""
        if self.n_steps < 1:
            raise ValueError(f"n_steps is {self.n_steps}; it must be 1 or more")
        self._start(X, y, sample_weight)
        for _ in range(self.n_steps):
            self._grow()
        self._finish()
        return self

    def staged(self, X: Any, y: Any, laters: Sequence[Any]) -> Iterator[list[Said]]:  # noqa: N803 - as above
        """Without end: grow a step, then what is said of each of `laters`."""
        matrices = [np.asarray(later, dtype=np.float32) for later in laters]
        self._start(X, y, None)
        said: list[Said | None] = [None] * len(matrices)
        while True:
            self._grow()
            said = [self._said_after(later, before=before) for later, before in zip(matrices, said, strict=True)]
            yield [one for one in said if one is not None]

    def decision_function(self, X: Any) -> Floats:  # noqa: N803 - as above
        """Log-odds of the second class, (n,)."""
        check_is_fitted(self)
        return self._raw(validate_data(self, X, dtype=np.float32, ensure_all_finite="allow-nan", reset=False))

    def predict_proba(self, X: Any) -> Floats:  # noqa: N803 - as above
        """(n, 2), columns in the order of `classes_`."""
        p = expit(self.decision_function(X))
        return np.stack([1.0 - p, p], axis=1)

    def predict(self, X: Any) -> NDArray[Any]:  # noqa: N803 - as above
        """The more probable class of each row, (n,)."""
        raw = self.decision_function(X)
        found: NDArray[Any] = self.classes_[(raw > 0.0).astype(np.intp)]
        return found

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.classifier_tags.multi_class = False
        return tags

    def _start(self, X: Any, y: Any, sample_weight: Any) -> None:  # noqa: N803 - as above
        matrix, answers = validate_data(self, X, y, dtype=np.float32, ensure_all_finite="allow-nan")
        weight = None if sample_weight is None else _check_sample_weight(sample_weight, matrix, dtype=np.float64)
        if weight is not None:
            counts = weight > 0.0
            matrix, answers, weight = matrix[counts], answers[counts], weight[counts]
        check_classification_targets(answers)
        self.classes_, place = np.unique(answers, return_inverse=True)
        if len(self.classes_) == 1:
            raise ValueError(f"{type(self).__name__} needs two classes; the rows hold 1 class, {self.classes_[0]!r}")
        if len(self.classes_) > 2:
            raise ValueError(f"Only binary classification is supported. The target holds {len(self.classes_)} classes.")
        self._begin(matrix, place.astype(np.float64), weight)

    def _begin(self, matrix: Matrix, y: Floats, weight: Floats | None) -> None:
        raise NotImplementedError

    def _grow(self) -> None:
        raise NotImplementedError

    def _raw(self, matrix: Matrix) -> Floats:
        raise NotImplementedError

    def _raw_after(self, matrix: Matrix, *, before: Floats | None) -> Floats:  # noqa: ARG002 - for kinds that add to what was said before
        """Log-odds after one more step; `before` is what was said after the step before."""
        return self._raw(matrix)

    def _said_after(self, matrix: Matrix, *, before: Said | None) -> Said:
        raw = self._raw_after(matrix, before=None if before is None else before.raw)
        return Said(raw, raw)

    def _finish(self) -> None:
        """Let go of what only growing needs."""

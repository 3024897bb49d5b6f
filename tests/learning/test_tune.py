"""Settings are tried on later rows, a study goes on where it stood, and what training weighs is checked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from honour.errors import CannotTrain
from honour.learning.dataset import rows_of
from honour.learning.kinds.named import kind_named, tuned_configuration
from honour.learning.tune import Tuned, tune


@pytest.mark.slow
def test_a_study_goes_on_where_it_stood(make_table: Callable[..., pa.Table], tmp_path: Path) -> None:
    rows = rows_of(make_table(800))

    def more() -> Tuned:
        return tune(
            rows,
            kind="lightgbm",
            minutes=0.02,
            study=tmp_path / "tuning.db",
            name="one",
            seed=1,
            n_threads=1,
            step=lambda *_: None,
        )

    first, second = more(), more()
    assert second.n_trials + second.n_pruned > first.n_trials + first.n_pruned > 0
    assert second.log_loss <= first.log_loss
    assert tuned_configuration(kind_named("lightgbm"), second.settings).name == "tuned"


def test_a_setting_that_a_kind_does_not_have_is_refused_with_those_it_has() -> None:
    with pytest.raises(CannotTrain, match="'depth' is none of kind forest; allowed: leaf_rows_min, feature_share"):
        tuned_configuration(kind_named("forest"), {"depth": 3.0})


def test_a_setting_outside_what_is_sensible_is_refused() -> None:
    with pytest.raises(CannotTrain, match="n_leaves of kind lightgbm is 5000; allowed: 4 to 63"):
        tuned_configuration(kind_named("lightgbm"), {"n_leaves": 5_000.0})

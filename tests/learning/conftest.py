"""Training sets whose truth is known, without a log."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest

from honour.features.catalogue import FEATURES

DAY_US = 86_400_000_000
ROUTE_LIFT = {"acq_1": 0.8, "acq_2": 0.0, "acq_3": -0.8}


def synthetic_table(n_rows: int, *, seed: int = 0, signal: float = 1.0, n_days: float = 30.0) -> pa.Table:
    """Attempts whose log-odds of approval are signal x (route's lift + risk_score); the other features are noise with holes."""
    generator = np.random.default_rng(seed)
    columns: dict[str, object] = {}
    for feature in FEATURES:
        if feature.kind == "category":
            columns[feature.name] = generator.choice(np.array(["a", "b", None], dtype=object), n_rows)
        else:
            values = generator.normal(size=n_rows)
            values[generator.random(n_rows) < 0.1] = np.nan
            columns[feature.name] = values
    routes = generator.choice(list(ROUTE_LIFT), n_rows)
    risk = generator.normal(size=n_rows)
    z = signal * (np.array([ROUTE_LIFT[route] for route in routes]) + risk) - 0.5
    approved = (generator.random(n_rows) < 1.0 / (1.0 + np.exp(-z))).astype(np.int64)
    columns |= {"route": routes.astype(object), "risk_score": risk}
    first = {
        "row_id": np.arange(n_rows),
        "payment_id": np.array([f"pay_{place // 2}" for place in range(n_rows)], dtype=object),
        "at_us": np.sort(generator.integers(0, int(n_days * DAY_US), n_rows)),
        "approved": approved,
    }
    return pa.table({name: pa.array(column, from_pandas=True) for name, column in (first | columns).items()})


@pytest.fixture(scope="session")
def make_table() -> Callable[..., pa.Table]:
    """`make_table(n_rows, seed=0, signal=1.0, n_days=30.0)`: attempts whose log-odds of approval are known."""
    return synthetic_table

"""From raw features to the matrix that a model reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from honour.errors import BadInput, BundleRefused
from honour.features.catalogue import CANDIDATE_FEATURES, CATALOGUE, FEATURES, PAYMENT_FEATURES, SCHEMA_ID
from honour.features.encode import Encoder
from honour.records.event import ServedFeatures

ENCODER = Encoder(schema=SCHEMA_ID, categories={"network": {"visa": 0.9, "elo": 0.7}, "route": {"acq_1": 0.8}})


@dataclass
class Served:
    """Two candidates, on a known and an unknown route."""

    features: ServedFeatures
    rows: list[dict[str, Any]]


@pytest.fixture
def served() -> Served:
    paid = {"amount_minor": 12900, "network": "visa", "currency": "BRL", "risk_score": None, "local_hour": 3}
    routes = [{"route": "acq_1", "route_answers_1h": 4}, {"route": "acq_new", "route_approval_rate_1h": 0.25}]
    payment = tuple(paid.get(feature.name) for feature in PAYMENT_FEATURES)
    candidates = tuple(tuple(route.get(feature.name) for feature in CANDIDATE_FEATURES) for route in routes)
    rows = [dict(zip(CATALOGUE.names, (*payment, *candidate), strict=True)) for candidate in candidates]
    return Served(ServedFeatures(schema=SCHEMA_ID, payment=payment, candidates=candidates), rows)  # type: ignore[arg-type]  # plain values


def test_numbers_stay_categories_are_looked_up_and_what_is_not_known_is_nan(served: Served) -> None:
    matrix = ENCODER.encode(served.features)
    assert (matrix.shape, matrix.dtype) == ((2, len(FEATURES)), np.float32)
    first, second = (dict(zip(CATALOGUE.names, row, strict=True)) for row in matrix.tolist())
    assert (first["amount_minor"], first["local_hour"], first["route_answers_1h"]) == (12900, 3, 4)
    assert (first["network"], first["route"]) == (pytest.approx(0.9), pytest.approx(0.8))
    assert np.isnan([first["risk_score"], first["currency"], second["route"], second["route_answers_1h"]]).all()
    assert second["route_approval_rate_1h"] == 0.25


def test_columns_of_many_rows_give_the_matrix_of_single_decisions(served: Served) -> None:
    lists = {name: [row[name] for row in served.rows] for name in CATALOGUE.names}
    matrix = ENCODER.encode(served.features)
    np.testing.assert_array_equal(ENCODER.encode_columns(lists), matrix)
    table = pa.table({name: pa.array(values) for name, values in lists.items()})
    np.testing.assert_array_equal(ENCODER.encode_columns({name: table[name] for name in CATALOGUE.names}), matrix)


def test_a_decision_without_candidates_has_an_empty_matrix(served: Served) -> None:
    nobody = ServedFeatures(schema=SCHEMA_ID, payment=served.features.payment, candidates=())
    assert ENCODER.encode(nobody).shape == (0, len(FEATURES))


def test_features_of_another_catalogue_are_refused(served: Served) -> None:
    other = ServedFeatures(schema="sha256:other", payment=served.features.payment, candidates=served.features.candidates)
    with pytest.raises(BundleRefused, match="sha256:other"):
        ENCODER.encode(other)
    with pytest.raises(BadInput, match="column amount_minor is absent"):
        ENCODER.encode_columns({})


def test_a_category_never_seen_has_the_base_rate_and_one_not_known_is_nan_only_where_that_was_seen(served: Served) -> None:
    encoder = Encoder(schema=SCHEMA_ID, categories={"network": {"visa": 0.9}, "route": {"acq_1": 0.8}}, unseen=0.6, missing=("currency",))
    columns = {name: [row[name] for row in served.rows] for name in CATALOGUE.names} | {"network": [None, "jcb"], "currency": [None, "EUR"]}
    found = dict(zip(CATALOGUE.names, encoder.encode_columns(columns).T.tolist(), strict=True))
    assert found["network"] == [pytest.approx(0.6), pytest.approx(0.6)]
    assert found["currency"] == [pytest.approx(np.nan, nan_ok=True), pytest.approx(0.6)]
    assert found["route"] == [pytest.approx(0.8), pytest.approx(0.6)]

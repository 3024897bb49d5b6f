"""Declarations of features: what a catalogue promises, and what it refuses."""

from __future__ import annotations

from dataclasses import replace

import pytest

from honour.errors import BadInput
from honour.features.catalogue import CANDIDATE_FEATURES, CATALOGUE, FEATURES, PAYMENT_FEATURES, SCHEMA_ID
from honour.features.columns import PAYMENT_COLUMNS, read_payment
from honour.features.sql import feature_sql
from honour.features.view import Catalogue, ContextFeature, DecayedFeature, Feature, LastFeature, WindowFeature
from honour.records.payment import Card, Customer, Payment

RATE = WindowFeature(name="route_rate", entity=("route",), measure="approval_rate", window_s=3600, tile_s=300)


def test_the_catalogue_declares_thirty_features_and_more_over_fifteen_views() -> None:
    views = {feature.entity for feature in FEATURES if isinstance(feature, WindowFeature | LastFeature)} | {"context", "local time"}
    assert len(FEATURES) >= 30
    assert len(views) >= 15
    assert (*PAYMENT_FEATURES, *CANDIDATE_FEATURES) == FEATURES


def test_the_schema_changes_when_a_declaration_does_and_only_then() -> None:
    *rest, last = FEATURES
    assert isinstance(last, LastFeature)
    assert Catalogue(tuple(FEATURES)).schema_id == SCHEMA_ID
    assert Catalogue((*rest, replace(last, window_s=2 * last.window_s))).schema_id != SCHEMA_ID


@pytest.mark.parametrize(
    ("features", "problem"),
    [
        ((RATE, RATE), "declared twice"),
        ((RATE, ContextFeature(name="network", kind="category")), "payment-level after a candidate-level"),
        ((ContextFeature(name="colour", kind="category"),), "no such payment column"),
        ((replace(RATE, entity=("colour",)),), "entity part colour is no column"),
        ((replace(RATE, window_s=1000),), "not one or more whole tiles"),
        ((replace(RATE, shrink_to="route_rate_7d"),), "not declared before it"),
        ((LastFeature(name="last", entity=("card_id",), column="status", window_s=3600, tile_s=300, nth=9),), "nth is 9; allowed: 1"),
        ((replace(RATE, only="refused"),), "only is 'refused'; allowed: approved"),
        ((replace(RATE, measure="sum", of="risk_score"),), "measure sum of risk_score; allowed: amount_minor, latency_ms"),
        ((replace(RATE, of="latency_ms"),), "measure approval_rate of latency_ms; allowed: nothing"),
        ((replace(RATE, measure="quantile", of="latency_ms"),), "a quantile needs one above 0 and below 1"),
        ((replace(RATE, measure="distinct", of="card_id"),), "for an entity with payment_id or card_id alone"),
        ((DecayedFeature(name="n", entity=(), measure="count", half_life_s=0),), "half_life_s is 0"),
        ((RATE, replace(RATE, name="n", measure="count", shrink_to="route_rate")), "cannot shrink"),
    ],
)
def test_a_declaration_that_cannot_hold_is_refused_by_name(features: tuple[Feature, ...], problem: str) -> None:
    with pytest.raises(BadInput, match=problem):
        Catalogue(features)


@pytest.mark.parametrize(
    ("customer", "issuer_country", "merchant_country", "expected"),
    [
        (Customer(country="MX"), "US", "BR", "MX"),
        (Customer(customer_id="cus_1"), "US", "BR", "US"),
        (None, None, "BR", "BR"),
        (None, None, None, None),
    ],
)
def test_the_shopper_is_where_the_customer_is_else_the_issuer_else_the_merchant(
    customer: Customer | None, issuer_country: str | None, merchant_country: str | None, expected: str | None
) -> None:
    payment = Payment(
        payment_id="pay_1",
        merchant_id="mer_1",
        amount_minor=1,
        currency="BRL",
        card=Card(card_id="crd_1", bin="411111", network="visa", issuer_country=issuer_country),
        merchant_country=merchant_country,
        customer=customer,
    )
    assert dict(zip(PAYMENT_COLUMNS, read_payment(payment), strict=True))["shopper_country"] == expected


def test_the_sql_of_a_feature_holds_what_it_shrinks_to_and_nothing_else() -> None:
    sql = feature_sql("route_approval_rate_1h")
    assert "AS route_approval_rate_24h" in sql
    assert "AS overall_approval_rate_7d" in sql
    assert "issuer" not in sql
    assert sql.count("RANGE") == sql.count("ORDER BY tile RANGE")  # Frames run over whole tiles, never over instants.
    with pytest.raises(BadInput, match="route_luck is not in the catalogue"):
        feature_sql("route_luck")
    assert CATALOGUE.needed_for("amount_ratio").names == ("amount_ratio",)

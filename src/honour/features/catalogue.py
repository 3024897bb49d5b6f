"""The features in force: those of Honour, and those that an installation declares in files of its own (`honour.features.own`).

The online fold, the SQL and the encoder follow from the declarations. Payment-level features stand before candidate-level ones.
"""

from __future__ import annotations

import os

from honour.features.own import combined, own_features, own_files
from honour.features.shelf import SHELF
from honour.features.view import (
    DAY,
    HOUR,
    MINUTE,
    WEEK,
    ContextFeature,
    Feature,
    LastFeature,
    LocalTimeFeature,
    WindowFeature,
    read_attributes,
)

MINUTES_5 = 5 * MINUTE
DAYS_30 = 30 * DAY

SEGMENT = ("network", "funding", "issuer_country")

_CONTEXT: tuple[Feature, ...] = (
    ContextFeature(name="amount_minor", kind="number"),
    ContextFeature(name="currency", kind="category"),
    ContextFeature(name="network", kind="category"),
    ContextFeature(name="funding", kind="category"),
    ContextFeature(name="issuer", kind="category"),
    ContextFeature(name="issuer_country", kind="category"),
    ContextFeature(name="merchant_id", kind="category"),
    ContextFeature(name="mcc", kind="category"),
    ContextFeature(name="merchant_country", kind="category"),
    ContextFeature(name="shopper_country", kind="category"),
    ContextFeature(name="channel", kind="category"),
    ContextFeature(name="initiator", kind="category"),
    ContextFeature(name="usage", kind="category"),
    ContextFeature(name="installments", kind="number"),
    ContextFeature(name="risk_score", kind="number"),
    ContextFeature(name="has_network_token", kind="number"),
    ContextFeature(name="sca_scope", kind="category"),
    LocalTimeFeature(name="local_hour", part="hour"),
    LocalTimeFeature(name="local_weekday", part="weekday"),
    LocalTimeFeature(name="local_day_of_month", part="day_of_month"),
    # No rule forbids a card past its month: what the merchant types may be old, and some issuers look past it. The log says how often.
    LocalTimeFeature(name="card_expired", part="card_expired"),
)


def _rate(name: str, entity: tuple[str, ...], window_s: int, tile_s: int, shrink_to: str | None, strength: float = 20.0) -> WindowFeature:
    return WindowFeature(
        name=name, entity=entity, measure="approval_rate", window_s=window_s, tile_s=tile_s, shrink_to=shrink_to, strength=strength
    )


def _count(name: str, entity: tuple[str, ...], window_s: int, tile_s: int) -> WindowFeature:
    return WindowFeature(name=name, entity=entity, measure="count", window_s=window_s, tile_s=tile_s)


_PAYMENT_WINDOWS: tuple[Feature, ...] = (
    # Everything answered is the root to which thin groups shrink.
    _rate("overall_approval_rate_7d", (), WEEK, HOUR, None),
    _rate("segment_approval_rate_7d", SEGMENT, WEEK, HOUR, "overall_approval_rate_7d"),
    _count("segment_answers_7d", SEGMENT, WEEK, HOUR),
    _rate("merchant_approval_rate_7d", ("merchant_id",), WEEK, HOUR, "overall_approval_rate_7d"),
    _rate("merchant_approval_rate_24h", ("merchant_id",), DAY, HOUR, "merchant_approval_rate_7d"),
    _count("merchant_answers_24h", ("merchant_id",), DAY, HOUR),
    _rate("issuer_approval_rate_24h", ("issuer",), DAY, MINUTES_5, "segment_approval_rate_7d"),
    _rate("issuer_approval_rate_1h", ("issuer",), HOUR, MINUTES_5, "issuer_approval_rate_24h", 10.0),
    # One card has few answers and says much: two answers weigh as much as its whole segment.
    _rate("card_approval_rate_30d", ("card_id",), DAYS_30, HOUR, "segment_approval_rate_7d", 2.0),
    _count("card_answers_30d", ("card_id",), DAYS_30, HOUR),
    _count("card_answers_24h", ("card_id",), DAY, HOUR),
    WindowFeature(name="amount_ratio", entity=("merchant_id", "currency"), measure="amount_ratio", window_s=DAYS_30, tile_s=DAY),
    WindowFeature(name="attempt_number", entity=("payment_id",), measure="next_number", window_s=DAYS_30, tile_s=DAY),
    LastFeature(name="payment_last_status", entity=("payment_id",), column="status", window_s=DAYS_30, tile_s=DAY),
    LastFeature(name="payment_last_route", entity=("payment_id",), column="route", window_s=DAYS_30, tile_s=DAY),
    LastFeature(name="payment_last_response_code", entity=("payment_id",), column="response_code", window_s=DAYS_30, tile_s=DAY),
    LastFeature(name="payment_seconds_since_answer", entity=("payment_id",), column="seconds_since", window_s=DAYS_30, tile_s=DAY),
    LastFeature(name="card_last_status", entity=("card_id",), column="status", window_s=DAYS_30, tile_s=HOUR),
    LastFeature(name="card_last_response_code", entity=("card_id",), column="response_code", window_s=DAYS_30, tile_s=HOUR),
    LastFeature(name="card_seconds_since_answer", entity=("card_id",), column="seconds_since", window_s=DAYS_30, tile_s=HOUR),
)

_CANDIDATE: tuple[Feature, ...] = (
    ContextFeature(name="route", kind="category", level="candidate"),
    ContextFeature(name="authentication", kind="category", level="candidate"),
    ContextFeature(name="credential", kind="category", level="candidate"),
    _rate("route_approval_rate_7d", ("route",), WEEK, MINUTES_5, "overall_approval_rate_7d"),
    _rate("route_approval_rate_24h", ("route",), DAY, MINUTES_5, "route_approval_rate_7d"),
    _rate("route_approval_rate_1h", ("route",), HOUR, MINUTES_5, "route_approval_rate_24h", 10.0),
    _count("route_answers_24h", ("route",), DAY, MINUTES_5),
    _count("route_answers_1h", ("route",), HOUR, MINUTES_5),
    # Answers that never reached an issuer are the first sign of an outage of the acquirer.
    WindowFeature(name="route_failed_rate_1h", entity=("route",), measure="failed_rate", window_s=HOUR, tile_s=MINUTES_5),
    LastFeature(name="route_last_approved", entity=("route",), column="approved", window_s=WEEK, tile_s=MINUTES_5),
    _rate("route_network_approval_rate_7d", ("route", "network"), WEEK, HOUR, "route_approval_rate_7d"),
    _rate("route_network_approval_rate_24h", ("route", "network"), DAY, HOUR, "route_network_approval_rate_7d"),
    _rate(
        "route_authentication_network_approval_rate_30d",
        ("route", "authentication", "network"),
        DAYS_30,
        DAY,
        "route_network_approval_rate_7d",
    ),
    # The law asks for authentication by amount, country and who started the payment: forms compare only within its scope.
    _rate("authentication_scope_approval_rate_30d", ("authentication", "sca_scope"), DAYS_30, DAY, "overall_approval_rate_7d"),
    _rate(
        "authentication_scope_country_approval_rate_30d",
        ("authentication", "sca_scope", "issuer_country"),
        DAYS_30,
        DAY,
        "authentication_scope_approval_rate_30d",
    ),
    _rate(
        "authentication_scope_issuer_approval_rate_30d",
        ("authentication", "sca_scope", "issuer"),
        DAYS_30,
        DAY,
        "authentication_scope_country_approval_rate_30d",
        10.0,
    ),
    _rate(
        "route_authentication_scope_approval_rate_30d",
        ("route", "authentication", "sca_scope"),
        DAYS_30,
        DAY,
        "authentication_scope_approval_rate_30d",
    ),
    _rate("route_credential_approval_rate_7d", ("route", "credential"), WEEK, HOUR, "route_approval_rate_7d"),
    _rate("route_merchant_approval_rate_7d", ("route", "merchant_id"), WEEK, HOUR, "route_approval_rate_7d"),
    _rate("route_issuer_country_approval_rate_7d", ("route", "issuer_country"), WEEK, HOUR, "route_network_approval_rate_7d"),
    _rate("route_issuer_approval_rate_24h", ("route", "issuer"), DAY, HOUR, "route_issuer_country_approval_rate_7d", 10.0),
    # What an issuer makes of an acquirer lasts: a day says too little of it, a range of cards is too thin for it.
    _rate("route_issuer_approval_rate_30d", ("route", "issuer"), DAYS_30, DAY, "route_issuer_country_approval_rate_7d", 10.0),
    _rate("route_bin_approval_rate_30d", ("route", "bin"), DAYS_30, DAY, "route_issuer_approval_rate_30d", 10.0),
    # A card that was approved on a route is known there; one that works at home only shows it at its first attempt abroad.
    _rate("route_card_approval_rate_30d", ("route", "card_id"), DAYS_30, DAY, "route_issuer_approval_rate_30d", 2.0),
    _count("route_card_answers_30d", ("route", "card_id"), DAYS_30, DAY),
    _count("route_bin_answers_30d", ("route", "bin"), DAYS_30, DAY),
    _count("payment_route_answers", ("payment_id", "route"), DAYS_30, DAY),
    LastFeature(name="payment_last_route_is_same", entity=("payment_id",), column="same_route", window_s=DAYS_30, tile_s=DAY),
)

HONOURS_OWN = (*_CONTEXT, *_PAYMENT_WINDOWS, *_CANDIDATE)
"""Features of every installation."""

OWN_FILES = own_files(os.environ)
_OWN = own_features(OWN_FILES)
read_attributes(_OWN)
CATALOGUE = combined(HONOURS_OWN, _OWN)
FEATURES = CATALOGUE.features
PAYMENT_FEATURES = CATALOGUE.payment
CANDIDATE_FEATURES = CATALOGUE.candidate
SCHEMA_ID = CATALOGUE.schema_id

LIBRARY = combined(combined(HONOURS_OWN, SHELF).features, [feature for feature in _OWN if feature not in SHELF])
"""What is in force, and everything on the shelf."""

"""Features on the shelf: declared, computed in every training set that asks for them, and live once an installation takes them down.

What the live model reads costs time in every decision and room to overfit in every training (docs/adr, "The catalogue and the shelf").
A file of `features.files` takes down what earns its place on one's own payments, with whatever it shrinks to:

    from honour.features.shelf import shelf

    FEATURES = shelf("card_distinct_routes_30d", "route_latency_p95_ms_1h")
"""

from __future__ import annotations

from honour.errors import BadInput
from honour.features.view import (
    DAY,
    HOUR,
    MINUTE,
    WEEK,
    DecayedFeature,
    Feature,
    LastColumn,
    LastFeature,
    LocalTimeFeature,
    Measure,
    WindowFeature,
)

MINUTES_5 = 5 * MINUTE
DAYS_30 = 30 * DAY
_SINCE = "0.2.0"

_SPANS = {"5m": (MINUTES_5, MINUTE), "1h": (HOUR, MINUTES_5), "24h": (DAY, HOUR), "7d": (WEEK, HOUR), "30d": (DAYS_30, DAY)}
"""Window and tile of each length that names end with."""


def shelf(*names: str) -> tuple[Feature, ...]:
    """The features named, and what they shrink to on the shelf before them."""
    by_name = {feature.name: feature for feature in SHELF}
    wanted: set[str] = set()
    for name in names:
        if name not in by_name:
            raise BadInput(f"feature {name} is not on the shelf; `honour features list --all` shows what is.", path="$.features")
        pending: str | None = name
        while pending is not None and pending in by_name:
            wanted.add(pending)
            feature = by_name[pending]
            pending = feature.shrink_to if isinstance(feature, WindowFeature | DecayedFeature) else None
    return tuple(feature for feature in SHELF if feature.name in wanted)


def _rates(group: str, entity: tuple[str, ...], spans: str, root: str, *, strength: float = 20.0) -> tuple[Feature, ...]:
    """Approval rates over several lengths, the longest first: each shrinks to the next longer, the longest to `root`."""
    made, parent = [], root
    for span in spans.split():
        window_s, tile_s = _SPANS[span]
        name = f"{group}_approval_rate_{span}"
        made.append(
            WindowFeature(
                name=name,
                entity=entity,
                measure="approval_rate",
                window_s=window_s,
                tile_s=tile_s,
                shrink_to=parent,
                strength=strength,
                since=_SINCE,
            )
        )
        parent = name
    return tuple(made)


def _window(
    name: str,
    entity: tuple[str, ...],
    measure: Measure,
    span: str,
    *,
    of: str | None = None,
    q: float | None = None,
    only: str | None = None,
    shrink_to: str | None = None,
) -> Feature:
    window_s, tile_s = _SPANS[span]
    return WindowFeature(
        name=name,
        entity=entity,
        measure=measure,
        window_s=window_s,
        tile_s=tile_s,
        of=of,
        q=q,
        only=only,
        shrink_to=shrink_to,
        since=_SINCE,
    )


def _last(name: str, entity: tuple[str, ...], column: LastColumn, *, nth: int = 1, only: str | None = None) -> Feature:
    return LastFeature(name=name, entity=entity, column=column, window_s=DAYS_30, tile_s=HOUR, nth=nth, only=only, since=_SINCE)


_CARD, _PAYMENT = ("card_id",), ("payment_id",)

_OF_PAYMENT: tuple[Feature, ...] = (
    # When money arrives on accounts, and when offices rest.
    LocalTimeFeature(name="days_since_payday", part="days_since_payday", since=_SINCE),
    LocalTimeFeature(name="is_holiday", part="is_holiday", since=_SINCE),
    LocalTimeFeature(name="local_hour_of_week", part="hour_of_week", since=_SINCE),
    # Who issued the card, where, and who asks.
    *_rates("network", ("network",), "30d 24h", "overall_approval_rate_7d"),
    *_rates("funding", ("funding",), "30d", "overall_approval_rate_7d"),
    *_rates("issuer_country", ("issuer_country",), "30d 24h", "overall_approval_rate_7d"),
    *_rates("issuer", ("issuer",), "30d 7d", "issuer_country_approval_rate_30d"),
    *_rates("bin", ("bin",), "30d 24h 1h", "issuer_country_approval_rate_30d", strength=10.0),
    *_rates("mcc", ("mcc",), "30d 24h", "overall_approval_rate_7d"),
    *_rates("merchant", ("merchant_id",), "1h", "merchant_approval_rate_24h"),
    *_rates("country_hour_of_week", ("issuer_country", "local_hour_of_week"), "30d", "issuer_country_approval_rate_30d"),
    *_rates("merchant_usage", ("merchant_id", "usage"), "30d", "merchant_approval_rate_7d"),
    DecayedFeature(
        name="issuer_fading_approval_rate_6h",
        entity=("issuer",),
        measure="approval_rate",
        half_life_s=6 * HOUR,
        shrink_to="issuer_approval_rate_7d",
        strength=10.0,
        since=_SINCE,
    ),
    _window("issuer_insufficient_funds_24h", ("issuer",), "count", "24h", only="insufficient_funds"),
    _window("merchant_median_amount_minor_30d", ("merchant_id", "currency"), "quantile", "30d", of="amount_minor", q=0.5),
    # One card: how often it was refused and why, what it usually pays, where it was tried.
    _window("card_approvals_30d", _CARD, "count", "30d", only="approved"),
    _window("card_declines_24h", _CARD, "count", "24h", only="declined"),
    _window("card_insufficient_funds_30d", _CARD, "count", "30d", only="insufficient_funds"),
    _window("card_amount_ratio_30d", ("card_id", "currency"), "amount_ratio", "30d"),
    _window("card_amount_minor_24h", ("card_id", "currency"), "sum", "24h", of="amount_minor"),
    _window("card_distinct_routes_30d", _CARD, "distinct", "30d", of="route"),
    _window("card_distinct_merchants_24h", _CARD, "distinct", "24h", of="merchant_id"),
    _window("card_distinct_reasons_30d", _CARD, "distinct", "30d", of="reason"),
    _last("card_seconds_since_approval", _CARD, "seconds_since", only="approved"),
    _last("card_seconds_since_decline", _CARD, "seconds_since", only="declined"),
    _last("card_last_reason", _CARD, "reason"),
    _last("card_last_amount_minor", _CARD, "amount_minor"),
    _last("card_second_last_status", _CARD, "status", nth=2),
    _last("card_third_last_status", _CARD, "status", nth=3),
    DecayedFeature(name="card_fading_answers_3d", entity=_CARD, measure="count", half_life_s=3 * DAY, since=_SINCE),
    # One payment: what was tried already.
    _window("payment_distinct_cards", _PAYMENT, "distinct", "30d", of="card_id"),
    _window("payment_distinct_routes", _PAYMENT, "distinct", "30d", of="route"),
    _last("payment_last_reason", _PAYMENT, "reason"),
    _last("payment_last_authentication", _PAYMENT, "authentication"),
    _last("payment_second_last_route", _PAYMENT, "route", nth=2),
)

_ISSUER_ROUTE_AUTHENTICATION = ("issuer", "route", "authentication")

_OF_CANDIDATE: tuple[Feature, ...] = (
    *_rates(
        "issuer_route_authentication",
        _ISSUER_ROUTE_AUTHENTICATION,
        "30d 7d 24h 1h 5m",
        "route_authentication_network_approval_rate_30d",
        strength=10.0,
    ),
    *_rates("route", ("route",), "5m", "route_approval_rate_1h", strength=10.0),
    *_rates("route_mcc", ("route", "mcc"), "30d", "route_approval_rate_7d"),
    *_rates("route_funding", ("route", "funding"), "30d", "route_approval_rate_7d"),
    *_rates("route_hour_of_week", ("route", "local_hour_of_week"), "30d", "route_approval_rate_7d"),
    DecayedFeature(
        name="route_fading_approval_rate_30m",
        entity=("route",),
        measure="approval_rate",
        half_life_s=30 * MINUTE,
        shrink_to="route_approval_rate_24h",
        strength=10.0,
        since=_SINCE,
    ),
    # How the acquirer answers.
    _window("route_latency_mean_ms_1h", ("route",), "mean", "1h", of="latency_ms"),
    _window("route_latency_p95_ms_1h", ("route",), "quantile", "1h", of="latency_ms", q=0.95),
    _window("route_failed_rate_24h", ("route",), "failed_rate", "24h"),
    _window("route_failed_rate_5m", ("route",), "failed_rate", "5m", shrink_to="route_failed_rate_24h"),
    _window("route_technical_declines_1h", ("route",), "count", "1h", only="technical"),
    _window("route_generic_declines_24h", ("route",), "count", "24h", only="generic"),
    _window("authentication_abandoned_rate_7d", ("authentication", "issuer_country"), "abandoned_rate", "7d"),
    _last("card_route_seconds_since", ("card_id", "route"), "seconds_since"),
)

SHELF: tuple[Feature, ...] = (*_OF_PAYMENT, *_OF_CANDIDATE)
"""Everything on it, payment-level features first."""

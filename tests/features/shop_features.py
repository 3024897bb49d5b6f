"""Features of one shop's own, as docs/features.md shows them; read by `features.files`, never imported."""

from honour.features.view import DAY, HOUR, AttributeFeature, WindowFeature

FEATURES = (
    AttributeFeature(name="basket_items", kind="number", owner="checkout", since="2026-11"),
    AttributeFeature(name="loyalty", kind="category", owner="checkout", since="2026-11"),
    WindowFeature(
        name="loyalty_approval_rate_7d",
        entity=("attribute_loyalty",),
        measure="approval_rate",
        window_s=7 * DAY,
        tile_s=HOUR,
        shrink_to="segment_approval_rate_7d",
        owner="checkout",
        since="2026-11",
        about="Members are known to their issuers.",
    ),
    WindowFeature(name="route_mcc_answers_7d", entity=("route", "mcc"), measure="count", window_s=7 * DAY, tile_s=HOUR, owner="checkout"),
)

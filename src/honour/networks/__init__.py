"""Networks: what the card networks forbid, as tables with sources. Evaluated before any model."""

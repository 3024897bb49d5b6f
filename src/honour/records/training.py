"""Settings of training: the section `[train]` of honour.toml."""

from __future__ import annotations

from typing import Literal

import msgspec

KindName = Literal["logistic", "forest", "lightgbm", "xgboost", "mixed", "tabm", "sequence"]


class TrainSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How approval models are fitted.

    kind      of model: docs/models.md compares them
    settings  of the kind, as `honour tune` found them: chosen when they are better than its own
    """

    kind: KindName = "mixed"
    settings: dict[str, float] = {}

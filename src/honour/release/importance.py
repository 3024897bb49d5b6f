"""How much each feature moves a bundle's answers, whatever kind of model it holds."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np

from honour.approval.card import ParityRows
from honour.features.catalogue import FEATURES
from honour.release.bundle import PARITY, load_bundle


def importance_of(folder: Path) -> dict[str, float]:
    """Mean absolute change of p over the bundle's sample rows when one feature is exchanged between them, by feature.

    A feature that the model does not use, or that is the same in every sample row, has 0. Features that say the same share
    what they are worth.
    """
    bundle = load_bundle(folder)
    parity = msgspec.json.decode((folder / PARITY).read_bytes(), type=ParityRows)
    rows = np.array([[np.nan if value is None else value for value in row] for row in parity.rows], dtype=np.float32)
    p = bundle.model.predict_matrix(rows)
    shift = max(1, len(rows) // 2)
    importances: dict[str, float] = {}
    for at, feature in enumerate(FEATURES):
        exchanged = rows.copy()
        exchanged[:, at] = np.roll(rows[:, at], shift)
        importances[feature.name] = float(np.abs(bundle.model.predict_matrix(exchanged) - p).mean())
    return importances

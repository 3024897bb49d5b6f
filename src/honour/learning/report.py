"""The model card of a training run: figures on the held-out days, baselines in the same run, and why this model."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from honour.approval.card import Evidence, Training
from honour.approval.interval import figures, log_loss_gain
from honour.approval.metric import Floats, reliability_table
from honour.features.encode import Encoder
from honour.learning.by_segment import named_offsets
from honour.learning.calibrate import Choice
from honour.learning.dataset import Rows
from honour.learning.search import Search


def training_card(
    rows: Rows,
    *,
    early: Rows,
    late: Rows,
    p_late: Floats,
    from_us: int,
    holdout_days: float,
    found: Search,
    choice: Choice,
    encoder: Encoder,
    refitted: bool,
    seed: int,
) -> Training:
    """The card.

    early, late  rows before the held-out days and in them; `p_late` (n_late,) is what the judged model gave; encoder: its own
    """
    baselines = baseline_probabilities(
        late.columns["route"], approval_rate=float(early.approved.mean()), route_approval_rates=route_rates(early)
    )
    shipped_from = rows if refitted else early
    return Training(
        from_us=int(shipped_from.at_us.min()),
        until_us=int(shipped_from.at_us.max()),
        n_rows=len(shipped_from),
        n_payments=len(np.unique(shipped_from.payments)),
        approval_rate=float(shipped_from.approved.mean()),
        route_approval_rates=route_rates(shipped_from),
        seed=seed,
        holdout_days=holdout_days,
        judged_from_us=from_us,
        metrics=figures(p_late, late.approved, payments=late.payments, seed=seed),
        baselines={
            name: log_loss_gain(p_late, late.approved, baseline=baseline, payments=late.payments, seed=seed)
            for name, baseline in baselines.items()
        },
        reliability=reliability_table(p_late, late.approved),
        calibrator=choice.name,
        evidence=Evidence(
            kind=found.recipe.kind.name,
            configuration=found.recipe.name,
            left_out=found.recipe.left_out,
            configurations=found.configurations,
            n_steps=found.n_steps,
            size=found.recipe.kind.size(found.n_steps),
            calibrators=choice.losses,
            calibration_gain=choice.gain,
            blocks=found.blocks,
            freshness_gain=found.freshness_gain,
            refitted=refitted,
            offsets=named_offsets(choice.offsets, found.later.rows.columns, encoder=encoder),
        ),
    )


def route_rates(rows: Rows) -> dict[str, float]:
    """Approval rate of each route."""
    routes, place = np.unique(rows.columns["route"].astype(str), return_inverse=True)
    rates = np.bincount(place, weights=rows.approved) / np.bincount(place)
    return {str(route): float(rate) for route, rate in zip(routes, rates, strict=True)}


def baseline_probabilities(
    routes: NDArray[np.object_], *, approval_rate: float, route_approval_rates: dict[str, float]
) -> dict[str, Floats]:
    """What knowing nothing, and knowing only the route, would have said; (n,) each. A new route has the base rate."""
    by_route = np.array([route_approval_rates.get(route, approval_rate) for route in routes], dtype=np.float64)
    return {"base_rate": np.full(len(routes), approval_rate), "route_rate": by_route}

"""Judging a retry model on later data, with no refit: is what it says of a delay what comes of it?"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from typing import NamedTuple

import msgspec
import numpy as np

from honour.approval.interval import mean_figure
from honour.approval.metric import Figure, wilson
from honour.approval.retry_model import DELAYS_H, Before, RetryModel
from honour.records.payment import Payment

N_MIN = 30
"""A delay with fewer retries is left out: its figures would say nothing."""


class RetryRow(NamedTuple):
    """An attempt after a refusal, and what came back. waited_h: since the last answer, hours."""

    payment: Payment
    before: Before
    credential: str
    at_us: int
    waited_h: float
    approved: bool


class DelayReport(msgspec.Struct, frozen=True, kw_only=True):
    """Retries after a delay of `from_h` to `to_h` hours; the last has no end.

    p_mean         mean of what the model said, approval_rate what came of it, with its 95 % interval (Wilson)
    gap            p_mean less approval_rate, its interval by payments: above 0 the model promises too much
    """

    from_h: float
    to_h: float | None
    n: int
    p_mean: float
    approval_rate: float
    low: float
    high: float
    gap: Figure


def judge_retries(rows: Iterable[RetryRow], *, model: RetryModel, seed: int = 0) -> tuple[DelayReport, ...]:
    """Calibration by delay, shortest first, on `rows` that are later than what `model` was fitted on."""
    kept = list(rows)
    if model.retry is None or not kept:
        return ()
    p = np.array(
        [model.p_retry(row.payment, before=row.before, credential=row.credential, at_us=row.at_us, waited_h=row.waited_h) for row in kept]
    )
    y = np.array([row.approved for row in kept], dtype=np.float64)
    payments = np.array([row.payment.payment_id for row in kept])
    step = np.array([bisect_right(DELAYS_H, row.waited_h) for row in kept])
    found = []
    for at in range(len(DELAYS_H) + 1):
        here = step == at
        n = int(here.sum())
        if n < N_MIN:
            continue
        rate = float(y[here].mean())
        low, high = wilson(rate, n=n)
        found.append(
            DelayReport(
                from_h=float(DELAYS_H[at - 1]) if at else 0.0,
                to_h=float(DELAYS_H[at]) if at < len(DELAYS_H) else None,
                n=n,
                p_mean=float(p[here].mean()),
                approval_rate=rate,
                low=low,
                high=high,
                gap=mean_figure(p[here] - y[here], payments=payments[here], seed=seed),
            )
        )
    return tuple(found)

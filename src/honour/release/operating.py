"""Precision and recall of a model on later attempts, with the points at which the policy stands.

They are where a retry, and where an attempt with 3-D Secure, is worth what it costs.

Each attempt has a threshold of its own, from its amount, the merchant's margin and the fees of its route
(`policy.value.p_break_even`): one threshold for all would send small payments at a loss and keep large ones back.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from honour.approval.metric import Figure, Floats, pr_auc, wilson
from honour.learning.dataset import Rows
from honour.policy.value import p_break_even
from honour.records.route import RouteCost
from honour.records.settings import Settings

POINTS_MAX = 60
ROWS_MIN = 50
"""Fewer attempts of a sort draw no curve."""
ALL, RETRY, STEP_UP = "all", "retry", "step-up"


class PrPoint(msgspec.Struct, frozen=True, kw_only=True):
    """Of the attempts given p or more, the share approved; of the approved ones, the share given p or more."""

    p: float
    precision: float
    recall: float


class OperatingPoint(msgspec.Struct, frozen=True, kw_only=True):
    """Attempts of a sort whose p is at least their own threshold.

    threshold  median of the thresholds; sent: share of the attempts at or above theirs
    precision  share of those that were approved; recall: share of the approved attempts that are among them
    """

    threshold: float
    sent: Figure
    precision: Figure
    recall: Figure


class PrCurve(msgspec.Struct, frozen=True, kw_only=True):
    """Precision and recall over one sort of attempts: all, retries, or those sent with 3-D Secure; p from high to low."""

    name: str
    n: int
    average_precision: float
    points: tuple[PrPoint, ...]
    operating: OperatingPoint | None


def pr_curves(p: Floats, rows: Rows, *, settings: Settings) -> tuple[PrCurve, ...]:
    """The curves of later attempts: all of them, retries, and those with 3-D Secure; none for fewer than 50, or without an approval.

    p : (n,) calibrated probability of each row
    """
    return tuple(_curves(p, rows, settings=settings))


def _curves(p: Floats, rows: Rows, *, settings: Settings) -> Iterator[PrCurve]:
    is_retry = np.asarray(rows.columns["attempt_number"], dtype=np.float64) > 1
    authenticates = rows.columns["authentication"] == "three_ds"
    threshold = _thresholds(rows, settings=settings)
    for name, here in ((ALL, np.ones(len(p), dtype=bool)), (RETRY, is_retry), (STEP_UP, authenticates.astype(bool))):
        if here.sum() < ROWS_MIN or not rows.approved[here].any():
            continue
        given, y, at = p[here], rows.approved[here], threshold[here]
        yield PrCurve(
            name=name,
            n=len(given),
            average_precision=pr_auc(given, y) or 0.0,
            points=_points(given, y),
            operating=None if name == ALL else _operating(given, y, threshold=at),
        )


def _thresholds(rows: Rows, *, settings: Settings) -> Floats:
    """What p must be for each attempt to be worth its costs, (n,); those of a route that is configured no more cost nothing.

    Fees for crossing a border are left out: a row does not say which country's route it was.
    """
    fees = {route.id: route.cost for route in settings.routes}
    named = ("amount_minor", "merchant_id", "route", "authentication")
    asked: list[tuple[Any, ...]] = list(zip(*(rows.columns[name].tolist() for name in named), strict=True))
    return np.array([_threshold(*one, fees=fees, settings=settings) for one in asked])


def _threshold(
    amount: float, merchant: str | None, route: str, authentication: str, *, fees: dict[str, RouteCost], settings: Settings
) -> float:
    cost = fees.get(route, RouteCost())
    if authentication == "three_ds":
        cost = msgspec.structs.replace(cost, attempt_minor=cost.attempt_minor + cost.three_ds_minor)
    return p_break_even(amount_minor=int(amount), terms=settings.terms_of(merchant or ""), cost=cost)


def _points(p: Floats, y: Floats) -> tuple[PrPoint, ...]:
    order = np.argsort(-p, kind="stable")
    hits, last = np.cumsum(y[order]), np.append(np.diff(p[order]) != 0.0, True)  # Equal p are asked for together.
    places = np.flatnonzero(last)
    kept: NDArray[np.intp] = np.unique(np.linspace(0, len(places) - 1, POINTS_MAX).round().astype(np.intp))
    return tuple(
        PrPoint(p=float(p[order][at]), precision=float(hits[at] / (at + 1)), recall=float(hits[at] / hits[-1])) for at in places[kept]
    )


def _operating(p: Floats, y: Floats, *, threshold: Floats) -> OperatingPoint:
    sent = p >= threshold
    return OperatingPoint(
        threshold=float(np.median(threshold)),
        sent=_share(int(sent.sum()), len(p)),
        precision=_share(int(y[sent].sum()), int(sent.sum())),
        recall=_share(int(y[sent].sum()), int(y.sum())),
    )


def _share(n_yes: int, n: int) -> Figure:
    value = n_yes / n if n else 0.0
    low, high = wilson(value, n=n)
    return Figure(value=value, low=min(low, value), high=max(high, value), n=n)

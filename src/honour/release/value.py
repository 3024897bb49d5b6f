"""What deciding by one model would have earned against deciding by another, on attempts that are logged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from honour.approval.metric import Figure
from honour.approval.model import ApprovalModel
from honour.evaluation.replay import ReplayRows, value_difference
from honour.learning.propensity import estimated_propensities
from honour.learning.served import ServedRow
from honour.records.attempt import Attempt
from honour.records.route import Candidate, Merchant, Route


class ValueGain(NamedTuple):
    """Value per attempt of deciding by a model less that of the other, minor units; None when the log cannot say, and why."""

    gain: Figure | None
    why_cannot_say: str | None


def value_gain(rows: ReplayRows, *, against: NDArray[np.float64] | None, terms: dict[str, Merchant]) -> ValueGain:
    """Greatest value by `rows.p_approve` against greatest value by `against` (n, K), or against what was done when it is None.

    Doubly robust, clustered by payment. Policies are compared as they would choose without exploring.
    """
    difference, why = value_difference(rows, against=against, terms=terms)
    if difference is None:
        return ValueGain(None, why)
    return ValueGain(Figure(value=difference.value, low=difference.low, high=difference.high, n=difference.n), None)


def replay_rows(rows: Sequence[ServedRow], *, routes: Sequence[Route], model: ApprovalModel) -> ReplayRows:
    """The rows as choices among `routes`, with what `model` says of each; every row was sent on one of them.

    Propensities are those of the log where Honour chose. When somebody else chose any of them, all are estimated: one log has one policy.
    """
    place = {route.id: at for at, route in enumerate(routes)}
    p_approve = probabilities_by_route(rows, routes=routes, model=model)
    p_logging = np.zeros((len(rows), len(routes)))
    could = ~np.isnan(p_approve)
    for at, row in enumerate(rows):
        for number, candidate in enumerate(row.candidates):
            if row.propensities is not None and candidate[1] == row.sent[1] and candidate[0] in place:
                p_logging[at, place[candidate[0]]] = row.propensities[number]
    chosen = np.array([place[row.sent[0]] for row in rows])
    payments = np.array([row.payment.payment_id for row in rows])
    estimated = any(row.propensities is None for row in rows)
    if estimated:
        known = np.concatenate([model.encoder.encode(row.served)[:1] for row in rows])[:, : len(rows[0].served.payment)]
        p_logging = could * estimated_propensities(known, chosen=chosen, n_routes=len(routes), payments=payments)
    return ReplayRows(
        routes=tuple(routes),
        chosen=chosen,
        approved=np.array([float(row.approved) for row in rows]),
        p_approve=np.nan_to_num(p_approve),
        could=could,
        p_logging=p_logging / p_logging.sum(axis=1, keepdims=True),
        amounts=np.array([row.payment.amount_minor for row in rows]),
        merchants=np.array([row.payment.merchant_id for row in rows]),
        payments=payments,
        estimated=estimated,
    )


def probabilities_by_route(rows: Sequence[ServedRow], *, routes: Sequence[Route], model: ApprovalModel) -> NDArray[np.float64]:
    """(n, K) what `model` says of each route in the form that was sent; NaN where the route could not take the attempt."""
    place = {route.id: at for at, route in enumerate(routes)}
    found = np.full((len(rows), len(routes)), np.nan)
    for at, row in enumerate(rows):
        p = model.predict_many(row.served)
        for number, candidate in enumerate(row.candidates):
            if candidate[1] == row.sent[1] and candidate[0] in place:
                found[at, place[candidate[0]]] = p[number]
    return found


def same_form(routes: Sequence[Route]) -> Callable[[Attempt], list[Candidate]]:
    """Of an attempt, the routes that could have taken it as it was sent, the one that did among them."""

    def candidates_of(attempt: Attempt) -> list[Candidate]:
        found = [
            Candidate(route.id, attempt.authentication, attempt.credential)
            for route in routes
            if route.id == attempt.route or _takes(route, attempt)
        ]
        sent = Candidate(attempt.route, attempt.authentication, attempt.credential)
        return found if sent in found else [sent, *found]

    return candidates_of


def with_fees(route: Route, *, multiple: float) -> Route:
    """The route with each of its fees `multiple` times as high."""
    cost = route.cost
    return msgspec.structs.replace(route, cost=type(cost)(**{name: getattr(cost, name) * multiple for name in cost.__struct_fields__}))


def _takes(route: Route, attempt: Attempt) -> bool:
    card, currency = attempt.payment.card, attempt.payment.currency
    return (
        (not route.networks or card.network in route.networks)
        and (not route.currencies or currency in route.currencies)
        and (not route.funding or card.funding is None or card.funding in route.funding)
        and attempt.authentication in route.authentications
        and attempt.credential in route.credentials
        and attempt.payment.installments <= route.installments_max
    )

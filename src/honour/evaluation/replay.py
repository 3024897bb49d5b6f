"""Policies side by side on logged attempts: what each would have earned had it chosen the route."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from honour.evaluation.diagnose import Diagnosis, diagnose
from honour.evaluation.estimator import ESTIMATORS, Estimate, difference, dr, dr_rows
from honour.evaluation.logged import Floats, Logged, checked
from honour.policy.value import expected_values_minor
from honour.records.route import Merchant, Route

LOGGED = "logged"


class ReplayRows(NamedTuple):
    """n attempts on which any of K routes could have been chosen.

    chosen       (n,)   route that was
    approved     (n,)   1.0 or 0.0
    p_approve    (n, K) by a model fitted on earlier attempts
    could        (n, K) whether the route could take the attempt at all
    p_logging    (n, K) probability of each route under the policy that made the log; 0 where it could not
    amounts      (n,)   minor units; merchants (n,) ids; payments (n,) ids
    estimated    the logging probabilities are an estimate
    """

    routes: tuple[Route, ...]
    chosen: NDArray[np.intp]
    approved: Floats
    p_approve: Floats
    could: NDArray[np.bool_]
    p_logging: Floats
    amounts: NDArray[np.int64]
    merchants: NDArray[Any]
    payments: NDArray[Any]
    estimated: bool


class PolicyReport(msgspec.Struct, frozen=True, kw_only=True):
    """One policy: doubly robust estimates, or None where the log cannot say (then `diagnosis` says why).

    difference  in value against the policy that made the log, on the same attempts
    estimates   of value per attempt by every estimator, for those who want to compare
    shares      share of attempts that each route would take
    """

    policy: str
    attempt_approval_rate: Estimate | None
    value_minor: Estimate | None
    difference_minor: Estimate | None
    diagnosis: Diagnosis
    estimates: dict[str, Estimate]
    shares: dict[str, float]


def replay(rows: ReplayRows, *, terms: dict[str, Merchant], policies: Sequence[str]) -> list[PolicyReport]:
    """Each policy by name: logged, fixed:ROUTE, greatest_approval, greatest_value."""
    values = _values(rows, terms=terms, p_approve=rows.p_approve)
    rewards = _values(rows, terms=terms, p_approve=np.repeat(rows.approved[:, None], len(rows.routes), axis=1))
    earned = rewards[np.arange(len(rows.chosen)), rows.chosen]
    return [_report(rows, policy, p_target=_p_target(rows, policy, values=values), values=values, earned=earned) for policy in policies]


def policy_names(routes: Sequence[Route]) -> tuple[str, ...]:
    """Every policy that can be replayed over these routes."""
    return (LOGGED, *(f"fixed:{route.id}" for route in routes), "greatest_approval", "greatest_value")


def value_difference(rows: ReplayRows, *, against: Floats | None, terms: dict[str, Merchant]) -> tuple[Estimate | None, str | None]:
    """Value per attempt of greatest value by `rows.p_approve` less that by `against`, doubly robust; or None and why it cannot be said.

    against  (n, K) probabilities of another model; None compares with what was done
    """
    values = _values(rows, terms=terms, p_approve=rows.p_approve)
    rewards = _values(rows, terms=terms, p_approve=np.repeat(rows.approved[:, None], len(rows.routes), axis=1))
    chosen = rows.chosen
    earned = rewards[np.arange(len(chosen)), chosen]
    p_logged = rows.p_logging[np.arange(len(chosen)), chosen]

    def logged(best: NDArray[np.intp]) -> Logged:
        p_target = _one_hot(best, n_routes=len(rows.routes))
        return checked(Logged(chosen, p_logged, p_target, earned, values, rows.payments, "minor units"))

    treated = logged(_greatest(values, could=rows.could))
    why = diagnose(treated, p_logging=rows.p_logging).why_cannot_say
    control = earned
    if against is not None:
        other = logged(_greatest(_values(rows, terms=terms, p_approve=against), could=rows.could))
        why = why or diagnose(other, p_logging=rows.p_logging).why_cannot_say
        control = dr_rows(other)
    return (None, why) if why is not None else (difference(dr_rows(treated), control, logged=treated), None)


def _report(rows: ReplayRows, policy: str, *, p_target: Floats, values: Floats, earned: Floats) -> PolicyReport:
    # What was done needs no weights: it is its own target, with certainty.
    p_logged = np.ones(len(rows.chosen)) if policy == LOGGED else rows.p_logging[np.arange(len(rows.chosen)), rows.chosen]
    approvals = checked(Logged(rows.chosen, p_logged, p_target, rows.approved, rows.p_approve, rows.payments, "approved"))
    worth = checked(Logged(rows.chosen, p_logged, p_target, earned, values, rows.payments, "minor units"))
    diagnosis = diagnose(worth, p_logging=rows.p_logging)
    says = diagnosis.why_cannot_say is None
    return PolicyReport(
        policy=policy,
        attempt_approval_rate=dr(approvals) if says else None,
        value_minor=dr(worth) if says else None,
        difference_minor=difference(dr_rows(worth), earned, logged=worth) if says else None,
        diagnosis=diagnosis,
        estimates={name: estimator(worth) for name, estimator in ESTIMATORS.items()} if says else {},
        shares={route.id: float(share) for route, share in zip(rows.routes, p_target.mean(axis=0), strict=True)},
    )


def _p_target(rows: ReplayRows, policy: str, *, values: Floats) -> Floats:
    """(n, K) probabilities of the named policy; a fixed route that could not take an attempt leaves it where it went."""
    could = rows.could
    if policy == LOGGED:
        best = rows.chosen
    elif policy.startswith("fixed:"):
        at = [route.id for route in rows.routes].index(policy.removeprefix("fixed:"))
        best = np.where(could[:, at], at, rows.chosen)
    else:
        best = _greatest(rows.p_approve if policy == "greatest_approval" else values, could=could)
    return _one_hot(best, n_routes=len(rows.routes))


def _greatest(worth: Floats, *, could: NDArray[np.bool_]) -> NDArray[np.intp]:
    best: NDArray[np.intp] = np.argmax(np.where(could, worth, -np.inf), axis=1)
    return best


def _one_hot(best: NDArray[np.intp], *, n_routes: int) -> Floats:
    target = np.zeros((len(best), n_routes))
    target[np.arange(len(best)), best] = 1.0
    return target


def _values(rows: ReplayRows, *, terms: dict[str, Merchant], p_approve: Floats) -> Floats:
    """Worth of each route on each attempt: (n, K) minor units."""
    costs = [route.cost for route in rows.routes]
    return np.array(
        [
            expected_values_minor(p.tolist(), amount_minor=int(amount), terms=terms[merchant], costs=costs)
            for p, amount, merchant in zip(p_approve, rows.amounts, rows.merchants, strict=True)
        ]
    ).reshape(p_approve.shape)

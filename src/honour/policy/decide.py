"""The decision: from candidates with probabilities to an action, a ranking and a reason. The same inputs give the same answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from honour.networks.retry_limit import Allowed
from honour.policy.eligible import Considered
from honour.policy.explore import pick, propensities
from honour.policy.value import cost_of, expected_values_minor
from honour.records.decision import Action, ChosenAttempt, RankedCandidate, Reason
from honour.records.instant import from_us, to_us
from honour.records.payment import Payment
from honour.records.route import Merchant

DAY_US = 86_400_000_000


class History(NamedTuple):
    """What happened to the payment before.

    n_answered     attempts with a final answer
    approved       one of them was approved
    first_us       instant of the first, or None
    routes_tried   routes that answered, oldest first
    """

    n_answered: int = 0
    approved: bool = False
    first_us: int | None = None
    routes_tried: tuple[str, ...] = ()


class Decided(NamedTuple):
    """What happens next and why; `chosen` is None unless it is an attempt, `wait_until_us` unless it is a wait."""

    action: Action
    chosen: ChosenAttempt | None
    reason: Reason
    ranking: tuple[RankedCandidate, ...]
    wait_until_us: int | None = None


def decide(
    payment: Payment,
    *,
    considered: Sequence[Considered],
    p_approve: NDArray[np.float64] | None,
    terms: Merchant,
    allowed: Allowed,
    history: History,
    fallback_order: Sequence[str],
    draw: float,
    at_us: int,
) -> Decided:
    """What should happen next to `payment`.

    p_approve  (n_eligible,) calibrated, in the order of the eligible candidates; None when nothing could score: the static order decides
    draw       uniform in [0, 1); picks the candidate

    Stops, in this order: approved already, network rule, deadline or horizon over, too soon after an answer that asks for time,
    nothing eligible, nothing worth its cost. A payment of the merchant's that came too soon waits; with a shopper at hand it stops.
    """
    stop = _stop(payment, considered=considered, terms=terms, allowed=allowed, history=history, at_us=at_us)
    eligible = [one for one in considered if one.eligible]
    if stop is None and allowed.not_before_us is not None and allowed.not_before_us > at_us:
        return _not_yet(payment, considered, allowed=allowed, history=history, terms=terms)
    if stop is not None or not eligible:
        reason = stop or Reason(code="nothing_eligible", detail=_why_nothing(considered))
        return Decided("stop", None, reason, tuple(_unranked(one) for one in considered))
    if p_approve is None:
        return _static(considered, eligible, fallback_order=fallback_order, history=history)
    return _by_value(payment, considered, eligible, p_approve=p_approve, terms=terms, draw=draw)


def _stop(
    payment: Payment, *, considered: Sequence[Considered], terms: Merchant, allowed: Allowed, history: History, at_us: int
) -> Reason | None:
    if history.approved:
        return Reason(code="already_approved", detail="An attempt of this payment was approved; another would charge the shopper twice.")
    if allowed.never is not None:
        never = allowed.never
        answer = f"The issuer answered {never.code} ({never.meaning}) on this card"
        detail = f"{answer}; {never.network} forbids another attempt. Ask for another card."
        return Reason(code="network_never_retry", detail=detail)
    if allowed.attempts_left == 0:
        until = f" until {from_us(allowed.window_ends_us):%Y-%m-%d %H:%M} UTC" if allowed.window_ends_us else ""
        return Reason(
            code="network_retry_limit", detail=f"This card has used up the attempts that {allowed.rule} allows at this merchant{until}."
        )
    if payment.deadline_at is not None and at_us > to_us(payment.deadline_at):
        return Reason(code="deadline_over", detail=f"The payment's deadline was {from_us(to_us(payment.deadline_at)):%Y-%m-%d %H:%M} UTC.")
    if history.first_us is not None and at_us > history.first_us + terms.retry_horizon_days * DAY_US:
        return Reason(code="horizon_over", detail=f"The first attempt is more than {terms.retry_horizon_days} days ago.")
    if not considered:
        return Reason(code="nothing_eligible", detail="No routes are configured.")
    return None


def _not_yet(payment: Payment, considered: Sequence[Considered], *, allowed: Allowed, history: History, terms: Merchant) -> Decided:
    until_us, pause = allowed.not_before_us or 0, allowed.pause
    why = f"The last answer was {pause.code} ({pause.meaning})" if pause else "The last answer asks for time"
    when = f"{from_us(until_us):%Y-%m-%d %H:%M} UTC"
    ends_us = (history.first_us or until_us) + terms.retry_horizon_days * DAY_US
    in_time = until_us <= ends_us and (payment.deadline_at is None or until_us <= to_us(payment.deadline_at))
    ranking = tuple(_unranked(one) for one in considered)
    if payment.initiator == "merchant" and in_time:
        return Decided("wait", None, Reason(code="too_soon", detail=f"{why}; ask again at {when}."), ranking, until_us)
    return Decided("stop", None, Reason(code="too_soon", detail=f"{why}; not before {when}. Ask for another card."), ranking)


def _by_value(
    payment: Payment,
    considered: Sequence[Considered],
    eligible: Sequence[Considered],
    *,
    p_approve: NDArray[np.float64],
    terms: Merchant,
    draw: float,
) -> Decided:
    costs = [cost_of(payment, candidate=one.candidate, route=one.route) for one in eligible]
    values = expected_values_minor(p_approve, amount_minor=payment.amount_minor, terms=terms, costs=costs)
    if max(values.tolist()) <= 0.0:
        ranking = _ranking(considered, eligible, p_approve=p_approve, values=values, chosen=np.zeros(len(values)))
        best = eligible[int(values.argmax())].candidate.route
        detail = f"The best candidate, {best}, would lose {_money(-float(values.max()), payment)} on average."
        return Decided("stop", None, Reason(code="not_worth_attempting", detail=detail), ranking)
    probabilities = propensities(values, budget_minor=terms.exploration_budget_minor)
    at = pick(probabilities, draw=draw)
    ranking = _ranking(considered, eligible, p_approve=p_approve, values=values, chosen=probabilities)
    return Decided("attempt", _chosen(eligible[at], float(probabilities[at])), _why(payment, eligible, p_approve, values, at), ranking)


def _why(payment: Payment, eligible: Sequence[Considered], p_approve: NDArray[np.float64], values: NDArray[np.float64], at: int) -> Reason:
    candidate, worths = eligible[at].candidate, values.tolist()
    worth = f"p {float(p_approve[at]):.3f} on {candidate.route} is worth {_money(worths[at], payment)}"
    highest = max(worths)
    best = worths.index(highest)
    if at != best:
        lost = _money(highest - worths[at], payment)
        return Reason(
            code="exploration", detail=f"{worth}, {lost} less than {eligible[best].candidate.route}; chosen to learn, within the budget."
        )
    if len(worths) == 1:
        return Reason(code="only_candidate", detail=f"{worth}; nothing else is eligible.")
    second = sorted(worths)[-2]
    return Reason(code="highest_expected_value", detail=f"{worth}, {_money(highest - second, payment)} more than the next.")


def _static(
    considered: Sequence[Considered], eligible: Sequence[Considered], *, fallback_order: Sequence[str], history: History
) -> Decided:
    """The merchant's order, routes not tried yet first; the draw is not used, so the propensity is 1."""
    place = {route_id: at for at, route_id in enumerate(fallback_order)}
    order = sorted(eligible, key=lambda one: (one.candidate.route in history.routes_tried, place.get(one.candidate.route, len(place))))
    chosen = np.array([float(one is order[0]) for one in order])
    nothing = np.full(len(order), np.nan)
    ranking = _ranking(considered, order, p_approve=nothing, values=nothing, chosen=chosen)
    reason = Reason(
        code="static_order", detail=f"No model could score in time; {order[0].candidate.route} is next in the configured order."
    )
    return Decided("attempt", _chosen(order[0], 1.0), reason, ranking)


def _chosen(one: Considered, propensity: float) -> ChosenAttempt:
    candidate = one.candidate
    return ChosenAttempt(
        route=candidate.route, authentication=candidate.authentication, credential=candidate.credential, propensity=propensity
    )


def _ranking(
    considered: Sequence[Considered],
    eligible: Sequence[Considered],
    *,
    p_approve: NDArray[np.float64],
    values: NDArray[np.float64],
    chosen: NDArray[np.float64],
) -> tuple[RankedCandidate, ...]:
    """Eligible by value, best first, then the rest in the order of the settings."""
    p, worth, share = p_approve.tolist(), values.tolist(), chosen.tolist()
    scored = worth[0] == worth[0]  # All are NaN when nothing could score.
    order = sorted(range(len(worth)), key=worth.__getitem__, reverse=True) if scored else range(len(worth))
    ranked = []
    for at in order:
        route, authentication, credential = eligible[at].candidate
        ranked.append(
            RankedCandidate(
                route=route,
                authentication=authentication,
                credential=credential,
                eligible=True,
                p_approve=p[at] if scored else None,
                expected_value_minor=worth[at] if scored else None,
                propensity=share[at],
            )
        )
    if len(eligible) == len(considered):
        return tuple(ranked)
    return (*ranked, *(_unranked(one) for one in considered if not one.eligible))


def _unranked(one: Considered) -> RankedCandidate:
    candidate = one.candidate
    return RankedCandidate(
        route=candidate.route,
        authentication=candidate.authentication,
        credential=candidate.credential,
        eligible=one.eligible,
        reasons=one.reasons,
    )


def _why_nothing(considered: Sequence[Considered]) -> str:
    return (
        "No route can take this payment: " + "; ".join(f"{one.candidate.route}: {', '.join(one.reasons)}" for one in considered[:8]) + "."
    )


def _money(minor: float, payment: Payment) -> str:
    return f"{minor:.1f} minor units of {payment.currency}"

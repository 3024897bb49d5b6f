"""The decision: from candidates with probabilities to an action, a ranking and a reason. The same inputs give the same answer."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from honour.approval.retry_model import RetryModel
from honour.networks.retry_limit import Allowed
from honour.policy.eligible import Considered
from honour.policy.explore import pick, propensities
from honour.policy.outlook import Asked, History, Outlook, Predicted, later_of, outlook, quiet_until
from honour.policy.plan import Plan
from honour.records.decision import Action, ChosenAttempt, RankedCandidate, Reason
from honour.records.instant import from_us, to_us
from honour.records.payment import Payment
from honour.records.route import Candidate, CredentialForm, Merchant

DAY_US = 86_400_000_000
WhyTrouble = Callable[[Candidate], str | None]
_WORDS: dict[CredentialForm | None, str] = {
    "pan": "the card number on file",
    "network_token": "the network token",
    "updated_pan": "the number that the account updater gives",
    "wallet": "the wallet",
}
WAIT_GAIN = 1.02
"""Waiting must be worth this much more than an attempt now: an instant that is a little better is not worth another question."""


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
    predicted: Predicted | None,
    terms: Merchant,
    allowed: Allowed,
    history: History,
    fallback_order: Sequence[str],
    draw: float,
    at_us: int,
    retry_model: RetryModel | None = None,
) -> Decided:
    """What should happen next to `payment`.

    predicted    what is thought of the eligible candidates; None when nothing could score: the static order decides
    draw         uniform in [0, 1); picks the candidate
    retry_model  what follows a refusal; None looks no further than this attempt

    Stops, in this order: approved already, network rule, deadline or horizon over, too soon after an answer that asks for time or for
    newer data of the card, nothing eligible, nothing worth its cost. A payment of the merchant's waits, where that is worth more or the
    network or the quiet hours ask for it; with a shopper at hand it does not.
    """
    asked = Asked(payment, considered, terms, allowed, history, at_us)
    stop = _stop(payment, considered=considered, terms=terms, allowed=allowed, history=history, at_us=at_us)
    if stop is not None:
        return Decided("stop", None, stop, _all_unranked(considered))
    planned = later_of(asked, model=retry_model)
    eligible = asked.eligible
    if asked.not_before_us > at_us:
        return _not_yet(asked, planned)
    if (quiet_us := quiet_until(asked)) is not None:
        return _quiet(asked, quiet_us)
    if not eligible:
        if planned is not None and planned.wait_us is not None and asked.sendable:
            return _wait(asked, planned, _all_unranked(considered), instead_minor=0.0)
        return Decided("stop", None, Reason(code="nothing_eligible", detail=_why_nothing(considered)), _all_unranked(considered))
    if predicted is None:
        return _static(considered, eligible, fallback_order=fallback_order, history=history)
    seen = outlook(asked, predicted, planned=planned, model=retry_model)
    return _by_value(asked, draw=draw, outlook=seen, planned=planned, why=predicted.why)


def _stop(
    payment: Payment, *, considered: Sequence[Considered], terms: Merchant, allowed: Allowed, history: History, at_us: int
) -> Reason | None:
    if history.approved:
        return Reason(code="already_approved", detail="An attempt of this payment was approved; another would charge the shopper twice.")
    if allowed.blocked and allowed.never is not None:
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


def _not_yet(asked: Asked, planned: Plan | None) -> Decided:
    """The network asks for time, or for newer data than there are."""
    allowed, payment = asked.allowed, asked.payment
    until_us, pause = asked.not_before_us, asked.stale or allowed.pause
    why = f"The last answer was {pause.code} ({pause.meaning})" if pause else "The payment was refused a moment ago"
    when = f"{from_us(until_us):%Y-%m-%d %H:%M} UTC"
    ranking = _all_unranked(asked.considered)
    if asked.stale is not None and until_us > asked.until_us:
        detail = f"{why}: the card's data are old, and no route can send newer ones. Update the card, or ask for another."
        return Decided("stop", None, Reason(code="credential_must_change", detail=detail), ranking)
    if payment.initiator == "merchant" and until_us <= asked.until_us:
        if planned is None:
            return Decided("wait", None, Reason(code="too_soon", detail=f"{why}; ask again at {when}."), ranking, until_us)
        if planned.wait_us is not None:
            return _wait(asked, planned, ranking, instead_minor=0.0)
        return Decided("stop", None, Reason(code="not_worth_waiting", detail=f"{why}; no later attempt is worth its price."), ranking)
    return Decided("stop", None, Reason(code="too_soon", detail=f"{why}; not before {when}. Ask for another card."), ranking)


def _quiet(asked: Asked, until_us: int) -> Decided:
    detail = f"Quiet hours of the merchant; ask again at {from_us(until_us):%Y-%m-%d %H:%M} UTC."
    if until_us > asked.until_us:
        return Decided("stop", None, Reason(code="quiet_hours", detail="Quiet until after its end."), _all_unranked(asked.considered))
    return Decided("wait", None, Reason(code="quiet_hours", detail=detail), _all_unranked(asked.considered), until_us)


def _wait(asked: Asked, planned: Plan, ranking: tuple[RankedCandidate, ...], *, instead_minor: float) -> Decided:
    """Wait until the instant that the plan found, and say what it is worth."""
    assert planned.wait_us is not None
    assert planned.credential is not None
    more = _money(planned.wait_minor - max(0.0, instead_minor), asked.payment)
    last = asked.history.last_response_code or asked.history.last_status
    detail = (
        f"After {last}, p {planned.p_wait:.3f} at {from_us(planned.wait_us):%a %Y-%m-%d %H:%M} UTC against "
        f"{planned.now[planned.credential].p:.3f} now{_changed(asked.history, planned.credential)}; waiting is worth {more} more."
    )
    return Decided("wait", None, Reason(code="worth_waiting", detail=detail), ranking, planned.wait_us)


def _by_value(asked: Asked, *, draw: float, outlook: Outlook, planned: Plan | None, why: WhyTrouble | None) -> Decided:
    payment, considered, eligible = asked.payment, asked.considered, asked.eligible
    values, alone = outlook.values, outlook.alone
    best_minor = max(values)
    worth_it = max(alone) > 0.0 or (planned is not None and best_minor > 0.0)
    if planned is not None and planned.wait_us is not None and planned.wait_minor > max(0.0, best_minor * WAIT_GAIN if worth_it else 0.0):
        ranking = _ranking(considered, eligible, outlook=outlook, chosen=[0.0] * len(values))
        return _wait(asked, planned, ranking, instead_minor=best_minor)
    if not worth_it:
        ranking = _ranking(considered, eligible, outlook=outlook, chosen=[0.0] * len(values))
        best = eligible[alone.index(max(alone))].candidate.route
        detail = f"The best candidate, {best}, would lose {_money(-max(alone), payment)} on average."
        return Decided("stop", None, Reason(code="not_worth_attempting", detail=detail), ranking)
    critical = asked.terms.critical_from_minor
    budget_minor = asked.terms.exploration_budget_minor if critical is None or payment.amount_minor < critical else 0.0
    share = asked.terms.uniform_share
    probabilities = propensities(values, budget_minor=budget_minor, spread=outlook.spread, uniform_share=share)
    at = pick(probabilities, draw=draw)
    ranking = _ranking(considered, eligible, outlook=outlook, chosen=probabilities)
    return Decided("attempt", _chosen(eligible[at], probabilities[at]), _why(asked, outlook, at, trouble=why), ranking)


def _why(asked: Asked, outlook: Outlook, at: int, *, trouble: WhyTrouble | None) -> Reason:
    payment, eligible, worths = asked.payment, asked.eligible, outlook.values
    candidate = eligible[at].candidate
    changed = _changed(asked.history, candidate.credential)
    worth = f"p {outlook.p_approve[at]:.3f} on {candidate.route}{changed} is worth {_money(worths[at], payment)}"
    highest = max(worths)
    best = worths.index(highest)
    if at != best:
        lost = _money(highest - worths[at], payment)
        return Reason(
            code="exploration", detail=f"{worth}, {lost} less than {eligible[best].candidate.route}; chosen to learn, within the budget."
        )
    if outlook.by_model is not None and trouble is not None:
        usual = outlook.by_model.index(max(outlook.by_model))
        if usual != at and (why := trouble(eligible[usual].candidate)) is not None:
            return Reason(code="trouble_avoided", detail=f"{worth}; {eligible[usual].candidate.route} would be next, but {why}.")
    if len(worths) == 1:
        return Reason(code="only_candidate", detail=f"{worth}; nothing else is eligible.")
    second = sorted(worths)[-2]
    return Reason(code="highest_expected_value", detail=f"{worth}, {_money(highest - second, payment)} more than the next.")


def _changed(history: History, credential: CredentialForm) -> str:
    """Which credential is sent, in words, when it is another than that of the last answer."""
    last = history.last_credential
    return "" if last in (None, credential) else f" with {_WORDS[credential]} instead of {_WORDS[last]}"


def _static(
    considered: Sequence[Considered], eligible: Sequence[Considered], *, fallback_order: Sequence[str], history: History
) -> Decided:
    """The merchant's order, routes not tried yet first; the draw is not used, so the propensity is 1."""
    place = {route_id: at for at, route_id in enumerate(fallback_order)}
    order = sorted(eligible, key=lambda one: (one.candidate.route in history.routes_tried, place.get(one.candidate.route, len(place))))
    chosen = [float(one is order[0]) for one in order]
    nothing = [math.nan] * len(order)
    ranking = _ranking(considered, order, outlook=Outlook(nothing, None, nothing, nothing), chosen=chosen)
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
    outlook: Outlook,
    chosen: Sequence[float],
) -> tuple[RankedCandidate, ...]:
    """Eligible by value, best first, then the rest in the order of the settings."""
    p, worth = outlook.p_approve, outlook.values
    recovered: Sequence[float | None] = [None] * len(worth) if outlook.p_recovered is None else outlook.p_recovered
    by_model: Sequence[float | None] = [None] * len(worth) if outlook.p_model is None else outlook.p_model
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
                p_model=by_model[at],
                p_recovered=recovered[at],
                expected_value_minor=worth[at] if scored else None,
                propensity=chosen[at],
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


def _all_unranked(considered: Sequence[Considered]) -> tuple[RankedCandidate, ...]:
    return tuple(_unranked(one) for one in considered)


def _why_nothing(considered: Sequence[Considered]) -> str:
    return (
        "No route can take this payment: " + "; ".join(f"{one.candidate.route}: {', '.join(one.reasons)}" for one in considered[:8]) + "."
    )


def _money(minor: float, payment: Payment) -> str:
    return f"{minor:.1f} minor units of {payment.currency}"

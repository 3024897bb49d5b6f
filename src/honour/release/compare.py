"""A bundle in shadow against the one that decided, from the log: agreement, whose probabilities hold, what the other would earn."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from honour.approval.interval import figures, log_loss_gain, mean_figure
from honour.approval.metric import Figure
from honour.evaluation.diagnose import diagnose
from honour.evaluation.estimator import Estimate, difference, dr_rows
from honour.evaluation.logged import Floats, Logged, checked
from honour.policy.value import cost_of, expected_value_minor
from honour.records.decision import RankedCandidate
from honour.records.event import DecisionMade, LoggedEvent, OutcomeReported, ShadowDecided
from honour.records.route import Candidate
from honour.records.settings import Settings

ANSWERED_MIN = 30
"""Fewer answers say nothing."""


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """How the probabilities of one bundle hold on the decisions that were answered: of the candidate that was sent."""

    log_loss: Figure
    calibration_error: Figure


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """A bundle in shadow against what was decided. Intervals are 95 %, clustered by payment; None: too few answers to say.

    agreement        share of decisions in which it would have done the same
    log_loss_gain    log loss of the decider less that of the challenger, on the same answers
    gain_by_decider  value of the challenger's choice less that of the one that was made, minor units per decision, by the
                     probabilities of the decider; gain_by_challenger by its own: each flatters its own, the truth is likely between
    gain             the same from what came back, doubly robust, over decisions that were answered; None: the log cannot say, and why
    """

    bundle: str
    n_decisions: int
    n_answered: int
    agreement: Figure | None
    decider: Side | None
    challenger: Side | None
    log_loss_gain: Figure | None
    gain_by_decider: Figure | None
    gain_by_challenger: Figure | None
    gain: Estimate | None
    why_no_gain: str | None


class _Pair(NamedTuple):
    made: DecisionMade
    shadow: ShadowDecided
    approved: bool | None


def compare(events: Iterable[LoggedEvent], *, bundle: str, settings: Settings) -> Comparison:
    """What the log says of `bundle` in shadow. Routes and fees are those of the settings."""
    pairs = _pairs(events, bundle=bundle)
    answered = [pair for pair in pairs if pair.approved is not None and _p_sent(pair, pair.shadow.ranking) is not None]
    payments = [pair.made.payment.payment_id for pair in pairs]
    sides = _sides(answered) if len(answered) >= ANSWERED_MIN else (None, None, None)
    gain, why = _gain(answered, settings=settings)
    by_decider = np.array([_worth_gain(pair, pair.made.decision.ranking) for pair in pairs])
    by_challenger = np.array([_worth_gain(pair, pair.shadow.ranking) for pair in pairs])
    return Comparison(
        bundle=bundle,
        n_decisions=len(pairs),
        n_answered=len(answered),
        agreement=mean_figure(np.array([float(_choice(pair.made.decision) == _choice(pair.shadow)) for pair in pairs]), payments=payments)
        if pairs
        else None,
        decider=sides[0],
        challenger=sides[1],
        log_loss_gain=sides[2],
        gain_by_decider=mean_figure(by_decider, payments=payments) if pairs else None,
        gain_by_challenger=mean_figure(by_challenger, payments=payments) if pairs else None,
        gain=gain,
        why_no_gain=why,
    )


def _pairs(events: Iterable[LoggedEvent], *, bundle: str) -> list[_Pair]:
    made: dict[str, DecisionMade] = {}
    said: dict[str, ShadowDecided] = {}
    approved: dict[str, bool] = {}
    for logged in events:
        match logged.event:
            case DecisionMade() as one if one.decision.stage != "fallback":
                made[one.decision.decision_id] = one
            case ShadowDecided() as other if other.bundle == bundle:
                said[other.decision_id] = other
            case OutcomeReported(outcome=outcome) if outcome.status != "unknown":
                approved[outcome.decision_id] = outcome.status == "approved"
            case _:
                pass
    return [_Pair(made[one], shadow, approved.get(one)) for one, shadow in said.items() if one in made]


def _sides(answered: list[_Pair]) -> tuple[Side, Side, Figure]:
    y = np.array([float(bool(pair.approved)) for pair in answered])
    payments = [pair.made.payment.payment_id for pair in answered]
    said = [
        np.array([_p_sent(pair, ranking) for pair, ranking in zip(answered, of, strict=True)], dtype=np.float64) for of in _both(answered)
    ]
    told = [figures(p, y, payments=payments) for p in said]
    decider, challenger = (Side(log_loss=one["log_loss"], calibration_error=one["calibration_error"]) for one in told)
    return decider, challenger, log_loss_gain(said[1], y, baseline=said[0], payments=payments)


def _both(pairs: list[_Pair]) -> tuple[list[tuple[RankedCandidate, ...]], list[tuple[RankedCandidate, ...]]]:
    return [pair.made.decision.ranking for pair in pairs], [pair.shadow.ranking for pair in pairs]


def _choice(one: object) -> tuple[object, ...]:
    attempt = getattr(one, "attempt", None)
    return (getattr(one, "action", None), *((attempt.route, attempt.authentication, attempt.credential) if attempt is not None else ()))


def _p_sent(pair: _Pair, ranking: tuple[RankedCandidate, ...]) -> float | None:
    sent = pair.made.decision.attempt
    return _of(ranking, (sent.route, sent.authentication, sent.credential), "p_approve") if sent is not None else None


def _of(ranking: tuple[RankedCandidate, ...], candidate: tuple[object, ...], name: str) -> float | None:
    found = (one for one in ranking if (one.route, one.authentication, one.credential) == candidate)
    value: float | None = next((getattr(one, name) for one in found), None)
    return value


def _worth_gain(pair: _Pair, ranking: tuple[RankedCandidate, ...]) -> float:
    """Value of the challenger's choice less that of the one that was made, by one ranking; what is no attempt is worth 0 here."""
    worth = [_of(ranking, choice[1:], "expected_value_minor") or 0.0 for choice in (_choice(pair.shadow), _choice(pair.made.decision))]
    return worth[0] - worth[1]


def _gain(answered: list[_Pair], *, settings: Settings) -> tuple[Estimate | None, str | None]:
    """Doubly robust, over the candidates of each decision and one more that stands for no attempt."""
    routes = {route.id: route for route in settings.routes}
    rows = [pair for pair in answered if all(one.route in routes for one in pair.made.decision.ranking if one.eligible)]
    if len(rows) < ANSWERED_MIN:
        return None, f"{len(rows)} answered decisions; at least {ANSWERED_MIN} are needed"
    n, width = len(rows), 1 + max(sum(one.eligible for one in pair.made.decision.ranking) for pair in rows)
    chosen = np.zeros(n, dtype=np.intp)
    p_logging, p_target, predicted, reward = np.zeros((n, width)), np.zeros((n, width)), np.zeros((n, width)), np.zeros(n)
    for at, pair in enumerate(rows):
        payment, eligible = pair.made.payment, [one for one in pair.made.decision.ranking if one.eligible]
        sent = _choice(pair.made.decision)[1:]
        for place, one in enumerate(eligible):
            candidate = Candidate(one.route, one.authentication, one.credential)
            cost = cost_of(payment, candidate=candidate, route=routes[one.route])
            terms = settings.terms_of(payment.merchant_id)
            p_logging[at, place] = one.propensity
            p_target[at, place] = (_of(pair.shadow.ranking, candidate, "propensity") or 0.0) if pair.shadow.action == "attempt" else 0.0
            predicted[at, place] = expected_value_minor(one.p_approve or 0.0, amount_minor=payment.amount_minor, terms=terms, cost=cost)
            if candidate == sent:
                chosen[at] = place
                p_approve = float(bool(pair.approved))
                reward[at] = expected_value_minor(p_approve, amount_minor=payment.amount_minor, terms=terms, cost=cost)
        p_target[at, width - 1] = 1.0 - p_target[at, : width - 1].sum()
    clusters = np.array([pair.made.payment.payment_id for pair in rows])
    return _estimated(chosen, p_logging, np.maximum(p_target, 0.0), reward, predicted, clusters)


def _estimated(
    chosen: NDArray[np.intp], p_logging: Floats, p_target: Floats, reward: Floats, predicted: Floats, clusters: NDArray[Any]
) -> tuple[Estimate | None, str | None]:
    p_logged = p_logging[np.arange(len(chosen)), chosen]
    logged = checked(Logged(chosen, p_logged, p_target, reward, predicted, clusters, "minor units"))
    why = diagnose(logged, p_logging=p_logging).why_cannot_say
    return (None, why) if why is not None else (difference(dr_rows(logged), reward, logged=logged), None)

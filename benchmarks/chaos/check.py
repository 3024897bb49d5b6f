"""What callers were told against what the log holds, and what the log holds against the rules."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import msgspec
from callers import Told

from honour.records.event import DecisionMade, LoggedEvent, OutcomeReported
from honour.records.settings import Settings
from honour.stores.opening import open_log

VISA_LIMIT = 20
"""Attempts of one card at one merchant over one amount in 30 days (docs/networks.md)."""


class Checked(NamedTuple):
    """n_events in the log; lost and wrong name what is lost and what is wrong."""

    n_events: int
    lost: list[str]
    wrong: list[str]


def check(told: Told, *, settings: Settings) -> Checked:
    """Read the log of the settings and compare."""
    log = open_log(settings.data, read_only=True)
    try:
        logged = list(log.read())
    finally:
        log.close()
    return Checked(len(logged), _lost(told, logged), [*told.contradictions, *_wrong(logged, settings)])


def _lost(told: Told, logged: list[LoggedEvent]) -> list[str]:
    decisions = {one.event.decision.decision_id: one.event.decision for one in logged if isinstance(one.event, DecisionMade)}
    outcomes = {one.event.outcome.decision_id: one.event.outcome.status for one in logged if isinstance(one.event, OutcomeReported)}
    lost = [f"decision {one}" for one, answer in told.decisions.items() if one not in decisions or _json(decisions[one]) != answer]
    return lost + [f"outcome of {one}" for one, status in told.outcomes.items() if outcomes.get(one) != status]


def _wrong(logged: list[LoggedEvent], settings: Settings) -> list[str]:
    """Contradictory decisions, broken limits, attempts that were not permitted, time that runs backwards."""
    wrong: list[str] = []
    given: Counter[str] = Counter()
    of_attempt: dict[tuple[str, int], str] = {}
    answered: Counter[str] = Counter()
    currencies = {route.id: route.currencies for route in settings.routes}
    before_us = 0
    for one in logged:
        if one.arrived_us < before_us:
            wrong.append(f"event {one.seq} arrived before the one in front of it")
        before_us = one.arrived_us
        if isinstance(one.event, OutcomeReported):
            answered[one.event.outcome.decision_id] += 1
        if not isinstance(one.event, DecisionMade) or (chosen := one.event.decision.attempt) is None:
            continue
        decision, payment = one.event.decision, one.event.payment
        given[payment.card.card_id] += 1
        if (first := of_attempt.setdefault((payment.payment_id, decision.attempt_number), decision.decision_id)) != decision.decision_id:
            wrong.append(f"{payment.payment_id}: attempt {decision.attempt_number} was decided twice ({first})")
        allowed = currencies[chosen.route]
        if allowed and payment.currency not in allowed:
            wrong.append(f"{decision.decision_id}: {payment.currency} on {chosen.route}")
    wrong += [f"{card}: {n} attempts, {VISA_LIMIT} are permitted" for card, n in given.items() if n > VISA_LIMIT]
    return wrong + [f"{one}: {n} outcomes" for one, n in answered.items() if n > 1]


def _json(value: object) -> object:
    return msgspec.json.decode(msgspec.json.encode(value))

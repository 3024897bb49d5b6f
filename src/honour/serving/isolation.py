"""One merchant's key neither reads nor moves another's state: what a report belongs to is looked up before it is taken.

What is not the holder's is answered like what is not there. Rates of routes and issuers are learned from all merchants and serve all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from honour.errors import Contradiction
from honour.outcomes.match import unknown_decision, unknown_payment
from honour.records.attempt import Attempt, Dispute, Outcome
from honour.records.event import AttemptReported, DecisionMade, LoggedEvent
from honour.serving.hot_path import Engine
from honour.serving.keys import Holder

Answer = TypeVar("Answer")


def reported(report: Outcome | Attempt | Dispute, *, holder: Holder, engine: Engine, take: Callable[[], Answer]) -> Answer:
    """What `take` gives for a report that the holder may make; NotPermitted, UnknownReference or Contradiction otherwise."""
    if holder.merchants is None:
        return take()
    with engine.turn():  # So that what other processes took in is known.
        return _taken(report, holder=holder, engine=engine, take=take)


def told_to(holder: Holder, events: list[LoggedEvent]) -> list[LoggedEvent]:
    """Events of one payment_id that belong to the merchants of the holder: months later another may use the same id."""
    owner: str | None = None
    kept = []
    for logged in events:
        owner = _merchant_of(logged) or owner
        if owner is None or holder.acts_for(owner):
            kept.append(logged)
    return kept if owner is None or holder.acts_for(owner) else []


def _taken(report: Outcome | Attempt | Dispute, *, holder: Holder, engine: Engine, take: Callable[[], Answer]) -> Answer:
    if isinstance(report, Outcome):
        owner = engine.state.book.merchant_of_decision(report.decision_id)
        if owner is not None and not holder.acts_for(owner):
            raise unknown_decision(report.decision_id)
        return take()
    if isinstance(report, Attempt):
        holder.check_merchant(report.payment.merchant_id)
        named = f"attempt_id {report.attempt_id!r}"
    else:
        owner = engine.state.book.merchant_of(report.payment_id) or _last_owner(engine.log.story(report.payment_id))
        if owner is not None and not holder.acts_for(owner):
            raise unknown_payment(report.payment_id)
        named = f"dispute_id {report.dispute_id!r}"
    try:
        return take()
    except Contradiction:
        # What stands may be another merchant's: its facts are not repeated.
        raise Contradiction(
            f"{named} or its payment_id is taken, with other facts; this was not kept. Ids must be unique among all merchants: "
            "put the merchant's id in front of them."
        ) from None


def _last_owner(events: list[LoggedEvent]) -> str | None:
    return next((owner for owner in map(_merchant_of, reversed(events)) if owner is not None), None)


def _merchant_of(logged: LoggedEvent) -> str | None:
    match logged.event:
        case DecisionMade(payment=payment):
            return payment.merchant_id
        case AttemptReported(attempt=attempt):
            return attempt.payment.merchant_id
        case _:
            return None

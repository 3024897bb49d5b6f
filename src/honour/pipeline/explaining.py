"""Reasons for the decisions of a payment, from the log and a bundle."""

from __future__ import annotations

from pathlib import Path

import msgspec

from honour.errors import BadInput
from honour.features.catalogue import CANDIDATE_FEATURES, CATALOGUE, SCHEMA_ID
from honour.features.describe import feature_of
from honour.loop import DataDir
from honour.records.event import DecisionMade
from honour.release.explain import Dependence, Explanation, dependence, explain

_PLACES = tuple([feature.name for feature in CANDIDATE_FEATURES].index(name) for name in ("route", "authentication", "credential"))


class Explained(msgspec.Struct, frozen=True, kw_only=True):
    """One decision: the candidate that was sent, and why its p is what it is."""

    decision_id: str
    candidate: tuple[str, str, str]
    explanation: Explanation


def explain_payment(data_dir: Path, folder: Path, payment_id: str) -> list[Explained]:
    """Every decision of `payment_id` to attempt, oldest first; BadInput when the log holds none that can be explained."""
    with DataDir(data_dir).log() as log:
        made = [
            logged.event
            for logged in log.read()
            if isinstance(logged.event, DecisionMade) and logged.event.payment.payment_id == payment_id
        ]
    found = []
    for one in made:
        chosen, features = one.decision.attempt, one.features
        if chosen is None or features is None or features.schema != SCHEMA_ID:
            continue
        sent = (chosen.route, chosen.authentication, chosen.credential)
        rows = [tuple(str(row[place]) for place in _PLACES) for row in features.candidates]
        explanation = explain(folder, features, candidate=rows.index(sent))
        found.append(Explained(decision_id=one.decision.decision_id, candidate=sent, explanation=explanation))
    if not found:
        raise BadInput(
            f"payment {payment_id!r}: {len(made)} decisions in the log, none of them an attempt whose features this version knows. "
            "Give the id of a payment that this data folder decided."
        )
    return found


def explain_feature(folder: Path, name: str) -> tuple[Dependence, ...]:
    """How p moves with one feature; BadInput for a name that is not known."""
    return dependence(folder, feature_of(CATALOGUE, name).name)

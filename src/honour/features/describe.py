"""The catalogue for people: what each feature is about, which events it counts, over what window, and when it is not known."""

from __future__ import annotations

from typing import get_args

import msgspec

from honour.errors import BadInput
from honour.features.view import (
    DAY,
    HOUR,
    MINUTE,
    AttributeFeature,
    Catalogue,
    ContextFeature,
    DecayedFeature,
    Feature,
    LastFeature,
    LocalTimeFeature,
    WindowFeature,
)
from honour.records.attempt import Status

_OF_ANSWERS = {
    "count": "number of answers",
    "next_number": "number of answers, plus one",
    "approval_rate": "approved share of answers",
    "declined_rate": "declined share of answers",
    "failed_rate": "share of answers that never reached the issuer",
    "abandoned_rate": "share of answers that shoppers abandoned",
    "amount_ratio": "amount of this payment over the mean amount of the answers",
    "sum": "sum of {of} over answers",
    "mean": "mean {of} of answers",
    "quantile": "{q:g} quantile of {of} of answers, from counts between fixed edges",
    "distinct": "different values of {of} among answers",
}
_OF_LAST = {
    "status": "status of the last answer",
    "response_code": "response code of the last answer",
    "approved": "1 when the last answer was an approval, else 0",
    "seconds_since": "seconds since the last answer arrived",
    "route": "route of the last answer",
    "same_route": "1 when the last answer came on the candidate's route, else 0",
    "reason": "why the last answer was declined",
    "latency_ms": "latency of the last answer, milliseconds",
    "authentication": "authentication of the last answer",
    "amount_minor": "amount of the payment of the last answer",
}
_ORDINAL = ("", "", "second ", "third ", "fourth ", "fifth ", "sixth ", "seventh ", "eighth ")
_CLOCK_MISSING = {"days_since_payday": "where no payday is known", "card_expired": "when the card names no month"}
_OF_CLOCK = {
    "hour": "hour of the shopper's day, 0 to 23",
    "weekday": "day of the shopper's week, Monday 0 to Sunday 6",
    "day_of_month": "day of the shopper's month, 1 to 31",
    "hour_of_week": "hour of the shopper's week, Monday 0 h is 0, Sunday 23 h is 167",
    "days_since_payday": "whole days since the last payday of the shopper's country, 0 on it",
    "is_holiday": "1 on a public holiday of the shopper's country, else 0",
    "card_expired": "1 once the month that the card names is over by the shopper's calendar, before 0",
}


class Description(msgspec.Struct, frozen=True, kw_only=True):
    """One feature.

    entity       columns that make a group; empty where there is no group, or where everything is one
    event        what it is taken from: the payment, the candidate, the clock, or the answers that had arrived
    aggregation  what is made of the events
    window_s, tile_s  length, and by what it moves on; missing when nothing is counted
    missing      when it is not known
    """

    name: str
    level: str
    type: str
    entity: tuple[str, ...]
    event: str
    aggregation: str
    window_s: int | None
    tile_s: int | None
    missing: str
    owner: str
    since: str
    about: str


def describe(feature: Feature) -> Description:
    """What a declaration means."""
    event, aggregation, missing = _meaning(feature)
    folded = feature if isinstance(feature, WindowFeature | LastFeature) else None
    entity = feature.entity if isinstance(feature, WindowFeature | LastFeature | DecayedFeature) else ()
    return Description(
        name=feature.name,
        level=feature.level,
        type=feature.kind,
        entity=entity,
        event=event,
        aggregation=aggregation,
        window_s=folded.window_s if folded else None,
        tile_s=folded.tile_s if folded else None,
        missing=missing,
        owner=feature.owner,
        since=feature.since,
        about=feature.about,
    )


def feature_of(catalogue: Catalogue, name: str) -> Feature:
    """The feature with this name, or BadInput with names like it."""
    for feature in catalogue.features:
        if feature.name == name:
            return feature
    parts = set(name.split("_"))
    close = sorted(catalogue.names, key=lambda other: -len(parts & set(other.split("_"))))[:3]
    raise BadInput(
        f"no feature {name!r}; names like it: {', '.join(close)}. `honour features list --all` shows all {len(catalogue.names)}."
    )


def span(seconds: int | None) -> str:
    """A length of time in its largest whole unit.

    >>> span(7 * DAY), span(90 * MINUTE), span(None)
    ('7 d', '90 min', '')
    """
    if seconds is None:
        return ""
    for unit, name in ((DAY, "d"), (HOUR, "h"), (MINUTE, "min")):
        if seconds % unit == 0:
            return f"{seconds // unit} {name}"
    return f"{seconds} s"


def _meaning(feature: Feature) -> tuple[str, str, str]:
    """Event, aggregation, when it is missing."""
    match feature:
        case ContextFeature():
            return feature.level, "as it is", "when the request does not say it"
        case AttributeFeature():
            return "payment", f"attributes.{feature.key} as it is", f"when the payment has no such attribute, or it is no {feature.kind}"
        case LocalTimeFeature():
            return "clock", _OF_CLOCK[feature.part], _CLOCK_MISSING.get(feature.part, "never; UTC where the country is not known")
        case LastFeature():
            told = _OF_LAST[feature.column].replace("last answer", f"{_ORDINAL[feature.nth]}last {_answer(feature.only)}")
            fewer = "none" if feature.nth == 1 else f"fewer than {feature.nth}"
            return "answer", told, f"when {fewer} arrived within the window"
        case WindowFeature() | DecayedFeature():
            return _of_answers(feature)


def _answer(only: str | None) -> str:
    """What is counted.

    >>> _answer("approved"), _answer("insufficient_funds"), _answer(None)
    ('approved answer', 'answer declined for insufficient_funds', 'answer')
    """
    if only is None:
        return "answer"
    return f"{only} answer" if only in get_args(Status) else f"answer declined for {only}"


def _of_answers(feature: WindowFeature | DecayedFeature) -> tuple[str, str, str]:
    of, q = (feature.of, feature.q) if isinstance(feature, WindowFeature) else (None, None)
    one, _, rest = _answer(feature.only).partition("answer")
    aggregation = _OF_ANSWERS[feature.measure].format(of=of, q=q or 0.0).replace("answers", f"{one}answers{rest}")
    if isinstance(feature, DecayedFeature):
        aggregation += f", each half as much after {span(feature.half_life_s)}"
    if feature.shrink_to is not None:
        aggregation += f", pulled towards {feature.shrink_to} as by {feature.strength:g} more answers"
    if feature.measure in ("count", "next_number", "sum", "distinct"):
        return "answer", aggregation, "never"
    missing = "without answers in the window" if isinstance(feature, WindowFeature) else "without answers"
    return "answer", aggregation, f"{missing} while {feature.shrink_to} is missing too" if feature.shrink_to else missing

"""Feature views: what a feature is, declared once. `online` folds the declaration, `sql` compiles it; both give the same value.

An *entity* is the group that a number is about: ("route", "bin") is one group per route and BIN. A part that is None
makes a group of its own, "not known".

Windows run on the arrival time of answers, in whole tiles: at instant t a window of W seconds in tiles of T covers the tile
that holds t (tile number = t // T) and the W / T - 1 tiles before it. It is up to one tile shorter than its name.

A rate with `shrink_to` is pulled towards another feature's value at the same instant, as if `strength` more answers had come
with that rate: (k + strength * parent) / (n + strength). Without parent, or while the parent is missing, it is k / n, and
missing when n is 0.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import msgspec

from honour.errors import BadInput
from honour.features.answer import ONLY
from honour.features.columns import CANDIDATE_COLUMNS, CLOCK_COLUMNS, PAYMENT_COLUMNS, Kind, read_attribute

Level = Literal["payment", "candidate"]
Rate = Literal["approval_rate", "declined_rate", "failed_rate", "abandoned_rate"]
Measure = Literal["count", "next_number", "amount_ratio", "sum", "mean", "quantile", "distinct", Rate]
LastColumn = Literal[
    "status", "response_code", "reason", "approved", "seconds_since", "route", "same_route", "authentication", "amount_minor", "latency_ms"
]
LocalPart = Literal["hour", "weekday", "day_of_month", "hour_of_week", "days_since_payday", "is_holiday", "card_expired"]
CALENDAR_PARTS = ("days_since_payday", "is_holiday")
LAST_CATEGORIES = ("status", "response_code", "reason", "route", "authentication")
RATES = ("approval_rate", "declined_rate", "failed_rate", "abandoned_rate")
NUMBERS = ("amount_minor", "latency_ms")
"""What `sum`, `mean` and `quantile` may be taken of."""

MINUTE = 60
HOUR = 60 * MINUTE
DAY = 24 * HOUR
WEEK = 7 * DAY
"""Seconds, for windows and tiles."""

SEMANTICS = 2
"""Raised when the same declaration comes to mean another number, so that old states and bundles are refused."""

DISTINCT_MAX = 64
"""Values that `distinct` counts; more are as many."""

FADES_AFTER = 64
"""Half-lives after which a group that was not answered again has faded away: its answers weigh less than rounding."""

NTH_MAX = 8
"""Answers back that a `LastFeature` may look."""

NOTES = ("owner", "since", "about")
"""What a declaration says for people; it changes no value and is not hashed."""


@dataclass(frozen=True, kw_only=True)
class Declared:
    """What every declaration says.

    name   the column in training sets, in parity reports and in what a decision saw
    owner  who answers for it; since: the version or date of its first use; about: one sentence, where the rest does not say enough
    """

    name: str
    owner: str = "honour"
    since: str = "0.1.0"
    about: str = ""


@dataclass(frozen=True, kw_only=True)
class ContextFeature(Declared):
    """A column of the payment or the candidate as it is."""

    kind: Kind
    level: Level = "payment"


@dataclass(frozen=True, kw_only=True)
class AttributeFeature(Declared):
    """An entry of the payment's own `attributes`; not known when it is absent or of the other kind.

    attribute  its key, absent: the name. Entities may be made of it as `attribute_<key>`.
    """

    kind: Kind
    attribute: str | None = None
    level: Level = "payment"

    @property
    def key(self) -> str:
        """Key among the attributes."""
        return self.attribute or self.name

    @property
    def column(self) -> str:
        """Its column beside those of every payment."""
        return f"attribute_{self.key}"


@dataclass(frozen=True, kw_only=True)
class LocalTimeFeature(Declared):
    """Part of the shopper's local time or calendar.

    part  hour 0 to 23, weekday 0 (Monday) to 6, day_of_month 1 to 31, hour_of_week 0 to 167
          days_since_payday  0 on it; missing where no payday of the country is known (`calendar`)
          is_holiday         1 on a public holiday of the country, else 0
          card_expired       1 once the month that the card names is over, before 0; missing where the card names none
    """

    part: LocalPart
    kind: Kind = "number"
    level: Level = "payment"


@dataclass(frozen=True, kw_only=True)
class WindowFeature(Declared):
    """A measure of the answers of an entity that arrived within a window.

    measure  count           answers
             next_number     answers + 1: the number that the next attempt would have
             approval_rate   approved share of answers; declined_rate, failed_rate (never reached the issuer), abandoned_rate likewise
             amount_ratio    amount of this payment / mean amount of the answers; missing without answers
             sum, mean       of a number of the answers, `of`: amount_minor or latency_ms; a latency that is not known counts in neither
             quantile        the `q` quantile of that number, from counts between fixed edges (`spread`), linear between two of them
             distinct        different values of a column of payment or candidate, or of response_code or reason, at most DISTINCT_MAX;
                             what is not known is no value; only for an entity with payment_id or card_id, whose answers are few
    only     count these answers alone: a status, or the reason of a decline
    """

    entity: tuple[str, ...]
    measure: Measure
    window_s: int
    tile_s: int
    of: str | None = None
    q: float | None = None
    only: str | None = None
    shrink_to: str | None = None
    strength: float = 20.0
    kind: Kind = "number"

    @property
    def level(self) -> Level:
        """Candidate when a part of the entity is."""
        return "candidate" if set(self.entity) & set(CANDIDATE_COLUMNS) else "payment"

    @property
    def tiles(self) -> int:
        """Tiles that the window covers."""
        return self.window_s // self.tile_s


@dataclass(frozen=True, kw_only=True)
class LastFeature(Declared):
    """What the last answer of an entity was, or the one `nth` last; missing when fewer arrived within the window.

    column  status, response_code  as reported
            reason                 why it was declined, by its response code; missing unless it was
            approved               1 or 0
            seconds_since          from its arrival to now
            route, authentication  of the candidate that was answered
            same_route             1 when it was answered on the candidate's route, else 0
            amount_minor           amount of its payment
            latency_ms             whole milliseconds, as reported
    nth     1 the last, 2 the one before it, up to NTH_MAX
    only    of these answers alone: a status, or the reason of a decline
    """

    entity: tuple[str, ...]
    column: LastColumn
    window_s: int
    tile_s: int
    nth: int = 1
    only: str | None = None

    @property
    def kind(self) -> Kind:
        """Category for codes, number for the rest."""
        return "category" if self.column in LAST_CATEGORIES else "number"

    @property
    def level(self) -> Level:
        """Candidate when a part of the entity is, or when its route is compared with the candidate's."""
        return "candidate" if self.column == "same_route" or set(self.entity) & set(CANDIDATE_COLUMNS) else "payment"

    @property
    def tiles(self) -> int:
        """Tiles that the window covers."""
        return self.window_s // self.tile_s


@dataclass(frozen=True, kw_only=True)
class DecayedFeature(Declared):
    """A measure of all answers of an entity in which an answer counts half as much with every half-life since its arrival.

    measure  count, or a rate as of `WindowFeature`; 0, or missing, once the last answer is FADES_AFTER half-lives old
    only     count these answers alone: a status, or the reason of a decline
    """

    entity: tuple[str, ...]
    measure: Literal["count", Rate]
    half_life_s: int
    only: str | None = None
    shrink_to: str | None = None
    strength: float = 20.0
    kind: Kind = "number"

    @property
    def level(self) -> Level:
        """Candidate when a part of the entity is."""
        return "candidate" if set(self.entity) & set(CANDIDATE_COLUMNS) else "payment"


FoldedFeature = WindowFeature | LastFeature | DecayedFeature
Feature = ContextFeature | AttributeFeature | LocalTimeFeature | FoldedFeature


def read_attributes(features: Sequence[Feature]) -> None:
    """Make columns of the attributes that `features` declare. `honour.features` does this once, before anything reads a payment."""
    for feature in features:
        if isinstance(feature, AttributeFeature):
            read_attribute(feature.key, column=feature.column, kind=feature.kind)


@dataclass(frozen=True)
class Catalogue:
    """Features in the order of a row: payment-level, then candidate-level; a parent stands before what shrinks to it."""

    features: tuple[Feature, ...]

    def __post_init__(self) -> None:
        for where, problem in _problems(self.features):
            raise BadInput(f"feature {where}: {problem}", path=f"$.features.{where}")

    @cached_property
    def payment(self) -> tuple[Feature, ...]:
        """Features that are the same for every candidate of a payment."""
        return tuple(feature for feature in self.features if feature.level == "payment")

    @cached_property
    def candidate(self) -> tuple[Feature, ...]:
        """Features that differ between candidates."""
        return tuple(feature for feature in self.features if feature.level == "candidate")

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names in the order of a row."""
        return tuple(feature.name for feature in self.features)

    @cached_property
    def schema_id(self) -> str:
        """Content hash of the declarations: the same declarations have the same values."""
        said = [{"is": type(feature).__name__} | _hashed(feature) for feature in self.features]
        canonical = msgspec.json.encode({"semantics": SEMANTICS, "features": said}, order="deterministic")
        return f"sha256:{hashlib.sha256(canonical).hexdigest()}"

    def needed_for(self, *names: str) -> Catalogue:
        """The smallest catalogue that computes `names`: the features and everything they shrink to."""
        by_name = {feature.name: feature for feature in self.features}
        wanted: set[str] = set()
        pending = list(names)
        while pending:
            if (name := pending.pop()) not in by_name:
                raise BadInput(f"feature {name} is not in the catalogue; allowed: {', '.join(self.names)}", path="$.features")
            wanted.add(name)
            feature = by_name[name]
            if isinstance(feature, WindowFeature | DecayedFeature) and feature.shrink_to is not None:
                pending.append(feature.shrink_to)
        return Catalogue(tuple(feature for feature in self.features if feature.name in wanted))


def _hashed(feature: Feature) -> dict[str, object]:
    return {key: value for key, value in msgspec.to_builtins(feature).items() if key not in NOTES}


def _problems(features: tuple[Feature, ...]) -> Iterator[tuple[str, str]]:
    """Broken promises of a catalogue: feature and what is wrong, what is allowed."""
    seen: set[str] = set()
    attributes = {feature.column for feature in features if isinstance(feature, AttributeFeature)}
    candidate_began = False
    for feature in features:
        if feature.name in seen:
            yield feature.name, "declared twice; a name is used once"
        seen.add(feature.name)
        if not re.fullmatch(r"[a-z][a-z0-9_]{0,99}", feature.name):
            yield feature.name, "cannot be a column; allowed: a lower-case letter, then up to 99 of a-z, 0-9 and _"
        if candidate_began and feature.level == "payment":
            yield feature.name, "is payment-level after a candidate-level one; put payment-level features first"
        candidate_began = candidate_began or feature.level == "candidate"
        if isinstance(feature, ContextFeature):
            columns = tuple(PAYMENT_COLUMNS) if feature.level == "payment" else CANDIDATE_COLUMNS
            if feature.name not in columns:
                yield feature.name, f"no such {feature.level} column; allowed: {', '.join(columns)}"
        elif isinstance(feature, AttributeFeature):
            yield from ((feature.name, problem) for problem in _attribute_problems(feature))
        elif isinstance(feature, FoldedFeature):
            yield from ((feature.name, problem) for problem in _folded_problems(feature, seen=seen, attributes=attributes))


def _attribute_problems(feature: AttributeFeature) -> Iterator[str]:
    expected = "text" if feature.kind == "category" else "real"
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,63}", feature.key):
        yield f"attribute {feature.key!r} cannot be a column; allowed: a lower-case letter, then up to 63 of a-z, 0-9 and _"
    elif PAYMENT_COLUMNS.get(feature.column, expected) != expected:
        yield f"attribute {feature.key} is declared as {PAYMENT_COLUMNS[feature.column]} elsewhere; give it one kind"


def _folded_problems(feature: FoldedFeature, *, seen: set[str], attributes: set[str]) -> Iterator[str]:
    columns = {*PAYMENT_COLUMNS, *CANDIDATE_COLUMNS, *attributes}
    if unknown := [part for part in feature.entity if part not in columns | set(CLOCK_COLUMNS)]:
        yield f"entity part {unknown[0]} is no column; allowed: {', '.join(sorted(columns | set(CLOCK_COLUMNS)))}"
    if feature.only is not None and feature.only not in ONLY:
        yield f"only is {feature.only!r}; allowed: {', '.join(ONLY)}"
    match feature:
        case LastFeature():
            yield from _length_problems(feature)
            if not 1 <= feature.nth <= NTH_MAX:
                yield f"nth is {feature.nth}; allowed: 1, the last, to {NTH_MAX}"
        case WindowFeature():
            yield from _length_problems(feature)
            yield from _measure_problems(feature, columns=columns)
            yield from _shrink_problems(feature, seen=seen)
        case DecayedFeature():
            if feature.half_life_s < 1:
                yield f"half_life_s is {feature.half_life_s}; allowed: 1 or more seconds"
            yield from _shrink_problems(feature, seen=seen)


def _length_problems(feature: WindowFeature | LastFeature) -> Iterator[str]:
    if feature.tile_s < 1 or feature.window_s < feature.tile_s or feature.window_s % feature.tile_s:
        yield f"a window of {feature.window_s} s is not one or more whole tiles of {feature.tile_s} s"


def _measure_problems(feature: WindowFeature, *, columns: set[str]) -> Iterator[str]:
    match feature.measure:
        case "sum" | "mean" | "quantile":
            allowed: tuple[str, ...] = NUMBERS
        case "distinct":
            allowed = tuple(sorted({name for name in columns if PAYMENT_COLUMNS.get(name, "text") == "text"} | {"response_code", "reason"}))
            if not {"payment_id", "card_id"} & set(feature.entity):
                yield "distinct values are counted for an entity with payment_id or card_id alone"
        case _:
            allowed = ()
    if feature.of not in (allowed or (None,)):
        yield f"measure {feature.measure} of {feature.of}; allowed: {', '.join(allowed) or 'nothing'}"
    if (feature.measure == "quantile") != (feature.q is not None) or not 0.0 < (feature.q or 0.5) < 1.0:
        yield f"measure {feature.measure} with q {feature.q}; a quantile needs one above 0 and below 1, nothing else has one"


def _shrink_problems(feature: WindowFeature | DecayedFeature, *, seen: set[str]) -> Iterator[str]:
    if feature.shrink_to is None:
        return
    if feature.shrink_to not in seen:
        yield f"shrinks to {feature.shrink_to}, which is not declared before it"
    if feature.measure not in RATES or feature.strength <= 0:
        yield f"measure {feature.measure} with strength {feature.strength} cannot shrink; allowed: a rate with strength above 0"

"""Expectations: what data are to be like, each as one entry of `[[quality.expectations]]`, and what happens when they are not."""

from __future__ import annotations

from typing import Literal

import msgspec

from honour.records.gates import Count, NotNegative, Share
from honour.records.payment import Identifier

ExpectationKind = Literal["schema", "domain", "nulls", "rows", "freshness", "volume", "referential", "distribution"]
Severity = Literal["refuse", "warn", "off"]
Known = Literal["routes", "earlier", "payments"]


class Expectation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One thing that data are expected to be. Which keys count depends on `kind`; docs/quality.md has the table.

    name       unique; one that Honour ships is replaced by an entry of its name
    severity   refuse: rows of files are left out, a batch is not taken in; warn: told and counted; off: not looked at
    column     of attempts, as a lake has them; by: column whose values are judged each for itself
    allowed, min, max  values of a domain; known: what a value has to be among
    share_max  rows that may break it, as a share
    hours_max  age of the newest event
    less_max, more_max  shares of the usual attempts of a day below and above which a day is odd
    index_max  population stability index of a day against the days before
    n_min      least attempts, in a day, to say anything; reference_days: days before that are compared with
    """

    name: Identifier
    kind: ExpectationKind
    severity: Severity = "warn"
    column: Identifier | None = None
    by: Identifier | None = None
    allowed: tuple[str, ...] = ()
    min: float | None = None
    max: float | None = None
    known: Known | None = None
    share_max: Share = 0.0
    hours_max: NotNegative = 48.0
    less_max: Share = 0.5
    more_max: NotNegative = 3.0
    index_max: NotNegative = 0.25
    n_min: Count = 100
    reference_days: Count = 14


class QualitySettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What comes in, held against expectations.

    live          a process beside the server checks every event after it was taken in
    expectations  beside, or in place of, those that Honour ships
    """

    live: bool = True
    expectations: tuple[Expectation, ...] = ()

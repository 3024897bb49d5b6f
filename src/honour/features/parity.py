"""Parity: what decisions were served against what the log gives again, feature by feature."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from math import isclose
from typing import Any
from zlib import crc32

import msgspec

from honour.features.catalogue import CATALOGUE
from honour.features.offline import recomputed, recomputed_from
from honour.features.view import Catalogue
from honour.records.event import DecisionMade, FeatureValue, LoggedEvent, ServedFeatures
from honour.records.route import Candidate

TOLERANCE = 1e-9
"""Relative difference up to which two numbers are the same; categories must be equal."""


class FeatureParity(msgspec.Struct, frozen=True, kw_only=True):
    """How one feature agrees.

    n         values compared: candidates of decisions, or decisions for a payment-level feature
    mismatch  both are known and they differ
    missing   recomputed, but served as not known
    extra     served, but not known when recomputed
    example   decision with the first disagreement
    """

    feature: str
    n: int
    mismatch: int
    missing: int
    extra: int
    example: str | None = None


class Parity(msgspec.Struct, frozen=True, kw_only=True):
    """How served and recomputed features agree.

    decisions   compared
    candidates  compared, of all those decisions
    skipped     decisions whose features were made by another catalogue, or that logged none
    """

    schema: str
    decisions: int
    candidates: int
    skipped: int
    features: tuple[FeatureParity, ...]

    @property
    def agrees(self) -> bool:
        """No feature has a mismatch, missing or extra value."""
        return not any(found.mismatch or found.missing or found.extra for found in self.features)


def compare(
    log_events: Iterable[LoggedEvent],
    *,
    catalogue: Catalogue = CATALOGUE,
    every: int = 1,
    memory_limit: str | None = None,
    threads: int | None = None,
) -> Parity:
    """Recompute the features of every `every`-th decision from the log and compare them with what was served.

    log_events  the whole log from its start: answers before the first decision count too
    """
    sample = _Sample(catalogue, lambda at, _: at % every == 0)
    table = recomputed(log_events, candidates_of=sample.take, catalogue=catalogue, memory_limit=memory_limit, threads=threads)
    return sample.against(table)


def compare_with(
    attempts: Any,
    log_events: Iterable[LoggedEvent],
    *,
    share: float = 1.0,
    catalogue: Catalogue = CATALOGUE,
    memory_limit: str | None = None,
    threads: int | None = None,
) -> Parity:
    """As `compare`, for the decisions in a part of the log, with the answers of a lake (`offline.recomputed_from`).

    share  of decisions to compare, in (0, 1]: those whose id hashes below it, so that the same ones are taken each time
    """
    sample = _Sample(catalogue, lambda _, decision_id: crc32(decision_id.encode()) < share * 2**32)
    table = recomputed_from(
        attempts, log_events, candidates_of=sample.take, catalogue=catalogue, memory_limit=memory_limit, threads=threads
    )
    return sample.against(table)


class _Sample:
    """The decisions that are compared, with what they were served, as the log is read."""

    def __init__(self, catalogue: Catalogue, is_taken: Callable[[int, str], bool]) -> None:
        self._catalogue, self._is_taken = catalogue, is_taken
        self._served: dict[str, ServedFeatures] = {}
        self._n_seen = self._n_skipped = 0

    def take(self, made: DecisionMade) -> Sequence[Candidate]:
        """The candidates of a decision that is compared; none of another."""
        at, self._n_seen = self._n_seen, self._n_seen + 1
        if made.features is None or made.features.schema != self._catalogue.schema_id:
            self._n_skipped += 1
            return ()
        if not self._is_taken(at, made.decision.decision_id):
            return ()
        self._served[made.decision.decision_id] = made.features
        return [_candidate(values, self._catalogue) for values in made.features.candidates]

    def against(self, table: Any) -> Parity:
        """What was served against what was recomputed, a row for each candidate."""
        places = list(zip(table["decision_id"].to_pylist(), table["candidate_at"].to_pylist(), strict=True))
        return Parity(
            schema=self._catalogue.schema_id,
            decisions=len(self._served),
            candidates=len(places),
            skipped=self._n_skipped,
            features=tuple(_feature_parities(table, served=self._served, places=places, catalogue=self._catalogue)),
        )


def _feature_parities(
    table: Any, *, served: dict[str, ServedFeatures], places: list[tuple[str, int]], catalogue: Catalogue
) -> Iterator[FeatureParity]:
    firsts = [row for row, (_, at) in enumerate(places) if at == 0]
    for index, feature in enumerate(catalogue.payment):
        values = table[feature.name].to_pylist()
        pairs = [(places[row][0], served[places[row][0]].payment[index], values[row]) for row in firsts]
        yield _tally(feature.name, pairs)
    for index, feature in enumerate(catalogue.candidate):
        values = table[feature.name].to_pylist()
        pairs = [(place[0], served[place[0]].candidates[place[1]][index], value) for place, value in zip(places, values, strict=True)]
        yield _tally(feature.name, pairs)


def _tally(name: str, pairs: Sequence[tuple[str, FeatureValue, FeatureValue]]) -> FeatureParity:
    counts = {"mismatch": 0, "missing": 0, "extra": 0}
    example: str | None = None
    for decision_id, served, computed in pairs:
        if served == computed or _close(served, computed):
            continue
        counts["missing" if served is None else "extra" if computed is None else "mismatch"] += 1
        example = example or decision_id
    return FeatureParity(feature=name, n=len(pairs), example=example, **counts)


def _close(served: FeatureValue, computed: FeatureValue) -> bool:
    if isinstance(served, int | float) and isinstance(computed, int | float):
        return isclose(served, computed, rel_tol=TOLERANCE)
    return False


def _candidate(values: Sequence[FeatureValue], catalogue: Catalogue) -> Candidate:
    """The candidate whose values were served: it is among its own features."""
    named = dict(zip((feature.name for feature in catalogue.candidate), values, strict=True))
    return Candidate(named["route"], named["authentication"], named["credential"])  # type: ignore[arg-type]  # categories are text

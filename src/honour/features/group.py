"""Groups: which features share a table online, and what that table must keep for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple, TypeGuard

from honour.features.answer import SUMS
from honour.features.columns import CANDIDATE_COLUMNS
from honour.features.view import Catalogue, DecayedFeature, Feature, FoldedFeature, LastFeature, WindowFeature

TableKind = Literal["totals", "quantile", "distinct", "decayed"]
NARROW: Final = ("payment_id", "card_id")
"""Columns whose entities are many and each have few answers."""
_SUMS_OF = {
    "approval_rate": ("approved",),
    "declined_rate": ("declined",),
    "failed_rate": ("failed",),
    "abandoned_rate": ("abandoned",),
    "amount_ratio": ("amount_minor",),
}


class TableKey(NamedTuple):
    """What makes it one table.

    step_s  length of a tile; of a decayed one the half-life
    only    the answers that it folds; None is all
    of      what it counts the values of; None for totals
    """

    kind: TableKind
    entity: tuple[str, ...]
    step_s: int
    only: str | None
    of: str | None


class Group(NamedTuple):
    """Features that share a table.

    sums     what the table adds up
    windows  of totals: each length in tiles, with the sums that are asked over it
    n_last   how many of its last answers are asked for
    asked    of values: each length in tiles, with the quantile that is asked over it
    """

    key: TableKey
    sums: tuple[str, ...]
    windows: tuple[tuple[int, tuple[str, ...]], ...]
    n_last: int
    asked: tuple[tuple[int, float], ...]

    @property
    def of_candidate(self) -> tuple[str, ...]:
        """What of the entity is the candidate's."""
        return tuple(part for part in self.key.entity if part in CANDIDATE_COLUMNS)

    @property
    def of_payment(self) -> tuple[str, ...]:
        """What of the entity is the payment's."""
        return tuple(part for part in self.key.entity if part not in CANDIDATE_COLUMNS)

    @property
    def is_narrow(self) -> bool:
        """Its entities are many and each have few answers."""
        return bool(set(self.key.entity) & set(NARROW))

    @property
    def is_nested(self) -> bool:
        """Entities are found by what is the payment's, then by what is the candidate's. Of narrow ones that would cost a dict each."""
        return bool(self.of_candidate) and not self.is_narrow

    def columns(self) -> list[tuple[int, str]]:
        """What the features of totals are made of: of each window, by its length in tiles, the number `n` of its answers and its sums."""
        return [(tiles, name) for tiles, sums in self.windows for name in ("n", *sums)]

    def outlives(self, other: Group) -> bool:
        """Whether nothing is known of an entity of `other` unless this group knows what of it is the payment's: both count every
        answer, and tiles of this one are no longer and reach as far back."""
        mine, its = self.key, other.key
        if {mine.kind, its.kind} != {"totals"} or (mine.only, its.only) != (None, None) or mine.entity != other.of_payment:
            return False
        reach, its_reach = (max(tiles for tiles, _ in group.windows) * group.key.step_s for group in (self, other))
        return its.step_s % mine.step_s == 0 and reach >= its_reach

    def places(self) -> list[tuple[int, tuple[int, ...]]]:
        """Windows with the places of their sums in `sums`."""
        return [(tiles, tuple(self.sums.index(name) for name in names)) for tiles, names in self.windows]


def is_folded(feature: Feature) -> TypeGuard[FoldedFeature]:
    """It is made of answers."""
    return isinstance(feature, WindowFeature | LastFeature | DecayedFeature)


def table_key(feature: FoldedFeature) -> TableKey:
    """The table of a feature."""
    match feature:
        case DecayedFeature():
            return TableKey("decayed", feature.entity, feature.half_life_s, feature.only, None)
        case WindowFeature(measure="distinct" | "quantile" as kind):
            return TableKey(kind, feature.entity, feature.tile_s, feature.only, feature.of)
        case _:
            return TableKey("totals", feature.entity, feature.tile_s, feature.only, None)


def sums_of(feature: FoldedFeature) -> tuple[str, ...]:
    """What must be added up over answers for a feature, beside their number."""
    match feature:
        case WindowFeature(measure="sum" | "mean", of=str() as of):
            return (of, "latency_known") if of == "latency_ms" and feature.measure == "mean" else (of,)
        case WindowFeature() | DecayedFeature():
            return _SUMS_OF.get(feature.measure, ())
        case _:
            return ()


def groups(catalogue: Catalogue) -> list[Group]:
    """Every table that the features of a catalogue need, in the order of first use."""
    asked: dict[TableKey, list[FoldedFeature]] = {}
    for feature in catalogue.features:
        if is_folded(feature):
            asked.setdefault(table_key(feature), []).append(feature)
    return [_group(key, features) for key, features in asked.items()]


def _group(key: TableKey, features: Sequence[FoldedFeature]) -> Group:
    wanted = {name for feature in features for name in sums_of(feature)}
    sums = tuple(name for name in SUMS if name in wanted)
    if key.kind == "decayed":
        return Group(key, sums, (), 0, ())
    tiled = [feature for feature in features if isinstance(feature, WindowFeature | LastFeature)]
    if key.kind in ("distinct", "quantile"):
        windows = [(feature.tiles, feature.q or 0.0) for feature in tiled if isinstance(feature, WindowFeature)]
        return Group(key, (), (), 0, tuple(dict.fromkeys(windows)))
    over: dict[int, set[str]] = {}
    for feature in tiled:
        over.setdefault(feature.tiles, set()).update(sums_of(feature))
    n_last = max((feature.nth for feature in tiled if isinstance(feature, LastFeature)), default=0)
    return Group(key, sums, tuple((tiles, tuple(name for name in SUMS if name in names)) for tiles, names in over.items()), n_last, ())

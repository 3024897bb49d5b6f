"""The online fold: what has been answered so far, ready to be asked in constant time.

Each entity keeps the running totals of its answers at the end of each tile. A window is the total now minus the total before
its first tile: the same difference of prefix sums that `sql` takes. Asking changes nothing.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Callable, Sequence
from itertools import accumulate
from operator import itemgetter, sub
from typing import Any, Final, NamedTuple

import msgspec

from honour.errors import LogContractBroken
from honour.features.catalogue import CATALOGUE
from honour.features.local_time import BEFORE_ALL, local_time
from honour.features.view import (
    CANDIDATE_COLUMNS,
    PAYMENT_COLUMNS,
    AttributeFeature,
    Catalogue,
    ContextFeature,
    FoldedFeature,
    LastFeature,
    LocalTimeFeature,
    Row,
    WindowFeature,
    read_payment,
)
from honour.records.attempt import Status
from honour.records.event import FeatureValue, ServedFeatures
from honour.records.payment import Payment
from honour.records.route import Candidate

Key = Any
"""Value of a one-part entity, tuple of values of a longer one."""

_COLUMN_AT: Final = {name: place for place, name in enumerate((*PAYMENT_COLUMNS, *CANDIDATE_COLUMNS))}
_AMOUNT_AT: Final = _COLUMN_AT["amount_minor"]
_ROUTE_AT: Final = _COLUMN_AT["route"]
_COUNTRY_AT: Final = _COLUMN_AT["shopper_country"]
_SUMS: Final = ("approved", "failed", "amount_minor")
_SUM_OF: Final = {"approval_rate": "approved", "failed_rate": "failed", "amount_ratio": "amount_minor"}
_LOOK_AT_MOST: Final = 2  # Entities checked for expiry per update: more than one, so that dropping keeps up with adding.


class _Last(NamedTuple):
    """The last answer of an entity."""

    arrived_us: int
    status: str
    response_code: str | None
    route: str


class _Ring:
    """Running totals of one entity at the end of each tile that has answers; the first entry precedes every window."""

    __slots__ = ("counts", "last", "sums", "tiles")

    def __init__(self, n_sums: int) -> None:
        self.tiles = [BEFORE_ALL]
        self.counts = [0]
        self.sums = [[0] for _ in range(n_sums)]
        self.last: _Last | None = None

    def add(self, tile: int, *, n: int, amounts: Sequence[int]) -> None:
        """Count `n` answers in `tile`, which is not before the last one."""
        if self.tiles[-1] == tile:
            self.counts[-1] += n
            for at, amount in enumerate(amounts):
                self.sums[at][-1] += amount
        else:
            self.tiles.append(tile)
            self.counts.append(self.counts[-1] + n)
            for at, amount in enumerate(amounts):
                self.sums[at].append(self.sums[at][-1] + amount)

    def forget_before(self, tile: int) -> None:
        """Drop tiles before `tile` once they are the greater part, so that dropping costs constant time per answer."""
        n_old = bisect_left(self.tiles, tile) - 1
        if 2 * n_old > len(self.tiles):
            del self.tiles[:n_old], self.counts[:n_old]
            for total in self.sums:
                del total[:n_old]


_NOTHING: Final = _Ring(len(_SUMS))


class _Window(NamedTuple):
    """What one level reads of one window: places in the row, and what is written there.

    rates    place, which sum, place of the parent or -1, strength
    counts   place of the number of answers, and how much more to write
    ratios   place, which sum; missing without answers
    lasts    place, column of the last answer; missing without answers
    """

    tiles: int
    rates: list[tuple[int, int, int, float]]
    counts: list[tuple[int, int]]
    ratios: list[tuple[int, int]]
    lasts: list[tuple[int, str]]


class _Look(NamedTuple):
    """Everything one level asks of one table at once."""

    table: _Table
    windows: list[_Window]


class _Table:
    """All rings of one entity in tiles of one size, the longest untouched first."""

    def __init__(self, entity: tuple[str, ...], tile_s: int, features: Sequence[FoldedFeature]) -> None:
        self.tile_us = tile_s * 1_000_000
        self.reach = max(feature.tiles for feature in features)
        summed = {_SUM_OF.get(feature.measure) for feature in features if isinstance(feature, WindowFeature)}
        self.sums = tuple(name for name in _SUMS if name in summed)
        self.amounts_of = _picker([_SUMS.index(name) for name in self.sums])
        self.keeps_last = any(isinstance(feature, LastFeature) for feature in features)
        places = [_COLUMN_AT[part] for part in entity]
        self.key_of: Callable[[Row], Key] = itemgetter(places[0]) if len(places) == 1 else _picker(places)
        self.rings: OrderedDict[Key, _Ring] = OrderedDict()

    def fold(self, row: Row, *, amounts: tuple[int, ...], last: _Last) -> None:
        """Count one answer."""
        key = self.key_of(row)
        tile = last.arrived_us // self.tile_us
        first = tile - self.reach + 1
        ring = self.rings.get(key)
        if ring is None:
            ring = self.rings[key] = _Ring(len(self.sums))
        else:
            self.rings.move_to_end(key)
            ring.forget_before(first)
        ring.add(tile, n=1, amounts=self.amounts_of(amounts))
        if self.keeps_last:
            ring.last = last
        for _ in range(_LOOK_AT_MOST):
            if next(iter(self.rings.values())).tiles[-1] >= first:
                break
            self.rings.popitem(last=False)

    def dump(self, *, now_us: int) -> list[list[Any]]:
        """Entities with an answer in their longest window: key, tiles, counts and sums of each tile, last answer."""
        first = now_us // self.tile_us - self.reach + 1
        dumped = []
        for key, ring in self.rings.items():
            tiles = ring.tiles
            if tiles[-1] >= first:
                start = bisect_left(tiles, first)
                parts = [_steps(totals, start) for totals in (ring.counts, *ring.sums)]
                dumped.append([key, tiles[start:], parts, ring.last])
        return dumped

    def restore(self, dumped: list[list[Any]]) -> None:
        """Take back what `dump` gave."""
        for key, tiles, parts, last in dumped:
            ring = _Ring(0)
            ring.tiles += tiles
            ring.counts, *ring.sums = [list(accumulate(part, initial=0)) for part in parts]
            ring.last = _Last(*last) if last else None
            self.rings[tuple(key) if isinstance(key, list) else key] = ring


class _StateBytes(msgspec.Struct, array_like=True):
    schema: str
    last_arrived_us: int
    tables: list[list[list[Any]]]


class FeatureState:
    """All entities of a catalogue. The same answers in the same order give the same state, and the same bytes.

    Memory is about half a kilobyte per payment, card or other entity answered within its longest window (30 days);
    entities whose windows have run empty are dropped as later answers come.
    """

    def __init__(self, catalogue: Catalogue = CATALOGUE) -> None:
        self._catalogue = catalogue
        self._last_arrived_us = BEFORE_ALL
        self._place = {name: place for place, name in enumerate(catalogue.names)}
        grouped: dict[tuple[tuple[str, ...], int], list[FoldedFeature]] = {}
        for feature in catalogue.features:
            if isinstance(feature, WindowFeature | LastFeature):
                grouped.setdefault((feature.entity, feature.tile_s), []).append(feature)
        self._tables = [_Table(entity, tile_s, features) for (entity, tile_s), features in grouped.items()]
        features_of = list(zip(self._tables, grouped.values(), strict=True))
        self._payment_looks = self._looks(features_of, level="payment")
        self._candidate_looks = self._looks(features_of, level="candidate")
        self._payment_context = self._context(catalogue.payment)
        self._candidate_context = self._context(catalogue.candidate)
        self._local = [
            (self._place[feature.name], ("hour", "weekday", "day_of_month").index(feature.part))
            for feature in catalogue.features
            if isinstance(feature, LocalTimeFeature)
        ]

    def as_of(self, payment: Payment, candidates: Sequence[Candidate], *, at_us: int) -> ServedFeatures:
        """Features of every candidate as a decision at `at_us` sees them; changes nothing.

        at_us  not before the arrival of the last answer folded; windows of an earlier one are taken as of that arrival
        """
        paid = read_payment(payment)
        now_us = max(at_us, self._last_arrived_us)
        split = len(self._catalogue.payment)
        values: list[FeatureValue] = [None] * len(self._catalogue.features)
        for place, column in self._payment_context:
            values[place] = paid[column]
        if self._local:
            local = local_time(paid[_COUNTRY_AT], at_us=at_us)  # type: ignore[arg-type]  # the column holds text
            for place, part in self._local:
                values[place] = local[part]
        _answer(values, _started(self._payment_looks, now_us), row=paid, now_us=now_us)
        started = _started(self._candidate_looks, now_us)
        served = []
        for candidate in candidates:
            row = paid + candidate
            own = values.copy()
            for place, column in self._candidate_context:
                own[place] = row[column]
            _answer(own, started, row=row, now_us=now_us)
            served.append(tuple(own[split:]))
        return ServedFeatures(schema=self._catalogue.schema_id, payment=tuple(values[:split]), candidates=tuple(served))

    def update(self, payment: Payment, candidate: Candidate, *, status: Status, response_code: str | None, arrived_us: int) -> None:
        """Fold the final answer of one attempt. `unknown` is not an answer and changes nothing.

        arrived_us  never decreases; a lower one counts as the last
        """
        if status == "unknown":
            return
        arrived_us = max(arrived_us, self._last_arrived_us)
        self._last_arrived_us = arrived_us
        row = read_payment(payment) + candidate
        amounts = (int(status == "approved"), int(status == "failed"), payment.amount_minor)
        last = _Last(arrived_us, status, response_code, candidate.route)
        for table in self._tables:
            table.fold(row, amounts=amounts, last=last)

    def to_bytes(self) -> bytes:
        """The state as MessagePack; equal for equal states, whatever snapshots lay between."""
        tables = [table.dump(now_us=self._last_arrived_us) for table in self._tables]
        state = _StateBytes(schema=self._catalogue.schema_id, last_arrived_us=self._last_arrived_us, tables=tables)
        return msgspec.msgpack.encode(state)

    @classmethod
    def from_bytes(cls, data: bytes, *, catalogue: Catalogue = CATALOGUE) -> FeatureState:
        """The state that `to_bytes` wrote; refused when it was written with another catalogue."""
        stored = msgspec.msgpack.decode(data, type=_StateBytes)
        if stored.schema != catalogue.schema_id:
            raise LogContractBroken(
                f"feature state of catalogue {stored.schema} cannot be read with catalogue {catalogue.schema_id}; replay the log instead."
            )
        state = cls(catalogue)
        state._last_arrived_us = stored.last_arrived_us
        for table, dumped in zip(state._tables, stored.tables, strict=True):
            table.restore(dumped)
        return state

    def _context(self, features: Sequence[Any]) -> list[tuple[int, int]]:
        columns = {feature.name: feature.name for feature in features if isinstance(feature, ContextFeature)}
        columns |= {feature.name: feature.column for feature in features if isinstance(feature, AttributeFeature)}
        return [(self._place[name], _COLUMN_AT[column]) for name, column in columns.items()]

    def _looks(self, tables: Sequence[tuple[_Table, list[FoldedFeature]]], *, level: str) -> list[_Look]:
        """What `level` asks of each table: one look per table, and another where a parent is answered only in between."""
        table_of = {feature.name: table for table, features in tables for feature in features}
        looks: list[_Look] = []
        newest: dict[int, int] = {}
        answered: dict[str, tuple[int, int]] = {}
        for feature in self._catalogue.features:
            if not isinstance(feature, WindowFeature | LastFeature) or feature.level != level:
                continue
            table = table_of[feature.name]
            parent = answered.get((feature.shrink_to or "") if isinstance(feature, WindowFeature) else "", (-1, -1))
            at = newest.get(id(table), -1)
            if at < 0 or parent > (at, _window_at(looks[at].windows, feature.tiles)):
                at = newest[id(table)] = len(looks)
                looks.append(_Look(table, []))
            windows = looks[at].windows
            window_at = _window_at(windows, feature.tiles)
            if window_at == len(windows):
                windows.append(_Window(feature.tiles, [], [], [], []))
            self._ask(windows[window_at], feature, table)
            answered[feature.name] = (at, window_at)
        return looks

    def _ask(self, window: _Window, feature: FoldedFeature, table: _Table) -> None:
        place = self._place[feature.name]
        if isinstance(feature, LastFeature):
            window.lasts.append((place, feature.column))
        elif feature.measure == "amount_ratio":
            window.ratios.append((place, table.sums.index("amount_minor")))
        elif feature.measure in ("count", "next_number"):
            window.counts.append((place, int(feature.measure == "next_number")))
        else:
            parent = self._place[feature.shrink_to] if feature.shrink_to else -1
            window.rates.append((place, table.sums.index(_SUM_OF[feature.measure]), parent, feature.strength))


_Started = list[tuple[_Table, list[tuple[int, _Window]]]]


def _started(looks: Sequence[_Look], now_us: int) -> _Started:
    """Each look with the first tile of its windows."""
    return [(table, [(now_us // table.tile_us - window.tiles + 1, window) for window in windows]) for table, windows in looks]


def _answer(values: list[Any], started: _Started, *, row: Row, now_us: int) -> None:
    """Write everything asked of the entities of `row` into `values`."""
    for table, windows in started:
        ring = table.rings.get(table.key_of(row), _NOTHING)
        tiles, counts, sums = ring.tiles, ring.counts, ring.sums
        n_ever = counts[-1]
        for first, (_, rates, numbers, ratios, lasts) in windows:
            before = bisect_left(tiles, first) - 1
            n = n_ever - counts[before]
            for place, sum_at, parent, strength in rates:
                total = sums[sum_at]
                if parent >= 0 and (prior := values[parent]) is not None:
                    values[place] = (total[-1] - total[before] + strength * prior) / (n + strength)
                elif n:
                    values[place] = (total[-1] - total[before]) / n
            for place, more in numbers:
                values[place] = n + more
            if n and (ratios or lasts):
                for place, sum_at in ratios:
                    amount = sums[sum_at][-1] - sums[sum_at][before]
                    values[place] = row[_AMOUNT_AT] / (amount / n) if amount else None  # type: ignore[operator]  # integers
                for place, column in lasts:
                    values[place] = _of_last(ring.last, column, row=row, now_us=now_us)


def _of_last(last: _Last | None, column: str, *, row: Row, now_us: int) -> FeatureValue:
    assert last is not None  # An entity with answers has a last one.
    match column:
        case "status":
            return last.status
        case "response_code":
            return last.response_code
        case "route":
            return last.route
        case "approved":
            return int(last.status == "approved")
        case "seconds_since":
            return (now_us - last.arrived_us) / 1e6
        case _:
            return int(last.route == row[_ROUTE_AT])


def _window_at(windows: list[_Window], tiles: int) -> int:
    """Position at which a window of so many tiles is answered within its look."""
    return next((at for at, window in enumerate(windows) if window.tiles == tiles), len(windows))


def _picker(places: Sequence[int]) -> Callable[[Any], tuple[Any, ...]]:
    """Takes the values at `places` out of a row, as a tuple."""
    match list(places):
        case []:
            return lambda _: ()
        case [place]:
            return lambda row: (row[place],)
        case many:
            return itemgetter(*many)


def _steps(totals: list[int], start: int) -> list[int]:
    """What each tile from `start` on added to the running total."""
    if len(totals) == start + 1:
        return [totals[start] - totals[start - 1]]
    return list(map(sub, totals[start:], totals[start - 1 :]))

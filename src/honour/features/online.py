"""The online fold: what has been answered so far, ready to be asked in constant time.

Each entity keeps the running totals of its answers at the end of each tile. A window is the total now minus the total before
its first tile: the same difference of prefix sums that `sql` takes. Asking changes nothing.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import cache
from itertools import accumulate
from operator import itemgetter, sub
from typing import Any, Final, NamedTuple

import msgspec

from honour.errors import LogContractBroken
from honour.features.catalogue import CATALOGUE
from honour.features.local_time import BEFORE_ALL
from honour.features.view import CANDIDATE_COLUMNS, PAYMENT_COLUMNS, Catalogue, Row, WindowFeature, read_payment
from honour.features.written import SUMS, Group, groups, written
from honour.records.attempt import Status
from honour.records.event import ServedFeatures
from honour.records.payment import Payment
from honour.records.route import Candidate

Key = Any
"""Value of a one-part entity, tuple of values of a longer one."""

_COLUMN_AT: Final = {name: place for place, name in enumerate((*PAYMENT_COLUMNS, *CANDIDATE_COLUMNS))}
_LOOK_AT_MOST: Final = 2  # Entities checked for expiry per update: more than one, so that dropping keeps up with adding.


class _Last(NamedTuple):
    """One of the last answers of an entity."""

    arrived_us: int
    status: str
    response_code: str | None
    route: str
    authentication: str
    amount_minor: int


class _Ring:
    """Running totals of one entity at the end of each tile that has answers; the first entry precedes every window."""

    __slots__ = ("counts", "last", "seen", "seen_at", "sums", "tiles")

    def __init__(self, n_sums: int) -> None:
        self.tiles = [BEFORE_ALL]
        self.counts = [0]
        self.sums = [[0] for _ in range(n_sums)]
        self.last: tuple[_Last, ...] = ()  # The newest first.
        self.seen: tuple[int, ...] = ()  # What was last asked of it, in tile `seen_at`; holds until the next answer.
        self.seen_at = BEFORE_ALL

    def add(self, tile: int, *, n: int, amounts: Sequence[int]) -> None:
        """Count `n` answers in `tile`, which is not before the last one."""
        self.seen_at = BEFORE_ALL
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


class _Table:
    """All rings of one entity in tiles of one size, the longest untouched first."""

    def __init__(self, group: Group) -> None:
        self.tile_us = group.tile_s * 1_000_000
        self.reach = max(tiles for tiles, _ in group.windows)
        self.sums = group.sums
        self.amounts_of = _picker([SUMS.index(name) for name in self.sums])
        self.n_last = group.n_last
        self._asked = group.places()
        places = [_COLUMN_AT[part] for part in group.entity]
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
        if self.n_last:
            ring.last = (last, *ring.last[: self.n_last - 1])
        for _ in range(_LOOK_AT_MOST):
            if next(iter(self.rings.values())).tiles[-1] >= first:
                break
            self.rings.popitem(last=False)

    def see(self, ring: _Ring, tile: int) -> tuple[int, ...]:
        """Count and sums of each window that ends in `tile`, and remember them."""
        tiles, counts, sums = ring.tiles, ring.counts, ring.sums
        seen = []
        for n_tiles, places in self._asked:
            before = bisect_left(tiles, tile - n_tiles + 1) - 1
            seen.append(counts[-1] - counts[before])
            for place in places:
                total = sums[place]
                seen.append(total[-1] - total[before])
        ring.seen, ring.seen_at = tuple(seen), tile
        return ring.seen

    def over(self, key: Key, *, n_tiles: int, tile: int) -> tuple[int, int]:
        """Answers of one entity in the `n_tiles` tiles that end with `tile`, and those approved."""
        if (ring := self.rings.get(key)) is None:
            return 0, 0
        before = bisect_left(ring.tiles, tile - n_tiles + 1) - 1
        approved = ring.sums[self.sums.index("approved")]
        return ring.counts[-1] - ring.counts[before], approved[-1] - approved[before]

    def dump(self, *, now_us: int) -> list[list[Any]]:
        """Entities with an answer in their longest window: key, tiles, counts and sums of each tile, last answers."""
        first = now_us // self.tile_us - self.reach + 1
        first_us = first * self.tile_us
        dumped = []
        for key, ring in self.rings.items():
            tiles = ring.tiles
            if tiles[-1] >= first:
                start = bisect_left(tiles, first)
                parts = [_steps(totals, start) for totals in (ring.counts, *ring.sums)]
                last = [one for one in ring.last if one.arrived_us >= first_us]
                dumped.append([key, tiles[start:], parts, last])
        return dumped

    def restore(self, dumped: list[list[Any]]) -> None:
        """Take back what `dump` gave."""
        for key, tiles, parts, last in dumped:
            ring = _Ring(0)
            ring.tiles += tiles
            ring.counts, *ring.sums = [list(accumulate(part, initial=0)) for part in parts]
            ring.last = tuple(_Last(*one) for one in last)
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
        self._tables = [_Table(group) for group in groups(catalogue)]
        self._table_of = {group.key: table for group, table in zip(groups(catalogue), self._tables, strict=True)}
        self._ask = _written(catalogue)([table.rings.get for table in self._tables], [table.see for table in self._tables])

    def as_of(self, payment: Payment, candidates: Sequence[Candidate], *, at_us: int) -> ServedFeatures:
        """Features of every candidate as a decision at `at_us` sees them; changes nothing.

        at_us  not before the arrival of the last answer folded; windows of an earlier one are taken as of that arrival
        """
        payment_values, candidate_values = self._ask(read_payment(payment), candidates, max(at_us, self._last_arrived_us))
        return ServedFeatures(schema=self._catalogue.schema_id, payment=payment_values, candidates=candidate_values)

    def answered(self, feature: WindowFeature, row: Row, *, at_us: int) -> tuple[int, int]:
        """Answers of the entity of an approval rate within its window, and those approved; `row` is a payment's and a candidate's."""
        table = self._table_of[feature.entity, feature.tile_s]
        tile = max(at_us, self._last_arrived_us) // table.tile_us
        return table.over(table.key_of(row), n_tiles=feature.tiles, tile=tile)

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
        last = _Last(arrived_us, status, response_code, candidate.route, candidate.authentication, payment.amount_minor)
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


@cache
def _written(catalogue: Catalogue) -> Callable[..., Any]:
    return written(catalogue)


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

"""What is kept of one entity: totals of tiles, counts of values, last sightings of values, or sums that fade.

Each kind folds one answer in constant time and is asked as of a *moment*: a tile number, or for what fades microseconds. `seen` is
what was last asked of an entity, at `seen_at`; it holds until the next answer.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from itertools import accumulate
from operator import sub
from typing import Any, Final, NamedTuple, Protocol

from honour.features.answer import SUMS, Answer
from honour.features.columns import CANDIDATE_COLUMNS, CLOCK_COLUMNS, PAYMENT_COLUMNS, Row
from honour.features.group import Group
from honour.features.local_time import BEFORE_ALL
from honour.features.spread import place_of, quantile
from honour.features.view import DISTINCT_MAX, FADES_AFTER

COLUMN_AT: Final = {name: place for place, name in enumerate((*PAYMENT_COLUMNS, *CANDIDATE_COLUMNS, *CLOCK_COLUMNS))}
"""Places of columns in a row."""


class Told(NamedTuple):
    """An answer with the row of its payment and candidate, and its part of each of `answer.SUMS`."""

    row: Row
    answer: Answer
    sums: tuple[int, ...]


class Ring(Protocol):
    """One entity. newest: the moment of its last answer."""

    newest: int
    seen: tuple[Any, ...]
    seen_at: int


class Kind(Protocol):
    """How entities of one kind are folded, asked and written down.

    unit_us  length of a moment; reach: moments after its last answer at which nothing is left of an entity
    """

    unit_us: int
    reach: int

    def new(self) -> Any:
        """An entity without answers."""
        ...

    def fold(self, ring: Any, moment: int, told: Told) -> None:
        """Count one answer."""
        ...

    def see(self, ring: Any, moment: int) -> tuple[Any, ...]:
        """What the features are made of, as of a moment not before the last answer; remembered."""
        ...

    def dump(self, ring: Any, first: int, /) -> list[Any]:
        """What counts at or after the moment `first`, for `load`."""
        ...

    def load(self, dumped: list[Any]) -> Any:
        """Take back what `dump` gave."""
        ...


def kind_of(group: Group) -> Kind:
    """The kind that a group's table keeps."""
    match group.key.kind:
        case "totals":
            return Totals(group)
        case "quantile":
            return Spread(group)
        case "distinct":
            return Distinct(group)
        case "decayed":
            return Fading(group)


class _TotalsRing:
    """Running totals at the end of each tile that has answers; the first entry precedes every window."""

    __slots__ = ("counts", "last", "newest", "seen", "seen_at", "sums", "tiles")

    def __init__(self, n_sums: int) -> None:
        self.tiles = [BEFORE_ALL]
        self.counts = [0]
        self.sums = [[0] for _ in range(n_sums)]
        self.last: tuple[Answer, ...] = ()  # The newest first.
        self.newest = self.seen_at = BEFORE_ALL
        self.seen: tuple[int, ...] = ()

    def add(self, tile: int, amounts: Sequence[int]) -> None:
        """Count an answer in `tile`, which is not before the last one."""
        self.seen_at, self.newest = BEFORE_ALL, tile
        if self.tiles[-1] == tile:
            self.counts[-1] += 1
            for at, amount in enumerate(amounts):
                self.sums[at][-1] += amount
        else:
            self.tiles.append(tile)
            self.counts.append(self.counts[-1] + 1)
            for at, amount in enumerate(amounts):
                self.sums[at].append(self.sums[at][-1] + amount)

    def forget_before(self, tile: int) -> None:
        """Drop tiles before `tile` once they are the greater part, so that dropping costs constant time per answer."""
        n_old = bisect_left(self.tiles, tile) - 1
        if 2 * n_old > len(self.tiles):
            del self.tiles[:n_old], self.counts[:n_old]
            for total in self.sums:
                del total[:n_old]

    def since(self, tile: int) -> int:
        """Answers from `tile` on."""
        return self.counts[-1] - self.counts[bisect_left(self.tiles, tile) - 1]


class Totals:
    """A window is the total now minus the total before its first tile: the same difference of prefix sums that `sql` takes."""

    def __init__(self, group: Group) -> None:
        self.unit_us = group.key.step_s * 1_000_000
        self.reach = max(tiles for tiles, _ in group.windows)
        self.sums = group.sums
        self._places = [SUMS.index(name) for name in group.sums]
        self._asked, self._n_last = group.places(), group.n_last

    def new(self) -> _TotalsRing:
        """An entity without answers."""
        return _TotalsRing(len(self.sums))

    def fold(self, ring: _TotalsRing, moment: int, told: Told) -> None:
        """Count one answer."""
        ring.forget_before(moment - self.reach + 1)
        ring.add(moment, [told.sums[place] for place in self._places])
        if self._n_last == 1:
            ring.last = (told.answer,)
        elif self._n_last:
            ring.last = (told.answer, *ring.last[: self._n_last - 1])

    def see(self, ring: _TotalsRing, moment: int) -> tuple[int, ...]:
        """Count and sums of each window that ends in tile `moment`."""
        tiles, counts, sums = ring.tiles, ring.counts, ring.sums
        seen = []
        for n_tiles, places in self._asked:
            before = bisect_left(tiles, moment - n_tiles + 1) - 1
            seen.append(counts[-1] - counts[before])
            for place in places:
                total = sums[place]
                seen.append(total[-1] - total[before])
        ring.seen, ring.seen_at = tuple(seen), moment
        return ring.seen

    def over(self, ring: _TotalsRing | None, *, of: str, n_tiles: int, moment: int) -> tuple[int, int]:
        """Answers in the `n_tiles` tiles that end with `moment`, and a sum of theirs."""
        if ring is None:
            return 0, 0
        before = bisect_left(ring.tiles, moment - n_tiles + 1) - 1
        total = ring.sums[self.sums.index(of)]
        return ring.counts[-1] - ring.counts[before], total[-1] - total[before]

    def dump(self, ring: _TotalsRing, first: int, /) -> list[Any]:
        """Tiles, counts and sums of each tile, last answers."""
        start = bisect_left(ring.tiles, first)
        parts = [_steps(totals, start) for totals in (ring.counts, *ring.sums)]
        return [ring.tiles[start:], parts, [one for one in ring.last if one.arrived_us >= first * self.unit_us]]

    def load(self, dumped: list[Any]) -> _TotalsRing:
        """Take back what `dump` gave."""
        tiles, parts, last = dumped
        ring = _TotalsRing(0)
        ring.tiles += tiles
        ring.counts, *ring.sums = [list(accumulate(part, initial=0)) for part in parts]
        ring.last, ring.newest = tuple(Answer(*one) for one in last), ring.tiles[-1]
        return ring


class _ValuesRing:
    """Something of each value that was answered."""

    __slots__ = ("newest", "seen", "seen_at", "values")

    def __init__(self) -> None:
        self.values: dict[Any, Any] = {}
        self.newest = self.seen_at = BEFORE_ALL
        self.seen: tuple[Any, ...] = ()


class Spread:
    """How many answers fell between two edges, tile by tile; a quantile is read off them (`spread`)."""

    def __init__(self, group: Group) -> None:
        assert group.key.of is not None
        self.unit_us = group.key.step_s * 1_000_000
        self.reach = max(tiles for tiles, _ in group.asked)
        self._of, self._asked = group.key.of, group.asked

    def new(self) -> _ValuesRing:
        """An entity without answers."""
        return _ValuesRing()

    def fold(self, ring: _ValuesRing, moment: int, told: Told) -> None:
        """Count one answer."""
        ring.newest, ring.seen_at = moment, BEFORE_ALL
        number = told.answer.latency_ms if self._of == "latency_ms" else told.answer.amount_minor
        if number is not None:
            place = place_of(number, of=self._of)
            counted = ring.values.get(place)
            if counted is None:
                counted = ring.values[place] = _TotalsRing(0)
            counted.forget_before(moment - self.reach + 1)
            counted.add(moment, ())

    def see(self, ring: _ValuesRing, moment: int) -> tuple[float | None, ...]:
        """The quantile of each window that ends in tile `moment`."""
        seen = []
        for n_tiles, q in self._asked:
            first = moment - n_tiles + 1
            counts = [(place, n) for place in sorted(ring.values) if (n := ring.values[place].since(first))]
            seen.append(quantile(counts, q=q, of=self._of))
        ring.seen, ring.seen_at = tuple(seen), moment
        return ring.seen

    def dump(self, ring: _ValuesRing, first: int, /) -> list[Any]:
        """The newest tile; of each place its tiles and their counts."""
        places = []
        for place in sorted(ring.values):
            counted = ring.values[place]
            start = bisect_left(counted.tiles, first)
            if start < len(counted.tiles):
                places.append([place, counted.tiles[start:], _steps(counted.counts, start)])
        return [ring.newest, places]

    def load(self, dumped: list[Any]) -> _ValuesRing:
        """Take back what `dump` gave."""
        ring = _ValuesRing()
        ring.newest, places = dumped
        for place, tiles, counts in places:
            counted = ring.values[place] = _TotalsRing(0)
            counted.tiles += tiles
            counted.counts = list(accumulate(counts, initial=0))
        return ring


class Distinct:
    """The tile in which each value was seen last: a value is in a window when that tile is."""

    def __init__(self, group: Group) -> None:
        self.unit_us = group.key.step_s * 1_000_000
        self.reach = max(tiles for tiles, _ in group.asked)
        self._asked, self._value_of = group.asked, _value_of(group.key.of or "")

    def new(self) -> _ValuesRing:
        """An entity without answers."""
        return _ValuesRing()

    def fold(self, ring: _ValuesRing, moment: int, told: Told) -> None:
        """See one value; of more than DISTINCT_MAX the one unseen for longest goes, which leaves the count as it is."""
        ring.newest, ring.seen_at = moment, BEFORE_ALL
        value = self._value_of(told)
        if value is not None:
            ring.values.pop(value, None)
            ring.values[value] = moment
            if len(ring.values) > DISTINCT_MAX:
                del ring.values[next(iter(ring.values))]

    def see(self, ring: _ValuesRing, moment: int) -> tuple[int, ...]:
        """Values of each window that ends in tile `moment`."""
        ring.seen = tuple(sum(tile > moment - n_tiles for tile in ring.values.values()) for n_tiles, _ in self._asked)
        ring.seen_at = moment
        return ring.seen

    def dump(self, ring: _ValuesRing, first: int, /) -> list[Any]:
        """The newest tile; values and their tiles, the longest unseen first."""
        return [ring.newest, [[value, tile] for value, tile in ring.values.items() if tile >= first]]

    def load(self, dumped: list[Any]) -> _ValuesRing:
        """Take back what `dump` gave."""
        ring = _ValuesRing()
        ring.newest, pairs = dumped
        ring.values = dict(pairs)
        return ring


class _FadingRing:
    """Count and sums as of the last answer."""

    __slots__ = ("newest", "seen", "seen_at", "totals")

    def __init__(self, n_sums: int) -> None:
        self.totals = [0.0] * (n_sums + 1)
        self.newest = self.seen_at = BEFORE_ALL
        self.seen: tuple[float, ...] = ()


class Fading:
    """Each answer counts half as much with every half-life; what had faded away starts anew."""

    def __init__(self, group: Group) -> None:
        self.unit_us = 1
        self._half_life_us = group.key.step_s * 1_000_000
        self.reach = FADES_AFTER * self._half_life_us
        self._places = [SUMS.index(name) for name in group.sums]

    def new(self) -> _FadingRing:
        """An entity without answers."""
        return _FadingRing(len(self._places))

    def fold(self, ring: _FadingRing, moment: int, told: Told) -> None:
        """Let what was counted fade, and count one answer in full."""
        left = self._left(ring, moment)
        ring.totals = [left * total + new for total, new in zip(ring.totals, (1, *(told.sums[at] for at in self._places)), strict=True)]
        ring.newest, ring.seen_at = moment, BEFORE_ALL

    def see(self, ring: _FadingRing, moment: int) -> tuple[float, ...]:
        """Count and sums as of `moment`."""
        left = self._left(ring, moment)
        ring.seen, ring.seen_at = tuple(left * total for total in ring.totals), moment
        return ring.seen

    def dump(self, ring: _FadingRing, _first: int, /) -> list[Any]:
        """When, and what was counted then."""
        return [ring.newest, ring.totals]

    def load(self, dumped: list[Any]) -> _FadingRing:
        """Take back what `dump` gave."""
        ring = _FadingRing(0)
        ring.newest, ring.totals = dumped
        return ring

    def _left(self, ring: _FadingRing, moment: int) -> float:
        age_us = moment - ring.newest
        return 2.0 ** (-age_us / self._half_life_us) if age_us < self.reach else 0.0


def _steps(totals: list[int], start: int) -> list[int]:
    """What each tile from `start` on added to the running total."""
    if len(totals) == start + 1:
        return [totals[start] - totals[start - 1]]
    return list(map(sub, totals[start:], totals[start - 1 :]))


def _value_of(of: str) -> Callable[[Told], Any]:
    """The value of a column of the row, or of the answer."""
    if of in COLUMN_AT:
        place = COLUMN_AT[of]
        return lambda told: told.row[place]
    return lambda told: getattr(told.answer, of)

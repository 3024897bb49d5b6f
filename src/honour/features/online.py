"""The online fold: what has been answered so far, ready to be asked in constant time.

Each entity keeps what its features are made of (`ring`), tile by tile. Asking changes nothing.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import cache
from operator import itemgetter
from typing import Any, Final

import msgspec

from honour.errors import LogContractBroken
from honour.features.answer import Answer, only_field, reason_of, whole_ms
from honour.features.beside import Beside, Places, program
from honour.features.catalogue import CATALOGUE
from honour.features.columns import CANDIDATE_COLUMNS, CLOCK_COLUMNS, Row, read_payment
from honour.features.folding import folding
from honour.features.group import Group, groups, table_key
from honour.features.local_time import BEFORE_ALL, local_time
from honour.features.ring import COLUMN_AT, Ring, Told, Totals, kind_of
from honour.features.view import Catalogue, WindowFeature
from honour.features.written import written
from honour.records.attempt import Status
from honour.records.event import ServedFeatures
from honour.records.payment import Payment
from honour.records.route import Candidate

Key = Any
"""Value of a one-part entity, tuple of values of a longer one."""

ENTITIES_MAX = 2_000_000
"""Entities that a table keeps, unless the settings say otherwise; past it, the one not answered for longest goes."""

_COUNTRY_AT: Final = COLUMN_AT["shopper_country"]
_SWEPT: Final = 2  # Entities of each table dropped per update, at most: more than one, so that dropping keeps up with adding.


class Table:
    """All entities of one group, the longest unanswered first.

    within  of what the group takes from the payment, the entities by what it takes from the candidate: those of all candidates are
            found with one look (`group.is_nested`)
    """

    def __init__(self, group: Group, *, entities_max: int) -> None:
        self.kind = kind_of(group)
        self.only, self.by_clock = group.key.only, bool(set(group.key.entity) & set(CLOCK_COLUMNS))
        self.is_narrow = group.is_narrow
        self.key_of = _picker([COLUMN_AT[part] for part in group.key.entity])
        self.rings: OrderedDict[Key, Ring] = OrderedDict()
        self.within: dict[Key, Beside] = {}
        self._split = _splitter(group.key.entity) if group.is_nested else None
        self.evicted = 0
        self._max = entities_max

    def counts(self, told: Told) -> bool:
        """Whether an answer is one of those that it folds."""
        return self.only is None or getattr(told.answer, only_field(self.only)) == self.only

    def fold(self, told: Told) -> None:
        """Count one answer."""
        key, kind, rings = self.key_of(told.row), self.kind, self.rings
        moment = told.answer.arrived_us // kind.unit_us
        ring = rings.get(key)
        if ring is None:
            ring = kind.new()
            self._put(key, ring)
            while len(rings) > self._max:
                gone = self._drop_oldest()
                self.evicted += gone.newest > moment - kind.reach  # What has run empty is not missed and not counted.
        else:
            rings.move_to_end(key)
            if self._split is not None and ring.seen_at != BEFORE_ALL:
                paid, chosen = self._split(key)
                self.within[paid].stale.append(chosen)
        kind.fold(ring, moment, told)

    def dump(self, *, now_us: int) -> list[list[Any]]:
        """Entities of which something is left: key, and what its kind writes down."""
        first = now_us // self.kind.unit_us - self.kind.reach + 1
        return [[key, *self.kind.dump(ring, first)] for key, ring in self.rings.items() if ring.newest >= first]

    def restore(self, dumped: list[list[Any]]) -> None:
        """Take back what `dump` gave."""
        for key, *said in dumped:
            self._put(tuple(key) if isinstance(key, list) else key, self.kind.load(said))

    def hold(self, key: Key, said: list[Any] | None) -> None:
        """Keep an entity as it was written down elsewhere, None: without answers; in place of the longest untouched one."""
        self._put(key, self.kind.load(said) if said is not None else self.kind.new())
        if len(self.rings) > self._max:
            self._drop_oldest()

    def written_down(self, key: Key, *, now_us: int) -> list[Any]:
        """An entity, for `hold`."""
        return self.kind.dump(self.rings[key], now_us // self.kind.unit_us - self.kind.reach + 1)

    def sweep(self, now_us: int, *, n_max: int) -> None:
        """Drop up to `n_max` entities that have run empty."""
        gone, rings = now_us // self.kind.unit_us - self.kind.reach, self.rings
        while n_max and rings and BEFORE_ALL < next(iter(rings.values())).newest <= gone:
            self._drop_oldest()
            n_max -= 1

    def _put(self, key: Key, ring: Ring) -> None:
        self.rings[key] = ring
        if self._split is not None:
            paid, chosen = self._split(key)
            beside = self.within.get(paid)
            if beside is None:
                beside = self.within[paid] = Beside()
            beside.rings[chosen] = ring
            beside.forget()

    def _drop_oldest(self) -> Ring:
        key, ring = self.rings.popitem(last=False)
        if self._split is not None:
            paid, chosen = self._split(key)
            beside = self.within[paid]
            del beside.rings[chosen]
            beside.forget()
            if not beside.rings:
                del self.within[paid]
        return ring


class _StateBytes(msgspec.Struct, array_like=True):
    schema: str
    last_arrived_us: int
    evicted: list[int]
    tables: list[list[list[Any]]]


class FeatureState:
    """All entities of a catalogue. The same answers in the same order give the same state, and the same bytes.

    entities_max  entities that each table keeps; the ones answered last stay. A feature of one that went starts anew.

    Memory is about 0.7 kilobytes per payment, card or other entity answered within its longest window (30 days);
    entities whose windows have run empty are dropped as later answers come.
    """

    def __init__(self, catalogue: Catalogue = CATALOGUE, *, entities_max: int = ENTITIES_MAX) -> None:
        self.catalogue, self.entities_max = catalogue, entities_max
        self.last_arrived_us, self._swept = BEFORE_ALL, 0
        made = groups(catalogue)
        self.tables = [Table(group, entities_max=entities_max) for group in made]
        self._table_of = {group.key: table for group, table in zip(made, self.tables, strict=True)}
        self._fold = folding(made, self.tables)
        self._by_clock = any(table.by_clock for table in self.tables)
        gets = [table.within.get if group.is_nested else table.rings.get for group, table in zip(made, self.tables, strict=True)]
        self._ask = _written(catalogue)(gets, [table.kind.see for table in self.tables], Places(made, program(catalogue)))

    why_away: None = None
    """Nothing of it is elsewhere."""

    @property
    def n_entities(self) -> int:
        """Entities that are kept, of all tables."""
        return sum(len(table.rings) for table in self.tables)

    @property
    def n_evicted(self) -> int:
        """Entities that had to go while their answers still counted."""
        return sum(table.evicted for table in self.tables)

    def as_of(self, payment: Payment, candidates: Sequence[Candidate], *, at_us: int) -> ServedFeatures:
        """Features of every candidate as a decision at `at_us` sees them; changes nothing.

        at_us  not before the arrival of the last answer folded; windows of an earlier one are taken as of that arrival
        """
        payment_values, candidate_values = self._ask(read_payment(payment), candidates, max(at_us, self.last_arrived_us))
        return ServedFeatures(schema=self.catalogue.schema_id, payment=payment_values, candidates=candidate_values)

    def answered(self, feature: WindowFeature, row: Row, *, at_us: int) -> tuple[int, int]:
        """Answers of the entity of an approval rate within its window, and those approved; `row` is a payment's and a candidate's."""
        table = self._table_of[table_key(feature)]
        assert isinstance(table.kind, Totals)
        moment = max(at_us, self.last_arrived_us) // table.kind.unit_us
        ring: Any = table.rings.get(table.key_of(row))
        return table.kind.over(ring, of="approved", n_tiles=feature.tiles, moment=moment)

    def update(
        self,
        payment: Payment,
        candidate: Candidate,
        *,
        status: Status,
        response_code: str | None,
        arrived_us: int,
        latency_ms: float | None = None,
        seq: int = 0,
    ) -> None:
        """Fold the final answer of one attempt. `unknown` is not an answer and changes nothing.

        arrived_us  never decreases; a lower one counts as the last
        seq         its place in the log, which says nothing here
        """
        del seq
        told = self.told(payment, candidate, status=status, response_code=response_code, arrived_us=arrived_us, latency_ms=latency_ms)
        if told is None:
            return
        self._fold(told)
        self.sweep()

    def told(
        self,
        payment: Payment,
        candidate: Candidate,
        *,
        status: Status,
        response_code: str | None,
        arrived_us: int,
        latency_ms: float | None,
    ) -> Told | None:
        """The answer as tables fold it, its arrival taken note of; None when it is none."""
        if status == "unknown":
            return None
        self.last_arrived_us = arrived_us = max(arrived_us, self.last_arrived_us)
        card = payment.card
        reason = reason_of(
            status,
            network=card.network,
            issuer_country=card.issuer_country,
            merchant_country=payment.merchant_country,
            response_code=response_code,
        )
        answer = Answer(
            arrived_us,
            status,
            response_code,
            reason,
            candidate.route,
            candidate.authentication,
            payment.amount_minor,
            whole_ms(latency_ms),
        )
        return Told(self.row(payment, candidate, at_us=arrived_us), answer, answer.sums())

    def row(self, payment: Payment, candidate: Candidate, *, at_us: int) -> Row:
        """What entities are looked up by, as of an instant."""
        row: Row = (*read_payment(payment), *candidate)
        if not self._by_clock:
            return row
        clock = local_time(row[_COUNTRY_AT], at_us=at_us)  # type: ignore[arg-type]  # a country is text
        return (*row, 24 * clock.weekday + clock.hour)

    def sweep(self) -> None:
        """Drop some entities that have run empty: of one table each time, so many times as many."""
        if self.tables:
            self._swept = (self._swept + 1) % len(self.tables)
            self.tables[self._swept].sweep(self.last_arrived_us, n_max=_SWEPT * len(self.tables))

    def anew(self) -> FeatureState:
        """A state without answers, of the same catalogue and bound."""
        return FeatureState(self.catalogue, entities_max=self.entities_max)

    def to_bytes(self, *, with_narrow: bool = True) -> bytes:
        """The state as MessagePack; equal for equal states, whatever snapshots lay between.

        with_narrow  entities of cards and payments too
        """
        kept = [table for table in self.tables if with_narrow or not table.is_narrow]
        return msgspec.msgpack.encode(
            _StateBytes(
                schema=self.catalogue.schema_id,
                last_arrived_us=self.last_arrived_us,
                evicted=[table.evicted for table in kept],
                tables=[table.dump(now_us=self.last_arrived_us) for table in kept],
            )
        )

    def load(self, data: bytes, *, with_narrow: bool = True) -> None:
        """Take back what `to_bytes` wrote; refused when it was written with another catalogue."""
        stored = msgspec.msgpack.decode(data, type=_StateBytes)
        if stored.schema != self.catalogue.schema_id:
            raise LogContractBroken(
                f"feature state of catalogue {stored.schema} cannot be read with catalogue {self.catalogue.schema_id}; "
                "replay the log instead."
            )
        self.last_arrived_us = stored.last_arrived_us
        kept = [table for table in self.tables if with_narrow or not table.is_narrow]
        for table, evicted, dumped in zip(kept, stored.evicted, stored.tables, strict=True):
            table.restore(dumped)
            table.evicted = evicted

    @classmethod
    def from_bytes(cls, data: bytes, *, catalogue: Catalogue = CATALOGUE, entities_max: int = ENTITIES_MAX) -> FeatureState:
        """The state that `to_bytes` wrote; refused when it was written with another catalogue."""
        state = cls(catalogue, entities_max=entities_max)
        state.load(data)
        return state


@cache
def _written(catalogue: Catalogue) -> Callable[..., Any]:
    return written(catalogue)


def _splitter(entity: Sequence[str]) -> Callable[[Key], tuple[Key, Key]]:
    """From the key of an entity to what of it is the payment's, and what is the candidate's."""
    if len(entity) == 1:  # Its key is the value itself.
        return lambda key: ((), key)
    of_candidate = [part in CANDIDATE_COLUMNS for part in entity]
    paid = _picker([at for at, is_chosen in enumerate(of_candidate) if not is_chosen])
    chosen = _picker([at for at, is_chosen in enumerate(of_candidate) if is_chosen])
    return lambda key: (paid(key), chosen(key))


def _picker(places: Sequence[int]) -> Callable[[Any], Any]:
    """Takes the values at `places` out of a row: one as it is, others as a tuple."""
    return itemgetter(*places) if places else lambda _: ()

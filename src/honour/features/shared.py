"""Online features of which those of cards and payments live in a store that several servers share (docs/adr/0021).

Entities without a card or payment are few: every process folds them in memory, as it would alone. Entities of cards and payments are
many: the store holds them all, a process those that it had to do with lately. What it holds it keeps current by folding the log, so that
it asks the store only for what it does not hold. The values are those of `FeatureState`: the same code folds and asks.

The store stands at an answer's place in the log. It takes a change only from a process that knew where it stood, so that an answer is
folded into it once, whoever comes first.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import msgspec
import structlog

from honour.errors import StateAway
from honour.features.catalogue import CATALOGUE
from honour.features.columns import Row
from honour.features.online import ENTITIES_MAX, FeatureState, Table
from honour.features.ring import Told
from honour.features.view import Catalogue, WindowFeature
from honour.records.attempt import Status
from honour.records.event import ServedFeatures
from honour.records.payment import Payment
from honour.records.route import Candidate

DAY_S = 86_400
FED_AT_ONCE = 500
REMEMBERED = 10_000
"""Answers that a process remembers, in case the store lacks the last of them."""

_log = structlog.get_logger("honour")


class Found(NamedTuple):
    """stands_at: place in the log of the last answer in the store, 0 when it is empty; values in the order asked for."""

    stands_at: int
    values: list[bytes | None]


class Kept(NamedTuple):
    """What is written down of an entity, and for how long it may be needed."""

    value: bytes
    keep_s: int


class SharedStore(Protocol):
    """Entities by name. Every method raises StateAway when the store does not answer in time."""

    def read(self, names: Sequence[str]) -> Found:
        """In one round trip."""
        ...

    def write(self, values: Mapping[str, Kept], *, after: int, seq: int) -> int:
        """All of it or nothing, in one round trip: if the store stands at `after`, then at `seq`. Returns where it stands."""
        ...

    def clear(self) -> None:
        """Forget everything; the store stands at 0."""
        ...


class AnswerAt(NamedTuple):
    """A final answer in its place in the log."""

    seq: int
    payment: Payment
    candidate: Candidate
    status: Status
    response_code: str | None
    arrived_us: int
    latency_ms: float | None


class SharedFeatures:
    """What `FeatureState` is to one process, over a store.

    store  None folds what every process holds, and nothing of cards and payments: what a snapshot is made of
    seq    the last answer that was folded
    why_away  why the store is not asked, or None; what is held of cards and payments stays current meanwhile
    n_asked, n_away  round trips to the store; how often something was wanted of it while it was away
    """

    def __init__(self, store: SharedStore | None, *, catalogue: Catalogue = CATALOGUE, entities_max: int = ENTITIES_MAX) -> None:
        self._store, self._local = store, FeatureState(catalogue, entities_max=entities_max)
        self._narrow = [(number, table) for number, table in enumerate(self._local.tables) if table.is_narrow]
        self.seq = self._stands_at = 0
        self.why_away: str | None = None if store is not None else "there is none"
        self.n_asked = self.n_away = 0
        self._recent: deque[AnswerAt] = deque(maxlen=REMEMBERED)  # What the store may lack, and after which answer that begins.
        self._recent_after = 0

    @property
    def n_entities(self) -> int:
        """Entities that this process holds."""
        return self._local.n_entities

    @property
    def n_evicted(self) -> int:
        """Of the entities that no store holds, those that had to go while their answers still counted."""
        return sum(table.evicted for table in self._local.tables if not table.is_narrow)

    def as_of(self, payment: Payment, candidates: Sequence[Candidate], *, at_us: int) -> ServedFeatures:
        """As `FeatureState.as_of`, after at most one round trip. StateAway when something is needed that only the store holds."""
        rows = [self._local.row(payment, candidate, at_us=max(at_us, self._local.last_arrived_us)) for candidate in candidates]
        missing = self._missing((number, table, row) for row in rows for number, table in self._narrow)
        if missing:
            if self.why_away is not None:
                self.n_away += 1
                raise StateAway(f"the shared state is away: {self.why_away}. Decisions go on by the rates of their segments.")
            found = self._read(missing)
            if found.stands_at != self.seq:
                self._lose(f"it stands at event {found.stands_at}, the log at {self.seq}")
                raise StateAway(f"the shared state is not that of the log: {self.why_away}. It is brought up to date by itself.")
            self._hold(missing, found)
        return self._local.as_of(payment, candidates, at_us=at_us)

    def answered(self, feature: WindowFeature, row: Row, *, at_us: int) -> tuple[int, int]:
        """As `FeatureState.answered`; of an entity that no store holds, so that it can be asked when the store is away."""
        return self._local.answered(feature, row, at_us=at_us)

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
        """As `FeatureState.update`; written to the store unless it stands at `seq` already, or is away."""
        if status == "unknown":
            return
        one = AnswerAt(seq, payment, candidate, status, response_code, arrived_us, latency_ms)
        if len(self._recent) == REMEMBERED:
            self._recent_after = self._recent[0].seq
        self._recent.append(one)
        self.feed([one])

    def feed(self, answers: Sequence[AnswerAt]) -> None:
        """Fold answers in the order of the log: at most two round trips for as many as can be held together, one when they are held."""
        at_once = max(1, min(FED_AT_ONCE, self._local.entities_max // 20))
        for start in range(0, len(answers), at_once):
            self._feed(answers[start : start + at_once])

    def return_to_store(self) -> bool:
        """Whether the store is asked again: it is there, and stands where this process does, or so little before that this process
        remembers what it lacks. To be called in a turn, so that no other process writes meanwhile."""
        if self._store is None:
            return False
        try:
            feeder = self.feeder()
            lacks = [one for one in self._recent if one.seq > feeder.seq]
            if feeder.seq != self.seq and self._recent_after <= feeder.seq:
                feeder.feed(lacks)
                feeder.check()
        except StateAway:
            return False
        if feeder.seq != self.seq:
            return False
        self.why_away, self._stands_at = None, self.seq
        return True

    def check(self) -> None:
        """StateAway when the store is not asked."""
        if self.why_away is not None:
            raise StateAway(f"the shared state is away: {self.why_away}. Look after it; it is tried again by itself.")

    def stands_at(self) -> int:
        """Place in the log of the last answer in the store. StateAway when it does not answer."""
        return self._read([]).stands_at

    def feeder(self) -> SharedFeatures:
        """Another process's view of the same store, which begins where the store stands: to bring it up to date."""
        assert self._store is not None
        other = SharedFeatures(self._store, catalogue=self._local.catalogue, entities_max=self._local.entities_max)
        other.seq = other._stands_at = other.stands_at()
        return other

    def clear(self) -> None:
        """Empty the store: what it holds is not of this log."""
        assert self._store is not None
        self._store.clear()

    def anew(self) -> SharedFeatures:
        """The same without answers. It asks the store once that stands where the log does (`return_to_store`)."""
        other = SharedFeatures(self._store, catalogue=self._local.catalogue, entities_max=self._local.entities_max)
        other.why_away = other.why_away or "this process has not caught up with the log yet"
        return other

    def to_bytes(self) -> bytes:
        """What no store holds, and up to which answer."""
        return msgspec.msgpack.encode((self.seq, self._local.to_bytes(with_narrow=False)))

    def load(self, data: bytes) -> None:
        """Take back what `to_bytes` wrote."""
        self.seq, local = msgspec.msgpack.decode(data, type=tuple[int, bytes])
        self._recent_after = self.seq
        self._local.load(local, with_narrow=False)

    def _feed(self, answers: Sequence[AnswerAt]) -> None:
        told: list[Told] = []
        for one in answers:
            answer = self._local.told(
                one.payment,
                one.candidate,
                status=one.status,
                response_code=one.response_code,
                arrived_us=one.arrived_us,
                latency_ms=one.latency_ms,
            )
            if answer is not None:
                told.append(answer)
                last = one.seq
        if not told:
            return
        touched = [(number, table, one.row) for one in told for number, table in self._narrow if table.counts(one)]
        is_news = self.why_away is None and last > self._stands_at
        if is_news and (missing := self._missing(touched)):
            is_news = self._fetched(missing, last)
        for answer in told:
            for table in self._local.tables:
                if table.counts(answer) and (not table.is_narrow or table.key_of(answer.row) in table.rings):
                    table.fold(answer)
        if is_news:
            self._written(touched, last)
        self.seq = last
        self._local.sweep()

    def _missing(self, wanted: Iterable[tuple[int, Table, Row]]) -> dict[str, tuple[Table, Any]]:
        """Entities that are not held, by their names in the store; those that are held are the last to be let go."""
        found = {}
        for number, table, row in wanted:
            key = table.key_of(row)
            if key in table.rings:
                table.rings.move_to_end(key)
            else:
                found[_name(number, key)] = (table, key)
        return found

    def _hold(self, missing: Mapping[str, tuple[Table, Any]], found: Found) -> None:
        for (table, key), value in zip(missing.values(), found.values, strict=True):
            table.hold(key, msgspec.msgpack.decode(value) if value is not None else None)

    def _fetched(self, missing: Mapping[str, tuple[Table, Any]], last: int) -> bool:
        """Hold what is missing, as of before the next answer; False when the store has that answer already, or is away."""
        try:
            found = self._read(missing)
        except StateAway:
            return False
        if found.stands_at >= last:
            self._stands_at = found.stands_at
        elif found.stands_at != self.seq:
            self._lose(f"it stands at event {found.stands_at}, the log at {self.seq}")
        else:
            self._hold(missing, found)
            return True
        return False

    def _written(self, touched: Iterable[tuple[int, Table, Row]], last: int) -> None:
        values = {}
        for number, table, row in touched:
            key = table.key_of(row)
            values[_name(number, key)] = Kept(
                msgspec.msgpack.encode(table.written_down(key, now_us=self._local.last_arrived_us)),
                table.kind.reach * table.kind.unit_us // 1_000_000 + DAY_S,
            )
        assert self._store is not None
        self.n_asked += 1
        try:
            self._stands_at = self._store.write(values, after=self.seq, seq=last)
        except StateAway as error:
            self._lose(error.message)
            return
        if self._stands_at < last:
            self._lose(f"it stands at event {self._stands_at}, the log at {self.seq}")

    def _read(self, names: Iterable[str]) -> Found:
        assert self._store is not None
        self.n_asked += 1
        try:
            return self._store.read(list(names))
        except StateAway as error:
            self._lose(error.message)
            raise

    def _lose(self, why: str) -> None:
        if self.why_away is None:
            _log.error("shared_state_away", why=why)
        self.why_away = why


def _name(number: int, key: Any) -> str:
    return f"{number}:{msgspec.json.encode(key).decode()}"

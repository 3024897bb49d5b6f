"""Attempts that were sent and are not answered yet: how many of each route, and how many are later than its answers ever are.

An acquirer that hangs answers nothing until the sender gives up, and all that is sent meanwhile is lost too. What is late tells of it
before the first failure does. Late is one and a half times the time in which 99 of 100 answers of the route came; counted is the time
until an answer of another route was last told, so that nobody is blamed when reports stop altogether, and only what no answer has
overtaken, so that an answer which was lost says nothing for long. 3-D Secure waits for the shopper and is left out. A fold of the log,
bounded: what waits longer than a quarter of an hour, or behind too many, is no longer looked at.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Sequence
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from honour.records.attempt import Status
from honour.records.route import Candidate

SECOND_US = 1_000_000
LATE_FACTOR = 1.5
"""Times that an answer may be later than 99 of 100 are: a route that is merely slow has answered something by then."""
ANSWERS_MIN = 50
"""Answers of a route from which on it is known how late they can be."""
OVERDUE_MAX = 8
"""More late attempts than this say no more."""
GIVEN_UP_US = 900 * SECOND_US
"""Nobody waits any longer: the answer was never told."""
TOGETHER_US = SECOND_US // 50
"""Decisions that are made together do not know of one another: those made alone, as shortly after one another, shall not either."""
PENDING_MAX = 4_096
"""Attempts of one route that are remembered at a time, those that were overtaken and the others."""
COUNTED_MAX = 1_000
"""Lists of candidates whose counts are remembered."""
_EDGES_US = tuple(round(0.05 * SECOND_US * 1.25**step) for step in range(46))
"""Upper ends of the pieces in which times until an answer are counted: 50 ms to 19 minutes."""
_ENDLESS_US = 2**62
_COUNTED_MAX = 2_000
"""Answers after which all counts are halved, so that old ones are forgotten."""


Plain = tuple[list[tuple[str, int]], list[tuple[str, int]], int, list[int], int]


class _Flight:
    """One route.

    pending    instant of each decision that has no answer, oldest first; overtaken: of those sent before one that was approved or declined
    told_us    when its last answer was told; late_us: how late an answer can be, 0 until enough of them are known
    counts     of times until an answer, by piece
    """

    def __init__(self, told: Plain | None = None) -> None:
        pending, overtaken, self.told_us, self.counts, self.late_us = told or ([], [], 0, [0] * (len(_EDGES_US) + 1), 0)
        self.pending, self.overtaken = OrderedDict(pending), OrderedDict(overtaken)

    def to_plain(self) -> Plain:
        """What MessagePack can write."""
        return list(self.pending.items()), list(self.overtaken.items()), self.told_us, self.counts, self.late_us

    def take(self, decision_id: str) -> int:
        """When it was sent; it waits no longer."""
        sent_us = self.pending.pop(decision_id, None)
        return self.overtaken.pop(decision_id) if sent_us is None else sent_us

    def overtake(self, sent_us: int) -> None:
        """What was sent at this instant was answered."""
        while self.pending and next(iter(self.pending.values())) <= sent_us:
            decision_id, before_us = self.pending.popitem(last=False)
            self.overtaken[decision_id] = before_us

    def give_up(self, at_us: int) -> list[str]:
        """Decisions that nobody waits for any longer."""
        gone = []
        for waiting in (self.overtaken, self.pending):
            while waiting and (len(waiting) > PENDING_MAX or next(iter(waiting.values())) < at_us - GIVEN_UP_US):
                gone.append(waiting.popitem(last=False)[0])
        return gone

    def learn(self, took_us: int) -> None:
        """Count one answer. Late is the end of the piece in which 99 of 100 lie, `LATE_FACTOR` times."""
        self.counts[bisect_left(_EDGES_US, took_us)] += 1
        total = sum(self.counts)
        if total >= _COUNTED_MAX:
            self.counts = [count // 2 for count in self.counts]
            total = sum(self.counts)
        if total < ANSWERS_MIN:
            return
        piece = bisect_left(list(accumulate(self.counts)), 0.99 * total)
        self.late_us = int(LATE_FACTOR * _EDGES_US[min(piece, len(_EDGES_US) - 1)])


class InFlight:
    """Attempts under way by route."""

    def __init__(self) -> None:
        self._flights: dict[str, _Flight] = {}
        self._route_of: dict[str, str] = {}
        self._told_last: str | None = None  # The route whose answer was told last, and when one of another was.
        self._told_before_us = 0
        self._counted: dict[int, tuple[Sequence[Candidate], NDArray[np.int64]]] = {}  # What `waiting` said, by the candidates.
        self._counted_us = self._counts_until_us = 0  # That holds from one instant until the other, while nothing is sent or answered.

    def waiting(self, candidates: Sequence[Candidate], *, at_us: int) -> NDArray[np.int64]:
        """How many attempts of the route of each candidate are late, and on their way: (n_candidates, 2), not to be changed."""
        if not self._counted_us <= at_us < self._counts_until_us or len(self._counted) == COUNTED_MAX:
            self._counted.clear()
            self._counts_until_us = _ENDLESS_US
        elif (known := self._counted.get(id(candidates))) is not None and known[0] is candidates:
            return known[1]
        self._counted_us = at_us
        flat: list[int] = []
        before, n_late, n_pending = None, 0, 0
        for candidate in candidates:
            if candidate.route != before:
                before = candidate.route
                n_late, n_pending = self.overdue(before), self.pending(before, at_us=at_us)
            flat += (n_late, n_pending)
        counted = np.array(flat, dtype=np.int64).reshape(len(candidates), 2)
        if isinstance(candidates, tuple):  # A list may change.
            self._counted[id(candidates)] = candidates, counted
        return counted

    def sent(self, decision_id: str, candidate: Candidate, *, at_us: int) -> None:
        """An attempt is on its way."""
        if candidate.authentication == "three_ds":
            return
        self._counts_until_us = 0
        flight = self._flights.get(candidate.route)
        if flight is None:
            flight = self._flights[candidate.route] = _Flight()
        flight.pending[decision_id] = at_us
        self._route_of[decision_id] = candidate.route
        for gone in flight.give_up(at_us):
            del self._route_of[gone]

    def answered(self, decision_id: str, *, status: Status, at_us: int) -> None:
        """Its answer was told; `unknown` is none."""
        if status == "unknown" or (route := self._route_of.pop(decision_id, None)) is None:
            return
        self._counts_until_us = 0
        flight = self._flights[route]
        sent_us = flight.take(decision_id)
        if route != self._told_last:
            self._told_before_us = self._told_elsewhere_us(route)
            self._told_last = route
        flight.told_us = at_us
        if status in ("approved", "declined"):
            flight.overtake(sent_us)
            flight.learn(at_us - sent_us)

    def overdue(self, route: str) -> int:
        """Attempts of this route that are later than its answers ever are, `OVERDUE_MAX` at most."""
        flight = self._flights.get(route)
        if flight is None or not flight.pending or flight.late_us == 0:
            return 0
        n, late_before_us = 0, self._told_elsewhere_us(route) - flight.late_us
        for sent_us in flight.pending.values():  # The oldest first.
            if sent_us >= late_before_us or n == OVERDUE_MAX:
                break
            n += 1
        return n

    def pending(self, route: str, *, at_us: int) -> int:
        """Attempts of this route that are on their way, without those of the last `TOGETHER_US`."""
        flight = self._flights.get(route)
        if flight is None:
            return 0
        n, together_us = len(flight.pending) + len(flight.overtaken), at_us - TOGETHER_US
        for sent_us in reversed(flight.pending.values()):
            if sent_us <= together_us:
                break
            n -= 1
            self._counts_until_us = min(self._counts_until_us, sent_us + TOGETHER_US)
        return n

    def _told_elsewhere_us(self, route: str) -> int:
        """When the last answer of another route was told; answers are told in the order of their instants."""
        if self._told_last is None:
            return 0
        return self._told_before_us if route == self._told_last else self._flights[self._told_last].told_us

    def to_plain(self) -> dict[str, Plain]:
        """What MessagePack can write."""
        return {route: flight.to_plain() for route, flight in self._flights.items()}

    @classmethod
    def from_plain(cls, told: dict[str, Plain]) -> InFlight:
        """What `to_plain` gave."""
        made = cls()
        made._flights = {route: _Flight(plain) for route, plain in told.items()}
        *before, (last_us, last) = [(0, ""), *sorted((flight.told_us, route) for route, flight in made._flights.items())]
        if last_us:
            made._told_last, made._told_before_us = last, before[-1][0]
        for route, flight in made._flights.items():
            made._route_of.update(dict.fromkeys((*flight.pending, *flight.overtaken), route))
        return made

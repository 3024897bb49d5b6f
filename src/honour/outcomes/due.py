"""Retries that wait: which payments are to be asked about again, and when. A fold of the log, in the order of their instants."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Collection, Iterator
from heapq import merge
from itertools import islice

import msgspec

from honour.records.event import AttemptReported, DecisionMade, LoggedEvent, OutcomeReported, payment_id_of
from honour.records.instant import to_us

OVERDUE_US = 121 * 86_400_000_000
"""A retry that nobody asked about this long after it was due is forgotten: the payment is, too."""

_FORGET_AT_MOST = 2  # Retries looked at for age per event: more than one, so that forgetting keeps up with adding.

Place = tuple[int, str]
"""Instant, microseconds, and payment: where a retry stands in the order."""


class DueRetry(msgspec.Struct, frozen=True, array_like=True):
    """A payment whose last decision was to wait; `attempt_number` is that of the attempt it waits for."""

    due_us: int
    payment_id: str
    merchant_id: str
    decision_id: str
    attempt_number: int
    reason: str

    @property
    def place(self) -> Place:
        """Where it stands in the order."""
        return self.due_us, self.payment_id


class DueRetries:
    """Every payment that waits. It leaves with the next decision about it, or when it is approved."""

    def __init__(self) -> None:
        self._waits: dict[str, DueRetry] = {}
        self._order: list[Place] = []
        self._order_of: dict[str, list[Place]] = {}  # The same for each merchant.
        self._last_us = 0

    def __len__(self) -> int:
        return len(self._waits)

    def apply(self, logged: LoggedEvent) -> None:
        """Fold one event."""
        self._last_us = logged.arrived_us
        match logged.event:
            case DecisionMade(decision=decision, payment=payment):
                self._drop(decision.payment_id)
                if decision.wait_until is not None:
                    due_us = to_us(decision.wait_until)
                    self._add(
                        DueRetry(
                            due_us,
                            decision.payment_id,
                            payment.merchant_id,
                            decision.decision_id,
                            decision.attempt_number,
                            decision.reason.code,
                        )
                    )
            case OutcomeReported(outcome=answer) | AttemptReported(attempt=answer) if answer.status == "approved":
                self._drop(payment_id_of(logged.event) or "")
            case _:
                pass
        for _ in range(_FORGET_AT_MOST):
            if not self._order or not self._is_over(self._order[0]):
                break
            self._drop(self._order[0][1])

    def n_before(self, before_us: int) -> int:
        """How many are due before an instant."""
        return bisect_left(self._order, (before_us, ""))

    def before(self, before_us: int, *, after: Place | None = None, n_max: int, merchants: Collection[str] | None = None) -> list[DueRetry]:
        """Those due before an instant, the earliest first, at most `n_max`.

        after      goes on behind one that was told already
        merchants  only theirs; None is every merchant
        """
        if merchants is None:
            return list(islice(self._from(self._order, after, before_us), n_max))
        each = [self._from(self._order_of[one], after, before_us) for one in merchants if one in self._order_of]
        return list(islice(merge(*each, key=lambda one: one.place), n_max))

    def to_bytes(self) -> bytes:
        """The fold as MessagePack."""
        return msgspec.msgpack.encode((self._last_us, [self._waits[name] for at, name in self._order if not self._is_over((at, name))]))

    @classmethod
    def from_bytes(cls, data: bytes) -> DueRetries:
        """The fold that `to_bytes` wrote."""
        due = cls()
        due._last_us, waits = msgspec.msgpack.decode(data, type=tuple[int, list[DueRetry]])
        due._waits = {one.payment_id: one for one in waits}
        due._order = [one.place for one in waits]
        for one in waits:
            due._order_of.setdefault(one.merchant_id, []).append(one.place)
        return due

    def _from(self, order: list[Place], after: Place | None, before_us: int) -> Iterator[DueRetry]:
        begins = bisect_left(order, (after[0], f"{after[1]}\0")) if after is not None else 0
        for index in range(begins, bisect_left(order, (before_us, ""))):
            if not self._is_over(order[index]):
                yield self._waits[order[index][1]]

    def _is_over(self, place: Place) -> bool:
        return place[0] < self._last_us - OVERDUE_US

    def _add(self, one: DueRetry) -> None:
        self._waits[one.payment_id] = one
        insort(self._order, one.place)
        insort(self._order_of.setdefault(one.merchant_id, []), one.place)

    def _drop(self, payment_id: str) -> None:
        if (known := self._waits.pop(payment_id, None)) is not None:
            del self._order[bisect_left(self._order, known.place)]
            theirs = self._order_of[known.merchant_id]
            del theirs[bisect_left(theirs, known.place)]
            if not theirs:
                del self._order_of[known.merchant_id]

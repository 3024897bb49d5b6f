"""Exact rolling windows over what was refused and what may still be, in constant time per answer.

No limit asks for more than its `attempts_max` newest refusals, so that many instants are kept for each way of counting, however
many there were. An attempt counts from the instant at which it was decided: until its outcome is known it is reserved.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from sys import intern
from typing import NamedTuple

import msgspec

from honour.networks.region import Countries, holds_in
from honour.networks.rules import RetryLimit, retry_limits
from honour.networks.table import Reading, day_us
from honour.records.payment import Payment

ENDLESS_US = 2**62
DAY_US = 86_400_000_000


class Reserved(msgspec.Struct, frozen=True, array_like=True):
    """An attempt whose answer is not known, since when, and how it is told apart."""

    since_us: int
    amount: str
    initiator: str


class Left(NamedTuple):
    """What a limit leaves. `more_at_us` is when one more than now is left; None while nothing is counted."""

    attempts: int | None
    more_at_us: int | None
    rule: str | None


class Way(NamedTuple):
    """A way of counting attempts of one card at one merchant together."""

    amount: bool
    initiator: bool
    resets: bool

    def name(self, amount: str, initiator: str) -> str:
        """The count that an attempt of this amount and initiator belongs to."""
        name = f"{'r' if self.resets else ''}|{amount if self.amount else ''}|{initiator if self.initiator else ''}"
        return intern(name)  # Millions of cards share a few names.


class Windows(msgspec.Struct, array_like=True):
    """Counts of one card at one merchant: newest refusals by way of counting, oldest first, and attempts without an answer.

    Reserved attempts are in the order of their decisions.
    """

    refused: dict[str, tuple[int, ...]] = {}
    reserved: dict[str, Reserved] = {}

    def reserve(self, payment: Payment, *, attempt: str, at_us: int) -> None:
        """Count an attempt whose answer is not known."""
        self.reserved[attempt] = Reserved(at_us, amount_of(payment), payment.initiator)

    def release(self, attempt: str | None) -> int | None:
        """Its answer is known; since when it was reserved, or None if it was not."""
        reserved = self.reserved.pop(attempt, None) if attempt is not None else None
        return reserved.since_us if reserved is not None else None

    def refuse(self, payment: Payment, *, at_us: int) -> None:
        """Count an attempt that was not approved."""
        amount, kept = amount_of(payment), _kept(payment.card.network)
        shared: dict[int, tuple[int, ...]] = {}  # Most cards have one amount: all ways of counting then hold one tuple.
        for way in ways(payment.card.network):
            before = self.refused.get(name := way.name(amount, payment.initiator), ())
            self.refused[name] = shared.setdefault(id(before), (*before[1 - kept :], at_us) if len(before) == kept else (*before, at_us))

    def approve(self, payment: Payment, *, sent_us: int) -> None:
        """Start anew what an approval resets: refusals that were known when it was sent. Those that came meanwhile may be newer."""
        amount = amount_of(payment)
        for way in ways(payment.card.network):
            if way.resets and (instants := self.refused.get(name := way.name(amount, payment.initiator))):
                self.refused[name] = instants[bisect_right(instants, sent_us) :]

    def left(self, payment: Payment, *, countries: Countries, at_us: int, reading: Reading) -> Left:
        """What the limits that hold leave; the one that leaves least."""

        def left_of(bound: _Bound, way: Way | None) -> Left:
            return self._left(payment, bound, way, at_us=at_us)

        return _least_of(left_of, network=payment.card.network, countries=countries, at_us=at_us, reading=reading)

    def forget(self, until_us: int) -> None:
        """Drop reservations that no window reaches any more."""
        while self.reserved and self.reserved[first := next(iter(self.reserved))].since_us <= until_us:
            del self.reserved[first]

    def since(self, oldest_us: int) -> Windows:
        """What still matters after `oldest_us`, the same whether or not it was tidied before."""
        cut = {name: instants[bisect_right(instants, oldest_us) :] for name, instants in sorted(self.refused.items())}
        reserved = {attempt: one for attempt, one in self.reserved.items() if one.since_us > oldest_us}
        return Windows({name: instants for name, instants in cut.items() if instants}, reserved)

    def _left(self, payment: Payment, bound: _Bound, way: Way | None, *, at_us: int) -> Left:
        if way is None:
            return Left(None, None, None)
        since_us, amount = at_us - bound.window_us, amount_of(payment)
        instants = self.refused.get(way.name(amount, payment.initiator), ())
        counted: Sequence[int] = instants[bisect_right(instants, since_us) :]
        waiting = [
            one.since_us
            for one in self.reserved.values()
            if one.since_us > since_us
            and (not way.amount or one.amount == amount)
            and (not way.initiator or one.initiator == payment.initiator)
        ]
        if waiting:
            counted = sorted((*counted, *waiting))
        if not counted:
            return Left(bound.limit.attempts_max, None, bound.limit.rule)
        over = max(0, len(counted) - bound.limit.attempts_max)
        return Left(max(0, bound.limit.attempts_max - len(counted)), counted[over] + bound.window_us, bound.limit.rule)


class _Bound(NamedTuple):
    """A limit, ready to be asked; a way that is None sets no limit."""

    limit: RetryLimit
    window_us: int
    from_us: int
    until_us: int
    ways: tuple[Way | None, ...]


def left_of_none(network: str, *, countries: Countries, at_us: int, reading: Reading) -> Left:
    """What the limits that hold leave where nothing was counted yet."""
    return _left_of_none(network, countries, at_us // DAY_US, reading)


@lru_cache(maxsize=10_000)
def _left_of_none(network: str, countries: Countries, day: int, reading: Reading) -> Left:
    """Limits come and go by the day, UTC."""

    def left_of(bound: _Bound, way: Way | None) -> Left:
        return Left(None, None, None) if way is None else Left(bound.limit.attempts_max, None, bound.limit.rule)

    return _least_of(left_of, network=network, countries=countries, at_us=day * DAY_US, reading=reading)


def amount_of(payment: Payment) -> str:
    """The amount as it tells attempts apart."""
    return f"{payment.amount_minor}{payment.currency}"


@cache
def ways(network: str) -> tuple[Way, ...]:
    """Every way of counting that a limit of the network asks for."""
    return tuple(dict.fromkeys(way for bound in _bounds(network) for way in bound.ways if way is not None))


@cache
def _bounds(network: str) -> tuple[_Bound, ...]:
    return tuple(
        _Bound(
            limit,
            limit.window_s * 1_000_000,
            day_us(limit.effective_from, otherwise=-ENDLESS_US),
            day_us(limit.effective_until, otherwise=ENDLESS_US),
            tuple(
                None if words == "none" else Way("+amount" in words, "+initiator" in words, limit.approval_resets)
                for words in limit.readings.split()
            ),
        )
        for limit in retry_limits().get(network, ())
    )


@cache
def _kept(network: str) -> int:
    return max((bound.limit.attempts_max for bound in _bounds(network)), default=0)


def _least_of(left_of: Callable[[_Bound, Way | None], Left], *, network: str, countries: Countries, at_us: int, reading: Reading) -> Left:
    """Of the limits that hold, what the one leaves that leaves least."""
    least = Left(None, None, None)
    for bound in _bounds(network):
        if bound.from_us <= at_us < bound.until_us and holds_in(bound.limit.region, countries):
            left = (min if reading == "strict" else max)([left_of(bound, way) for way in bound.ways], key=_least)
            if _least(left) < _least(least):
                least = left
    return least


def _least(left: Left) -> float:
    return float("inf") if left.attempts is None else left.attempts

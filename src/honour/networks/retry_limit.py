"""What the networks still allow for a card at a merchant: a fold of every answer, whoever chose the attempt.

Counted per network, merchant and card reference, in exact rolling windows by arrival. Attempts that failed before the issuer
count too, and so does the first attempt: the strict reading wherever documents differ.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from honour.networks.rules import NeverRetry, RetryLimit, rules
from honour.records.attempt import Status
from honour.records.payment import Payment

REMEMBERED_S = 30 * 86_400
"""No window of a network is longer, and an answer "never" holds for as long."""

Key = tuple[str, str, str]


class Allowed(NamedTuple):
    """What is left for one card at one merchant, the attempt now asked about included.

    attempts_left   None when the network sets no limit
    window_ends_us  instant at which the oldest counted attempt leaves the window that binds; None while nothing is counted
    rule            the rule that binds, or None
    never           the answer that forbids any further attempt, or None
    """

    attempts_left: int | None
    window_ends_us: int | None
    rule: str | None
    never: NeverRetry | None

    @property
    def blocked(self) -> bool:
        """No attempt may be sent."""
        return self.never is not None or self.attempts_left == 0


class _Card(msgspec.Struct):
    refused_us: list[int] = []
    approved_us: int = 0
    never: tuple[str, str, str] | None = None
    never_us: int = 0


class RetryCounter:
    """Counts of refused attempts; the same answers in the same sequence give the same counter, and the same bytes."""

    def __init__(self) -> None:
        self._cards: dict[Key, _Card] = {}
        self._last_us = 0

    def update(
        self, payment: Payment, *, status: Status, response_code: str | None, merchant_advice_code: str | None, arrived_us: int
    ) -> None:
        """Fold the final answer of one attempt."""
        self._last_us = max(arrived_us, self._last_us)
        if status == "approved":
            if (known := self._cards.get(_key(payment))) is not None:
                known.approved_us = arrived_us
            return
        card = self._cards.setdefault(_key(payment), _Card())
        card.refused_us = [at for at in card.refused_us if at > arrived_us - REMEMBERED_S * 1_000_000]
        card.refused_us.append(arrived_us)
        never = _never(payment, response_code=response_code, merchant_advice_code=merchant_advice_code)
        if never is not None:
            card.never, card.never_us = (never.network, never.signal, never.code), arrived_us

    def allowed(self, payment: Payment, *, at_us: int) -> Allowed:
        """What the network's rules leave for this card at this merchant."""
        card = self._cards.get(_key(payment), _Card())
        if card.never is not None and card.never_us > at_us - REMEMBERED_S * 1_000_000:
            network, signal, code = card.never
            never = rules().never[network, signal, code]  # type: ignore[index]  # the key was read from the table
            return Allowed(0, card.never_us + REMEMBERED_S * 1_000_000, never.rule, never)
        bound = Allowed(None, None, None, None)
        for limit in rules().limits.get(payment.card.network, ()):
            if not limit.region or limit.region in (payment.card.issuer_country, payment.merchant_country):
                left, ends_us = _left(card, limit, at_us=at_us)
                if bound.attempts_left is None or left < bound.attempts_left:
                    bound = Allowed(left, ends_us, limit.rule, None)
        return bound

    def to_bytes(self) -> bytes:
        """The counter as MessagePack, without what is too old to matter; that is forgotten in memory as well."""
        oldest_us = self._last_us - REMEMBERED_S * 1_000_000
        self._cards = {key: card for key, card in sorted(self._cards.items()) if card.refused_us[-1] > oldest_us}
        return msgspec.msgpack.encode((self._last_us, [(key, *_kept(card, oldest_us)) for key, card in self._cards.items()]))

    @classmethod
    def from_bytes(cls, data: bytes) -> RetryCounter:
        """The counter that `to_bytes` wrote."""
        counter = cls()
        counter._last_us, kept = msgspec.msgpack.decode(data)
        for key, refused_us, approved_us, never, never_us in kept:
            counter._cards[tuple(key)] = _Card(refused_us, approved_us, tuple(never) if never else None, never_us)
        return counter


def _key(payment: Payment) -> Key:
    return (payment.card.network, payment.merchant_id, payment.card.card_id)


def _kept(card: _Card, oldest_us: int) -> tuple[list[int], int, tuple[str, str, str] | None, int]:
    """What of a card still matters, the same whether or not older answers were forgotten before."""
    refused_us = [at for at in card.refused_us if at > oldest_us]
    approved_us = card.approved_us if card.approved_us >= refused_us[0] else 0
    return (refused_us, approved_us, card.never, card.never_us) if card.never_us > oldest_us else (refused_us, approved_us, None, 0)


def _left(card: _Card, limit: RetryLimit, *, at_us: int) -> tuple[int, int | None]:
    since_us = at_us - limit.window_s * 1_000_000
    counted = [at for at in card.refused_us if at > since_us and not (limit.approval_resets and at <= card.approved_us)]
    ends_us = counted[0] + limit.window_s * 1_000_000 if counted else None
    return max(0, limit.attempts_max - len(counted)), ends_us


def _never(payment: Payment, *, response_code: str | None, merchant_advice_code: str | None) -> NeverRetry | None:
    for signal, code in (("merchant_advice_code", merchant_advice_code), ("response_code", response_code)):
        row = rules().never.get((payment.card.network, signal, code or ""))  # type: ignore[arg-type]  # signals of the table
        if row is not None and (not row.region or row.region in (payment.card.issuer_country, payment.merchant_country)):
            return row
    return None

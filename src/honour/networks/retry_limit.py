"""What the networks still allow for a card at a merchant: a fold of every answer, whoever chose the attempt.

Counted per network, merchant and card reference, in exact rolling windows by arrival. Attempts that failed before the issuer
count too, and so does the first attempt: the strict reading wherever documents differ.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from honour.networks.rules import NeverRetry, RetryLimit, RetryPause, Signal, rules
from honour.records.attempt import Status
from honour.records.payment import Payment
from honour.records.route import Candidate

REMEMBERED_US = 30 * 86_400_000_000
"""No window of a network is longer, and an answer "never" holds for as long."""
REPEAT_AFTER_US = 86_400_000_000
"""The same candidate of the same payment is not sent again within a day of its decline: nothing has changed."""

Key = tuple[str, str, str]
RuleKey = tuple[str, Signal, str]


class Allowed(NamedTuple):
    """What is left for one card at one merchant, the attempt now asked about included.

    attempts_left   None when the network sets no limit
    window_ends_us  instant at which the oldest counted attempt leaves the window that binds; None while nothing is counted
    rule            the rule that binds, or None
    never           the answer that forbids any further attempt, or None
    not_before_us   instant before which this payment must not be attempted, because of `pause`; None when it may
    declined        candidates of this payment that were declined within the last day
    """

    attempts_left: int | None = None
    window_ends_us: int | None = None
    rule: str | None = None
    never: NeverRetry | None = None
    not_before_us: int | None = None
    pause: RetryPause | None = None
    declined: frozenset[Candidate] = frozenset()

    @property
    def blocked(self) -> bool:
        """No attempt may be sent."""
        return self.never is not None or self.attempts_left == 0


class _Refused(msgspec.Struct, frozen=True, array_like=True):
    """One answer other than an approval; `reached` the issuer or not."""

    arrived_us: int
    payment_id: str
    candidate: Candidate
    reached: bool
    never: RuleKey | None
    pause: RuleKey | None


class _Card(msgspec.Struct, array_like=True):
    refused: list[_Refused] = []
    approved_us: int = 0


class RetryCounter:
    """Refused attempts of a month; the same answers in the same sequence give the same counter, and the same bytes."""

    def __init__(self) -> None:
        self._cards: dict[Key, _Card] = {}
        self._last_us = 0

    def update(
        self,
        payment: Payment,
        *,
        candidate: Candidate,
        status: Status,
        response_code: str | None,
        merchant_advice_code: str | None,
        arrived_us: int,
    ) -> None:
        """Fold the final answer of one attempt."""
        self._last_us = max(arrived_us, self._last_us)
        if status == "approved":
            if (known := self._cards.get(_key(payment))) is not None:
                known.approved_us = arrived_us
            return
        never = _never(payment, response_code=response_code, merchant_advice_code=merchant_advice_code)
        pause = _pause(payment, response_code=response_code, merchant_advice_code=merchant_advice_code)
        card = self._cards.setdefault(_key(payment), _Card())
        card.refused = [one for one in card.refused if one.arrived_us > arrived_us - REMEMBERED_US]
        card.refused.append(_Refused(arrived_us, payment.payment_id, candidate, status != "failed", never, pause))

    def allowed(self, payment: Payment, *, at_us: int) -> Allowed:
        """What the network's rules leave for this card at this merchant, and for this payment."""
        card = self._cards.get(_key(payment), _Card())
        recent = [one for one in card.refused if one.arrived_us > at_us - REMEMBERED_US]
        for one in recent:
            if one.never is not None:
                never = rules().never[one.never]
                if never.scope == "card" or one.payment_id == payment.payment_id:
                    return Allowed(0, one.arrived_us + REMEMBERED_US, never.rule, never)
        bound = _bound(payment, card, at_us=at_us)
        mine = [one for one in recent if one.payment_id == payment.payment_id]
        declined = frozenset(one.candidate for one in mine if one.reached and one.arrived_us > at_us - REPEAT_AFTER_US)
        pauses = [(one.arrived_us + rules().pauses[one.pause].pause_s * 1_000_000, one.pause) for one in mine if one.pause is not None]
        until_us, pause = max(pauses, default=(0, None))
        if pause is not None and until_us > at_us:
            bound = bound._replace(not_before_us=until_us, pause=rules().pauses[pause])
        return bound._replace(declined=declined)

    def to_bytes(self) -> bytes:
        """The counter as MessagePack, without what is too old to matter; that is forgotten in memory as well."""
        oldest_us = self._last_us - REMEMBERED_US
        self._cards = {key: card for key, card in sorted(self._cards.items()) if card.refused[-1].arrived_us > oldest_us}
        return msgspec.msgpack.encode((self._last_us, [(key, _kept(card, oldest_us)) for key, card in self._cards.items()]))

    @classmethod
    def from_bytes(cls, data: bytes) -> RetryCounter:
        """The counter that `to_bytes` wrote."""
        counter = cls()
        counter._last_us, kept = msgspec.msgpack.decode(data, type=tuple[int, list[tuple[Key, _Card]]])
        counter._cards = dict(kept)
        return counter


def _key(payment: Payment) -> Key:
    return (payment.card.network, payment.merchant_id, payment.card.card_id)


def _kept(card: _Card, oldest_us: int) -> _Card:
    """What of a card still matters, the same whether or not older answers were forgotten before."""
    refused = [one for one in card.refused if one.arrived_us > oldest_us]
    return _Card(refused, card.approved_us if card.approved_us >= refused[0].arrived_us else 0)


def _bound(payment: Payment, card: _Card, *, at_us: int) -> Allowed:
    """The limit that leaves fewest attempts."""
    bound = Allowed()
    for limit in rules().limits.get(payment.card.network, ()):
        if not limit.region or limit.region in (payment.card.issuer_country, payment.merchant_country):
            left, ends_us = _left(card, limit, at_us=at_us)
            if bound.attempts_left is None or left < bound.attempts_left:
                bound = Allowed(left, ends_us, limit.rule)
    return bound


def _left(card: _Card, limit: RetryLimit, *, at_us: int) -> tuple[int, int | None]:
    since_us = at_us - limit.window_s * 1_000_000
    counted = [
        one.arrived_us
        for one in card.refused
        if one.arrived_us > since_us and not (limit.approval_resets and one.arrived_us <= card.approved_us)
    ]
    ends_us = counted[0] + limit.window_s * 1_000_000 if counted else None
    return max(0, limit.attempts_max - len(counted)), ends_us


def _never(payment: Payment, *, response_code: str | None, merchant_advice_code: str | None) -> RuleKey | None:
    for key in _keys(payment.card.network, response_code=response_code, merchant_advice_code=merchant_advice_code):
        row = rules().never.get(key)
        if row is not None and (not row.region or row.region in (payment.card.issuer_country, payment.merchant_country)):
            return key
    return None


def _pause(payment: Payment, *, response_code: str | None, merchant_advice_code: str | None) -> RuleKey | None:
    for network in (payment.card.network, ""):
        for key in _keys(network, response_code=response_code, merchant_advice_code=merchant_advice_code):
            if key in rules().pauses:
                return key
    return None


def _keys(network: str, *, response_code: str | None, merchant_advice_code: str | None) -> tuple[RuleKey, ...]:
    """The advice first: it is the network's own word on trying again."""
    return ((network, "merchant_advice_code", merchant_advice_code or ""), (network, "response_code", response_code or ""))

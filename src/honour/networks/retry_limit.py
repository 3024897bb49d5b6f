"""What the networks still allow for a card at a merchant: a fold of every attempt and answer, whoever chose the attempt.

Counted per network, merchant and card reference, in exact rolling windows by arrival. An attempt counts from the moment it is
decided: attempts without an answer, and those whose answer is unknown, take their place in every limit until their outcome says
that they were approved or never sent (`abandoned`). Attempts that failed before the issuer count, and so does the first attempt:
the strict reading wherever documents differ.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import msgspec

from honour.networks.codes import CodeRow, Read, read_answer, rows_by_key
from honour.networks.region import countries_of
from honour.networks.table import Reading
from honour.networks.window import Windows, left_of_none, ways
from honour.records.attempt import Status
from honour.records.payment import Payment
from honour.records.route import Candidate, CredentialForm

REMEMBERED_US = 31 * 86_400_000_000
"""No window of a network is longer (a calendar month, in its strict reading)."""
NEVER_US = 30 * 86_400_000_000
"""An answer "never" holds this long: networks charge for another attempt within 30 days."""
REPEAT_AFTER_US = 86_400_000_000
"""The same candidate of the same payment is not sent again within a day of its decline: nothing has changed."""
UNKNOWN_CODES_MAX = 256
"""Codes that no table knows are counted one by one up to this many; the rest together, as `other`."""

_FORGET_AT_MOST = 2  # Cards and payments looked at for age per event: more than one, so that forgetting keeps up with adding.

Key = tuple[str, str, str]


class Allowed(NamedTuple):
    """What is left for one card at one merchant, the attempt now asked about included.

    attempts_left   None when the network sets no limit
    window_ends_us  instant from which one more is left than now; None while nothing is counted
    rule            the rule that binds, or None
    never           the answer that forbids any further attempt, or None
    not_before_us   instant before which this payment must not be attempted, because of `pause`; None when it may
    declined        candidates of this payment that were declined within the last day
    stale           credential forms whose data an answer said are old, until when, and that answer
    never_but       forms that `never` leaves open
    """

    attempts_left: int | None = None
    window_ends_us: int | None = None
    rule: str | None = None
    never: CodeRow | None = None
    not_before_us: int | None = None
    pause: CodeRow | None = None
    declined: frozenset[Candidate] = frozenset()
    stale: Mapping[CredentialForm, tuple[int, CodeRow]] = MappingProxyType({})
    never_but: frozenset[CredentialForm] = frozenset()

    @property
    def blocked(self) -> bool:
        """No attempt may be sent, in whatever form."""
        return self.attempts_left == 0 or (self.never is not None and not self.never_but)

    def forbids(self, credential: CredentialForm) -> bool:
        """No attempt may be sent with this credential."""
        return self.attempts_left == 0 or (self.never is not None and credential not in self.never_but)


class _Payment(msgspec.Struct, array_like=True):
    """One payment: when rules last spoke of it, when each candidate was last declined, and when of which form's data as old."""

    last_us: int
    said: dict[str, int] = {}
    declined: tuple[tuple[Candidate, int], ...] = ()
    stale: dict[CredentialForm, dict[str, int]] = {}


class _Card(msgspec.Struct, array_like=True):
    """One card at one merchant; payments with the one answered longest ago first."""

    last_us: int
    windows: Windows
    said: dict[str, int] = {}
    payments: dict[str, _Payment] = {}
    said_updated: dict[str, int] = {}  # What was said of the number that the account updater gave.


class RetryCounter:
    """Refused and awaited attempts of a month; the same events in the same sequence give the same counter, and the same bytes.

    unknown  answers whose code no table knows, by network, signal and code
    """

    def __init__(self) -> None:
        self.unknown: dict[tuple[str, str, str], int] = {}
        self._cards: OrderedDict[Key, _Card] = OrderedDict()  # The one touched longest ago first.
        self._last_us = 0

    def reserve(self, payment: Payment, *, attempt: str, arrived_us: int) -> None:
        """Count an attempt that may be sent from now on, until `update` names it with its answer."""
        if ways(payment.card.network):
            self._touched(payment, arrived_us).windows.reserve(payment, attempt=attempt, at_us=arrived_us)

    def update(
        self,
        payment: Payment,
        *,
        candidate: Candidate,
        status: Status,
        response_code: str | None,
        merchant_advice_code: str | None,
        arrived_us: int,
        attempt: str | None = None,
        sent_us: int | None = None,
    ) -> None:
        """Fold the final answer of one attempt.

        attempt  names it if it was reserved
        sent_us  when it was sent; None takes the instant of its reservation, else that of its answer
        """
        if status == "approved" and _key(payment) not in self._cards:
            self._last_us = max(arrived_us, self._last_us)
            return
        card = self._touched(payment, arrived_us)
        reserved_us = card.windows.release(attempt)
        if status == "approved":
            known_us = reserved_us if sent_us is None else sent_us
            card.windows.approve(payment, sent_us=arrived_us if known_us is None else known_us)
            return
        if status != "abandoned":
            card.windows.refuse(payment, at_us=arrived_us)
        answer = read_answer(
            payment.card.network,
            countries=countries_of(payment),
            response_code=response_code,
            merchant_advice_code=merchant_advice_code,
        )
        self._count_unknown(payment, answer, response_code=response_code, merchant_advice_code=merchant_advice_code)
        mine = card.payments.pop(payment.payment_id, None) or _Payment(arrived_us)
        card.payments[payment.payment_id] = mine
        mine.last_us = arrived_us
        for row in (*answer.advice, *answer.code):
            if row.is_stale_data:
                if row.wait_s or payment.initiator == "merchant":  # A shopper who is there may type other data.
                    _now_stale(mine, credential=candidate.credential, row=row, at_us=arrived_us)
            elif row.retryability == "never" or row.wait_s:
                if row.scope == "card" and candidate.credential == "updated_pan":
                    card.said_updated[row.key] = arrived_us
                (card.said if row.scope == "card" else mine.said)[row.key] = arrived_us
        if status != "failed":
            declined = (one for one in mine.declined if one[0] != candidate and one[1] > arrived_us - REPEAT_AFTER_US)
            mine.declined = (*declined, (candidate, arrived_us))

    def allowed(self, payment: Payment, *, at_us: int, reading: Reading = "strict") -> Allowed:
        """What the network's rules leave for this card at this merchant, and for this payment.

        reading  which of two documents decides where they contradict each other
        """
        card = self._cards.get(_key(payment))
        if card is None:
            none = left_of_none(payment.card.network, countries=countries_of(payment), at_us=at_us, reading=reading)
            return Allowed(none.attempts, none.more_at_us, none.rule)
        mine = card.payments.get(payment.payment_id) or _Payment(0)
        never_us, never = _newest_never({**mine.said, **card.said}, at_us=at_us, reading=reading)
        updated_us, of_updated = _newest_never({**mine.said, **card.said_updated}, at_us=at_us, reading=reading)
        if never is not None and (of_updated is not None or not never.spares_update(reading)):
            return Allowed(0, (never_us if of_updated is None else updated_us) + NEVER_US, (of_updated or never).rule, of_updated or never)
        left = card.windows.left(payment, countries=countries_of(payment), at_us=at_us, reading=reading)
        until_us, pause = _longest_pause(mine.said, reading=reading)
        return Allowed(
            left.attempts,
            left.more_at_us,
            left.rule,
            not_before_us=until_us if pause is not None and until_us > at_us else None,
            pause=pause if until_us > at_us else None,
            declined=frozenset(candidate for candidate, declined_us in mine.declined if declined_us > at_us - REPEAT_AFTER_US),
            stale=_stale(mine, at_us=at_us, reading=reading),
            never=never,
            never_but=frozenset() if never is None else frozenset(("updated_pan",)),
        )

    def to_bytes(self) -> bytes:
        """The counter as MessagePack, without what is too old to matter."""
        oldest_us = self._last_us - REMEMBERED_US
        kept = [(key, _since(card, self._last_us)) for key, card in self._cards.items() if card.last_us > oldest_us]
        unknown = [(*key, n) for key, n in sorted(self.unknown.items())]
        return msgspec.msgpack.encode((self._last_us, [one for one in kept if not _is_empty(one[1])], unknown))

    @classmethod
    def from_bytes(cls, data: bytes) -> RetryCounter:
        """The counter that `to_bytes` wrote."""
        counter = cls()
        kind = tuple[int, list[tuple[Key, _Card]], list[tuple[str, str, str, int]]]
        counter._last_us, kept, unknown = msgspec.msgpack.decode(data, type=kind)
        counter._cards = OrderedDict(kept)
        counter.unknown = {(network, signal, code): n for network, signal, code, n in unknown}
        return counter

    def _touched(self, payment: Payment, arrived_us: int) -> _Card:
        """The card, moved to the end of those that were touched; what is too old is forgotten on the way."""
        self._last_us = max(arrived_us, self._last_us)
        oldest_us, key = self._last_us - REMEMBERED_US, _key(payment)
        for _ in range(_FORGET_AT_MOST):
            if not self._cards or self._cards[first := next(iter(self._cards))].last_us > oldest_us:
                break
            del self._cards[first]
        card = self._cards.get(key)
        if card is None:
            card = self._cards[key] = _Card(arrived_us, Windows())
            return card
        self._cards.move_to_end(key)
        card.last_us = arrived_us
        card.windows.forget(oldest_us)
        for _ in range(_FORGET_AT_MOST):
            if not card.payments or card.payments[oldest := next(iter(card.payments))].last_us > oldest_us:
                break
            del card.payments[oldest]
        return card

    def _count_unknown(self, payment: Payment, answer: Read, *, response_code: str | None, merchant_advice_code: str | None) -> None:
        network = payment.card.network
        unread = [("response_code", response_code)] if response_code and not answer.code else []
        if network == "mastercard" and merchant_advice_code and not answer.advice:
            unread.append(("merchant_advice_code", merchant_advice_code))
        for signal, code in unread:
            key = (network, signal, code)
            if key not in self.unknown and len(self.unknown) >= UNKNOWN_CODES_MAX:
                key = ("other", signal, "other")
            self.unknown[key] = self.unknown.get(key, 0) + 1


def _key(payment: Payment) -> Key:
    return (payment.card.network, payment.merchant_id, payment.card.card_id)


def _newest_never(said: dict[str, int], *, at_us: int, reading: Reading) -> tuple[int, CodeRow | None]:
    """The newest never that holds; one that leaves something open only where there is no other."""
    rows = [(said_us, key, rows_by_key()[key]) for key, said_us in said.items() if said_us > at_us - NEVER_US]
    found = [(not row.spares_update(reading), said_us, key) for said_us, key, row in rows if row.says(reading).kind == "never"]
    _, never_us, key = max(found, default=(True, 0, ""))
    return never_us, rows_by_key().get(key)


def _now_stale(mine: _Payment, *, credential: CredentialForm, row: CodeRow, at_us: int) -> None:
    """The data of this form are old; those of the number on file are no newer than those of a token or of the updater."""
    for form in dict.fromkeys((credential, "pan")):
        mine.stale.setdefault(form, {})[row.key] = at_us


def _stale(mine: _Payment, *, at_us: int, reading: Reading) -> dict[CredentialForm, tuple[int, CodeRow]]:
    """Forms that may not be sent for now, until when, and why. Advice that there are new data holds as long as a never."""
    found: dict[CredentialForm, tuple[int, CodeRow]] = {}
    for form, said in mine.stale.items():
        rows = [(rows_by_key()[key], said_us) for key, said_us in said.items()]
        ends = [
            (said_us + (NEVER_US if row.signal == "merchant_advice_code" else row.says(reading).wait_s * 1_000_000), row)
            for row, said_us in rows
        ]
        until_us, row = max(ends, key=lambda end: end[0])
        if until_us > at_us:
            found[form] = (until_us, row)
    return found


def _longest_pause(said: dict[str, int], *, reading: Reading) -> tuple[int, CodeRow | None]:
    waits = [(at_us, rows_by_key()[key].says(reading).wait_s, key) for key, at_us in said.items()]
    until_us, key = max(((at_us + wait_s * 1_000_000, key) for at_us, wait_s, key in waits if wait_s), default=(0, ""))
    return until_us, rows_by_key().get(key)


def _since(card: _Card, now_us: int) -> _Card:
    """What of a card still matters, the same whether or not older answers were forgotten before."""
    oldest_us = now_us - REMEMBERED_US
    payments = {name: _payment_since(one, now_us) for name, one in card.payments.items() if one.last_us > oldest_us}
    said = {key: at_us for key, at_us in sorted(card.said.items()) if at_us > oldest_us}
    updated = {key: at_us for key, at_us in sorted(card.said_updated.items()) if at_us > oldest_us}
    return _Card(card.last_us, card.windows.since(oldest_us), said, payments, updated)


def _payment_since(payment: _Payment, now_us: int) -> _Payment:
    said = {key: at_us for key, at_us in sorted(payment.said.items()) if at_us > now_us - REMEMBERED_US}
    stale = {
        form: kept
        for form, of_form in sorted(payment.stale.items())
        if (kept := {key: at_us for key, at_us in sorted(of_form.items()) if at_us > now_us - REMEMBERED_US})
    }
    return _Payment(payment.last_us, said, tuple(one for one in payment.declined if one[1] > now_us - REPEAT_AFTER_US), stale)


def _is_empty(card: _Card) -> bool:
    return not (card.windows.refused or card.windows.reserved or card.said or card.payments)

"""Audit: what networks would say of the attempts that a policy makes, and charge for them. Judges only; tells no policy anything.

The clear core of the rules (networks.md sections 1 to 3), held against every policy alike. A reading of its own on purpose: what
is judged must not be its own judge.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from honour.records.payment import Network, Payment

DAY_US = 86_400_000_000
MONTH_US = 30 * DAY_US

DEAD_CARD: dict[Network, frozenset[str]] = {
    "visa": frozenset(("04", "07", "14", "15", "41", "43", "46", "R1", "R3")),
    "elo": frozenset(("14", "41", "43", "54", "56")),
}
"""Response codes after which the card is dead at this merchant for 30 days."""
FORBIDDEN_AGAIN: dict[Network, frozenset[str]] = {
    "visa": DEAD_CARD["visa"] | {"12", "57", "R0"},
    "elo": DEAD_CARD["elo"] | {"12", "13", "19", "23", "30", "57", "58", "63", "64", "76", "77", "82", "83"},
}
"""Response codes after which this payment may not be attempted again: Visa category 1, Elo's irreversible list."""
DEAD_ADVICE, FORBIDDEN_ADVICE = frozenset(("03",)), frozenset(("03", "21"))
"""The same for Mastercard's merchant advice codes."""


FORBIDDEN, DEAD = "payment forbidden", "card dead"
"""Names of the rules that an answer sets; a limit names itself."""


class Limit(NamedTuple):
    """So many declines of one card at one merchant within a window; one more attempt breaks the rule."""

    declines_max: int
    window_us: int

    @property
    def name(self) -> str:
        """As people say it.

        >>> Limit(20, MONTH_US).name
        '20 in 30 days'
        """
        days = self.window_us // DAY_US
        return f"{self.declines_max} in {f'{days} days' if days > 1 else 'a day'}"


def limits_of(network: Network, *, country: str | None) -> tuple[Limit, ...]:
    """What a network allows for cards and merchants in a country."""
    if network == "visa":
        return (Limit(20, MONTH_US),)
    if network == "mastercard":
        return (Limit(7 if country == "BR" else 10, DAY_US), Limit(35, MONTH_US))
    return (Limit(15, MONTH_US),) if network == "elo" else ()


def penalty_cents(network: Network, *, country: str | None, abroad: bool) -> float:
    """What a network charges for an attempt that breaks a rule, US cents (networks.md 1.3, 2.4, 3.2)."""
    if network == "visa":
        return 25.0 if abroad else 10.0
    if network == "mastercard":
        return 36.0 if country == "BR" else 50.0
    return 14.0 if network == "elo" else 0.0


class Audit:
    """Follows every attempt of a play."""

    def __init__(self) -> None:
        self._dead: dict[tuple[str, str], int] = {}
        self._forbidden: set[str] = set()
        self._declined: dict[tuple[str, str], deque[int]] = {}

    def broken_rule(self, payment: Payment, *, at_us: int) -> str | None:
        """The rule that an attempt of `payment` sent now breaks, network first; None when it breaks none."""
        network, key = payment.card.network, (payment.card.card_id, payment.merchant_id)
        if payment.payment_id in self._forbidden:
            return f"{network}: {FORBIDDEN}"
        if self._dead.get(key, -MONTH_US) > at_us - MONTH_US:
            return f"{network}: {DEAD}"
        declined = self._declined.get(key, ())
        for limit in limits_of(network, country=payment.card.issuer_country):
            if sum(at > at_us - limit.window_us for at in declined) >= limit.declines_max:
                return f"{network}: {limit.name}"
        return None

    def settle(self, payment: Payment, *, status: str, response_code: str | None, advice: str | None, at_us: int) -> None:
        """Take in what came back."""
        key = (payment.card.card_id, payment.merchant_id)
        if status == "approved":
            if payment.card.network == "visa":
                self._declined.pop(key, None)
            return
        if status != "declined":
            return
        declined = self._declined.setdefault(key, deque())
        declined.append(at_us)
        while declined[0] <= at_us - MONTH_US:
            declined.popleft()
        if is_forbidden(payment, response_code=response_code, advice=advice):
            self._forbidden.add(payment.payment_id)
        if is_dead(payment, response_code=response_code, advice=advice):
            self._dead[key] = at_us


def is_forbidden(payment: Payment, *, response_code: str | None, advice: str | None) -> bool:
    """Whether the network forbids another attempt of this payment after this answer."""
    network = payment.card.network
    return response_code in FORBIDDEN_AGAIN.get(network, ()) or (network == "mastercard" and advice in FORBIDDEN_ADVICE)


def is_dead(payment: Payment, *, response_code: str | None, advice: str | None) -> bool:
    """Whether the network forbids this card at this merchant for a month after this answer."""
    network = payment.card.network
    return response_code in DEAD_CARD.get(network, ()) or (network == "mastercard" and advice in DEAD_ADVICE)

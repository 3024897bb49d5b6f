"""What came of refusals, held against what the retry model said of them: follow-ups that do not come, or come to more, are noticed.

The retry model learned from attempts of the past: of another checkout, other answers, another policy. Where answers come too late for a
shopper to try again, or a checkout does not ask again, it promises recoveries that will not be, and attempts are chosen that count on
them. So its log-odds are corrected as the fast layer corrects the approval model's: by a drift of all refusals and one of each form of
authentication, each normal with an Ornstein-Uhlenbeck memory, updated from outcome minus prediction once it is known whether the payment
was approved within an hour. For payments with a shopper at hand; the merchant's own have a plan. A fold of the log, bounded.
"""

from __future__ import annotations

import math
from collections import OrderedDict

from honour.records.attempt import Status

DAY_US = 86_400_000_000
FOLLOWED_US = 3_600_000_000
"""Time after a refusal within which a shopper tries again, or does not."""
OPEN_MAX = 100_000
"""Decisions without an answer that are remembered."""
SD, MEMORY_DAYS = 0.5, 7.0
"""Standard deviation of each drift before any evidence; days after which two thirds of it are forgotten."""
ALL = "all"
"""Name of the drift that all forms share."""
P_MIN = 0.005

Opened = tuple[str, str, float]
Refused = tuple[int, list[tuple[str, float]]]
Belief = tuple[int, float, float]
Plain = tuple[list[tuple[str, Opened]], list[tuple[str, Refused]], dict[str, Belief]]


class Followed:
    """Refusals whose follow-up is awaited, by payment, and the drifts that earlier ones gave: instant, mean and variance."""

    def __init__(self, told: Plain | None = None) -> None:
        opened, refused, drifts = told or ([], [], {})
        self._open: OrderedDict[str, Opened] = OrderedDict(opened)
        self._refused: OrderedDict[str, Refused] = OrderedDict(refused)
        self._drifts: dict[str, Belief] = drifts

    def decided(self, decision_id: str, payment_id: str, *, form: str, p_recovered: float, at_us: int) -> None:
        """An attempt in this form of authentication was chosen; its refusal was said to leave `p_recovered` open."""
        self._open[decision_id] = payment_id, form, _logit(p_recovered) - self.shift(form, at_us=at_us)
        if len(self._open) > OPEN_MAX:
            self._open.popitem(last=False)

    def answered(self, decision_id: str, *, status: Status, at_us: int) -> None:
        """What came of it; `unknown` is no answer."""
        if status == "unknown" or (opened := self._open.pop(decision_id, None)) is None:
            return
        payment_id, form, said = opened
        while self._refused and next(iter(self._refused.values()))[0] < at_us - FOLLOWED_US:
            self._settle(self._refused.popitem(last=False)[1], recovered=False, at_us=at_us)
        if status == "approved":
            self._settle(self._refused.pop(payment_id, None), recovered=True, at_us=at_us)
        else:
            self._refused.setdefault(payment_id, (at_us, []))[1].append((form, said))

    def shift(self, form: str, *, at_us: int) -> float:
        """What to add to the log-odds of a recovery after a refusal in this form."""
        return self._aged(ALL, at_us)[0] + self._aged(form, at_us)[0]

    def to_plain(self) -> Plain:
        """What MessagePack can write."""
        return list(self._open.items()), list(self._refused.items()), self._drifts

    def _settle(self, refused: Refused | None, *, recovered: bool, at_us: int) -> None:
        """Fold what came of the refusals of a payment, one after the other."""
        for form, said in refused[1] if refused is not None else ():
            drifts = {name: self._aged(name, at_us) for name in (ALL, form)}
            p = expit(said + sum(mean for mean, _ in drifts.values()))
            weight, spread = p * (1.0 - p), sum(variance for _, variance in drifts.values())
            for name, (mean, variance) in drifts.items():
                gain = variance / (1.0 + weight * spread)
                self._drifts[name] = at_us, mean + gain * (recovered - p), variance - gain * variance * weight

    def _aged(self, name: str, at_us: int) -> tuple[float, float]:
        """Mean and variance of a drift by now."""
        known = self._drifts.get(name)
        if known is None:
            return 0.0, SD**2
        kept = math.exp(-max(0, at_us - known[0]) / (MEMORY_DAYS * DAY_US))
        return known[1] * kept, SD**2 + (known[2] - SD**2) * kept * kept


def expit(z: float) -> float:
    """Chance of log-odds."""
    return 1.0 / (1.0 + math.exp(-min(30.0, max(-30.0, z))))


def _logit(p: float) -> float:
    p = min(max(p, P_MIN), 1.0 - P_MIN)
    return math.log(p / (1.0 - p))

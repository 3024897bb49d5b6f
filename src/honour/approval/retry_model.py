"""The retry model: what follows a refusal. Two additive logistic models over named terms, small enough to read.

    recovery  P(a later attempt of this payment is approved | this attempt is not), asked before the attempt is sent: what a refusal in
              this form would leave open. A demand for authentication can be answered; a shopper who left a challenge is gone.
    retry     P(approved | a payment of the merchant's was refused before, delay, instant, last answer): the discrete-time hazard of one
              that is still open. Its rows are attempts, so that payments given up early leave no trace in it (they are censored, not
              refused).

Terms are strings; a term that learning has not seen weighs nothing.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from datetime import timedelta
from functools import cached_property
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from honour.features.calendar import EPOCH_DAY, days_since_payday, is_holiday
from honour.features.local_time import offset_us
from honour.networks.exemption import sca_scope
from honour.records.payment import Payment
from honour.records.route import Candidate, CredentialForm

HOUR_US, DAY_US = 3_600_000_000, 86_400_000_000
KINDS_MAX = 10_000
"""Kinds of payments whose answers are remembered."""
NUMBER_MAX = 4
"""What a refusal leaves open is alike for attempts from this number on."""
NUMBERS = tuple(range(3, 13))
"""Numbers of an attempt from which it counts as later; the weights of all that are passed add up."""
DELAYS_H = (1, 6, 18, 36, 60, 84, 132, 204)
"""Hours after the last answer from which a delay counts as longer; the weights of all that are passed add up."""
PAID_DAYS = (3, 7)
"""Days since payday at which the part of the month changes: just paid, first week, later."""
MONTHDAYS, MONTHDAY = 3, "monthday="
"""Days of a month that count as one part of it: paydays that no table knows show in what came of these days. How their terms begin."""
HOURS = (6, 12, 18)
"""Local hours at which the part of the day changes."""
RISKS = (0.01, 0.03, 0.06, 0.12, 0.25, 0.45, 0.7)
"""Risk scores at which a payment counts as riskier."""
FUNDS_CODES = frozenset(("51", "61"))
"""Response codes that tell of a lack of funds or a spent limit (ISO 8583 field 39)."""
TECHNICAL_CODES = frozenset(("06", "19", "22", "68", "80", "90", "91", "92", "96"))
"""Response codes that tell of a fault on the way: the issuer has not judged."""
CARD_CODES = frozenset(("14", "15", "33", "46", "54", "56", "76", "77", "79"))
"""Response codes that tell of the card's data or life: expired, closed, replaced, not known."""
RENEWING: tuple[CredentialForm, ...] = ("network_token", "updated_pan")
"""Credential forms that can know newer data of a card than are on file."""
P_RENEWED = 0.3
"""Chance that newer data of a card are approved after an answer about its data, until the log says: the low end of what sellers of account
updaters publish, 30 to 60 % of failures of expired cards."""


_PRIOR_DELAYS = {18: 2.5, 36: 0.4, 60: 0.4, 84: 0.4, 132: 0.3, 204: 0.3}
PRIOR: dict[str, float] = {
    **{f"delay>={hour}h": weight for hour, weight in _PRIOR_DELAYS.items()},
    **{f"delay>={hour}h&{kind}": -weight for hour, weight in _PRIOR_DELAYS.items() for kind in ("card", "technical")},
    **{f"number>={number}": -0.5 for number in NUMBERS},
}
"""What holds of a retry until the log says otherwise, log-odds by term; learning starts from it.

Most logs hold retries after a day or more, and few attempts of each payment: what was never tried must not look as good as what was. A
refusal for lack of funds is approved with 0.15 on the next day and 0.35 after 3 to 5 days, and each further attempt has 0.6 to 0.7 of the
chance of the one before (retry vendors as compiled). On the same day they say 0.08; 2.5 takes it far lower, and the two last steps go on
after day 5, on purpose: they were chosen in simulated worlds (seeds 701 to 703), where plans that trusted short waits more, or saw nothing
in long ones, spent more attempts on fewer recoveries. Time mends neither the data of a card nor a fault on the way more than the log shows.
"""


class Before(NamedTuple):
    """What came of the payment so far.

    number  of the attempt now asked about, from 1
    status  of the last answer, its response code, and the credential form that it came to; None before the first
    """

    number: int = 1
    status: str | None = None
    response_code: str | None = None
    credential: CredentialForm | None = None


class AdditiveLogit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Log-odds as a sum of weights of terms.

    >>> AdditiveLogit(intercept=0.0, weights={"after=51": -1.0}).logit(["after=51", "never seen"])
    -1.0
    """

    intercept: float
    weights: dict[str, float]

    def logit(self, terms: Iterable[str]) -> float:
        """Log-odds of what `terms` describe."""
        weight = self.weights.get
        return self.intercept + math.fsum(weight(term, 0.0) for term in terms)


class RetryModel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, dict=True):
    """What follows a refusal; a part is None when the history held too little of it."""

    recovery: AdditiveLogit | None = None
    retry: AdditiveLogit | None = None

    def p_recovered(self, payment: Payment, candidates: Sequence[Candidate], *, before: Before) -> list[float]:
        """P(a later attempt is approved | this one is not) of each candidate: (n,). Zero when nothing was learned of it.

        Payments that differ in nothing that the terms say share an answer.
        """
        if self.recovery is None:
            return [0.0] * len(candidates)
        kind = (recovery_kind(payment), before)
        if (of_form := self._recovered.get(kind)) is None:
            if len(self._recovered) >= KINDS_MAX:
                self._recovered.clear()
            of_form = self._recovered[kind] = {}
        p = []
        for candidate in candidates:
            form = candidate.authentication
            if form not in of_form:
                weight, shared = self.recovery.weights.get, self.recovery.logit(recovery_terms(payment, before=before))
                logit = shared + math.fsum(weight(term, 0.0) for term in form_terms(payment, form, before=before))
                of_form[form] = 1.0 / (1.0 + math.exp(-logit))
            p.append(of_form[form])
        return p

    @cached_property
    def _recovered(self) -> dict[tuple[object, ...], dict[str, float]]:
        """What was said of kinds of payments, by form of authentication."""
        return {}

    def p_retry(self, payment: Payment, *, before: Before, credential: str, at_us: int, waited_h: float) -> float:
        """P(approved) of one attempt of a payment that was refused `waited_h` hours before: what a plan thinks of that slot."""
        assert self.retry is not None
        logit = self.retry.logit(attempt_terms(payment, before=before, credential=credential, at_us=at_us, waited_h=waited_h))
        return 1.0 / (1.0 + math.exp(-logit))

    def odds_of_slots(self, payment: Payment, *, before: Before, slots_us: Sequence[int]) -> NDArray[np.float64]:
        """Odds of approval at each instant but for the delay: (n,). Multiply by `odds_of_delays`."""
        assert self.retry is not None
        country, funds = payment.card.issuer_country, is_funds(before)
        logit = self.retry.logit((*payment_terms(payment, before=before), *retry_terms(payment, before=before)))
        weight = self.retry.weights.get
        of_hour = [math.exp(weight(hour_term(hour), 0.0)) for hour in range(24)]
        of_day: dict[int, float] = {}
        odds = []
        for at_us in slots_us:
            day, hour = local_place(country, at_us)
            if day not in of_day:
                of_day[day] = math.exp(logit + math.fsum(weight(term, 0.0) for term in day_terms(country, day, funds=funds)))
            odds.append(of_day[day] * of_hour[hour])
        return np.array(odds)

    def odds_of_delays(self, before: Before, *, hours: Sequence[float]) -> NDArray[np.float64]:
        """Factor of the odds for each delay since the last answer, hours: (n,)."""
        assert self.retry is not None
        weight = self.retry.weights.get
        steps = [weight(term, 0.0) + weight(f"{term}{_told(before)}", 0.0) for term in (f"delay>={hour}h" for hour in DELAYS_H)]
        factors: NDArray[np.float64] = np.exp(np.concatenate([[0.0], np.cumsum(steps)]))
        return np.array(factors[[bisect_right(DELAYS_H, hour) for hour in hours]])

    def odds_of_change(self, credential: CredentialForm, *, before: Before) -> float | None:
        """Factor of the odds for another credential form than that of the last answer; None when the log said nothing of it."""
        assert self.retry is not None
        terms = change_terms(credential, before=before)
        if terms and terms[-1] not in self.retry.weights:
            return None
        return math.exp(math.fsum(self.retry.weights.get(term, 0.0) for term in terms))

    def odds_of_number(self, number: int, *, before: Before) -> float:
        """Factor of the odds for the number of an attempt, from 2, against none."""
        assert self.retry is not None
        return math.exp(math.fsum(self.retry.weights.get(term, 0.0) for term in number_terms(number, before=before)))


def is_funds(before: Before) -> bool:
    """Whether the last answer told of a lack of funds."""
    return before.response_code in FUNDS_CODES


def is_about_card(before: Before) -> bool:
    """Whether the last answer told of the card's data."""
    return before.response_code in CARD_CODES


def change_terms(credential: str, *, before: Before) -> tuple[str, ...]:
    """What another credential form than that of the last answer adds; nothing when it is the same."""
    if before.credential is None or credential == before.credential:
        return ()
    return (f"changed={credential}", f"changed={credential}&{'card' if is_about_card(before) else 'other'}")


def payment_terms(payment: Payment, *, before: Before) -> tuple[str, ...]:
    """What is the same for every attempt of a payment now."""
    card = payment.card
    return (
        f"initiator={payment.initiator}",
        f"country={card.issuer_country}",
        f"network={card.network}",
        f"funding={card.funding}",
        f"after={_answer(before)}",
        f"country={card.issuer_country}&initiator={payment.initiator}",
    )


def recovery_kind(payment: Payment) -> tuple[object, ...]:
    """All of a payment that `recovery_terms` and `form_terms` look at."""
    card = payment.card
    risk = None if payment.risk_score is None else bisect_right(RISKS, payment.risk_score)
    return payment.initiator, card.issuer_country, card.network, card.funding, risk, sca_scope(payment), _issuer(payment)


def attempt_terms(payment: Payment, *, before: Before, credential: str, at_us: int, waited_h: float) -> tuple[str, ...]:
    """Everything that bears on one attempt after a refusal."""
    country = payment.card.issuer_country
    day, hour = local_place(country, at_us)
    return (
        *payment_terms(payment, before=before),
        *retry_terms(payment, before=before),
        *number_terms(before.number, before=before),
        *day_terms(country, day, funds=is_funds(before)),
        hour_term(hour),
        *delay_terms(waited_h, before=before),
        *change_terms(credential, before=before),
    )


def recovery_terms(payment: Payment, *, before: Before) -> tuple[str, ...]:
    """What is the same for every form in which a payment could be refused: how risky the merchant holds it to be counts too."""
    risk = "unknown" if payment.risk_score is None else bisect_right(RISKS, payment.risk_score)
    return (*payment_terms(payment, before=before), f"risk={risk}")


def form_terms(payment: Payment, authentication: str, *, before: Before) -> tuple[str, ...]:
    """What a form of authentication adds to what can still follow."""
    number = min(before.number, NUMBER_MAX)
    return (
        f"form={authentication}",
        f"form={authentication}&country={payment.card.issuer_country}",
        f"form={authentication}&scope={sca_scope(payment)}",
        f"form={authentication}&scope={sca_scope(payment)}&country={payment.card.issuer_country}",
        f"form={authentication}&issuer={_issuer(payment)}",
        f"form={authentication}&number={number}",
        f"form={authentication}&after={_answer(before)}",
        f"number={number}",
    )


def retry_terms(payment: Payment, *, before: Before) -> tuple[str, ...]:
    """What a refused payment adds, whenever it is tried again."""
    return (
        f"after={_answer(before)}&funding={payment.card.funding}",
        f"after{_told(before)}",
        f"issuer={_issuer(payment)}",
    )


def day_terms(country: str | None, day: int, *, funds: bool) -> tuple[str, ...]:
    """What a local day (days since 1970) adds."""
    since = days_since_payday(country, day)
    paid = f"paid={'unknown' if since is None else bisect_right(PAID_DAYS, since)}"
    monthday = f"{MONTHDAY}{((EPOCH_DAY + timedelta(days=day)).day - 1) // MONTHDAYS}"
    rest = ("holiday",) if is_holiday(country, day) else ()
    return (paid, f"{paid}&{'funds' if funds else 'other'}", monthday, f"{monthday}&country={country}", f"weekday={(day + 3) % 7}", *rest)


def hour_term(hour: int) -> str:
    """What a local hour adds."""
    return f"hour={bisect_right(HOURS, hour)}"


def delay_terms(hours: float, *, before: Before) -> tuple[str, ...]:
    """Every length that a delay has passed, alone and with the last answer."""
    passed = [f"delay>={hour}h" for hour in DELAYS_H[: bisect_right(DELAYS_H, hours)]]
    return (*passed, *(f"{term}{_told(before)}" for term in passed))


def number_terms(number: int, *, before: Before) -> tuple[str, ...]:
    """Every number that an attempt has reached, alone and with the last answer."""
    reached = [f"number>={each}" for each in NUMBERS if number >= each]
    return (*reached, *(f"{term}{_told(before)}" for term in reached))


def local_place(country: str | None, at_us: int) -> tuple[int, int]:
    """Local day (days since 1970) and hour of an instant."""
    local_us = at_us + offset_us(country, at_us=at_us)
    return local_us // DAY_US, local_us % DAY_US // HOUR_US


def _issuer(payment: Payment) -> str:
    return payment.card.issuer or payment.card.bin


def _answer(before: Before) -> str:
    return before.response_code or before.status or "nothing"


def _told(before: Before) -> str:
    if is_funds(before):
        return "&funds"
    if is_about_card(before):
        return "&card"
    return "&technical" if before.status == "failed" or before.response_code in TECHNICAL_CODES else "&other"

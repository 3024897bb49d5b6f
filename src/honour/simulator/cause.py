"""Causes: what stands between an attempt and its approval, in the order in which the attempt meets it."""

from __future__ import annotations

import math
from typing import NamedTuple

from honour.records.payment import Payment
from honour.records.route import Candidate
from honour.simulator.acquirer import EUR_IN_USD, LOW_VALUE_EUR, Acquirer
from honour.simulator.draw import logistic
from honour.simulator.land import EUROPE, LANDS, USD_PER_UNIT, distance
from honour.simulator.shop import SHOP_BY_ID
from honour.simulator.shopper import Cardholder
from honour.simulator.told import Cause

INCIDENT_SHARE = 0.35
"""Share of attempts that an incident of a route stops."""
MAINTENANCE_SHARE = 0.25
"""Share of attempts that an issuer's night of maintenance stops, in its hour."""
FAULT_SHARE = 0.8
"""Share of attempts that a fault of an issuer stops, in its hour."""
ISSUER_DOWN_SHARE = 0.003
"""Share of attempts that meet an issuer's or network's technical fault at any other hour."""
STAND_IN_USD = 60.0
"""Networks stand in for an issuer up to about this amount."""
THIEF_PASSES = 0.1
"""Share of challenges that someone who is not the cardholder passes."""
DECIDEDNESS = 2.0
"""How sharply issuers judge: asked again, they mostly say the same."""
AGREED = 0.4
"""Logit that an agreement with the merchant takes off refusals of a renewal."""
BELOW_LOW_VALUE = 0.15
"""Share of an issuer's requests for authentication that remain below the low-value limit, when nothing was claimed."""


class Truth(NamedTuple):
    """What nobody outside sees of one payment.

    risk        logit added to every refusal on judgement
    mistyped    the shopper mistyped the security code
    patience_s  how long the shopper goes on waiting
    fraud       it is not the cardholder who pays; if approved, a dispute comes at `disputed_us`
    """

    risk: float
    mistyped: bool
    patience_s: float
    fraud: bool
    disputed_us: int


class Stop(NamedTuple):
    """A cause, and the share it stops of the attempts that get this far; `detail` tells life events of a card apart."""

    cause: Cause
    share: float
    detail: str = ""


class Situation(NamedTuple):
    """One attempt with everything that bears on it, seen and hidden.

    liking       logit that the issuer adds for this acquirer; grudge: for this merchant
    suspicion    logit that issuers add for an attack on this merchant
    short        funds do not cover the amount today
    purchases    of the card elsewhere on this day
    route_down   share stopped by outages and incidents of the route; degraded: declined by a degradation
    issuer_down  share that the issuer does not answer
    sca          share of the usual requests for authentication that are made
    day, hour    of the cardholder, local; days since 1970
    earlier      attempts already made of this payment
    """

    payment: Payment
    candidate: Candidate
    acquirer: Acquirer
    holder: Cardholder
    truth: Truth
    liking: float
    grudge: float
    suspicion: float
    short: bool
    purchases: int
    route_down: float
    degraded: float
    issuer_down: float
    sca: float
    day: int
    hour: int
    earlier: int


def stops(it: Situation) -> list[Stop]:
    """Every cause that may stop this attempt; shares of 1 are hidden facts, the others leave room for luck."""
    holder, issuer = it.holder, it.holder.issuer
    away = distance(it.acquirer.country, issuer.country)
    found = [Stop("route", it.route_down)]
    if it.candidate.authentication == "three_ds":
        passes = issuer.completion * (THIEF_PASSES if it.truth.fraud else 1.0)
        found.append(Stop("authentication", (1.0 - p_frictionless(it)) * (1.0 - passes)))
    if it.degraded:
        found.append(Stop("degraded", it.degraded))
    found.append(Stop("issuer_down", it.issuer_down * (1.0 - _stand_in(it))))
    found.extend(_life(it))
    if away == 1.0 and not holder.abroad:
        found.append(Stop("abroad", 1.0))
    if holder.blocked == it.payment.mcc:
        found.append(Stop("blocked", 1.0))
    if it.purchases + it.earlier >= issuer.velocity_max:
        found.append(Stop("velocity", 1.0))
    if it.short:
        found.append(Stop("funds", 1.0))
    soft = _soft(it)
    if soft:
        found.append(Stop("sca", soft))
    found.append(Stop("judgement", logistic(DECIDEDNESS * judgement_logit(it, away=away))))
    return found


def p_frictionless(it: Situation) -> float:
    """Chance that the issuer authenticates without a challenge: less for what it holds to be risky."""
    usual = it.holder.issuer.frictionless
    logit = math.log(usual / (1.0 - usual)) - 0.5 * (it.holder.risk + it.truth.risk)
    return logistic(logit)


def judgement_logit(it: Situation, *, away: float) -> float:
    """Logit at which the issuer refuses on its own judgement of this payment, card, merchant and way of asking."""
    issuer, shop = it.holder.issuer, SHOP_BY_ID[it.payment.merchant_id]
    land = LANDS[issuer.country]
    logit = land.judgement + issuer.appetite + it.liking + it.grudge + it.suspicion + it.holder.risk + it.truth.risk
    logit += shop.risk + away * issuer.abroad + it.earlier * issuer.fatigue
    usual_minor = 100.0 * land.price_level * shop.amount_usd
    logit += issuer.stretch * max(-1.0, math.log(it.payment.amount_minor / usual_minor))
    if it.payment.initiator == "merchant":
        logit -= AGREED
    if it.hour < 6:
        logit += issuer.night_risk
    if it.candidate.credential == "network_token":
        logit += issuer.token
    if it.candidate.authentication == "three_ds":
        logit += issuer.authentication
    return logit


def _soft(it: Situation) -> float:
    """Share sent back for authentication: unauthenticated payments of European shoppers at European acquirers."""
    issuer, candidate = it.holder.issuer, it.candidate
    if candidate.authentication == "three_ds" or it.payment.initiator == "merchant":
        return 0.0
    if not LANDS[issuer.country].sca or it.acquirer.country not in EUROPE:
        return 0.0
    if candidate.authentication != "none":
        return issuer.refuses * it.sca
    eur = it.payment.amount_minor / 100.0 * USD_PER_UNIT[it.payment.currency] / EUR_IN_USD
    return issuer.soft * it.sca * (BELOW_LOW_VALUE if eur <= LOW_VALUE_EUR else 1.0)


def _stand_in(it: Situation) -> float:
    usd = it.payment.amount_minor / 100.0 * USD_PER_UNIT[it.payment.currency]
    return it.holder.issuer.stand_in if usd <= STAND_IN_USD and it.holder.card.funding != "prepaid" else 0.0


def _life(it: Situation) -> list[Stop]:
    """Expired, closed and stolen cards, and a mistyped security code. A token outlives the expiry date printed on its card."""
    holder = it.holder
    if it.day >= holder.ends_day:
        return [Stop("lifecycle", 1.0, "stolen" if holder.stolen else "closed")]
    token = it.candidate.credential == "network_token"
    newest = token or (it.candidate.credential == "updated_pan" and holder.renewed)
    found = []
    if it.day >= holder.expires_day:
        # A shopper who is there has the new card at hand more often than not.
        found.append(Stop("lifecycle", 0.05 if newest else 0.85 if it.payment.initiator == "merchant" else 0.3, "expired"))
    if it.truth.mistyped and not token and it.payment.initiator == "customer":
        found.append(Stop("lifecycle", 1.0, "security_code"))
    return found

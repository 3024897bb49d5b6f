"""Causes: what stands between an attempt and its approval, in the order in which the attempt meets it."""

from __future__ import annotations

from typing import NamedTuple

from honour.records.payment import Payment
from honour.records.route import Candidate
from honour.simulator.acquirer import Acquirer
from honour.simulator.draw import logistic
from honour.simulator.issuer import EUROPE, LANDS, Cause
from honour.simulator.shopper import SHOP_BY_ID, Cardholder

INCIDENT_SHARE = 0.35
"""Share of attempts that an incident of a route stops."""
MAINTENANCE_SHARE = 0.25
"""Share of attempts that an issuer's night of maintenance stops, in its hour."""
ISSUER_DOWN_SHARE = 0.004
"""Share of attempts that meet an issuer's or network's technical fault at any other hour."""


class Truth(NamedTuple):
    """What nobody outside sees of one payment.

    risk        logit added to every refusal on judgement
    mistyped    the shopper mistyped the security code
    patience_s  how long the shopper goes on waiting
    """

    risk: float
    mistyped: bool
    patience_s: float


class Stop(NamedTuple):
    """A cause, and the share it stops of the attempts that get this far; `detail` tells life events of a card apart."""

    cause: Cause
    share: float
    detail: str = ""


class Situation(NamedTuple):
    """One attempt with everything that bears on it, seen and hidden.

    liking      logit that the issuer adds for this acquirer
    short       funds do not cover the amount today
    incident    the route has one of its short incidents
    out, worse  shares stopped by an outage and by a degradation of the scenario
    day, hour   of the cardholder, local; days since 1970
    earlier     attempts already made of this payment
    """

    payment: Payment
    candidate: Candidate
    acquirer: Acquirer
    holder: Cardholder
    truth: Truth
    liking: float
    short: bool
    incident: bool
    out: float
    worse: float
    day: int
    hour: int
    earlier: int


def stops(it: Situation) -> list[Stop]:
    """Every cause that may stop this attempt; shares of 1 are hidden facts, the others leave room for luck."""
    holder, issuer, route = it.holder, it.holder.issuer, it.acquirer.route
    authenticates = it.candidate.authentication == "three_ds"
    distance = it.acquirer.distance(issuer.country)
    found = [Stop("route", max(it.out, INCIDENT_SHARE if it.incident else 0.0, it.acquirer.unreliable))]
    if authenticates:
        found.append(Stop("authentication", (1.0 - issuer.frictionless) * (1.0 - issuer.completion)))
    if it.worse:
        found.append(Stop("degraded", it.worse))
    found.append(Stop("issuer_down", MAINTENANCE_SHARE if it.hour == issuer.night_hour else ISSUER_DOWN_SHARE))
    found.extend(_life(it))
    if distance == 1.0 and not holder.abroad:
        found.append(Stop("abroad", 1.0))
    if holder.blocked == it.payment.mcc:
        found.append(Stop("blocked", 1.0))
    if it.short:
        found.append(Stop("funds", 1.0))
    if not authenticates and it.payment.initiator == "customer" and LANDS[issuer.country].sca and route.country in EUROPE:
        found.append(Stop("sca", issuer.soft))
    found.append(Stop("judgement", logistic(judgement_logit(it, distance=distance))))
    return found


def judgement_logit(it: Situation, *, distance: float) -> float:
    """Logit at which the issuer refuses on its own judgement of this payment, card, merchant and way of asking."""
    issuer = it.holder.issuer
    logit = LANDS[issuer.country].judgement + issuer.appetite + it.liking + it.holder.risk + it.truth.risk
    logit += SHOP_BY_ID[it.payment.merchant_id].risk + distance * issuer.abroad + it.earlier * issuer.fatigue
    if it.candidate.credential == "network_token":
        logit += issuer.token
    if it.candidate.authentication == "three_ds":
        logit += issuer.authentication
    return logit


def _life(it: Situation) -> list[Stop]:
    """Expired, closed and stolen cards, and a mistyped security code. A token outlives the expiry date printed on its card."""
    holder = it.holder
    if it.day >= holder.ends_day:
        return [Stop("lifecycle", 1.0, "stolen" if holder.stolen else "closed")]
    token = it.candidate.credential == "network_token"
    found = []
    if it.day >= holder.expires_day:
        # A shopper who is there has the new card at hand more often than not.
        found.append(Stop("lifecycle", 0.05 if token else 0.85 if it.payment.initiator == "merchant" else 0.3, "expired"))
    if it.truth.mistyped and not token and it.payment.initiator == "customer":
        found.append(Stop("lifecycle", 1.0, "security_code"))
    return found

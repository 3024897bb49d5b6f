"""The knowable oracle: the best that can be done with everything that lasts and nothing that hides in one payment.

It knows issuers, routes, merchants and what is broken now as if from an endless past, and of each card what lasts: salary and payday,
how its issuer holds it, whether it works abroad. It does not know what no log tells before the answer: funds on the day, purchases
elsewhere, how the issuer sees this payment beyond the merchant's risk score, a mistyped code, a card closed lately. Those are particles,
possible truths of one payment, weighed anew by each of its answers. No policy that learns from a log can be expected to do better,
except where a card's earlier payments tell of its funds today.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from honour.records.instant import from_us, to_us
from honour.records.payment import Network, Payment
from honour.records.route import Candidate
from honour.simulator import told
from honour.simulator.acquirer import cost_minor
from honour.simulator.baselines.oracle import ATTEMPTS_MAX, DAY_US, HORIZON_DAYS, margin_minor
from honour.simulator.baselines.rule import STOP, Asked, Choice, RuledPolicy, Trail
from honour.simulator.cause import DECIDEDNESS, THIEF_PASSES, judgement_logit, stops
from honour.simulator.draw import Draws, normal
from honour.simulator.issuer import Issuer
from honour.simulator.land import distance
from honour.simulator.market import FRAUD_RISK, PAYMENT_RISK, RISK_SCORE_ERROR, STUBBORN_RISK, STUBBORN_SHARE
from honour.simulator.shop import SHOP_BY_ID
from honour.simulator.shopper import CARE, FUNDS_MEMORY, FUNDS_SPREAD
from honour.simulator.world import World

N_ORDINARY, N_RARE = 48, 8
"""Particles of what is usual, and of each thing that is rare: stubborn payments, fraud, mistyped codes, cards closed lately."""
CLOSED_SHARE, MISTYPED_SHARE = 0.005, 0.008
N = N_ORDINARY + 4 * N_RARE
GRID = 16
"""Steps of each of two uniform numbers over which the codes of a cause are counted."""
NEVER = 10**9

Floats = NDArray[np.float64]
_QUANTILES = {n: np.array([normal((each + 0.5) / n) for each in range(n)]) for n in (N_ORDINARY, N_RARE)}


class _Particles(NamedTuple):
    """Possible truths of a payment, (n,) each; fortune (n, days) is the luck with funds from the day of the payment on."""

    weights: Floats
    risk: Floats
    passes: Floats
    mistyped: Floats
    closed: Floats
    fortune: Floats
    purchases: Floats


class _Share(NamedTuple):
    """What a cause stops of each particle, (n,)."""

    cause: told.Cause
    detail: str
    share: Floats


def knowable_oracle(world: World) -> RuledPolicy:
    """The best expected value over what is hidden, given everything else and the payment's answers so far."""
    return RuledPolicy(Knowable(world).rule, routes=world.routes, attempts_max=ATTEMPTS_MAX)


class Knowable:
    """What can be known of the payments of a world, and the policy that uses all of it."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._draws = Draws(world.seed, purpose=f"{world.stream}/knowable")
        self._particles = lru_cache(maxsize=8_192)(self._draw)
        self._alive = lru_cache(maxsize=65_536)(lambda holder: replace(holder, ends_day=NEVER))
        self._payments: dict[str, Payment] = {}
        self._weights: dict[str, Floats] = {}
        self._sent_us: dict[str, list[int]] = {}

    def rule(self, asked: Asked) -> Choice:
        """The best candidate now, or a later day, or stop."""
        payment, at_us, trail = asked.payment, asked.at_us, asked.trail
        weights = self._weighed(payment, trail=trail)
        options = self._options(asked)
        if not options:
            return STOP
        n_before = len(trail.tried)
        now = [self._values(payment, candidate, at_us=us, earlier=n_before) for us, candidate in options]
        then = np.array([self._values(payment, candidate, at_us=us, earlier=n_before + 1)[0] for us, candidate in options])
        instants = np.array([us for us, _ in options])
        total, best = 0.0, -1
        for index, (value, goes_on) in enumerate(now):
            follows = then @ (weights * goes_on)
            follows[(instants < instants[index]) | (np.arange(len(options)) == index)] = 0.0
            worth = float(weights @ value) + max(0.0, float(follows.max()))
            if worth > total + 1e-9:
                total, best = worth, index
        if best < 0:
            return STOP
        then_us, candidate = options[best]
        if then_us > at_us:
            return Choice(None, wait_until_us=then_us)
        self.sent(payment, at_us=at_us)
        return Choice(candidate)

    def p_approve(self, payment: Payment, candidates: Sequence[Candidate], *, trail: Trail, at_us: int) -> Floats:
        """Chance of each candidate, (n,), given what can be known after `trail`, whose attempts `sent` was told of."""
        weights = self._weighed(payment, trail=trail)
        return np.array([float(weights @ self._passes(payment, each, at_us=at_us, earlier=len(trail.tried))[0]) for each in candidates])

    def sent(self, payment: Payment, *, at_us: int) -> None:
        """An attempt was sent; its answer is the last of the next trail."""
        self._sent_us.setdefault(payment.payment_id, []).append(at_us)

    def _options(self, asked: Asked) -> list[tuple[int, Candidate]]:
        payment, at_us, trail = asked.payment, asked.at_us, asked.trail
        n_days = HORIZON_DAYS if payment.initiator == "merchant" else 1
        return [
            (at_us + day * DAY_US, candidate)
            for day in range(n_days)
            for candidate in self._world.candidates(payment, at_us=at_us + day * DAY_US)
            # The same attempt meets new luck on another day only.
            if day > 0 or candidate not in trail.tried or self._sent_us[payment.payment_id][-1] < at_us - DAY_US // 2
        ]

    def _weighed(self, payment: Payment, *, trail: Trail) -> Floats:
        """Weights of the particles, given the answers; those of the last answer are folded once."""
        key = payment.payment_id
        self._payments[key] = payment
        weights = self._weights.get(f"{key}/{len(trail.tried)}")
        if weights is not None:
            return weights
        if not trail.tried:
            weights = self._particles(key).weights
        else:
            weights = self._weights.pop(f"{key}/{len(trail.tried) - 1}") * self._likelihood(payment, trail=trail)
            weights = weights / weights.sum()
        self._weights[f"{key}/{len(trail.tried)}"] = weights
        return weights

    def _values(self, payment: Payment, candidate: Candidate, *, at_us: int, earlier: int) -> tuple[Floats, Floats]:
        """Per particle: expected profit of one attempt, minor units, and the chance that it is refused and the shopper still there."""
        world = self._world
        p, left = self._passes(payment, candidate, at_us=at_us, earlier=earlier)
        fees = world.conditions.fees(candidate.route, at_us)
        approved, declined = (
            cost_minor(fees, payment=payment, authentication=candidate.authentication, approved=outcome, credential=candidate.credential)
            for outcome in (True, False)
        )
        return p * (margin_minor(world, payment) - approved) - (1.0 - p) * declined, 1.0 - p - left

    def _passes(self, payment: Payment, candidate: Candidate, *, at_us: int, earlier: int) -> tuple[Floats, Floats]:
        """Per particle: chance of approval, and that the shopper leaves a challenge."""
        p, left = np.ones(N), np.zeros(N)
        for stop in self._shares(payment, candidate, at_us=at_us, earlier=earlier):
            left = left + p * stop.share if stop.cause == "authentication" else left
            p = p * (1.0 - stop.share)
        return p, left

    def _likelihood(self, payment: Payment, *, trail: Trail) -> Floats:
        """Per particle: chance of the last answer."""
        last, candidate, n = trail.last, trail.tried[-1], len(trail.tried)
        assert last is not None
        at_us = self._sent_us[payment.payment_id][-1]
        issuer, acquirer = self._world.holder(payment).issuer, self._world.acquirer(candidate.route)
        said = (last.response_code or "05").removeprefix("D")
        reached = np.ones(len(self._particles(payment.payment_id).weights))
        chance = np.full(len(reached), 1e-9)
        for stop in self._shares(payment, candidate, at_us=at_us, earlier=n - 1):
            if stop.cause == "route" and last.status == "failed":
                chance = chance + reached * stop.share
            elif stop.cause not in ("route", "authentication") and last.status == "declined":
                codes = _codes(stop.cause, stop.detail, issuer, payment.card.network, at_us // DAY_US)
                chance = chance + reached * stop.share * _p_said(said, codes=codes, candour=acquirer.works.candour)
            reached = reached * (1.0 - stop.share)
        return chance

    def _shares(self, payment: Payment, candidate: Candidate, *, at_us: int, earlier: int) -> list[_Share]:
        """The causes of the world's truth, with what is hidden in its place."""
        seen = self._particles(payment.payment_id)
        true = self._world.situation(payment, candidate=candidate, at_us=at_us, earlier=earlier)
        holder = self._alive(true.holder)
        known = true._replace(holder=holder, truth=true.truth._replace(risk=0.0, mistyped=False, fraud=False), short=False, purchases=0)
        n, token = len(seen.weights), candidate.credential == "network_token"
        found = [_Share("lifecycle", "closed", seen.closed)]
        if not token and payment.initiator == "customer":
            found.append(_Share("lifecycle", "security_code", seen.mistyped))
        assert payment.created_at is not None, "payments of a world have an instant"
        day = min((at_us - to_us(payment.created_at)) // DAY_US, seen.fortune.shape[1] - 1)
        level = holder.funds_level(known.day)
        short = payment.amount_minor > level * np.exp(CARE[payment.initiator] + FUNDS_SPREAD * seen.fortune[:, day])
        found.append(_Share("velocity", "", (seen.purchases + earlier >= holder.issuer.velocity_max).astype(float)))
        found.append(_Share("funds", "", short.astype(float)))
        for stop in stops(known):
            if stop.cause == "authentication":
                usual = holder.issuer.frictionless
                frictionless = 1.0 / (1.0 + np.exp(-(math.log(usual / (1.0 - usual)) - 0.5 * (holder.risk + seen.risk))))
                share = (1.0 - frictionless) * (1.0 - holder.issuer.completion * seen.passes)
                found.insert(0, _Share("authentication", "", share))
            elif stop.cause == "judgement":
                logit = judgement_logit(known, away=distance(known.acquirer.country, holder.issuer.country)) + seen.risk
                found.append(_Share("judgement", "", 1.0 / (1.0 + np.exp(-DECIDEDNESS * logit))))
            elif stop.cause == "route":
                found.insert(0, _Share("route", "", np.full(n, stop.share)))
            elif stop.cause not in ("velocity", "funds"):
                found.append(_Share(stop.cause, stop.detail, np.full(n, stop.share)))
        return found

    def _draw(self, payment_id: str) -> _Particles:
        """Particles of what the merchant's risk score leaves open."""
        payment = self._payments[payment_id]
        chance = np.random.default_rng(int(self._draws.of(payment_id)[0] * 2**52))
        holder, fraud_share = self._world.holder(payment), SHOP_BY_ID[payment.merchant_id].fraud
        kinds = (
            (N_ORDINARY, 1.0 - STUBBORN_SHARE - fraud_share, 0.0),
            (N_RARE, STUBBORN_SHARE, STUBBORN_RISK),
            (N_RARE, fraud_share, FRAUD_RISK),
        )
        weights, risk = [], []
        for n, share, mean in kinds:
            each, likely = _posterior(payment, held=holder.risk, mean=mean, n=n)
            risk.append(each)
            weights.append(np.full(n, share * likely / n))
        usual = np.concatenate(weights)
        usual /= usual.sum()
        ordinary = risk[0]
        more = chance.choice(ordinary, 2 * N_RARE)
        n = len(usual) + 2 * N_RARE
        closed, mistyped, passes = np.zeros(n), np.zeros(n), np.ones(n)
        closed[-N_RARE:], mistyped[-2 * N_RARE : -N_RARE] = 1.0, 1.0
        passes[N_ORDINARY + N_RARE : N_ORDINARY + 2 * N_RARE] = THIEF_PASSES
        rare = np.repeat([MISTYPED_SHARE / N_RARE, CLOSED_SHARE / N_RARE], N_RARE)
        shocks = chance.standard_normal((n, HORIZON_DAYS + 3))
        fortune = shocks.copy()
        for day in range(1, fortune.shape[1]):
            fortune[:, day] = FUNDS_MEMORY * fortune[:, day - 1] + math.sqrt(1.0 - FUNDS_MEMORY**2) * shocks[:, day]
        purchases = np.floor(np.log(chance.uniform(size=n)) / math.log(0.5))
        return _Particles(
            np.concatenate([usual * (1.0 - rare.sum()), rare]), np.concatenate([*risk, more]), passes, mistyped, closed, fortune, purchases
        )


def _posterior(payment: Payment, *, held: float, mean: float, n: int) -> tuple[Floats, float]:
    """Draws of a payment's risk, normal around `mean`, given the merchant's risk score, and how likely that score is."""
    spread, error = PAYMENT_RISK**2, RISK_SCORE_ERROR**2
    z = _QUANTILES[n]
    if payment.risk_score is None:
        return mean + PAYMENT_RISK * z, 1.0
    score = min(max(payment.risk_score, 0.0005), 0.9995)
    seen = math.log(score / (1.0 - score)) + 3.0 - held
    total = spread + error
    return mean + spread / total * (seen - mean) + math.sqrt(spread * error / total) * z, math.exp(-0.5 * (seen - mean) ** 2 / total)


@lru_cache(maxsize=65_536)
def _codes(cause: told.Cause, detail: str, issuer: Issuer, network: Network, day: int) -> dict[str, float]:
    """Response codes that an issuer sends for a cause, with their shares."""
    found: dict[str, float] = {}
    on = from_us(day * DAY_US).date()
    for tells in range(GRID):
        for which in range(GRID):
            uniforms = ((tells + 0.5) / GRID, (which + 0.5) / GRID)
            code = told.told_code(cause, issuer=issuer, network=network, detail=detail, uniforms=uniforms, on=on)
            found[code] = found.get(code, 0.0) + 1.0 / GRID**2
    return found


def _p_said(said: str, *, codes: dict[str, float], candour: float) -> float:
    """Chance that the acquirer passes on `said` when the issuer sends `codes`."""
    if said in ("1A", "65"):
        return codes.get(said, 0.0)
    hidden = 1.0 - codes.get("1A", 0.0) - codes.get("65", 0.0) if said == "05" else 0.0
    return candour * codes.get(said, 0.0) + (1.0 - candour) * hidden

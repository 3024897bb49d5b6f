"""Calibration: what the world gives against what was published, figure by figure, with the source."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import msgspec

from honour.records.instant import to_us
from honour.records.payment import Payment
from honour.records.route import Candidate
from honour.simulator import scenario as scenarios
from honour.simulator import table
from honour.simulator.baselines.fixed import static_rules
from honour.simulator.land import EUROPE, LANDS, distance
from honour.simulator.play import Attempted, attempts_of
from honour.simulator.shopper import days_since_payday
from honour.simulator.told import Cause
from honour.simulator.world import World

HOUR_US, DAY_US = 3_600_000_000, 86_400_000_000
TECHNICAL = ("route", "issuer_down")
DAILY = tuple(range(1, 15))


class Published(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A figure that was published, and the range that the world is held to; tables/published.toml."""

    id: str
    what: str
    low: float
    high: float
    published: str
    source: str
    sure: str


class Figure(NamedTuple):
    """A published figure beside what the world gives. `n` counts what the mean is taken over."""

    published: Published
    simulated: float
    n: int

    @property
    def in_range(self) -> bool:
        """Whether the world stays within the published range."""
        return self.published.low <= self.simulated <= self.published.high


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    figures: tuple[Published, ...]


class _Tally:
    """Means by name."""

    def __init__(self) -> None:
        self.values: dict[str, list[float]] = defaultdict(list)

    def add(self, name: str, value: float) -> None:
        self.values[name].append(value)

    def mean(self, name: str) -> float:
        return math.fsum(self.values[name]) / len(self.values[name]) if self.values[name] else math.nan

    def n(self, name: str) -> int:
        return len(self.values[name])


def calibrate(*, seeds: Sequence[int], payments: int, step: Callable[[str, int, int | None], None] | None = None) -> list[Figure]:
    """Every published figure beside the simulated one, over worlds of several seeds with `payments` payments each."""
    tally = _Tally()
    for done, seed in enumerate(seeds):
        if step is not None:
            step(f"world of seed {seed}", done, len(seeds))
        world = World(scenarios.load("calm").lasting(28).sized(payments), seed=seed)
        for payment in world.payments():
            _levels(tally, world, payment)
            _retries(tally, world, payment)
        _played(tally, world)
    return [_figure(published, tally) for published in table.read("published", as_type=_Table).figures]


def _figure(published: Published, tally: _Tally) -> Figure:
    pairs: dict[str, tuple[str, str]] = {
        "debit_below_credit": ("domestic/credit", "domestic/debit"),
        "prepaid_below_credit": ("domestic/credit", "domestic/prepaid"),
    }
    if published.id in pairs:
        first, second = pairs[published.id]
        return Figure(published, tally.mean(first) - tally.mean(second), tally.n(second))
    if published.id == "retry_funds_payday":
        after, other = "retry_funds_after_payday", "retry_funds_before_payday"
        return Figure(published, tally.mean(after) / max(1e-9, tally.mean(other)), tally.n(after))
    return Figure(published, tally.mean(published.id), tally.n(published.id))


def _levels(tally: _Tally, world: World, payment: Payment) -> None:
    """Approval by region, funding, form and distance, from the true chances."""
    at_us, country = _created_us(payment), str(payment.card.issuer_country)
    group = "eu" if country in EUROPE else country.lower()
    for candidate in _plain(world, payment):
        away = distance(world.route(candidate.route).country or "", country)
        p = _p(world, payment, candidate, at_us=at_us)
        if payment.initiator == "merchant":
            if away == 0.0:
                tally.add("approval_merchant", p)
            continue
        if away < 1.0:
            tally.add(f"approval_{group}", p)
            if away == 0.0:
                tally.add(f"domestic/{payment.card.funding}", p)
            _forms(tally, world, payment, candidate, p=p, group=group)
        else:
            tally.add(f"approval_{group}_abroad", p)
    if payment.initiator == "customer" and group in ("eu", "us"):
        _local(tally, world, payment, at_us=at_us, country=country)


def _local(tally: _Tally, world: World, payment: Payment, *, at_us: int, country: str) -> None:
    plain = list(_plain(world, payment))
    near = [c for c in plain if distance(world.route(c.route).country or "", country) < 1.0]
    far = [c for c in plain if distance(world.route(c.route).country or "", country) == 1.0]
    if near and far:
        means = [math.fsum(_p(world, payment, c, at_us=at_us) for c in some) / len(some) for some in (near, far)]
        tally.add("lift_local", means[0] - means[1])


def _forms(tally: _Tally, world: World, payment: Payment, plain: Candidate, *, p: float, group: str) -> None:
    """What authentication, a token and an exemption change for the same payment on the same route."""
    at_us = _created_us(payment)
    three_ds = plain._replace(authentication="three_ds")
    stops = {stop.cause: stop.share for stop in world.stops(payment, candidate=three_ds, at_us=at_us)}
    tally.add(f"lift_authentication_{group}", _p(world, payment, three_ds, at_us=at_us) - p)
    if not world.truth(payment).fraud:
        answer = world.answer(payment, candidate=three_ds, at_us=at_us)
        if answer.authentication_result in ("frictionless", "authenticated", "abandoned"):
            tally.add(f"frictionless_{group}", float(answer.authentication_result == "frictionless"))
            if answer.authentication_result != "frictionless":
                tally.add(f"challenge_passed_{group}", float(answer.authentication_result == "authenticated"))
    token = plain._replace(credential="network_token")
    if "unsupported" not in stops and payment.card.network_token and "network_token" in world.route(plain.route).credentials:
        tally.add("lift_token", _p(world, payment, token, at_us=at_us) - p)
    for exemption in world.route(plain.route).authentications:
        if exemption.startswith("exemption"):
            found = world.stops(payment, candidate=plain._replace(authentication=exemption), at_us=at_us)
            share = [stop.share for stop in found if stop.cause == "sca"]
            if share:
                tally.add("exemption_refused", share[0])


def _retries(tally: _Tally, world: World, payment: Payment) -> None:
    """Decline mix, and the chance of the same attempt later by the true reason of the first refusal."""
    at_us, country = _created_us(payment), str(payment.card.issuer_country)
    local = [c for c in _plain(world, payment) if distance(world.route(c.route).country or "", country) < 1.0]
    for candidate in local[:2]:
        answer = world.answer(payment, candidate=candidate, at_us=at_us)
        cause = world.cause(payment, candidate=candidate, at_us=at_us)
        if cause is None or cause in ("unsupported", "sca"):
            continue
        if answer.status == "declined":
            _mix(tally, payment, code=str(answer.response_code), cause=cause)
        _later(tally, world, payment, candidate, cause=cause)


def _mix(tally: _Tally, payment: Payment, *, code: str, cause: Cause) -> None:
    told: dict[str, Sequence[str]] = {
        "generic": ("05",),
        "funds": ("51", "61"),
        "fraud": ("59", "63", "83"),
        "expired": ("54", "79"),
    }
    by = "merchant" if payment.initiator == "merchant" else "credit" if payment.card.funding == "credit" else "debit"
    for name, codes in told.items():
        tally.add(f"mix_{name}_{by}", float(code in codes))
    tally.add("mix_technical", float(code in ("91", "96")))
    if code == "05":
        tally.add("generic_is_funds", float(cause == "funds"))


def _later(tally: _Tally, world: World, payment: Payment, candidate: Candidate, *, cause: Cause) -> None:
    def p(at_us: int, *, form: Candidate = candidate) -> float:
        return _p(world, payment, form, at_us=at_us, earlier=1)

    at_us = _created_us(payment)
    if cause in TECHNICAL:
        tally.add("retry_technical_1h", p(at_us + HOUR_US))
    elif cause == "funds":
        tally.add("retry_funds_1h", p(at_us + HOUR_US))
        tally.add("retry_funds_1d", p(at_us + DAY_US))
        tally.add("retry_funds_4d", p(at_us + 4 * DAY_US))
        land = LANDS[str(payment.card.issuer_country)]
        day = (at_us + land.utc_offset_h * HOUR_US) // DAY_US
        when = "after" if days_since_payday(day + 4, paydays=land.paydays) <= 2 else "before"
        tally.add(f"retry_funds_{when}_payday", p(at_us + 4 * DAY_US))
    elif cause == "judgement" and payment.initiator == "customer":
        tally.add("retry_judgement", p(at_us + HOUR_US))
        if payment.card.issuer_country in (*EUROPE, "BR"):
            tally.add("retry_judgement_authenticated", p(at_us + HOUR_US, form=candidate._replace(authentication="three_ds")))


def _played(tally: _Tally, world: World) -> None:
    """What a merchant's rules make of refusals: a first retry, and renewals on fixed schedules."""
    for made in attempts_of(world, policy=static_rules(world)):
        if made.n_before == 1:
            tally.add("retry_first", float(made.answer.status == "approved"))
    for refused, recovered in _renewals(attempts_of(world, policy=static_rules(world))):
        tally.add("recovery_naive", float(recovered is not None)) if refused else None
    for _, recovered in _renewals(attempts_of(world, policy=static_rules(world, days=DAILY))):
        if recovered is not None:
            tally.add("recovered_within_10d", float(recovered <= 10.0))


def _renewals(made: Iterator[Attempted]) -> Iterator[tuple[bool, float | None]]:
    """Renewals whose first attempt was refused, and the days after which each was recovered, if ever."""
    days: dict[int, float | None] = {}
    for each in made:
        if each.payment.initiator == "merchant":
            if each.n_before == 0 and each.answer.status == "declined":
                days[each.number] = None
            elif each.answer.status == "approved" and each.number in days:
                days[each.number] = (each.at_us - _created_us(each.payment)) / DAY_US
    for recovered in days.values():
        yield True, recovered


def _plain(world: World, payment: Payment) -> Iterator[Candidate]:
    for candidate in world.candidates(payment):
        if candidate.authentication == "none" and candidate.credential == "pan":
            yield candidate


def _p(world: World, payment: Payment, candidate: Candidate, *, at_us: int, earlier: int = 0) -> float:
    """True chance of approval, had no authentication been demanded and the shopper passed the challenge."""
    found = world.stops(payment, candidate=candidate, at_us=at_us, earlier=earlier)
    return math.prod(1.0 - stop.share for stop in found if stop.cause not in ("sca", "authentication"))


def _created_us(payment: Payment) -> int:
    assert payment.created_at is not None, "payments of a world have an instant"
    return to_us(payment.created_at)

"""Conditions: what is up and down at an instant, by the scenario and by the accidents of ordinary days."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import msgspec

from honour.errors import BadInput
from honour.records.payment import Payment
from honour.records.route import Route, RouteCost
from honour.simulator import event as events
from honour.simulator.acquirer import INCIDENT_US, Acquirer
from honour.simulator.cause import FAULT_SHARE, INCIDENT_SHARE, ISSUER_DOWN_SHARE, MAINTENANCE_SHARE
from honour.simulator.draw import Draws
from honour.simulator.issuer import Issuer
from honour.simulator.scenario import DAY_US, Scenario
from honour.simulator.shop import SHOP_BY_ID
from honour.simulator.shopper import Cardholder

HOUR_US = 3_600_000_000
UPDATE_MINOR = 10.0
"""What asking the account updater costs, minor units; ours, as prices differ by contract."""


class Now(NamedTuple):
    """What bears on one attempt at one instant; shares in [0, 1], suspicion in logit."""

    route_down: float
    degraded: float
    issuer_down: float
    sca: float
    suspicion: float


class Conditions:
    """The state of routes and issuers through a scenario."""

    def __init__(self, scenario: Scenario, *, acquirers: tuple[Acquirer, ...], issuers: tuple[Issuer, ...], chance: Draws) -> None:
        self._scenario = scenario
        self._acquirers = acquirers
        self._chance = chance
        _check(scenario, routes={acquirer.id for acquirer in acquirers}, issuers={issuer.id for issuer in issuers})
        self._routes = {acquirer.id: _updating(acquirer.route) if scenario.updater else acquirer.route for acquirer in acquirers}
        self._is_incident = lru_cache(maxsize=65_536)(self._draw_incident)
        self._is_fault = lru_cache(maxsize=65_536)(lambda issuer, hour: chance.of(f"fault/{issuer.id}/{hour}")[0] < issuer.fault_rate)
        self._at = lru_cache(maxsize=65_536)(self._route_at)
        self._cost = lru_cache(maxsize=256)(_times)

    def changes_us(self) -> tuple[int, ...]:
        """Instants at which routes open or change their fees, in order."""
        days = {
            day
            for event in self._scenario.events
            if isinstance(event, events.NewRoute | events.FeeChange)
            for day in (event.from_day, event.to_day)
            if 0.0 < day < 1e8
        }
        return tuple(self._scenario.start_us + round(day * DAY_US) for day in sorted(days))

    def routes_at(self, at_us: int) -> tuple[Route, ...]:
        """The routes that are open, with their fees at that instant."""
        found = (self.route_at(acquirer, at_us) for acquirer in self._acquirers)
        return tuple(route for route in found if route is not None)

    def route_at(self, acquirer: Acquirer, at_us: int) -> Route | None:
        """A route with its fees at an instant, to the minute; None while it is not open."""
        return self._at(acquirer.id, at_us // 60_000_000)

    def _route_at(self, route_id: str, minute: int) -> Route | None:
        day = self._day(minute * 60_000_000)
        factor = 1.0
        for event in self._scenario.events:
            if isinstance(event, events.NewRoute) and event.route == route_id and not event.holds(day):
                return None
            if isinstance(event, events.FeeChange) and event.route == route_id and event.holds(day):
                factor *= event.factor
        route = self._routes[route_id]
        return route if factor == 1.0 else msgspec.structs.replace(route, cost=self._cost(route.cost, factor))

    def fees(self, route: str, at_us: int) -> Route:
        """The route of this id with its fees at an instant, open or not."""
        return self._at(route, at_us // 60_000_000) or self._routes[route]

    def renames(self, route: str, at_us: int) -> bool:
        """Whether the acquirer of a route sends codes of its own."""
        day = self._day(at_us)
        return any(isinstance(event, events.RenamedCodes) and event.route == route and event.holds(day) for event in self._scenario.events)

    def reporting(self, at_us: int) -> events.Reporting | None:
        """How answers reach the merchant's systems; None when all goes well."""
        day = self._day(at_us)
        return next((event for event in self._scenario.events if isinstance(event, events.Reporting) and event.holds(day)), None)

    def now(self, at_us: int, *, acquirer: Acquirer, holder: Cardholder, payment: Payment, local_hour: int) -> Now:
        """What bears on an attempt of `payment` by `acquirer`."""
        day, issuer = self._day(at_us), holder.issuer
        route_down = max(acquirer.works.unreliable, INCIDENT_SHARE if self._is_incident(acquirer.id, at_us // INCIDENT_US) else 0.0)
        issuer_down = MAINTENANCE_SHARE if local_hour == issuer.night_hour else ISSUER_DOWN_SHARE
        if self._is_fault(issuer, at_us // HOUR_US):
            issuer_down = FAULT_SHARE
        degraded, sca, suspicion = 0.0, 1.0, 0.0
        for event in self._scenario.events:
            if isinstance(event, events.ScaEnforcement):
                sca = 1.0 if event.holds(day) else event.before
            if not event.holds(day):
                continue
            match event:
                case events.Outage() if event.route == acquirer.id and _hits(event, payment=payment, issuer=issuer):
                    route_down = max(route_down, event.share)
                case events.Degradation() if event.route == acquirer.id:
                    degraded = max(degraded, event.share_at(day))
                case events.IssuerDown() if event.issuer == issuer.id:
                    issuer_down = max(issuer_down, event.share)
                case events.Peak():
                    issuer_down = max(issuer_down, event.strain)
                case events.CardTesting() if event.merchant == payment.merchant_id:
                    suspicion += event.suspicion
                case _:
                    pass
        return Now(route_down, degraded, issuer_down, sca, suspicion)

    def _day(self, at_us: int) -> float:
        return (at_us - self._scenario.start_us) / DAY_US

    def _draw_incident(self, route: str, half_hour: int) -> bool:
        # Two half hours in a row more often than by chance: an incident begun goes on with chance a half.
        rate = next(acquirer.works.incident_rate for acquirer in self._acquirers if acquirer.id == route)
        begun, before = self._chance.of(f"{route}/{half_hour}"), self._chance.of(f"{route}/{half_hour - 1}")
        return begun[0] < rate or (before[0] < rate and before[1] < 0.5)


def _hits(event: events.Outage, *, payment: Payment, issuer: Issuer) -> bool:
    return event.network in (None, payment.card.network) and event.issuer in (None, issuer.id)


def _updating(route: Route) -> Route:
    """The route with the networks' account updater."""
    cost = msgspec.structs.replace(route.cost, update_minor=UPDATE_MINOR)
    return msgspec.structs.replace(route, credentials=(*route.credentials, "updated_pan"), cost=cost)


def _times(cost: RouteCost, factor: float) -> RouteCost:
    return RouteCost(**{name: getattr(cost, name) * factor for name in cost.__struct_fields__})


def _check(scenario: Scenario, *, routes: set[str], issuers: set[str]) -> None:
    """Events must be of routes, issuers and merchants that are there."""
    known = {"route": routes, "issuer": issuers, "merchant": set(SHOP_BY_ID)}
    for index, event in enumerate(scenario.events):
        for kind, names in known.items():
            name = getattr(event, kind, None)
            if name is not None and name not in names:
                shown = ", ".join(sorted(names)[:20])
                raise BadInput(
                    f"scenario {scenario.name!r}: events[{index}].{kind} is {name!r}, which is not in this world. It has {shown}"
                    f"{', ...' if len(names) > 20 else ''}.",
                    path=f"$.events[{index}].{kind}",
                )

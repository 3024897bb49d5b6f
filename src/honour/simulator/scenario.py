"""Scenarios: when the play starts, how long it lasts, how much is paid, and what breaks meanwhile."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime
from importlib import resources
from pathlib import Path
from typing import Annotated

import msgspec

from honour.errors import BadInput
from honour.records.instant import to_us
from honour.simulator.event import Event, NewRoute

DAY_US = 86_400_000_000


class Scenario(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A stretch of time in a world.

    start             first day, from midnight UTC
    payments_per_day  on average; the hours and days of the week differ
    funds_tight       added to how tight funds are in every country
    recurring_share   share of all payments that are the subscription merchant's; null keeps the usual share
    updater           routes can ask the networks' account updater for newer data of cards on file
    stale_days        days for which a card that expired, or was lost, is still on file
    """

    name: str
    start: date
    days: Annotated[float, msgspec.Meta(gt=0, le=3660)]
    payments_per_day: Annotated[float, msgspec.Meta(gt=0)]
    description: str = ""
    funds_tight: float = 0.0
    recurring_share: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    updater: bool = False
    stale_days: Annotated[int, msgspec.Meta(ge=0, le=1_000)] = 25
    events: tuple[Event, ...] = ()

    @property
    def n_payments(self) -> int:
        """Payments from the start to the end."""
        return max(1, round(self.days * self.payments_per_day))

    @property
    def start_us(self) -> int:
        """First instant, in microseconds."""
        return to_us(datetime(self.start.year, self.start.month, self.start.day, tzinfo=UTC))

    @property
    def end_us(self) -> int:
        """First instant after it, in microseconds."""
        return self.start_us + round(self.days * DAY_US)

    def sized(self, n_payments: int) -> Scenario:
        """The same days and events with `n_payments` payments."""
        return msgspec.structs.replace(self, payments_per_day=n_payments / self.days)

    def starting(self, start: date) -> Scenario:
        """The same scenario from another day on; events move with it."""
        return msgspec.structs.replace(self, start=start)

    def lasting(self, days: float) -> Scenario:
        """The same scenario over `days` days, the payments of a day unchanged; events keep their day."""
        return msgspec.structs.replace(self, days=days)

    def before(self, days: float) -> Scenario:
        """The `days` days before this scenario, at the same pace and with nothing broken; a new route is not there yet."""
        return msgspec.structs.replace(
            self,
            name=f"before {self.name}",
            start=date.fromordinal(self.start.toordinal() - math.ceil(days)),
            days=days,
            events=tuple(NewRoute(route=event.route, from_day=1e8) for event in self.events if isinstance(event, NewRoute)),
        )


def names() -> tuple[str, ...]:
    """The scenarios that come with Honour.

    >>> "calm" in names() and "outage" in names()
    True
    """
    folder = resources.files(__package__) / "scenarios"
    return tuple(sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml")))


def load(name: str | Path) -> Scenario:
    """A scenario by its name or TOML file; several, joined by `+`, happen together.

    Combined scenarios have the days and pace of the first, or of the longest where that is longer.

    >>> load("outage+fee_change").name
    'outage+fee_change'
    """
    if isinstance(name, str) and "+" in name and not Path(name).is_file():
        parts = [_load(part) for part in name.split("+")]
        events = tuple(event for part in parts for event in part.events)
        days = max(part.days for part in parts)
        return msgspec.structs.replace(parts[0], name=name, description="", days=days, events=events)
    return _load(name)


def _load(name: str | Path) -> Scenario:
    if isinstance(name, str) and name in names():
        text = (resources.files(__package__) / "scenarios" / f"{name}.toml").read_text(encoding="utf-8")
    elif Path(name).is_file():
        text = Path(name).read_text(encoding="utf-8")
    else:
        raise BadInput(
            f"scenario: {str(name)!r} is neither a scenario nor a file. Scenarios: {', '.join(names())}; or give the path of a TOML "
            "file. Join several with +."
        )
    try:
        scenario = msgspec.toml.decode(text.encode(), type=Scenario)
    except msgspec.DecodeError as wrong:
        raise BadInput(f"scenario {str(name)!r}: {wrong}. docs/simulator.md shows every key.") from wrong
    for index, event in enumerate(scenario.events):
        if not event.from_day < event.to_day or not math.isfinite(event.to_day):
            raise BadInput(
                f"scenario {str(name)!r}: events[{index}] is from day {event.from_day} to day {event.to_day}; it must end later.",
                path=f"$.events[{index}].to_day",
            )
    return scenario

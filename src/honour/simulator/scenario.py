"""Scenarios: when the play starts, how long it lasts, how much is paid, and what breaks meanwhile."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from honour.errors import BadInput
from honour.records.instant import to_us

DAY_US = 86_400_000_000
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Day = Annotated[float, msgspec.Meta(ge=0)]


class RouteEvent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something that happens to one route.

    kind      outage: this share of attempts fails to reach the issuer, all the time
              degradation: this share is declined, growing from nothing at the start to `share` at the end
    from_day  days since the start of the scenario; `to_day` is when it is over at once
    """

    kind: Literal["outage", "degradation"]
    route: str
    from_day: Day
    to_day: Day
    share: Share

    def share_at(self, day: float) -> float:
        """Share of attempts that this stops at `day`, in [0, 1]."""
        if not self.from_day <= day < self.to_day:
            return 0.0
        if self.kind == "outage":
            return self.share
        return self.share * (day - self.from_day) / (self.to_day - self.from_day)


class Scenario(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A stretch of time in a world.

    start             first day, from midnight UTC
    payments_per_day  on average; the hours of the day differ
    """

    name: str
    start: date
    days: Annotated[float, msgspec.Meta(gt=0, le=3660)]
    payments_per_day: Annotated[float, msgspec.Meta(gt=0)]
    description: str = ""
    events: tuple[RouteEvent, ...] = ()

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


def names() -> tuple[str, ...]:
    """The scenarios that come with Honour.

    >>> names()
    ('calm', 'degradation', 'outage')
    """
    folder = resources.files(__package__) / "scenarios"
    return tuple(sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml")))


def load(name: str | Path) -> Scenario:
    """A scenario by its name, or from a TOML file.

    >>> load("outage").events[0].kind
    'outage'
    """
    if isinstance(name, str) and name in names():
        text = (resources.files(__package__) / "scenarios" / f"{name}.toml").read_text(encoding="utf-8")
    elif Path(name).is_file():
        text = Path(name).read_text(encoding="utf-8")
    else:
        raise BadInput(
            f"scenario: {str(name)!r} is neither a scenario nor a file. Scenarios: {', '.join(names())}; or give the path of a TOML file."
        )
    try:
        scenario = msgspec.toml.decode(text.encode(), type=Scenario)
    except msgspec.DecodeError as wrong:
        raise BadInput(f"scenario {str(name)!r}: {wrong}. `{names()[-1]}` among the built-in scenarios shows every key.") from wrong
    for index, event in enumerate(scenario.events):
        if not event.from_day < event.to_day or not math.isfinite(event.to_day):
            raise BadInput(
                f"scenario {str(name)!r}: events[{index}] is from day {event.from_day} to day {event.to_day}; it must end later.",
                path=f"$.events[{index}].to_day",
            )
    return scenario

"""Values of features as SQL expressions, and the names that they share with the tables that `sql` makes for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

from honour.features.answer import only_field
from honour.features.group import sums_of
from honour.features.spread import EDGES
from honour.features.view import (
    FADES_AFTER,
    AttributeFeature,
    ContextFeature,
    DecayedFeature,
    Feature,
    FoldedFeature,
    LastFeature,
    LocalTimeFeature,
    WindowFeature,
)

LAST: Final = {
    "status": "status",
    "response_code": "response_code",
    "reason": "reason",
    "approved": "approved",
    "seconds_since": "arrived_us",
    "route": "route",
    "same_route": "route",
    "authentication": "authentication",
    "amount_minor": "amount_minor",
    "latency_ms": "latency_ms",
}
"""The column of an answer that a `LastFeature` shows."""

_LOCAL_DATE = "DATE '1970-01-01' + CAST(local_us // 86400000000 AS INTEGER)"
_LOCAL_MONTH = f"12 * (extract(year FROM {_LOCAL_DATE}) - 1970) + extract(month FROM {_LOCAL_DATE}) - 1"
_LOCAL = {
    "hour": "local_us % 86400000000 // 3600000000",
    # 1970-01-01 was a Thursday; Monday is 0.
    "weekday": "(local_us // 86400000000 + 3) % 7",
    "day_of_month": f"CAST(extract(day FROM {_LOCAL_DATE}) AS BIGINT)",
    "card_expired": f"CAST(spine.expires_month < {_LOCAL_MONTH} AS INTEGER)",
}
HOUR_OF_WEEK: Final = f"{_LOCAL['weekday']} * 24 + {_LOCAL['hour']}"
_CALENDAR = {"hour_of_week": HOUR_OF_WEEK, "days_since_payday": "local_day.days_since_payday", "is_holiday": "local_day.is_holiday"}

_ADDED = {
    "declined": "CAST(status = 'declined' AS BIGINT)",
    "abandoned": "CAST(status = 'abandoned' AS BIGINT)",
    "latency_known": "CAST(latency_ms IS NOT NULL AS BIGINT)",
    "amount_minor_known": "1",
}
_ERA_HALF_LIVES = 512  # Weights of one era stay below 2^512 and above 1; the era before it is added, older ones have faded.


class Step(NamedTuple):
    """One table of the computation, and the query that makes it."""

    table: str
    query: str


class View(NamedTuple):
    """Answers of one entity, all or some, that features look at together."""

    entity: tuple[str, ...]
    only: str | None

    @property
    def name(self) -> str:
        """Behind `totals_` and `view_`."""
        return "_".join(self.entity) + (f"_only_{self.only}" if self.only else "") or "overall"

    @property
    def codes(self) -> list[str]:
        """Columns of `answered` and `asked` that are its key."""
        return [f"{part}_code" for part in self.entity]

    @property
    def condition(self) -> str:
        """Which answers; empty for all."""
        return "" if self.only is None else f"{only_field(self.only)} = '{self.only}'"

    @property
    def where(self) -> str:
        """Which answers, as a clause."""
        return f"\nWHERE {self.condition}" if self.condition else ""


class Era(NamedTuple):
    """Halves of a half-life, in microseconds: sums that fade are taken era by era, so that no weight overflows."""

    half_life_us: int

    @property
    def us(self) -> int:
        """Length."""
        return _ERA_HALF_LIVES * self.half_life_us

    @property
    def name(self) -> str:
        """Behind `fading_`."""
        return f"{self.half_life_us // 1_000_000}s"


class Aliases(NamedTuple):
    """What the tables are called that hold what a line of a view is made of.

    now      totals at what the row sees; former, running: those that fade, of the era before and of that of the instant
    earlier  the column with a total before a window: of its name, the length of a tile, and how many of them
    """

    now: str
    earlier: Callable[[str, int, int], str]
    running: Callable[[Era], str]
    former: Callable[[Era], str]


def view_of(feature: FoldedFeature) -> View:
    """The answers that a feature looks at."""
    return View(feature.entity, feature.only)


def era_of(feature: DecayedFeature) -> Era:
    """The eras of its half-life."""
    return Era(feature.half_life_s * 1_000_000)


def summed(features: Sequence[FoldedFeature]) -> list[str]:
    """What is added up for features over windows."""
    names = {name for feature in features if not isinstance(feature, DecayedFeature) for name in sums_of(feature)}
    for feature in features:
        if isinstance(feature, WindowFeature) and feature.measure == "quantile" and feature.of is not None:
            names |= {_below(feature.of, place) for place in range(len(EDGES[feature.of]))}
    return sorted(names)


def windows(features: Sequence[FoldedFeature]) -> list[tuple[int, int]]:
    """Tile size and number of tiles of each window."""
    return sorted({(feature.tile_s, feature.tiles) for feature in features if isinstance(feature, WindowFeature | LastFeature)})


def in_window(features: Sequence[FoldedFeature], tile_s: int, tiles: int) -> list[FoldedFeature]:
    """Features over one window."""
    over = (tile_s, tiles)
    return [one for one in features if isinstance(one, WindowFeature | LastFeature) and (one.tile_s, one.tiles) == over]


def eras(features: Sequence[FoldedFeature]) -> list[Era]:
    """Those of each half-life."""
    return sorted({era_of(feature) for feature in features if isinstance(feature, DecayedFeature)})


def fading(features: Sequence[FoldedFeature], era: Era) -> list[str]:
    """Sums that fade with one half-life, beside the count."""
    return sorted(
        {name for feature in features if isinstance(feature, DecayedFeature) and era_of(feature) == era for name in sums_of(feature)}
    )


def lasts(features: Sequence[FoldedFeature]) -> list[tuple[str, int]]:
    """Columns of the last answers, each with how far back it is."""
    return sorted({(LAST[feature.column], feature.nth) for feature in features if isinstance(feature, LastFeature)})


def weight(era: Era) -> str:
    """What an answer weighs: twice as much with every half-life since its era began."""
    return f"pow(2e0, CAST(arrived_us % {era.us} AS DOUBLE) / {era.half_life_us})"


def view_columns(features: Sequence[FoldedFeature], of: Aliases) -> list[str]:
    """Counts and sums of each window of an entity, its last answers, and its sums that fade.

    What a row sees may end before one of its windows begins, when it was asked after its instant: then the window is empty.
    """
    columns = []
    for tile_s, tiles in windows(features):
        before, window = before_name(tile_s, tiles), in_window(features, tile_s, tiles)
        n = _difference(f"{of.now}.n", of.earlier("n", tile_s, tiles))
        columns.append(f"{n} AS n_{before}")
        columns += [
            f"{_difference(f'{of.now}.{name}_total', of.earlier(name, tile_s, tiles))} AS {name}_{before}" for name in summed(window)
        ]
        names = [(last_name(name, nth), nth) for name, nth in lasts(window)]
        columns += [f"CASE WHEN {n} >= {nth} THEN {of.now}.{name} END AS {name}_{before}" for name, nth in names]
    for era in eras(features):
        known = ("n", *fading(features, era))
        columns += [f"{_faded(name, era, running=of.running(era), former=of.former(era))} AS {name}_{era.name}" for name in known]
    return columns


def lines(columns: Sequence[str]) -> str:
    """Columns of a SELECT, one a line."""
    return ",\n".join(f"    {column}" for column in columns)


def added(name: str) -> str:
    """What an answer adds to a sum."""
    of, _, edge = name.partition("_below_")
    return f"CAST({of} < {edge} AS BIGINT)" if edge else _ADDED.get(name, name)


def before_name(tile_s: int, tiles: int) -> str:
    """The instant before a window."""
    return f"before_{tiles}x{tile_s}s"


def last_name(column: str, nth: int) -> str:
    """A column of a last answer."""
    return f"last_{column}" if nth == 1 else f"last_{column}_{nth}"


def distinct_name(feature: WindowFeature) -> str:
    """The table of its counts."""
    return f"distinct_{view_of(feature).name}_{feature.of}_{before_name(feature.tile_s, feature.tiles)}"


def sql_value(feature: Feature) -> str:
    """The expression of a feature over `spine` and the tables of its view."""
    match feature:
        case ContextFeature():
            return f"spine.{feature.name}"
        case AttributeFeature():
            return f"spine.{feature.column}"
        case LocalTimeFeature():
            return (_LOCAL | _CALENDAR)[feature.part]
        case LastFeature():
            return _last_value(feature)
        case WindowFeature(measure="distinct"):
            return f"coalesce({distinct_name(feature)}.n, 0)"
        case WindowFeature(measure="quantile"):
            return _quantile(feature)
        case WindowFeature():
            at = before_name(feature.tile_s, feature.tiles)
            view = f"view_{view_of(feature).name}"
            return _measure(feature, n=f"{view}.n_{at}", sums=[f"{view}.{name}_{at}" for name in sums_of(feature)])
        case DecayedFeature():
            view, era = f"view_{view_of(feature).name}", era_of(feature).name
            return _measure(feature, n=f"{view}.n_{era}", sums=[f"{view}.{name}_{era}" for name in sums_of(feature)])


def _difference(total: str, before: str) -> str:
    return f"coalesce({total} - least({total}, coalesce({before}, 0)), 0)"


def _faded(name: str, era: Era, *, running: str, former: str) -> str:
    """A sum that fades, as of the instant: of the running era and the one before it, each let fade since it began."""
    age_us = f"asked.at_us - coalesce({running}.arrived_us, {former}.arrived_us)"
    since_us = f"asked.at_us % {era.us}"
    return (
        f"CASE WHEN {age_us} < {FADES_AFTER * era.half_life_us} THEN "
        f"coalesce({running}.{name}_total, 0) * pow(2e0, -CAST({since_us} AS DOUBLE) / {era.half_life_us}) + "
        f"coalesce({former}.{name}_total, 0) * pow(2e0, -CAST({since_us} + {era.us} AS DOUBLE) / {era.half_life_us}) "
        "ELSE 0e0 END"
    )


def _last_value(feature: LastFeature) -> str:
    at = before_name(feature.tile_s, feature.tiles)
    last = f"view_{view_of(feature).name}.{last_name(LAST[feature.column], feature.nth)}_{at}"
    match feature.column:
        case "seconds_since":
            return f"(spine.at_us - {last}) / 1e6"
        case "same_route":
            return f"CAST({last} = spine.route AS INTEGER)"
        case _:
            return last


def _measure(feature: WindowFeature | DecayedFeature, *, n: str, sums: Sequence[str]) -> str:
    match feature.measure:
        case "count":
            return n
        case "next_number":
            return f"{n} + 1"
        case "sum":
            return sums[0]
        case "mean":
            return f"CAST({sums[0]} AS DOUBLE) / nullif({sums[1] if len(sums) > 1 else n}, 0)"
        case "amount_ratio":
            return f"spine.amount_minor / nullif((CAST({sums[0]} AS DOUBLE) / nullif({n}, 0)), 0)"
        case _:
            total = f"CAST({sums[0]} AS DOUBLE)"
            share = f"{total} / nullif({n}, 0)"
            if feature.shrink_to is None:
                return share
            strength = f"{feature.strength!r}e0"
            return f"coalesce(({total} + {strength} * {feature.shrink_to}) / ({n} + {strength}), {share})"


def _quantile(feature: WindowFeature) -> str:
    """The first edge below which a share `q` of the answers lies, and how far before it: as in `spread.quantile`."""
    assert feature.of is not None
    view, at = f"view_{view_of(feature).name}", before_name(feature.tile_s, feature.tiles)
    edges = EDGES[feature.of]
    below = [f"{view}.{_below(feature.of, place)}_{at}" for place in range(len(edges))]
    rank = f"{feature.q!r}e0 * {below[-1]}"
    return f"CASE WHEN {below[-1]} > 0 THEN CASE {' '.join(_steps(edges, below, rank))} END END"


def _steps(edges: Sequence[int], below: Sequence[str], rank: str) -> Iterator[str]:
    for place, (edge, n) in enumerate(zip(edges, below, strict=True)):
        lower, before = (edges[place - 1], below[place - 1]) if place else (0, "0")
        yield f"WHEN {n} >= {rank} THEN {lower} + {edge - lower} * ({rank} - {before}) / ({n} - {before})"


def _below(of: str, place: int) -> str:
    """The sum that counts numbers below an edge; below the last are all that are known."""
    edges = EDGES[of]
    return f"{of}_below_{edges[place]}" if place < len(edges) - 1 else {"latency_ms": "latency_known"}.get(of, f"{of}_known")

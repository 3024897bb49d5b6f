"""Entities side by side: what rates and counts of candidates are made of, as arrays for compiled code.

Everything kept of one issuer, of one BIN and so on lies in one array, a row for each route (or authentication, or both): it is found
with one look, and one call of compiled code makes the values of all candidates. Arrays are filled when they are asked for, from the
entities themselves (`ring`), which stay what counts: an array that is gone, or of other candidates, is made anew.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from functools import cache
from operator import itemgetter
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from honour.features.columns import CANDIDATE_COLUMNS
from honour.features.group import Group, groups, sums_of, table_key
from honour.features.local_time import BEFORE_ALL
from honour.features.view import RATES, Catalogue, WindowFeature
from honour.records.route import Candidate

NO_PARENT: Final = -1
"""Of a rate that shrinks to nothing. One that shrinks to a value of the payment names it by its place below that."""
PLACES_MAX = 256
"""Rows of an array: of more routes than that they are numbered anew."""
CANDIDATES_MAX = 1_000
"""Lists of candidates whose rows are remembered."""
_TUPLE: Final = 16  # Compiled code is made for each number of arrays: for a multiple of this one.
_NOTHING: Final = np.zeros((0, 0), dtype=np.int64)

See = Callable[[Any, int], tuple[int, ...]]
Key = Any


class Beside:
    """Entities that share what is the payment's.

    rings    by what is the candidate's
    seen     (n_places, width): counts and sums of each, zeros where nothing was answered
    seen_at  moment as of which; of_places: the numbering of its rows
    stale    what was answered since
    """

    __slots__ = ("of_places", "rings", "seen", "seen_at", "stale")

    def __init__(self) -> None:
        self.rings: dict[Key, Any] = {}
        self.forget()

    def forget(self) -> None:
        """Entities came or went."""
        self.seen, self.seen_at, self.of_places = _NOTHING, BEFORE_ALL, 0
        self.stale: list[Key] = []


class Program(NamedTuple):
    """Which features of a catalogue are made so, and how.

    tables     numbers of the groups whose arrays they are made of
    rates, counts  the features
    priors     names of the payment's features that rates shrink to
    of_rate    (n_rates, 3): columns of the answers and of those that count, in all arrays together, and what it shrinks to
    strengths  (n_rates,) answers that this weighs
    of_count   (n_counts,) columns
    """

    tables: tuple[int, ...]
    rates: tuple[WindowFeature, ...]
    counts: tuple[WindowFeature, ...]
    priors: tuple[str, ...]
    of_rate: NDArray[np.int64]
    strengths: NDArray[np.float64]
    of_count: NDArray[np.int64]


def program(catalogue: Catalogue) -> Program:
    """Rates and counts of candidates whose entities are found by what is the payment's, unless they shrink to something else."""
    tables = groups(catalogue)
    number_of = {group.key: number for number, group in enumerate(tables) if group.is_nested and group.key.kind == "totals"}
    of_payment = {feature.name for feature in catalogue.payment}
    rates: dict[str, WindowFeature] = {}
    counts: list[WindowFeature] = []
    for feature in catalogue.candidate:
        if not isinstance(feature, WindowFeature) or table_key(feature) not in number_of:
            continue
        if feature.measure == "count":
            counts.append(feature)
        elif feature.measure in RATES and (feature.shrink_to is None or feature.shrink_to in of_payment or feature.shrink_to in rates):
            rates[feature.name] = feature
    priors = tuple(dict.fromkeys(one.shrink_to for one in rates.values() if one.shrink_to is not None and one.shrink_to in of_payment))
    used = tuple(dict.fromkeys(number_of[table_key(feature)] for feature in (*rates.values(), *counts)))
    columns = [(number, *column) for number in used for column in tables[number].columns()]
    parent_of: dict[str | None, int] = {None: NO_PARENT} | {name: at for at, name in enumerate(rates)}
    parent_of |= {name: NO_PARENT - 1 - at for at, name in enumerate(priors)}

    def places(feature: WindowFeature) -> list[int]:
        number = number_of[table_key(feature)]
        return [columns.index((number, feature.tiles, name)) for name in ("n", *sums_of(feature))]

    return Program(
        used,
        tuple(rates.values()),
        tuple(counts),
        priors,
        np.array([(*places(one), parent_of[one.shrink_to]) for one in rates.values()], dtype=np.int64).reshape(-1, 3),
        np.array([one.strength for one in rates.values()], dtype=np.float64),
        np.array([places(one)[0] for one in counts], dtype=np.int64),
    )


class Places:
    """Numbers of what candidates are to the groups that lie side by side: a row in each of their arrays.

    version  changes whenever a number is given
    """

    def __init__(self, tables: Sequence[Group], made: Program) -> None:
        self.version = 1
        self._program, self._tables = made, [tables[number] for number in made.tables]
        columns = [table.of_candidate for table in self._tables]
        self._columns = list(dict.fromkeys(columns))
        self._numbered: list[dict[Key, int]] = [{} for _ in self._columns]
        self._which = [self._columns.index(one) for one in columns]
        self._pick = [itemgetter(*map(CANDIDATE_COLUMNS.index, one)) for one in self._columns]
        self._rows: dict[int, tuple[Sequence[Candidate], NDArray[np.int64]]] = {}
        self._padding = (_NOTHING,) * (-len(self._tables) % _TUPLE)
        if self._tables:  # Compiled, or read from the cache, before the first payment.
            nobody = np.zeros((0, len(self._tables)), dtype=np.int64)
            self.values(nobody, (_NOTHING,) * len(self._tables), (None,) * len(made.priors))

    def rows_of(self, candidates: Sequence[Candidate]) -> NDArray[np.int64]:
        """The row of each candidate in the arrays of each group: (n_candidates, n_groups)."""
        known = self._rows.get(id(candidates))
        if known is not None and known[0] is candidates:
            return known[1]
        numbers = [self._numbers(kind, list(map(pick, candidates))) for kind, pick in enumerate(self._pick)]
        rows = np.array([numbers[kind] for kind in self._which], dtype=np.int64).T.copy()
        if isinstance(candidates, tuple):  # A list may change.
            if len(self._rows) == CANDIDATES_MAX:
                self._rows.clear()
            self._rows[id(candidates)] = candidates, rows
        return rows

    def filler(self, number: int, *, see: See) -> Callable[[Beside, int], None]:
        """What brings an array up to a moment; `number` is its place among those of the program."""
        numbered = self._numbered[self._which[number]]
        width = len(self._tables[number].columns())
        pack_into, n_bytes = struct.Struct(f"{width}q").pack_into, 8 * width

        def fill(beside: Beside, moment: int) -> None:
            keys: Any = beside.stale
            if beside.of_places != self.version:
                beside.seen, beside.of_places = np.zeros((len(numbered), width), dtype=np.int64), self.version
                keys = numbered
            elif beside.seen_at != moment:
                keys = numbered
            seen: Any = beside.seen
            ring_of, place_of = beside.rings.get, numbered.get
            for key in keys:
                if (ring := ring_of(key)) is not None and (place := place_of(key)) is not None:
                    pack_into(seen, place * n_bytes, *(ring.seen if ring.seen_at == moment else see(ring, moment)))
            beside.stale.clear()
            beside.seen_at = moment

        return fill

    def values(
        self, rows: NDArray[np.int64], arrays: tuple[NDArray[np.int64], ...], priors: tuple[float | None, ...]
    ) -> tuple[list[list[Any]], list[list[int]]]:
        """Rates and counts of each candidate, as the program has them.

        priors  values of the payment that rates shrink to
        """
        of_rate, strengths, of_count = self._program[-3:]
        rates, counts = np.empty((len(rows), len(of_rate))), np.empty((len(rows), len(of_count)), dtype=np.int64)
        known = tuple([np.nan if prior is None else prior for prior in priors] or [np.nan])
        all_known = _kernel()(arrays + self._padding, rows, of_rate, strengths, of_count, known, rates, counts)
        told: list[list[Any]] = rates.tolist()
        if not all_known:
            told = [[None if rate != rate else rate for rate in of_candidate] for of_candidate in told]
        return told, counts.tolist()

    def _numbers(self, kind: int, keys: list[Key]) -> list[int]:
        numbered = self._numbered[kind]
        new = [key for key in keys if key not in numbered]
        if new:
            self.version += 1
            self._rows.clear()
            if len(numbered) + len(new) > PLACES_MAX:
                numbered.clear()
                new = keys
            for key in new:
                numbered.setdefault(key, len(numbered))
        return [numbered[key] for key in keys]


@cache
def _kernel() -> Any:
    from honour.features.compiled import compiled  # Half a second, which only those pay who ask.

    return compiled(_values)


def _values(seen: Any, rows: Any, of_rate: Any, strengths: Any, of_count: Any, priors: Any, rates: Any, counts: Any) -> Any:
    """Compiled. Fills `rates`, NaN where nothing is known, and `counts`; whether all rates are known."""
    width = 0
    for array in range(rows.shape[1]):
        width += seen[array].shape[1]
    told = np.empty((len(rows), width), np.int64)
    begins = 0
    for array in range(rows.shape[1]):
        table = seen[array]
        for i in range(len(rows)):
            for column in range(table.shape[1]):
                told[i, begins + column] = table[rows[i, array], column]
        begins += table.shape[1]
    all_known = True
    for i in range(len(rows)):
        for at in range(len(of_count)):
            counts[i, at] = told[i, of_count[at]]
        for at in range(len(of_rate)):
            n, total, parent = told[i, of_rate[at, 0]], told[i, of_rate[at, 1]], of_rate[at, 2]
            prior = np.nan if parent == NO_PARENT else rates[i, parent] if parent >= 0 else priors[NO_PARENT - 1 - parent]
            if prior == prior:
                rates[i, at] = (total + strengths[at] * prior) / (n + strengths[at])
            elif n > 0:
                rates[i, at] = total / n
            else:
                rates[i, at] = np.nan
                all_known = False
    return all_known

"""The fast layer: what answers of the last minutes and days say against a model that was trained before them.

Two things are kept for each node (a route, an issuer, a route for one network or one issuer, a population of cards, a route for one):

    drift   a correction of the log-odds, normal with mean m and variance v, that forgets: an Ornstein-Uhlenbeck process, updated from
            outcome minus prediction (assumed-density filtering, one node at a time). A change of the traffic's mix moves nothing as long
            as the model is right about it.
    regime  a hidden state that stops a share of what passes: up, weak, half, refusing, silent. A hidden Markov model: the state is drawn
            anew about every two hours, and each answer is evidence. An answer that never came speaks for silence forty times louder than
            a refusal does, so that an outage is believed after a handful of attempts, and forgotten as evidence grows old.

An attempt that is on its way takes from the uncertainty what its answer will; one that is late is evidence of a silent route at once
(`in_flight`), weighed anew at each decision until it is answered.

P(approve) = expit(logit(model) + sum of m) x product over nodes of E[share that passes]. Nodes are updated from the most general to the
most particular, each given what the others already explain: when attempts fail across issuers the route is to blame, when they fail across
routes the issuer is. State is a fold of the log, bounded: the node touched longest ago is forgotten first.
"""

from __future__ import annotations

import math
from array import array
from collections import OrderedDict
from collections.abc import Sequence
from functools import cache
from typing import Any, Literal, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from honour.approval.in_flight import InFlight, Plain
from honour.records.attempt import Status
from honour.records.payment import Payment
from honour.records.route import Candidate

Kind = Literal["route", "issuer", "route_network", "route_issuer", "population", "segment"]
KINDS: tuple[Kind, ...] = ("route", "issuer", "route_network", "route_issuer", "population", "segment")
"""Nodes of one attempt, from the most general to the most particular among those with a regime; then those that only drift."""
_OF_NO_ROUTE = ("issuer", "population")
WITH_REGIME = 4
"""The first kinds have a regime."""
REGIMES = ("up", "weak", "half", "refusing", "silent")
PASSES = (1.0, 0.8, 0.5, 0.02, 0.02)
"""Share of what would be approved that still is, in each regime."""

DAY_US = 86_400_000_000
NODES_MAX = 100_000
FOUND_MAX, PARTS_MAX = 100, 10_000
"""Lists of candidates whose nodes are remembered, and parts of payments for each."""
UNAVAILABLE = frozenset(("91", "96", "92", "19"))
"""Response codes by which networks say that an issuer did not answer (ISO 8583 field 39)."""

_APPROVED, _REFUSED, _UNAVAILABLE, _FAILED = 0, 1, 2, 3
_DRIFT_DAYS = (2.0, 2.0, 3.0, 7.0, 7.0, 7.0)
_DRIFT_SD = (0.15, 0.2, 0.1, 0.2, 0.25, 0.15)
"""Days after which a drift is half forgotten or more (one over e), and its standard deviation before any evidence, by kind."""
_REGIME_HOURS = 2.0
_NOT_UP = (
    (0.0002, 0.001, 0.001, 0.0005),
    (0.0001, 0.0001, 0.0001, 0.0005),
    (0.0001, 0.0001, 0.0001, 0.0003),
    (0.0001, 0.0001, 0.0001, 0.0001),
)
"""Share of time in each regime but up, before any evidence, by kind."""

Key = tuple[str | None, ...]


class Corrected(NamedTuple):
    """Candidates after correction, (n,) each: chance of approval, and the standard deviation of what is not known of it."""

    p_approve: NDArray[np.float64]
    sd: NDArray[np.float64]


class Trouble(NamedTuple):
    """A node that is believed not to be up. p: probability of it; passes: share of approvals that still gets through."""

    kind: Kind
    name: str
    p: float
    passes: float


class _Node(msgspec.Struct, array_like=True):
    key: Key
    at_us: int
    mean: float
    variance: float
    regime: list[float]


class FastLayer:
    """A fold of answers to decisions; the same answers in the same order give the same layer, and the same bytes."""

    def __init__(self, nodes_max: int = NODES_MAX) -> None:
        n_kinds = len(KINDS)
        self._nodes_max = nodes_max
        self._rows: OrderedDict[Key, int] = OrderedDict()  # The one touched longest ago first.
        self._free: list[int] = []
        self._found: dict[int, tuple[Sequence[Candidate], dict[Key, bytes]]] = {}  # By the candidates: rows by the payment's part.
        self._size = n_kinds  # The first rows are what is believed of a node without evidence.
        self._at = np.zeros(1_024, dtype=np.int64)
        self._drift = np.zeros((1_024, 2))
        self._regime = np.zeros((1_024, len(REGIMES)))
        self._priors = _priors()
        self._correct, self._update, self._late_odds = _compiled()
        self._in_flight = InFlight()
        self._drift[:n_kinds, 1] = self._priors.variance
        self._regime[:n_kinds] = self._priors.regime

    def __len__(self) -> int:
        return len(self._rows)

    def correct(self, payment: Payment, candidates: Sequence[Candidate], *, p_model: NDArray[np.float64], at_us: int) -> Corrected:
        """Predictions of the model, (n,), corrected by what was seen up to `at_us`; changes nothing."""
        rows, waiting = self._rows_of(payment, candidates), self._in_flight.waiting(candidates, at_us=at_us)
        p, sd = np.empty(len(candidates)), np.empty(len(candidates))
        self._correct(
            rows, waiting, at_us, self._at, self._drift, self._regime, self._priors.variance, self._priors.regime, _TIMES, p_model, p, sd
        )
        return Corrected(p, sd)

    def sent(self, decision_id: str, candidate: Candidate, *, at_us: int) -> None:
        """An attempt is on its way: until it is answered it counts in the uncertainty, and when it is late as evidence."""
        self._in_flight.sent(decision_id, candidate, at_us=at_us)

    def answered(self, decision_id: str, *, status: Status, at_us: int) -> None:
        """Its answer was told; what it says is told to `update`."""
        self._in_flight.answered(decision_id, status=status, at_us=at_us)

    def update(
        self, payment: Payment, candidate: Candidate, *, p_model: float, status: Status, response_code: str | None, arrived_us: int
    ) -> None:
        """Fold one answer. `unknown` is no answer and changes nothing.

        p_model  what the trained model alone said of the candidate when it was decided
        """
        seen = _seen(status, response_code)
        if seen is None:
            return
        rows = np.array([self._row(key, kind, arrived_us) for kind, key in enumerate(_keys(payment, candidate.route))], dtype=np.int64)
        self._update(
            rows, arrived_us, self._at, self._drift, self._regime, self._priors.variance, self._priors.regime, _TIMES, p_model, seen
        )

    def trouble(self, payment: Payment, candidate: Candidate, *, at_us: int) -> Trouble | None:
        """The node of this candidate that is most surely not up, if it is more likely in trouble than not."""
        found = [self._trouble(key, kind, at_us=at_us) for kind, key in enumerate(_keys(payment, candidate.route)[:WITH_REGIME])]
        return max((each for each in found if each is not None), key=lambda each: each.p, default=None)

    def why(self, payment: Payment, candidate: Candidate, *, at_us: int) -> str | None:
        """What is thought to be wrong with a candidate, in words; None when nothing is."""
        found = self.trouble(payment, candidate, at_us=at_us)
        if found is None:
            return None
        return f"{found.kind.replace('_', ' and ')} {found.name} is in trouble (p {found.p:.2f}; {found.passes:.0%} of its approvals pass)"

    def troubles(self, *, at_us: int) -> list[Trouble]:
        """Every node that is more likely in trouble than not, the surest first."""
        kinds: dict[str | None, int] = {kind: at for at, kind in enumerate(KINDS[:WITH_REGIME])}
        found = [self._trouble(key, kinds[key[0]], at_us=at_us) for key in self._rows if key[0] in kinds]
        return sorted((each for each in found if each is not None), key=lambda each: (-each.p, each.name))

    def to_bytes(self) -> bytes:
        """The layer as MessagePack."""
        nodes = [
            _Node(key, int(self._at[row]), float(self._drift[row, 0]), float(self._drift[row, 1]), self._regime[row].tolist())
            for key, row in self._rows.items()
        ]
        return msgspec.msgpack.encode((nodes, self._in_flight.to_plain()))

    @classmethod
    def from_bytes(cls, data: bytes, *, nodes_max: int = NODES_MAX) -> FastLayer:
        """The layer that `to_bytes` wrote."""
        layer = cls(nodes_max)
        nodes, in_flight = msgspec.msgpack.decode(data, type=tuple[list[_Node], dict[str, Plain]])
        layer._in_flight = InFlight.from_plain(in_flight)
        for node in nodes:
            row = layer._new_row(node.key)
            layer._at[row], layer._drift[row], layer._regime[row] = node.at_us, (node.mean, node.variance), node.regime
        return layer

    def _trouble(self, key: Key, kind: int, *, at_us: int) -> Trouble | None:
        """A node that is more likely in trouble than not."""
        row = self._rows.get(key)
        if row is None:
            return None
        kept = math.exp(-max(0, at_us - int(self._at[row])) / _REGIME_US)
        n_late = self._in_flight.overdue(str(key[1])) if KINDS[kind] == "route" else 0
        if not n_late and self._regime[row, 0] > 0.5:  # What is forgotten takes it further up: most nodes end here.
            return None
        # A few plain floats: faster than arrays of a few.
        prior, belief = self._priors.regime[kind].tolist(), self._regime[row].tolist()
        up, *others = [before + (now - before) * kept for before, now in zip(prior, belief, strict=True)]
        odds = self._late_odds**n_late
        up, others = up * odds, [*(one * odds for one in others[:-1]), others[-1]]
        total = up + sum(others)
        if up >= 0.5 * total:
            return None
        name = " x ".join(str(part) for part in key[1:])
        passes = sum(share * p for share, p in zip(PASSES, (up, *others), strict=True)) / total
        return Trouble(KINDS[kind], name, 1.0 - up / total, passes)

    def _rows_of(self, payment: Payment, candidates: Sequence[Candidate]) -> NDArray[np.int64]:
        """Rows of the nodes of each candidate, (n_kinds, n_candidates); of each part of a payment remembered until a node comes or goes."""
        known = self._found.get(id(candidates))
        if known is None or known[0] is not candidates:
            known = candidates, {}
            if isinstance(candidates, tuple):  # A list may change.
                if len(self._found) == FOUND_MAX:
                    self._found.clear()
                self._found[id(candidates)] = known
        of_part, parts = known[1], _keys(payment, None)
        try:
            rows = b"".join([of_part[part] for part in parts])
        except KeyError:
            if len(of_part) >= PARTS_MAX:
                of_part.clear()
            keys, row_of = [_keys(payment, candidate.route) for candidate in candidates], self._rows.get
            of_part |= {part: array("q", [row_of(one[kind], kind) for one in keys]).tobytes() for kind, part in enumerate(parts)}
            rows = b"".join([of_part[part] for part in parts])
        return np.frombuffer(rows, dtype=np.int64).reshape(len(KINDS), len(candidates))

    def _row(self, key: Key, kind: int, at_us: int) -> int:
        row = self._rows.get(key)
        if row is not None:
            self._rows.move_to_end(key)
            return row
        row = self._new_row(key)
        self._at[row], self._drift[row], self._regime[row] = at_us, (0.0, self._priors.variance[kind]), self._priors.regime[kind]
        return row

    def _new_row(self, key: Key) -> int:
        self._forget_rows(key)
        if len(self._rows) >= self._nodes_max:
            gone, row = self._rows.popitem(last=False)
            self._forget_rows(gone)
            self._free.append(row)
        if self._free:
            row = self._free.pop()
        else:
            row, self._size = self._size, self._size + 1
            if row == len(self._at):
                self._at = np.concatenate([self._at, np.zeros_like(self._at)])
                self._drift = np.concatenate([self._drift, np.zeros_like(self._drift)])
                self._regime = np.concatenate([self._regime, np.zeros_like(self._regime)])
        self._rows[key] = row
        return row

    def _forget_rows(self, key: Key) -> None:
        """What was remembered of nodes that share the payment's part of this one."""
        part = key if key[0] in _OF_NO_ROUTE else (key[0], None, *key[2:])
        for _, of_part in self._found.values():
            of_part.pop(part, None)


class _Priors(NamedTuple):
    """What is believed of a node without evidence, by kind: variance of its drift (n_kinds,), regimes (n_kinds, n_regimes)."""

    variance: NDArray[np.float64]
    regime: NDArray[np.float64]


@cache
def _priors() -> _Priors:
    regime = np.zeros((len(KINDS), len(REGIMES)))
    regime[:, 0] = 1.0
    for kind, others in enumerate(_NOT_UP):
        regime[kind] = (1.0 - sum(others), *others)
    return _Priors(np.array(_DRIFT_SD) ** 2, regime)


_REGIME_US = _REGIME_HOURS * DAY_US / 24.0
_TIMES = np.array([*(days * DAY_US for days in _DRIFT_DAYS), _REGIME_US])
"""Microseconds in which each kind's drift, and last every regime, is forgotten to one over e."""


def _keys(payment: Payment, route: str | None) -> tuple[Key, ...]:
    """The nodes of one attempt in the order of KINDS; without a route, what of them is the payment's."""
    card = payment.card
    country = card.issuer_country
    issuer = card.issuer or card.bin
    return (
        ("route", route),
        ("issuer", issuer),
        ("route_network", route, card.network),
        ("route_issuer", route, issuer),
        ("population", country, card.funding, payment.initiator),
        ("segment", route, country, card.funding),
    )


def _seen(status: Status, response_code: str | None) -> int | None:
    """What an answer is evidence of; None when it is none."""
    if status == "approved":
        return _APPROVED
    if status == "failed":
        return _FAILED
    if status == "unknown":
        return None
    return _UNAVAILABLE if response_code in UNAVAILABLE else _REFUSED


@cache
def _compiled() -> tuple[Any, Any, float]:
    """The arithmetic, compiled or read from the cache, and how rarely an answer is late."""
    from honour.approval import fast_kernel  # Half a second, which only those pay who decide.

    return fast_kernel.correct, fast_kernel.update, fast_kernel.LATE_ODDS

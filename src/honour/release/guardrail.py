"""Guardrails of a release: when a canary, or a bundle that was promoted, surely does worse, and goes back by itself.

Shares (approved, not scored, slow) have confidence sequences: with probability 1 - error_rate the truth is inside at every moment, so that
they may be looked at after each payment. For n trials with s successes the interval holds every p at which

    B(s + 1/2, n - s + 1/2) / B(1/2, 1/2) / (p^s (1 - p)^(n - s))  <  1 / error_rate

the mixture of likelihood ratios over Jeffreys' prior, a martingale (Robbins, Ann. Math. Stat. 41, 1970; Ville's inequality). Two arms
share the error. What a bundle alone predicted is judged by the sum of (answer - p): a martingale with steps of range 1 while the
predictions hold, whatever the payments are, inside the normal mixture's boundary (Howard et al., Ann. Stat. 49, 2021, eq. 14)

    sqrt((t / 4 + rho) log((t / 4 + rho) / (rho error_rate^2)))
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import msgspec

from honour.outcomes.stages import Canary, Stages, Tally
from honour.records.release import ReleaseSettings

HOUR_US = 3_600_000_000
_RHO = 25.0
"""The boundary is tightest around t = 100 answers."""
_N_GUARDRAILS = 4


class Guarded(msgspec.Struct, frozen=True, kw_only=True):
    """One guardrail. It is broken when even the end of the interval that is kindest to the bundle is past the limit.

    value  the bundle's share less that of the others, for `approval` the others' less its own; for `calibration` the size of the
           mean gap between answer and prediction. low is the kindest end; None: nothing to compare with yet
    n      payments of the bundle that it rests on
    """

    name: str
    value: float | None
    low: float | None
    limit: float
    n: int

    @property
    def is_broken(self) -> bool:
        """The bundle is surely worse than allowed."""
        return self.low is not None and self.low > self.limit


def guarded(stages: Stages, *, limits: ReleaseSettings, now_us: int) -> tuple[str, tuple[Guarded, ...]] | None:
    """The bundle that is watched at present, and each guardrail; None when none is.

    A canary is watched as long as it is one, against payments of the same time; a promoted bundle for `watch_hours`, against its own
    past, as long as there is a bundle to go back to.
    """
    if stages.canary is not None:
        return stages.canary.bundle, tuple(_of_canary(stages.canary, limits=limits))
    is_new = stages.before is not None and now_us - stages.live_since_us < limits.watch_hours * HOUR_US
    if stages.live is None or not is_new:
        return None
    return stages.live, tuple(_of_live(stages, limits=limits))


def in_words(one: Guarded) -> str:
    """Why a bundle went back."""
    value, low = one.value or 0.0, one.low or 0.0
    what = {
        "approval": "its payments are approved less often",
        "calibration": "its probabilities do not hold: mean gap",
        "fallback": "it does not score more often",
        "slow": "its decisions are slow more often",
    }[one.name]
    return f"{what} by {value:.4f}, surely by {low:.4f}; allowed is {one.limit:g} ({one.n} payments)"


def share_interval(n_yes: int, n: int, *, error_rate: float) -> tuple[float, float]:
    """Confidence sequence of a share at n trials: it holds the truth at every n with probability 1 - error_rate.

    >>> low, high = share_interval(90, 100, error_rate=0.05)
    >>> round(low, 3), round(high, 3)
    (0.772, 0.971)
    """
    if not n:
        return 0.0, 1.0
    level = _log_beta(n_yes + 0.5, n - n_yes + 0.5) - _log_beta(0.5, 0.5) + math.log(error_rate)
    middle = n_yes / n

    def is_inside(p: float) -> bool:
        seen = (n_yes * math.log(p) if n_yes else 0.0) + ((n - n_yes) * math.log1p(-p) if n > n_yes else 0.0)
        return seen > level

    low = 0.0 if not n_yes else _edge(1e-12, middle, is_inside=is_inside)
    high = 1.0 if n_yes == n else _edge(1.0 - 1e-12, middle, is_inside=is_inside)
    return low, high


def gap_bound(n: int, *, error_rate: float) -> float:
    """How far the mean of n gaps strays from 0 at any n, with probability 1 - error_rate, while predictions hold."""
    grown = n / 4.0 + _RHO
    return math.sqrt(grown * math.log(grown / (_RHO * error_rate**2))) / n if n else math.inf


def _of_canary(canary: Canary, *, limits: ReleaseSettings) -> Iterator[Guarded]:
    mine, others, error_rate = canary.mine, canary.others, limits.error_rate / _N_GUARDRAILS
    yield _less("approval", mine, others, limit=limits.approval_less_max, error_rate=error_rate)
    theirs = abs(others.gap) / others.n_predicted if others.n_predicted else 0.0
    yield _calibration(mine, others_gap=theirs, limits=limits, error_rate=error_rate)
    pairs = (
        ("fallback", mine.n_fallback, others.n_fallback, limits.fallback_more_max),
        ("slow", mine.n_slow, others.n_slow, limits.slow_more_max),
    )
    for name, n_mine, n_others, limit in pairs:
        low = share_interval(n_mine, mine.n_decisions, error_rate=error_rate / 2)[0]
        high = share_interval(n_others, others.n_decisions, error_rate=error_rate / 2)[1]
        value = _share(n_mine, mine.n_decisions), _share(n_others, others.n_decisions)
        yield Guarded(name=name, value=_minus(*value), low=low - high, limit=limit, n=mine.n_decisions)


def _of_live(stages: Stages, *, limits: ReleaseSettings) -> Iterator[Guarded]:
    """Against the past as it was: what the bundle before did is taken for known."""
    now, then, error_rate = stages.now, stages.then, limits.error_rate / _N_GUARDRAILS
    was = _share(then.n_approved, then.n_answered)
    high = share_interval(now.n_approved, now.n_answered, error_rate=error_rate)[1]
    is_now = _share(now.n_approved, now.n_answered)
    yield Guarded(
        name="approval",
        value=_minus(was, is_now),
        low=was - high if was is not None else None,
        limit=limits.approval_drop_max,
        n=now.n_answered,
    )
    yield _calibration(now, others_gap=0.0, limits=limits, error_rate=error_rate)
    pairs = (
        ("fallback", now.n_fallback, then.n_fallback, limits.fallback_more_max),
        ("slow", now.n_slow, then.n_slow, limits.slow_more_max),
    )
    for name, n_now, n_then, limit in pairs:
        low = share_interval(n_now, now.n_decisions, error_rate=error_rate)[0]
        before = _share(n_then, then.n_decisions) or 0.0
        yield Guarded(name=name, value=_minus(_share(n_now, now.n_decisions), before), low=low - before, limit=limit, n=now.n_decisions)


def _less(name: str, mine: Tally, others: Tally, *, limit: float, error_rate: float) -> Guarded:
    high = share_interval(mine.n_approved, mine.n_answered, error_rate=error_rate / 2)[1]
    low = share_interval(others.n_approved, others.n_answered, error_rate=error_rate / 2)[0]
    value = _minus(_share(others.n_approved, others.n_answered), _share(mine.n_approved, mine.n_answered))
    return Guarded(name=name, value=value, low=low - high, limit=limit, n=mine.n_answered)


def _calibration(tally: Tally, *, others_gap: float, limits: ReleaseSettings, error_rate: float) -> Guarded:
    """What the others miss as well is the world's doing, not the bundle's."""
    n = tally.n_predicted
    value = abs(tally.gap) / n if n else None
    low = None if value is None else value - gap_bound(n, error_rate=error_rate) - others_gap
    return Guarded(name="calibration", value=value, low=low, limit=limits.calibration_gap_max, n=n)


def _share(n_yes: int, n: int) -> float | None:
    return n_yes / n if n else None


def _minus(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one - other


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


def _edge(outside: float, inside: float, *, is_inside: Callable[[float], bool]) -> float:
    """Where the interval ends between two points, to the kind side of a millionth of a millionth."""
    if is_inside(outside):
        return outside
    for _ in range(50):
        middle = (outside + inside) / 2.0
        outside, inside = (outside, middle) if is_inside(middle) else (middle, inside)
    return outside

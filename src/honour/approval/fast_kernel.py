"""The arithmetic of the fast layer in compiled code: nodes as rows of arrays. `fast_layer` says what it means."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from honour.features.compiled import compiled

SHARES = np.array((1.0, 0.8, 0.5, 0.02, 0.02))
"""Share of what would be approved that still is: up, weak, half, refusing, silent."""
N_REGIME = 4
"""The first kinds of node have a regime; the second of them is the issuer."""
ISSUER = 1
TOLD = 0.95
"""Share of answers that a silent node swallows."""
STRAY = 0.01
"""Share of answers that are missing while all is well."""
LATE_ODDS = STRAY / TOLD
"""How much rarer an answer is late from a route that is up than from a silent one."""
SURE = 0.85
"""Refusals tell of trouble as if the model were never surer of an approval than this: what it is wrong about comes in clusters too."""


def _weigh(belief: Any, kind: Any, up: Any, passes: Any, silent: Any, seen: Any) -> None:
    """Compiled. Bayes' rule for the regime of one node, given what the other nodes explain already; updates `passes` and `silent`."""
    others = 1.0
    failing = 1.0  # That no other node swallows the attempt; and below, that no issuer leaves it without an answer.
    missing = 1.0
    for other in range(N_REGIME):
        if other != kind:
            others *= passes[other]
            if other == ISSUER:
                missing *= 1.0 - TOLD * silent[other]
            else:
                failing *= 1.0 - TOLD * silent[other]
    last = len(belief) - 1
    for s in range(len(belief)):
        own_fail = TOLD if s == last and kind != ISSUER else STRAY
        own_miss = TOLD if s == last and kind == ISSUER else STRAY
        fails = 1.0 - failing * (1.0 - own_fail)
        misses = (1.0 - fails) * (1.0 - missing * (1.0 - own_miss))
        approves = min(min(up, SURE) * others * SHARES[s], 1.0 - fails - misses)
        likely = approves if seen == 0 else 1.0 - fails - misses - approves if seen == 1 else misses if seen == 2 else fails
        belief[s] *= max(likely, 1e-4)
    belief /= belief.sum()
    passes[kind] = (belief * SHARES).sum()
    silent[kind] = belief[last]


_weighed = compiled(_weigh)


def _correct(
    rows: Any,
    waiting: Any,
    at_us: Any,
    at: Any,
    drift: Any,
    regime: Any,
    variance: Any,
    prior: Any,
    times: Any,
    p_model: Any,
    p: Any,
    sd: Any,
) -> None:
    """Compiled. Fills `p` and `sd`; `waiting` says how many attempts of each candidate's route are late, and how many on their way."""
    n_kinds, n = rows.shape
    n_regimes = prior.shape[1]
    for i in range(n):
        q = min(max(p_model[i], 1e-6), 1.0 - 1e-6)
        mean = 0.0
        spread = 0.0
        passes = 1.0
        square = 1.0
        for kind in range(n_kinds):
            row = rows[kind, i]
            gone = max(0, at_us - at[row]) if row >= n_kinds else 0
            kept = math.exp(-gone / times[kind])
            mean += drift[row, 0] * kept
            own = variance[kind] + (drift[row, 1] - variance[kind]) * kept * kept
            spread += own / (1.0 + waiting[i, 1] * q * (1.0 - q) * own) if kind == 0 else own
            if kind < N_REGIME:
                kept = math.exp(-gone / times[n_kinds])
                late = LATE_ODDS ** waiting[i, 0] if kind == 0 else 1.0
                total = 0.0
                first = 0.0
                second = 0.0
                for s in range(n_regimes):
                    belief = prior[kind, s] + (regime[row, s] - prior[kind, s]) * kept
                    belief *= late if s < n_regimes - 1 else 1.0
                    share = SHARES[s]
                    total += belief
                    first += belief * share
                    second += belief * share * share
                passes *= first / total
                square *= second / total
        up = 1.0 / (1.0 + math.exp(-(math.log(q / (1.0 - q)) + mean)))
        p[i] = up * passes
        slope = up * (1.0 - up)
        sd[i] = math.sqrt(max(0.0, slope * slope * spread * square + up * up * (square - passes * passes)))


def _update(
    rows: Any, at_us: Any, at: Any, drift: Any, regime: Any, variance: Any, prior: Any, times: Any, p_model: Any, seen: Any
) -> None:
    """Compiled. Ages the nodes to `at_us` and folds one answer into each."""
    n_kinds = len(rows)
    n_regimes = prior.shape[1]
    passes = np.ones(N_REGIME)
    silent = np.zeros(N_REGIME)
    mean = 0.0
    spread = 0.0
    for kind in range(n_kinds):
        row = rows[kind]
        gone = max(0, at_us - at[row])
        kept = math.exp(-gone / times[kind])
        drift[row, 0] *= kept
        drift[row, 1] = variance[kind] + (drift[row, 1] - variance[kind]) * kept * kept
        mean += drift[row, 0]
        spread += drift[row, 1]
        if kind < N_REGIME:
            kept = math.exp(-gone / times[n_kinds])
            for s in range(n_regimes):
                regime[row, s] = prior[kind, s] + (regime[row, s] - prior[kind, s]) * kept
            passes[kind] = (regime[row, :5] * SHARES).sum()
            silent[kind] = regime[row, n_regimes - 1]
        at[row] = max(at[row], at_us)
    q = min(max(p_model, 1e-6), 1.0 - 1e-6)
    up = 1.0 / (1.0 + math.exp(-(math.log(q / (1.0 - q)) + mean)))
    for kind in range(N_REGIME):
        _weighed(regime[rows[kind]], kind, up, passes, silent, seen)
    through = passes[0] * passes[1] * passes[2] * passes[3]
    rest = max(1e-6, 1.0 - through * up)
    score = 1.0 - up if seen == 0 else -through * up * (1.0 - up) / rest
    weight = through * up * (1.0 - up) * (1.0 - up) / rest
    for kind in range(n_kinds):
        row = rows[kind]
        gain = drift[row, 1] / (1.0 + weight * spread)
        drift[row, 0] += gain * score
        drift[row, 1] -= gain * drift[row, 1] * weight


correct = compiled(_correct)
update = compiled(_update)

"""The arithmetic of values and of exploration in compiled code, for the candidates of one payment.

`outlook` and `explore` say what it means. Sums go from the first candidate to the last, as Python's do.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from honour.features.compiled import compiled

ATTEMPT, APPROVAL, APPROVAL_BPS, DECLINE = range(4)
"""Columns of costs: charged for an attempt, on approval, on approval in basis points of the amount, without approval."""
ALONE, VALUE, BY_MODEL, SPREAD = range(4)
"""Rows of what `valued` fills."""
PRECISION: Final = 1e-12
STEPS_MAX: Final = 100
WEIGHT_MAX: Final = 10.0


def _valued(p_approve: Any, p_model: Any, sd: Any, p_recovered: Any, costs: Any, amount_minor: Any, margin_bps: Any, told: Any) -> None:
    """Compiled. Fills the rows of `told` (4, n); of p_model, sd and p_recovered those that are not known have no entries."""
    n = len(p_approve)
    next_minor = 0.0
    for i in range(n):
        worth = amount_minor * (margin_bps - costs[i, APPROVAL_BPS]) / 10_000 - costs[i, APPROVAL]
        next_minor = max(next_minor, worth - costs[i, ATTEMPT])
    earned = amount_minor * margin_bps / 10_000
    for i in range(n):
        follow = p_recovered[i] * next_minor if len(p_recovered) else 0.0
        margin = earned - costs[i, APPROVAL] - amount_minor * costs[i, APPROVAL_BPS] / 10_000
        p = p_approve[i]
        told[ALONE, i] = p * margin - costs[i, ATTEMPT] - (1.0 - p) * costs[i, DECLINE]
        told[VALUE, i] = told[ALONE, i] + (1.0 - p) * follow
        if len(p_model):
            p = p_model[i]
            told[BY_MODEL, i] = p * margin - costs[i, ATTEMPT] - (1.0 - p) * costs[i, DECLINE] + (1.0 - p) * follow
        if len(sd):
            worth = amount_minor * (margin_bps - costs[i, APPROVAL_BPS]) / 10_000 - costs[i, APPROVAL]
            told[SPREAD, i] = sd[i] * abs(worth - follow)


def _gamma(gaps: Any, weights: Any, budget_minor: Any) -> Any:
    """Compiled. Smallest gamma >= 0 whose expected loss is within the budget, to 12 digits.

    The loss is L = sum of g / (n + gamma g / u), and 1 / L rises ever more slowly (a harmonic mean of lines), so that Newton's steps
    on it come from below and never pass what is looked for. They begin where a single line through the mean of g / u would end,
    which is not beyond it either (Jensen).
    """
    n = len(gaps)
    total = 0.0
    square = 0.0
    for i in range(n):
        total += gaps[i]
        square += gaps[i] * (gaps[i] / weights[i])
    if total <= n * budget_minor:
        return 0.0
    gamma = (total / budget_minor - n) * total / square if square > 0.0 else 0.0
    for _ in range(STEPS_MAX):
        loss = 0.0
        slope = 0.0
        for i in range(n):
            scaled = gaps[i] / weights[i]
            share = 1.0 / (n + gamma * scaled)
            loss += gaps[i] * share
            slope += gaps[i] * scaled * share * share
        over = loss - budget_minor
        if over <= PRECISION * budget_minor:
            return gamma * (1.0 + 2.0 * PRECISION) if over > 0.0 else gamma
        gamma += over / slope * (loss / budget_minor)
    # Each term is below u / gamma, so this gamma is always enough.
    enough = 0.0
    for i in range(n):
        if gaps[i] > 0.0:
            enough += gaps[i] / (gaps[i] / weights[i])
    return enough / budget_minor


_gamma_of = compiled(_gamma)


def _explored(values: Any, spread: Any, budget_minor: Any, uniform_share: Any, chosen: Any) -> None:
    """Compiled. Fills the propensities, (n,); `spread` has no entries where nothing is known of it."""
    n = len(values)
    best = 0
    for i in range(n):
        if values[i] > values[best]:
            best = i
        chosen[i] = 0.0
    if budget_minor > 0.0 and n > 1:
        gaps = values[best] - values
        even_minor = 0.0
        mean = 0.0
        for i in range(n):
            even_minor += gaps[i]
        even_minor /= n
        for i in range(len(spread)):
            mean += spread[i]
        mean /= n
        weights = np.ones(n)
        if mean > 0.0:
            for i in range(n):
                weights[i] = min(WEIGHT_MAX, max(1.0 / WEIGHT_MAX, spread[i] / mean))
        even = min(uniform_share, 0.5 * budget_minor / even_minor) if even_minor > 0.0 else uniform_share
        gamma = _gamma_of(gaps, weights, (budget_minor - even * even_minor) / (1.0 - even))
        for i in range(n):
            if i != best:
                chosen[i] = even / n + (1.0 - even) / (n + gamma * gaps[i] / weights[i])
    total = 0.0
    for i in range(n):
        total += chosen[i]
    chosen[best] = 1.0 - total


valued = compiled(_valued)
explored = compiled(_explored)

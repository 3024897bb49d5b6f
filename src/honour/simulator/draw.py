"""Repeatable chance: numbers that depend on a seed and a key only, never on what was drawn before."""

from __future__ import annotations

import math
import struct
from hashlib import blake2b
from statistics import NormalDist

_NORMAL = NormalDist()
_WORDS = struct.Struct("<8Q")

Uniforms = tuple[float, float, float, float, float, float, float, float]


class Draws:
    """Uniform numbers by key, the same on every platform and in every order of asking.

    seed     of the world; `purpose` keeps the draws of one cause apart from those of another

    >>> Draws(1, purpose="example").of("pay_1") == Draws(1, purpose="example").of("pay_1")
    True
    """

    def __init__(self, seed: int, *, purpose: str) -> None:
        self._base = blake2b(f"{seed}/{purpose}/".encode(), digest_size=64)

    def of(self, key: str) -> Uniforms:
        """Eight independent uniform numbers in (0, 1) for `key`."""
        hashed = self._base.copy()
        hashed.update(key.encode())
        a, b, c, d, e, f, g, h = _WORDS.unpack(hashed.digest())
        return (_unit(a), _unit(b), _unit(c), _unit(d), _unit(e), _unit(f), _unit(g), _unit(h))


def normal(uniform: float) -> float:
    """The standard normal number that stands at share `uniform` of its distribution."""
    return _NORMAL.inv_cdf(uniform)


def normal_share(z: float) -> float:
    """Share of the standard normal distribution below `z`."""
    return 0.5 * (1.0 + math.erf(z / math.sqrt(2.0)))


def logistic(x: float) -> float:
    """1 / (1 + exp(-x)), without overflow."""
    return 1.0 / (1.0 + math.exp(-x)) if x > -700.0 else 0.0


def between(uniform: float, low: float, high: float) -> float:
    """`uniform` stretched to the interval from `low` to `high`."""
    return low + (high - low) * uniform


def _unit(word: int) -> float:
    # Half a step up keeps 0 out, so that the normal number of a draw is always finite.
    return ((word >> 12) + 0.5) * 2.0**-52

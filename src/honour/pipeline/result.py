"""How a run ended, and how a model does on what came after it: what the commands print, without what computes it."""

from __future__ import annotations

from typing import Literal

import msgspec

from honour.release.gate import GateResult


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """How a run ended.

    status     registered: the bundle is the challenger; stopped: a gate failed
    exit_code  0, or that of the first gate that failed
    seconds    of each stage that this run did
    """

    run: str
    status: Literal["registered", "stopped"]
    exit_code: int
    gates: tuple[GateResult, ...]
    seconds: dict[str, float]
    against: str | None
    bundle_id: str | None = None
    bundle: str | None = None
    version: int | None = None


class Ran(msgspec.Struct, frozen=True, kw_only=True):
    """The result, and whether it was there before: then nothing was done."""

    result: Result
    was_there: bool


class Sign(msgspec.Struct, frozen=True, kw_only=True):
    """One sign of drift or degradation, and from where on it calls for a new model."""

    name: str
    figure: float
    limit: float
    found: str

    @property
    def is_past(self) -> bool:
        """The figure is above its limit."""
        return self.figure > self.limit


class DriftReport(msgspec.Struct, frozen=True, kw_only=True):
    """What came after the training of a bundle. No signs: too few attempts, or too short a time, to say anything."""

    bundle_id: str
    n_later: int
    hours: float
    signs: tuple[Sign, ...]

    @property
    def past(self) -> tuple[Sign, ...]:
        """Signs above their limits, in order of precedence."""
        return tuple(sign for sign in self.signs if sign.is_past)

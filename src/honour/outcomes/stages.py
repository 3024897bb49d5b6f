"""Which bundle has which part, as the log says, and how the payments of each do: what guardrails look at.

A payment counts once, with its first attempt: those that fell to the canary by chance may then be compared with those that did not.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import Literal

import msgspec

from honour.records.attempt import Outcome
from honour.records.decision import Decision
from honour.records.event import DecisionMade, LoggedEvent, OutcomeReported, SettingsTaken
from honour.records.instant import to_us
from honour.records.payment import Payment
from honour.records.release import ReleaseChanged, ReleaseSettings

WAITING_MAX = 100_000
"""Decisions whose answers are waited for; the oldest are forgotten first."""
SHADOWS_MAX = 4

Part = Literal["live", "canary"]


class Tally(msgspec.Struct, array_like=True):
    """How payments did whose first attempt one part decided.

    n_decisions  first decisions to attempt; of those n_fallback were not scored by the bundle, n_slow took longer than release.slow_ms
    n_answered   those with an answer, n_approved of them approved
    n_predicted  those with an answer that a bundle had scored; gap: sum of (1 if approved, else 0) - p_model over them. That is what
                 the bundle alone said: the fast layer would hide within minutes that it is wrong
    """

    n_decisions: int = 0
    n_fallback: int = 0
    n_slow: int = 0
    n_answered: int = 0
    n_approved: int = 0
    n_predicted: int = 0
    gap: float = 0.0


class Canary(msgspec.Struct, array_like=True):
    """A bundle that decides for a share of the payments.

    step     number of the change by which it got its present share
    steps    (instant, share): payments that began from an instant on fell to the canary with that probability
    mine     payments of the last step that fell to it; others: those that did not
    """

    bundle: str
    step: int
    steps: list[tuple[int, float]]
    mine: Tally
    others: Tally

    def share_of(self, began_us: int) -> float:
        """With which probability a payment that began then falls to it: for all of its life the same."""
        return next((share for since_us, share in reversed(self.steps) if began_us >= since_us), 0.0)


class _Waiting(msgspec.Struct, array_like=True):
    part: Part
    bundle: str | None
    step: int
    p_model: float | None


def began_us(payment: Payment, *, first_us: int | None, at_us: int) -> int:
    """When a payment began: a canary decides for those only that began after it did."""
    since_us = at_us if first_us is None else first_us
    return since_us if payment.created_at is None else min(since_us, to_us(payment.created_at))


class Stages:
    """A fold of the log.

    live     bundle that decides; None: no release was made yet
    before   the one that did before, to go back to
    shadows  bundles that say what they would do
    now      payments that the live bundle decided since it is live; then: those of the one before it
    changes  releases in the log so far
    """

    def __init__(self) -> None:
        self.live: str | None = None
        self.before: str | None = None
        self.live_since_us = 0
        self.shadows: tuple[str, ...] = ()
        self.canary: Canary | None = None
        self.now = Tally()
        self.then = Tally()
        self.changes = 0
        self._slow_us = ReleaseSettings().slow_ms * 1_000
        self._waiting: OrderedDict[str, _Waiting] = OrderedDict()

    def apply(self, logged: LoggedEvent) -> None:
        """Fold one event, in the order of the log."""
        match logged.event:
            case DecisionMade() as made if made.decision.action == "attempt" and made.decision.attempt_number == 1:
                self._decided(made)
            case OutcomeReported(outcome=outcome) if outcome.status != "unknown":
                self._answered(outcome)
            case SettingsTaken(settings=settings):
                self._slow_us = settings.release.slow_ms * 1_000
            case ReleaseChanged() as change:
                self._changed(change, at_us=logged.arrived_us)
            case _:
                pass

    def to_bytes(self) -> bytes:
        """The fold as MessagePack."""
        said = (self.live, self.before, self.live_since_us, self.shadows, self.canary, self.now, self.then, self.changes, self._slow_us)
        return msgspec.msgpack.encode((said, list(self._waiting.items())))

    @classmethod
    def from_bytes(cls, data: bytes) -> Stages:
        """The fold that `to_bytes` wrote."""
        kinds = tuple[str | None, str | None, int, tuple[str, ...], Canary | None, Tally, Tally, int, float]
        stages = cls()
        said, waiting = msgspec.msgpack.decode(data, type=tuple[kinds, list[tuple[str, _Waiting]]])
        stages.live, stages.before, stages.live_since_us, stages.shadows, stages.canary, stages.now, stages.then, *rest = said
        stages.changes, stages._slow_us = int(rest[0]), float(rest[1])
        stages._waiting = OrderedDict(waiting)
        return stages

    def _decided(self, made: DecisionMade) -> None:
        decision = made.decision
        is_canary = self.canary is not None and made.canary == self.canary.bundle
        waits = _Waiting("canary" if is_canary else "live", made.canary if is_canary else self.live, self._step_of(made), _p_sent(decision))
        for tally in self._tallies(waits):
            tally.n_decisions += 1
            tally.n_fallback += decision.stage == "fallback"
            tally.n_slow += decision.elapsed_us > self._slow_us
        self._waiting[decision.decision_id] = waits
        if len(self._waiting) > WAITING_MAX:
            self._waiting.popitem(last=False)

    def _answered(self, outcome: Outcome) -> None:
        waited = self._waiting.pop(outcome.decision_id, None)
        if waited is None:
            return
        is_approved = outcome.status == "approved"
        for tally in self._tallies(waited):
            tally.n_answered += 1
            tally.n_approved += is_approved
            if waited.p_model is not None:
                tally.n_predicted += 1
                tally.gap += is_approved - waited.p_model

    def _step_of(self, made: DecisionMade) -> int:
        """The step of the canary by which chance gave the payment to one side or the other; 0 when it was not by chance."""
        if self.canary is None:
            return 0
        began = began_us(made.payment, first_us=None, at_us=made.decided_us)
        return self.canary.step if began >= self.canary.steps[-1][0] else 0

    def _tallies(self, waits: _Waiting) -> Iterator[Tally]:
        """What a decision counts in. One of a bundle that has lost the part meanwhile counts in nothing."""
        if waits.part == "live" and waits.bundle == self.live:
            yield self.now
        if self.canary is not None and waits.step == self.canary.step:
            yield self.canary.mine if waits.part == "canary" else self.canary.others

    def _changed(self, change: ReleaseChanged, *, at_us: int) -> None:
        """What cannot be is nothing: the log tells what was asked for, in the order in which it was taken."""
        self.changes += 1
        bundle = change.bundle
        match change.action:
            case "shadow":
                self.shadows = (*(one for one in self.shadows if one != bundle), bundle)[-SHADOWS_MAX:]
            case "unshadow":
                self._drop_shadow(bundle)
            case "canary":
                steps = self.canary.steps if self.canary is not None and self.canary.bundle == bundle else []
                self.canary = Canary(bundle, self.changes, [*steps, (at_us, change.share or 0.0)], Tally(), Tally())
                self._drop_shadow(bundle)
            case "promote":
                self._drop_canary(bundle)
                self._drop_shadow(bundle)
                self._put_live(bundle, at_us=at_us)
            case "rollback":
                self._drop_canary(bundle)
                self._drop_shadow(bundle)
                if bundle == self.live and self.before is not None:
                    self._put_live(self.before, at_us=at_us)
                    self.before = None

    def _put_live(self, bundle: str, *, at_us: int) -> None:
        if bundle != self.live:
            self.before, self.live, self.live_since_us = self.live, bundle, at_us
            self.then, self.now = self.now, Tally()

    def _drop_shadow(self, bundle: str) -> None:
        self.shadows = tuple(one for one in self.shadows if one != bundle)

    def _drop_canary(self, bundle: str) -> None:
        if self.canary is not None and self.canary.bundle == bundle:
            self.canary = None


def _p_sent(decision: Decision) -> float | None:
    """What the bundle alone said of the candidate that is sent."""
    chosen = decision.attempt
    if chosen is None or decision.stage == "fallback":
        return None
    sent = (chosen.route, chosen.authentication, chosen.credential)
    return next((one.p_model for one in decision.ranking if (one.route, one.authentication, one.credential) == sent), None)

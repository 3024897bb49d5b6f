"""Probabilities of the candidates from the best there is time for: the model, else rates of their segment, else nothing.

Nothing interrupts a model that has begun. What it takes is known from before: with less time left than the 99th percentile of what
features and model took lately, neither is asked. Measurements are forgotten after ten seconds, so that a model that has become fast
again is asked again; the first decisions after that find out.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, Protocol

import numpy as np
import structlog
from numpy.typing import NDArray

from honour.errors import LogContractBroken
from honour.features.segment_rate import segment_rates
from honour.outcomes.state import State
from honour.policy.outlook import Predicted
from honour.records.event import ServedFeatures
from honour.records.payment import Payment
from honour.records.route import Candidate
from honour.records.settings import PolicySettings
from honour.serving.steps import Steps

Part = Literal["features", "model", "deadline"]

MEASURED = 256
"""Durations that a percentile is taken of."""
FORGOTTEN_NS = 10_000_000_000

_log = structlog.get_logger("honour")


class Model(Protocol):
    """What is asked of a bundle's model."""

    def predict_many(self, served: ServedFeatures) -> NDArray[np.float64]:
        """Calibrated probability of each candidate, in the order given: (n_candidates,)."""
        ...


class Scored(NamedTuple):
    """What is thought of the candidates; without `predicted` the static order decides. `is_live` is False unless the model said it."""

    features: ServedFeatures | None
    predicted: Predicted | None
    is_live: bool


class Lately:
    """The 99th percentile of what something took lately, nanoseconds; 0 when nothing is known."""

    def __init__(self) -> None:
        self._took: deque[int] = deque()
        self._ordered: list[int] = []
        self._last_ns = 0

    def add(self, took_ns: int, *, now_ns: int) -> None:
        """Measured now."""
        self._last_ns = now_ns
        self._took.append(took_ns)
        insort(self._ordered, took_ns)
        if len(self._took) > MEASURED:
            del self._ordered[bisect_left(self._ordered, self._took.popleft())]

    def p99_ns(self, *, now_ns: int) -> int:
        """As of now."""
        if self._took and self._last_ns < now_ns - FORGOTTEN_NS:
            self._took.clear()
            self._ordered.clear()
        return self._ordered[int(0.99 * len(self._ordered))] if self._ordered else 0


class Scorer:
    """Asks the model and knows what it takes.

    timer_ns  counts nanoseconds
    failures  decisions that no model scored although there is one, by why: features or model failed, or the deadline was too near
    """

    def __init__(self, timer_ns: Callable[[], int]) -> None:
        self.failures: dict[Part, int] = {"features": 0, "model": 0, "deadline": 0}
        self._timer_ns = timer_ns
        self._features, self._model = Lately(), Lately()

    def scoring(
        self,
        payment: Payment,
        candidates: Sequence[Candidate],
        *,
        at_us: int,
        model: Model | None,
        state: State,
        policy: PolicySettings,
        left_ns: Callable[[], int] | None,
    ) -> Steps[Scored]:
        """What is thought of eligible candidates as of an instant.

        model    None answers in the static order
        left_ns  nanoseconds until the answer is due; None: there is no hurry
        """
        if model is None or not candidates:
            return Scored(None, None, is_live=model is not None)
        part: Part = "deadline"
        features = None
        began_ns = self._timer_ns()
        try:
            model_ns = self._model.p99_ns(now_ns=began_ns)
            if left_ns is None or left_ns() >= model_ns + self._features.p99_ns(now_ns=began_ns):
                part = "features"
                features = state.features.as_of(payment, candidates, at_us=at_us)
                had_ns = self._timer_ns()
                self._features.add(had_ns - began_ns, now_ns=had_ns)
                yield
                part = "deadline" if left_ns is not None and left_ns() < model_ns else "model"
            if part == "model" and features is not None:
                asked_ns = self._timer_ns()
                p_model = _checked(model.predict_many(features), n=len(candidates))
                said_ns = self._timer_ns()
                self._model.add(said_ns - asked_ns, now_ns=said_ns)
                yield
                return Scored(features, _corrected(p_model, payment, candidates, at_us=at_us, state=state, policy=policy), is_live=True)
        except Exception as error:  # Whatever it is; it is counted and named.
            _log.error("scoring_failed", part=part, error=type(error).__name__)
        self.failures[part] += 1
        return Scored(features, _by_rates(payment, candidates, at_us=at_us, state=state, policy=policy), is_live=False)


def _checked(p_model: NDArray[np.float64], *, n: int) -> NDArray[np.float64]:
    # A few plain floats: faster than arrays of a few. NaN is not between anything.
    if p_model.shape != (n,) or not all(0.0 <= p <= 1.0 for p in p_model.tolist()):
        raise LogContractBroken("the model gave something that is no probability of each candidate. Train again.")
    return p_model


def _corrected(
    p_model: NDArray[np.float64], payment: Payment, candidates: Sequence[Candidate], *, at_us: int, state: State, policy: PolicySettings
) -> Predicted:
    """What the model says, corrected by the fast layer where the settings want it."""
    if not policy.fast_layer:
        return Predicted(p_model)
    corrected = state.fast.correct(payment, candidates, p_model=p_model, at_us=at_us)
    follows = None
    if payment.initiator == "customer":
        shifts = {form: state.followed.shift(form, at_us=at_us) for form in {candidate.authentication for candidate in candidates}}
        follows = tuple(shifts[candidate.authentication] for candidate in candidates)
    return Predicted(corrected.p_approve, p_model, corrected.sd, lambda candidate: state.fast.why(payment, candidate, at_us=at_us), follows)


def _by_rates(payment: Payment, candidates: Sequence[Candidate], *, at_us: int, state: State, policy: PolicySettings) -> Predicted | None:
    """What the candidates' segments say, less what is in trouble; None while too little was answered, or when that fails too."""
    try:
        rates = segment_rates(state.features, payment, candidates, at_us=at_us)
        if rates is None:
            return None
        # No model said it: nothing may be learned from it as if one had.
        return _corrected(rates, payment, candidates, at_us=at_us, state=state, policy=policy)._replace(p_model=None)
    except Exception as error:
        _log.error("rates_failed", error=type(error).__name__)
        return None

"""What a server took, held against expectations as it comes: a fold of the log beside the answers, for metrics.

A decision tells the columns of its payment and of what was chosen, an outcome those of the answer, a reported attempt all of them.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping

import msgspec

from honour.features.answer import whole_ms
from honour.features.columns import CANDIDATE_COLUMNS, PAYMENT_COLUMNS, read_payment
from honour.features.expectation import ANSWERS, Expected, Value, values_of
from honour.features.tallier import Tallier
from honour.features.tally import DAY_US, Judged, Tally, freshness, judge
from honour.records.event import AttemptReported, DecisionMade, LoggedEvent, OutcomeReported
from honour.records.expectation import Severity

MINUTE_US = 60_000_000
DAY_MINUTES = 1_440
USUAL_DAYS = 7
AROUND_MINUTES = 15
"""Attempts a minute are held against those of so many minutes around it on each of the last seven days."""


class LiveFigure(msgspec.Struct, frozen=True, kw_only=True):
    """An expectation as of now.

    n_broken        events that broke it since the start; None where it is of days
    holds, figure   None while it cannot be said
    """

    expectation: str
    severity: Severity
    n_broken: int | None
    holds: bool | None
    figure: float | None


class LiveFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What metrics say.

    seq            events up to here were looked at; n_checked: decisions, outcomes and attempts among them since the start
    newest_us      arrival of the newest of them; None before any
    per_minute     decisions and reported attempts of the last whole minute; usual_per_minute None: there is no day before
    """

    seq: int
    n_checked: int
    newest_us: int | None
    per_minute: int
    usual_per_minute: float | None
    figures: tuple[LiveFigure, ...]


class Live:
    """Folds the log after `after_seq`, some days ago; counts what is broken from `start_seq` on, so that counters begin at 0."""

    def __init__(self, expected: Expected, *, start_seq: int, after_seq: int = 0) -> None:
        self._expected, self._tallier, self._start_seq = expected, Tallier(expected), start_seq
        days = max((one.reference_days for one in expected.expectations), default=1)
        self._before: deque[Tally] = deque(maxlen=days)
        self._today: Tally | None = None
        self._minutes: Counter[int] = Counter()
        self._broken: Counter[str] = Counter()
        self._n_checked, self.seq = 0, after_seq
        self._newest_us: int | None = None

    def take(self, logged: LoggedEvent) -> None:
        """Look at one event, in its order."""
        self.seq = logged.seq
        match logged.event:
            case DecisionMade() as made:
                name, values, is_new = made.decision.decision_id, _of_decision(made), made.decision.attempt is not None
            case AttemptReported(attempt=attempt):
                name, values, is_new = attempt.attempt_id, values_of(attempt), True
            case OutcomeReported(outcome=outcome):
                told = (outcome.status, outcome.response_code, whole_ms(outcome.latency_ms))
                name, values, is_new = outcome.decision_id, dict(zip(ANSWERS, told, strict=True)), False
            case _:
                return
        tally = self._day(logged.arrived_us)
        tally.last_us = self._newest_us = logged.arrived_us
        if is_new:
            tally.n += 1
            self._minutes[logged.arrived_us // MINUTE_US] += 1
        broken = self._tallier.count(tally, values, attempt_id=name)
        if logged.seq > self._start_seq:
            self._n_checked += 1
            self._broken.update(broken)

    def figures(self, *, now_us: int) -> LiveFigures:
        """Everything as of an instant."""
        judged = {one.expectation.name: one for one in self._judged(now_us=now_us)}
        rows = {row.expectation.name for row in self._expected.rows()}
        minute = now_us // MINUTE_US - 1
        return LiveFigures(
            seq=self.seq,
            n_checked=self._n_checked,
            newest_us=self._newest_us,
            per_minute=self._minutes[minute],
            usual_per_minute=self._usual(minute),
            figures=tuple(
                LiveFigure(
                    expectation=one.name,
                    severity=one.severity,
                    n_broken=self._broken[one.name] if one.name in rows else None,
                    holds=judged[one.name].holds if one.name in judged and judged[one.name].figure is not None else None,
                    figure=judged[one.name].figure if one.name in judged else None,
                )
                for one in self._expected.expectations
                if one.kind not in ("schema", "rows") and one.known != "payments"
            ),
        )

    def _day(self, arrived_us: int) -> Tally:
        day = arrived_us // DAY_US
        if self._today is None or self._today.day != day:
            if self._today is not None:
                self._before.append(self._today)
            self._today = Tally(day=day)
            oldest = arrived_us // MINUTE_US - (USUAL_DAYS + 1) * DAY_MINUTES
            for minute in [minute for minute in self._minutes if minute < oldest]:
                del self._minutes[minute]
        return self._today

    def _judged(self, *, now_us: int) -> list[Judged]:
        found: list[Judged] = []
        if self._newest_us is not None:
            found += [freshness(one, newest_us=self._newest_us, now_us=now_us) for one in self._expected.of("freshness")]
        if self._today is not None and self._today.n:
            worst: dict[str, Judged] = {}
            for one in judge(self._today, before=list(self._before), expected=self._expected, goes_on=False):
                known = worst.get(one.expectation.name)
                if known is None or (known.holds and not one.holds):
                    worst[one.expectation.name] = one
            found += worst.values()
        return found

    def _usual(self, minute: int) -> float | None:
        """Mean attempts a minute around this minute of the day on the days before that had any event."""
        if not self._minutes:
            return None
        first, means = min(self._minutes), list[float]()
        for day in range(1, USUAL_DAYS + 1):
            begin = minute - day * DAY_MINUTES - AROUND_MINUTES
            if begin >= first:
                means.append(sum(self._minutes[begin + at] for at in range(2 * AROUND_MINUTES + 1)) / (2 * AROUND_MINUTES + 1))
        return sum(means) / len(means) if means else None


def _of_decision(made: DecisionMade) -> Mapping[str, Value]:
    values: dict[str, Value] = dict(zip(PAYMENT_COLUMNS, read_payment(made.payment), strict=True))
    if (chosen := made.decision.attempt) is not None:
        values |= zip(CANDIDATE_COLUMNS, (chosen.route, chosen.authentication, chosen.credential), strict=True)
    return values

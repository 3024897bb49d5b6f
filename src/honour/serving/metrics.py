"""What Prometheus reads at /metrics."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from honour.records.attempt import Attempt, Outcome
from honour.records.decision import Decision

_SECONDS = (0.0005, 0.001, 0.002, 0.003, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)


class Metrics:
    """Counters of one server; each has a registry of its own, so that several can live in one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._decisions = Counter(
            "honour_decisions", "Decisions made", ["action", "stage", "route", "reason"], registry=self.registry
        )
        self._answers = Counter("honour_answers", "Outcomes and attempts recorded", ["status", "route"], registry=self.registry)
        self.refusals = Counter("honour_refusals", "Requests refused, by problem", ["status", "problem"], registry=self.registry)
        self.model_failures = Gauge("honour_model_failures", "Decisions that no model could score since the start", registry=self.registry)
        self.seconds = Histogram(
            "honour_request_seconds", "From the whole body to the answer", ["path"], buckets=_SECONDS, registry=self.registry
        )
        self.ready = Gauge("honour_ready", "1 when the service accepts work", registry=self.registry)
        self.log_seq = Gauge("honour_log_seq", "Position of the newest event", registry=self.registry)

    def decided(self, decision: Decision) -> None:
        """Count a decision."""
        route = decision.attempt.route if decision.attempt else ""
        self._decisions.labels(decision.action, decision.stage, route, decision.reason.code).inc()

    def answered(self, report: Outcome | Attempt) -> None:
        """Count an answer; outcomes do not say their route again."""
        self._answers.labels(report.status, report.route if isinstance(report, Attempt) else "").inc()

    def text(self) -> bytes:
        """The exposition format of Prometheus."""
        return generate_latest(self.registry)

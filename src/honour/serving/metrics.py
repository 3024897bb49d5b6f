"""What Prometheus reads at /metrics."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from honour.records.decision import Decision
from honour.serving.bundles import Bundles
from honour.serving.hot_path import Engine
from honour.serving.push import DuePush
from honour.serving.queue import Queue

TROUBLES_MAX = 100
"""Most troubles told at once: in a general outage the list says no more than its first hundred."""
_SECONDS = (0.0005, 0.001, 0.002, 0.003, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)


class Counted(Protocol):
    """Something that counts."""

    def totals(self) -> Mapping[Any, int]:
        """How often, by what."""
        ...


class Metrics:
    """Counters of one server; each has a registry of its own, so that several can live in one process. What repeats is not counted."""

    def __init__(self, engine: Engine) -> None:
        self.registry = CollectorRegistry()
        self._engine = engine
        self._decisions = Counter("honour_decisions", "Decisions made", ["action", "stage", "route", "reason"], registry=self.registry)
        self._decided = cache(self._decisions.labels)  # Finding a counter by its labels takes longer than counting.
        self._outcomes = Counter("honour_outcomes", "Outcomes and attempts recorded", ["status", "route", "source"], registry=self.registry)
        self._answered = cache(self._outcomes.labels)
        self._disputes = Counter("honour_disputes", "Disputes recorded", registry=self.registry)
        self._refusals = Counter("honour_refusals", "Requests and lines refused, by problem", ["status", "problem"], registry=self.registry)
        self._seconds = Histogram(
            "honour_request_seconds", "From the headers to the answer, durable", ["path"], buckets=_SECONDS, registry=self.registry
        )
        self._took = cache(self._seconds.labels)
        ready = Gauge("honour_ready", "1 when the service accepts work", registry=self.registry)
        ready.set_function(lambda: float(engine.why_not_ready is None))
        taken = Gauge("honour_log_events", "Events taken in", registry=self.registry)
        taken.set_function(lambda: float(engine.log.last_seq))
        away = Gauge("honour_log_away", "1 while the shared log is away and this server stands in", registry=self.registry)
        away.set_function(lambda: float(engine.log.journaled is not None))
        journaled = Gauge("honour_log_journaled", "Events that wait in the journal for the shared log", registry=self.registry)
        journaled.set_function(lambda: float(engine.log.journaled or 0))
        self._of_features(engine)
        due = Gauge("honour_retries_due", "Payments that wait for a retry whose instant has come", registry=self.registry)
        due.set_function(lambda: float(engine.state.due.n_before(engine.now_us)))
        self.waiting = Gauge("honour_log_waiting", "Requests that wait until their events are durable", registry=self.registry)
        self.registry.register(_Failures(engine))
        self.registry.register(_UnknownCodes(engine))
        self.registry.register(_Troubles(engine))

    def _of_features(self, engine: Engine) -> None:
        held = Gauge(
            "honour_feature_entities", "Cards, payments and other entities whose features this process holds", registry=self.registry
        )
        held.set_function(lambda: float(engine.state.features.n_entities))
        evicted = Gauge(
            "honour_feature_entities_evicted", "Entities let go past data.entities_max while their answers counted", registry=self.registry
        )
        evicted.set_function(lambda: float(engine.state.features.n_evicted))
        away = Gauge("honour_shared_state_away", "1 while the shared state is away or behind the log", registry=self.registry)
        away.set_function(lambda: float(engine.state.features.why_away is not None))

    def follow(self, push: DuePush, queue: Queue) -> None:
        """Count what is pushed and what is shed, too."""
        self.registry.register(_Pushes(push))
        self.registry.register(_Shed(queue))
        waiting = Gauge("honour_queue_waiting", "Requests that wait for their turn", registry=self.registry)
        waiting.set_function(lambda: float(len(queue)))

    def follow_bundles(self, bundles: Bundles, shadows: Counted) -> None:
        """Count bundles that are taken up, refused and given back, and what challengers in shadow did, too."""
        self.registry.register(_Releases(bundles, shadows))

    def decided(self, decision: Decision) -> None:
        """Count a decision."""
        route = decision.attempt.route if decision.attempt else ""
        self._decided(decision.action, decision.stage, route, decision.reason.code).inc()

    def answered(self, status: str, *, route: str | None, source: str) -> None:
        """Count an answer; `source` is decision or attempt. Routes that are not configured are counted together: callers name them."""
        is_known = any(route == known.id for known in self._engine.settings.routes)
        self._answered(status, route if is_known else "other", source).inc()

    def disputed(self) -> None:
        """Count a dispute."""
        self._disputes.inc()

    def refused(self, status: int, problem: str) -> None:
        """Count a refusal by the anchor of its problem."""
        self._refusals.labels(status, problem).inc()

    def took(self, path: str, seconds: float) -> None:
        """Count the time that a request took; `path` is one of those there are."""
        self._took(path).observe(seconds)

    def text(self) -> bytes:
        """The exposition format of Prometheus."""
        return generate_latest(self.registry)


class _Failures:
    """The engine's own counts, read when they are asked for."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def collect(self) -> list[CounterMetricFamily]:
        """Scoring failures by part."""
        family = CounterMetricFamily(
            "honour_scoring_failures", "Decisions that no model scored although there is one, by why", labels=["part"]
        )
        for part, n in self._engine.failures.items():
            family.add_metric([part], n)
        return [family]


class _Shed:
    """Requests that were refused because more came in than could be done."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue

    def collect(self) -> list[CounterMetricFamily]:
        """Requests by rank."""
        family = CounterMetricFamily("honour_shed", "Requests refused because more came in than could be done", labels=["rank"])
        for rank, n in self._queue.shed.items():
            family.add_metric([rank], n)
        return [family]


class _Releases:
    """Bundles in this process, and challengers in shadow."""

    def __init__(self, bundles: Bundles, shadows: Counted) -> None:
        self._bundles, self._shadows = bundles, shadows

    def collect(self) -> list[CounterMetricFamily]:
        """What happened, by kind."""
        family = CounterMetricFamily("honour_bundles", "Bundles that this process took up, refused or gave back", labels=["result"])
        for result, n in self._bundles.counted.items():
            family.add_metric([result], n)
        shadows = CounterMetricFamily(
            "honour_shadow", "Decisions that challengers were to be asked about, by what became of them", labels=["result"]
        )
        for what, n in self._shadows.totals().items():
            shadows.add_metric([what], n)
        return [family, shadows]


class _Pushes:
    """Deliveries of due retries."""

    def __init__(self, push: DuePush) -> None:
        self._push = push

    def collect(self) -> list[CounterMetricFamily]:
        """Retries delivered, and deliveries that failed."""
        family = CounterMetricFamily(
            "honour_retry_pushes", "Due retries delivered to the webhook, and failed deliveries", labels=["result"]
        )
        for result, n in self._push.counted.items():
            family.add_metric([result], n)
        return [family]


class _UnknownCodes:
    """Answers whose code no table of the networks knows, as the state counted them."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def collect(self) -> list[CounterMetricFamily]:
        """Answers by network, signal and code."""
        family = CounterMetricFamily("honour_unknown_codes", "Answers whose code no table knows", labels=["network", "signal", "code"])
        for labels, n in sorted(self._engine.state.retries.unknown.items()):
            family.add_metric(list(labels), n)
        return [family]


class _Troubles:
    """What the fast layer believes to be broken, at the instant of asking."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def collect(self) -> list[GaugeMetricFamily]:
        """Probability of trouble by kind and name of what is in it; nothing while all is well."""
        family = GaugeMetricFamily("honour_trouble", "Probability that this is in trouble, of what probably is", labels=["kind", "name"])
        for trouble in self._engine.state.fast.troubles(at_us=self._engine.now_us)[:TROUBLES_MAX]:
            family.add_metric([trouble.kind, trouble.name], trouble.p)
        return [family]

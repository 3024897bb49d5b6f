"""Deadlines: what answers when there is too little time for the model, and what is said when the log is late."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import httpx
import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray
from shop import NOON_US, SETTINGS, Clock, Fixed, ask, engine, payment

from honour.outcomes.state import State
from honour.records.attempt import Attempt
from honour.records.decision import Decision, DecisionRequest
from honour.records.event import Event, LoggedEvent, ServedFeatures
from honour.records.instant import from_us
from honour.records.settings import ServingSettings
from honour.serving.app import Service
from honour.serving.hot_path import Engine
from honour.serving.score import FORGOTTEN_NS, Lately
from honour.stores.memory import MemoryLog

MS = 1_000_000


class Ticks:
    """Nanoseconds that pass when the model works, or when told to."""

    def __init__(self) -> None:
        self.now_ns = 0

    def __call__(self) -> int:
        return self.now_ns


class Slow:
    """A model that takes its time, and prefers the last candidate."""

    def __init__(self, ticks: Ticks, *, took_ms: int) -> None:
        self.ticks, self.took_ms, self.n_asked = ticks, took_ms, 0

    def predict_many(self, served: ServedFeatures) -> NDArray[np.float64]:
        """One probability for each candidate."""
        self.n_asked += 1
        self.ticks.now_ns += self.took_ms * MS
        return np.linspace(0.5, 0.9, len(served.candidates))


class Shop:
    """An engine with a slow model, and what it was told before of two routes: the first approves most."""

    def __init__(self, *, took_ms: int, n_answered: int = 400) -> None:
        self.ticks = Ticks()
        self.model = Slow(self.ticks, took_ms=took_ms)
        policy = msgspec.structs.replace(SETTINGS.policy, fallback_order=("acq_2", "acq_1"))
        settings = msgspec.structs.replace(SETTINGS, policy=policy, merchants={})
        self.engine = Engine(
            settings, log=MemoryLog(), state=State(), model=self.model, bundle_id="bdl_test", clock_us=Clock(), timer_ns=self.ticks
        )
        for number in range(n_answered):
            approved = number % 10 < (9 if number % 2 else 3)
            self.engine.report_attempt(_told(number, "acq_1" if number % 2 else "acq_2", "approved" if approved else "declined"))

    def decide(self, payment_id: str, *, left_ms: float | None) -> Decision:
        """A decision that is due so many milliseconds from now."""
        due_ns = self.ticks.now_ns + int(left_ms * MS) if left_ms is not None else 0
        left_ns: Callable[[], int] | None = (lambda: due_ns - self.ticks.now_ns) if left_ms is not None else None
        request = msgspec.convert({"payment": payment(payment_id)}, DecisionRequest)
        return self.engine.decide(request, left_ns=left_ns).answer


def test_with_too_little_time_for_the_model_rates_of_the_segment_decide_and_say_so() -> None:
    shop = Shop(took_ms=300)
    live = shop.decide("pay_1", left_ms=None)
    late = shop.decide("pay_2", left_ms=250)
    assert (live.stage, late.stage, late.bundle) == ("live", "fallback", None)
    assert late.attempt is not None
    assert late.attempt.route == "acq_1"
    rates = {one.route: one.p_approve for one in late.ranking if one.eligible and one.authentication == "none"}
    assert rates == {"acq_1": pytest.approx(0.8, abs=0.02), "acq_2": pytest.approx(0.4, abs=0.02)}
    assert {one.p_model for one in late.ranking} == {None}
    assert sum(one.propensity for one in late.ranking) == pytest.approx(1.0)
    assert (shop.model.n_asked, shop.engine.failures) == (1, {"features": 0, "model": 0, "deadline": 1})


def test_while_too_little_was_answered_the_static_order_decides() -> None:
    shop = Shop(took_ms=300, n_answered=150)
    shop.decide("pay_1", left_ms=None)
    late = shop.decide("pay_2", left_ms=250)
    assert (late.stage, late.reason.code) == ("fallback", "static_order")
    assert late.attempt is not None
    assert late.attempt.route == "acq_2"


@pytest.mark.parametrize(("left_ms", "stage"), [(299.9, "fallback"), (300.1, "live"), (None, "live")])
def test_the_model_is_asked_when_what_it_took_lately_is_left(left_ms: float | None, stage: str) -> None:
    shop = Shop(took_ms=300)
    shop.decide("pay_1", left_ms=None)
    assert shop.decide("pay_2", left_ms=left_ms).stage == stage


def test_a_model_that_has_become_fast_again_is_found_out_after_ten_seconds() -> None:
    shop = Shop(took_ms=300)
    shop.decide("pay_1", left_ms=250)
    shop.model.took_ms = 1
    stages = []
    for number in range(4):
        stages.append(shop.decide(f"pay_2_{number}", left_ms=250).stage)
        shop.ticks.now_ns += FORGOTTEN_NS // 2
    assert stages == ["fallback", "fallback", "fallback", "live"]


def test_when_features_fail_the_rates_still_decide(monkeypatch: pytest.MonkeyPatch) -> None:
    shop = Shop(took_ms=1)

    def broken(*_: Any, **__: Any) -> ServedFeatures:
        raise RuntimeError("no such zone")

    monkeypatch.setattr(shop.engine.state.features, "as_of", broken)
    decision = shop.decide("pay_1", left_ms=250)
    assert (decision.stage, decision.reason.code) != ("fallback", "static_order")
    assert decision.attempt is not None
    assert (decision.attempt.route, shop.engine.failures["features"]) == ("acq_1", 1)


def test_when_the_rates_fail_as_well_the_static_order_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    shop = Shop(took_ms=1)
    shop.engine.live.model = Fixed(lambda _n: np.array(2.0))
    monkeypatch.setattr(shop.engine.state.features, "answered", lambda *_, **__: 1 // 0)
    decision = shop.decide("pay_1", left_ms=250)
    assert (decision.stage, decision.reason.code) == ("fallback", "static_order")


def test_a_decision_by_rates_is_replayed_from_the_log_to_the_same_state() -> None:
    shop = Shop(took_ms=300)
    shop.decide("pay_1", left_ms=None)
    shop.decide("pay_2", left_ms=250)
    again = State()
    for logged in shop.engine.log.read():
        again.apply(logged)
    assert again.to_bytes() == shop.engine.state.to_bytes()


def test_the_percentile_is_that_of_what_was_measured() -> None:
    lately = Lately()
    assert lately.p99_ns(now_ns=0) == 0
    for number in range(100):
        lately.add(number, now_ns=number)
    assert lately.p99_ns(now_ns=100) == 99
    for _ in range(400):
        lately.add(7, now_ns=200)
    assert lately.p99_ns(now_ns=200) == 7
    assert lately.p99_ns(now_ns=200 + FORGOTTEN_NS + 1) == 0


class _NeverSure(MemoryLog):
    """A log that keeps what it is given, and is sure of it only when told to be."""

    def __init__(self) -> None:
        super().__init__()
        self.unsure: list[tuple[Future[LoggedEvent], LoggedEvent]] = []

    def append(self, event: Event, *, arrived_us: int, is_new: bool = False) -> Future[LoggedEvent]:
        sure = super().append(event, arrived_us=arrived_us, is_new=is_new).result()
        unsure: Future[LoggedEvent] = Future()
        self.unsure.append((unsure, sure))
        return unsure

    def be_sure(self) -> None:
        """Everything is durable."""
        for future, logged in self.unsure:
            future.set_result(logged)
        self.unsure.clear()


def test_an_answer_that_is_not_durable_in_time_is_a_503_and_the_same_decision_stands() -> None:
    log = _NeverSure()
    service = Service(engine(log, model=Fixed()))
    late = ask(service, "POST", "/v1/decisions", json={"payment": payment()}, headers={"honour-deadline-ms": "50"})
    assert (late.status_code, late.headers["retry-after"], late.json()["type"]) == (503, "1", "/docs#deadline-over")
    assert "A decision that was made stands" in late.json()["detail"]
    assert service.engine.why_not_ready is None
    again = ask(service, "POST", "/v1/decisions", json={"payment": payment()}, headers={"honour-deadline-ms": "5"})
    assert again.status_code == 503  # What it repeats is not durable either.
    log.be_sure()
    sure = ask(service, "POST", "/v1/decisions", json={"payment": payment()})
    assert (sure.status_code, log.last_seq) == (200, 1)
    outcome = {"decision_id": sure.json()["decision_id"], "status": "approved"}
    late = ask(service, "POST", "/v1/outcomes", json=outcome, headers={"honour-deadline-ms": "5"})
    assert (late.status_code, log.last_seq) == (503, 2)
    log.be_sure()
    assert ask(service, "POST", "/v1/outcomes", json=outcome).status_code == 200
    assert log.last_seq == 2


def test_a_bulk_body_has_a_deadline_only_when_its_sender_says_so() -> None:
    log = _NeverSure()
    service = Service(engine(log))
    line = msgspec.json.encode({"type": "attempt", **msgspec.to_builtins(_told(1, "acq_1", "approved"))})
    headers = {"content-type": "application/x-ndjson", "honour-deadline-ms": "5"}
    assert ask(service, "POST", "/v1/events", content=line, headers=headers).status_code == 503
    log.be_sure()
    del headers["honour-deadline-ms"]
    assert ask(service, "POST", "/v1/events", content=line, headers=headers).json()["repeated"] == 1


@pytest.mark.parametrize("said", ["0", "-1", "1.5", "600001", "soon", "", "9" * 40, "²"])
def test_a_deadline_that_is_no_number_of_milliseconds_is_refused(said: str) -> None:
    service = Service(engine(model=Fixed()))
    answer = ask(service, "POST", "/v1/decisions", json={"payment": payment()}, headers={"honour-deadline-ms": said.encode()})
    assert answer.status_code == 422
    assert answer.json()["errors"] == [
        {"path": "Honour-Deadline-Ms", "message": "a whole number of milliseconds from 1 to 600000 is expected."}
    ]


def test_a_service_that_is_slow_answers_payments_in_progress_and_tells_the_others_to_come_again() -> None:
    shop = Shop(took_ms=30, n_answered=0)
    shop.engine.settings = msgspec.structs.replace(shop.engine.settings, serving=ServingSettings())
    service = Service(shop.engine, timer_ns=shop.ticks)
    begun = [shop.decide(f"pay_begun_{number}", left_ms=None).payment_id for number in range(3)]
    for payment_id in begun:
        shop.engine.report_attempt(_told(payment_id, "acq_1", "declined"))

    async def go() -> list[httpx.Response]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=service), base_url="http://honour.test") as client:
            names = [*(f"pay_new_{number}" for number in range(40)), *begun]
            return await asyncio.gather(*(client.post("/v1/decisions", json={"payment": payment(name)}) for name in names))

    answers = asyncio.run(go())
    assert [answer.status_code for answer in answers[-3:]] == [200, 200, 200]
    refused = [answer for answer in answers[:-3] if answer.status_code != 200]
    assert len(refused) > 25
    assert {(answer.status_code, answer.headers["retry-after"], answer.json()["type"]) for answer in refused} == {
        (503, "1", "/docs#overloaded")
    }
    text = ask(service, "GET", "/metrics").text
    assert f'honour_shed_total{{rank="decision"}} {float(len(refused))}' in text
    assert "honour_queue_waiting 0.0" in text


def _told(number: int | str, route: str, status: str) -> Attempt:
    about = payment(
        number if isinstance(number, str) else f"pay_past_{number}", card={"card_id": f"crd_{number}", "bin": "411111", "network": "visa"}
    )
    told = {"attempt_id": f"att_{number}", "payment": about, "route": route, "attempted_at": from_us(NOON_US), "status": status}
    return msgspec.convert(told, Attempt)

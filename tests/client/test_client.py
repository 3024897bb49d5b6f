"""The client: what it asks again, what it raises, and what it does while the service is away."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import msgspec
import pytest

from honour.client import AsyncClient, Client, HonourError, Options, Outcome, Payment, ServiceAway
from honour.client.exchange import Exchange, Received, Send, exchange
from honour.errors import BadInput, CardNumberRefused, Contradiction, UnknownReference
from honour.records.decision import Decision

sys.path.insert(0, str(Path(__file__).parents[1] / "serving"))
from running import Served
from shop import SETTINGS, card_number, payment

from honour import loop
from honour.records.settings import DataSettings

PAYMENT = msgspec.convert(payment(), Payment)
QUICK = Options(deadline_ms=400, report_ms=400, pause_ms=1)
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server without a bundle: the static order decides."""
    folder = tmp_path_factory.mktemp("client")
    serving = msgspec.structs.replace(SETTINGS.serving, deadline_ms=60_000)
    loop.write_settings(folder / "honour.toml", msgspec.structs.replace(SETTINGS, data=DataSettings(dir=str(folder)), serving=serving))
    served = Served(folder)
    yield str(served.url)
    served.end()


@pytest.mark.slow
def test_a_payment_from_the_question_to_its_story(url: str) -> None:
    with Client(url, options=Options(deadline_ms=60_000, report_ms=60_000)) as honour:
        decision = honour.decide(PAYMENT)
        assert decision.attempt is not None
        assert honour.decide(PAYMENT) == decision
        outcome = Outcome(decision_id=decision.decision_id, status="declined", response_code="51")
        assert honour.report_outcome(outcome).status == honour.report_outcome(outcome).status == "declined"
        with pytest.raises(Contradiction):
            honour.report_outcome(msgspec.structs.replace(outcome, status="approved"))
        with pytest.raises(UnknownReference):
            honour.payment("pay_unknown")
        with pytest.raises(CardNumberRefused):
            honour.decide(msgspec.structs.replace(PAYMENT, payment_id=card_number()))
        with pytest.raises(BadInput, match=r"currency"):
            honour.decide(msgspec.structs.replace(PAYMENT, payment_id="pay_x", currency="XXQ"))
        story = honour.payment("pay_1")
    assert [event.event["type"] for event in story.events] == ["decision", "outcome"]


@pytest.mark.slow
def test_many_at_once_over_one_async_client(url: str) -> None:
    async def go() -> list[Decision]:
        async with AsyncClient(url, options=Options(deadline_ms=60_000)) as honour:
            asked = [msgspec.structs.replace(PAYMENT, payment_id=f"pay_many_{number}") for number in range(30)]
            return await asyncio.gather(*(honour.decide(one) for one in asked))

    assert [one.payment_id for one in asyncio.run(go())] == [f"pay_many_{number}" for number in range(30)]


@pytest.mark.slow
def test_what_was_decided_while_the_service_was_away_is_reported_as_an_attempt_that_it_did_not_choose(url: str) -> None:
    asked = msgspec.structs.replace(PAYMENT, payment_id="pay_away")
    with Client(NOWHERE, static_order=("acq_2", "acq_1"), options=QUICK) as honour:
        decision = honour.decide(asked)
        assert (decision.stage, decision.action, decision.reason.code) == ("fallback", "attempt", "service_away")
        assert decision.attempt is not None
        assert decision.attempt.route == "acq_2"
        outcome = Outcome(decision_id=decision.decision_id, status="declined", response_code="51")
        with pytest.raises(ServiceAway):
            honour.report_outcome(outcome)
        honour._url, honour._options = url, Options(report_ms=60_000)  # It is back.
        assert honour.report_outcome(outcome) == msgspec.structs.replace(outcome, happened_at=honour.report_outcome(outcome).happened_at)
        (event,) = honour.payment("pay_away").events
    assert (event.event["type"], event.event["attempt"]["route"]) == ("attempt", "acq_2")


def test_while_the_service_is_away_each_route_is_tried_once_and_a_payment_without_a_shopper_waits() -> None:
    with Client(NOWHERE, static_order=("acq_1", "acq_2", "acq_3"), options=QUICK) as honour:
        told = [honour.decide(PAYMENT, routes=("acq_1", "acq_3")) for _ in range(3)]
        renewal = honour.decide(msgspec.structs.replace(PAYMENT, payment_id="pay_2", initiator="merchant"))
    assert [one.attempt.route if one.attempt else None for one in told] == ["acq_1", "acq_3", None]
    assert [one.attempt_number for one in told] == [1, 2, 3]
    assert (told[2].action, renewal.action) == ("stop", "wait")
    with Client(NOWHERE, options=QUICK) as plain, pytest.raises(ServiceAway, match="did not answer within 400 ms"):
        plain.decide(PAYMENT)


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_it_asks_again_with_what_is_left_of_the_deadline(status: int) -> None:
    asked: list[Send] = []
    clock = iter([0.0, *(at / 100 for at in range(200))])
    decision = Client(NOWHERE, static_order=("acq_1",), options=QUICK).decide(PAYMENT)
    answers = [Received(status, b"", None), None, Received(200, msgspec.json.encode(decision), None)]
    told = exchange(
        "POST", "/v1/decisions", body={}, kind=Decision, allowed_ms=1_000, options=Options(), now_s=lambda: next(clock), draw=lambda: 0.5
    )
    assert _driven(told, answers, asked) == decision
    left = [int(one.headers["honour-deadline-ms"]) for one in asked]
    assert left == sorted(left, reverse=True)
    assert len({*left}) == 3


def test_what_is_refused_is_not_asked_again_and_an_answer_that_is_not_honours_says_so() -> None:
    for answer, kind in (
        (lambda _: httpx.Response(422, json={"type": "/docs#bad-input", "detail": "$.x: wrong."}), BadInput),
        (lambda _: httpx.Response(418, text="a teapot"), HonourError),
        (lambda _: httpx.Response(200, text="<html>"), ServiceAway),
    ):
        n_asked = _refused(answer, kind)
        assert n_asked == 1


def test_importing_it_loads_nothing_that_decides_or_trains() -> None:
    heavy = ["numpy", "numba", "onnxruntime", "starlette", "uvicorn", "prometheus_client", "structlog", "holidays", "duckdb", "mlflow"]
    program = f"import sys, json, honour.client; print(json.dumps([name for name in {heavy} if name in sys.modules]))"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert json.loads(ran.stdout) == []


def _driven(told: Exchange[Decision], answers: list[Received | None], asked: list[Send]) -> Decision:
    received = None
    try:
        while True:
            step = told.send(received)
            received = answers[len(asked)] if isinstance(step, Send) else None
            if isinstance(step, Send):
                asked.append(step)
    except StopIteration as done:
        made: Decision = done.value
        return made


def _refused(answer: Callable[[httpx.Request], httpx.Response], kind: type[HonourError]) -> int:
    asked: list[httpx.Request] = []

    def told(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return answer(request)

    with httpx.Client(transport=httpx.MockTransport(told)) as http, Client(NOWHERE, http=http) as honour, pytest.raises(kind):
        honour.decide(PAYMENT)
    return len(asked)

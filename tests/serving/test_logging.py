"""What the service says on standard error: one JSON object a line, and never a reason to fail."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator

import pytest
import structlog
from shop import Fixed, ask, engine, payment

from honour.serving.app import Service
from honour.serving.server import log_to_stderr


@pytest.fixture(autouse=True)
def _json_on_stderr() -> Iterator[None]:
    log_to_stderr()
    yield
    structlog.reset_defaults()


def _breaks(_n: int) -> None:
    raise RuntimeError("nobody may read this: it may quote a request")


def _broken() -> Service:
    return Service(engine(model=Fixed(_breaks)))  # type: ignore[arg-type]  # it gives nothing


def test_a_failing_model_is_one_line_without_its_words(capfd: pytest.CaptureFixture[str]) -> None:
    assert ask(_broken(), "POST", "/v1/decisions", json={"payment": payment()}).status_code == 200
    (line,) = capfd.readouterr().err.splitlines()
    assert json.loads(line)["event"] == "scoring_failed"
    assert "nobody may read this" not in line


def test_payments_are_decided_when_nobody_reads_standard_error_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = io.StringIO()
    gone.close()
    monkeypatch.setattr(sys, "stderr", gone)
    answer = ask(_broken(), "POST", "/v1/decisions", json={"payment": payment()})
    assert (answer.status_code, answer.json()["stage"]) == (200, "fallback")


def test_a_fault_of_honours_own_is_a_500_that_quotes_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    service = Service(engine())
    service.engine.state.book = None  # type: ignore[assignment]  # a fault that nobody foresaw
    response = ask(service, "POST", "/v1/decisions", json={"payment": payment("pay_secret")})
    assert (response.status_code, response.headers["content-type"]) == (500, "application/problem+json")
    assert "pay_secret" not in response.text + capfd.readouterr().err
    assert 'honour_refusals_total{problem="unhandled",status="500"} 1.0' in ask(service, "GET", "/metrics").text

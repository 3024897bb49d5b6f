"""What GET answers: a valid OpenAPI document, a page that needs nothing from elsewhere, counters, the story."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any
from urllib.parse import quote

import pytest
from shop import Fixed, ask, engine, payment, refs

from honour.serving import openapi
from honour.serving.app import Service
from honour.serving.wire import KINDS, parse_attempt, parse_dispute, parse_outcome, parse_request, render


@pytest.fixture
def service() -> Service:
    return Service(engine(model=Fixed()))


@pytest.fixture
def document(service: Service) -> dict[str, Any]:
    told: dict[str, Any] = ask(service, "GET", "/openapi.json").json()
    return told


def test_the_document_is_openapi_3_1_in_shape(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    assert {"title", "version"} <= document["info"].keys()
    operations = [operation for methods in document["paths"].values() for operation in methods.values()]
    names = [operation["operationId"] for operation in operations]
    assert len(set(names)) == len(names)
    for operation in operations:
        assert operation["summary"]
        assert "200" in operation["responses"]
        assert all(response["description"] for response in operation["responses"].values())


def test_every_reference_of_the_document_resolves(document: dict[str, Any]) -> None:
    found = set(refs(document))
    assert found
    for ref in found:
        place: Any = document
        for part in ref.removeprefix("#/").split("/"):
            place = place[part]
        assert place


def test_every_parameter_of_a_path_is_declared(document: dict[str, Any]) -> None:
    for path, methods in document["paths"].items():
        for operation in methods.values():
            declared = {parameter["name"] for parameter in operation.get("parameters", ()) if parameter["in"] == "path"}
            assert declared == set(re.findall(r"{(\w+)}", path))


def test_every_path_of_the_document_is_served_and_its_examples_are_taken(service: Service, document: dict[str, Any]) -> None:
    for path, methods in document["paths"].items():
        for method in methods:
            assert ask(service, method.upper(), path.replace("{payment_id}", "pay_1")).status_code not in (405, 500)
    parsers = {"/v1/decisions": parse_request, "/v1/outcomes": parse_outcome, "/v1/attempts": parse_attempt, "/v1/disputes": parse_dispute}
    for path, parse in parsers.items():
        assert parse(render(document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["example"]))


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.ids: list[str] = []

    def handle_starttag(self, _tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.targets += [value or "" for name, value in attrs if name in ("href", "src")]
        self.ids += [value or "" for name, value in attrs if name == "id"]


def test_the_readable_page_needs_nothing_from_elsewhere_and_its_links_lead_somewhere(service: Service) -> None:
    page = ask(service, "GET", "/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert not re.search(r"https?://|//[a-z]|@import|url\(", page.text)
    links = _Links()
    links.feed(page.text)
    assert len(set(links.ids)) == len(links.ids)
    assert {target for target in links.targets if not target.startswith("#")} == {"/openapi.json"}
    assert {target[1:] for target in links.targets if target.startswith("#")} <= set(links.ids)
    assert {kind.anchor for kind, _ in KINDS} <= set(links.ids)


def test_the_counters_count_what_was_decided_reported_and_refused(service: Service) -> None:
    decision = ask(service, "POST", "/v1/decisions", json={"payment": payment()}).json()
    ask(service, "POST", "/v1/decisions", json={"payment": payment()})  # The same again is not counted.
    said = {"decision_id": decision["decision_id"], "status": "declined"}
    for _ in range(2):
        ask(service, "POST", "/v1/outcomes", json=said)
    ask(service, "POST", "/v1/disputes", json={"dispute_id": "dsp_1", "payment_id": "pay_1"})
    ask(service, "POST", "/v1/decisions", json={"payment": payment(currency="XXQ")})
    text = ask(service, "GET", "/metrics").text
    route = decision["attempt"]["route"]
    code = decision["reason"]["code"]
    for line in (
        f'honour_decisions_total{{action="attempt",reason="{code}",route="{route}",stage="live"}} 1.0',
        f'honour_outcomes_total{{route="{route}",source="decision",status="declined"}} 1.0',
        "honour_disputes_total 1.0",
        'honour_refusals_total{problem="bad-input",status="422"} 1.0',
        'honour_request_seconds_count{path="/v1/decisions"} 3.0',
        "honour_log_events 3.0",
        "honour_log_waiting 0.0",
        "honour_ready 1.0",
    ):
        assert line in text.splitlines()


def test_a_failing_model_is_counted() -> None:
    service = Service(engine(model=Fixed(lambda _n: None)))  # type: ignore[arg-type, return-value]  # on purpose
    assert ask(service, "POST", "/v1/decisions", json={"payment": payment()}).json()["stage"] == "fallback"
    assert 'honour_scoring_failures_total{part="model"} 1.0' in ask(service, "GET", "/metrics").text


def test_routes_that_callers_make_up_do_not_make_counters(service: Service) -> None:
    for n in range(5):
        attempt = {"attempt_id": f"att_{n}", "payment": payment(f"pay_{n}"), "route": f"acq_made_up_{n}", "status": "declined"}
        ask(service, "POST", "/v1/attempts", json={**attempt, "attempted_at": "2026-03-01T11:00:00Z"})
    text = ask(service, "GET", "/metrics").text
    assert "acq_made_up" not in text
    assert 'honour_outcomes_total{route="other",source="attempt",status="declined"} 5.0' in text


def test_health_and_readiness_name_the_bundle(service: Service) -> None:
    assert ask(service, "GET", "/healthz").json() == {"status": "alive", "bundle": None}
    assert ask(service, "GET", "/readyz").json() == {"status": "ready", "bundle": "bdl_test"}


def test_the_document_is_the_same_every_time() -> None:
    assert openapi.document() is openapi.document()


@pytest.mark.parametrize("payment_id", ["a/b", "a b", "ü", "?x", "%41", "a+b", "\x00", "/", "x/"])
def test_a_story_is_found_whatever_characters_its_payment_has(service: Service, payment_id: str) -> None:
    assert ask(service, "POST", "/v1/decisions", json={"payment": payment(payment_id)}).status_code == 200
    story = ask(service, "GET", f"/v1/payments/{quote(payment_id, safe='')}")
    assert (story.status_code, story.json()["payment_id"]) == (200, payment_id)

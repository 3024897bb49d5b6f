"""What callers get wrong: each has its status, a problem document that names the field, and leaves nothing behind."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from shop import Fixed, ask, ask_all, card_number, engine, in_pieces, payment

from honour.errors import CardNumberRefused
from honour.records.card_number import holds_card_number
from honour.records.route import Route
from honour.records.settings import ServingSettings, Settings
from honour.serving.app import Service
from honour.serving.security import refuse_in_body
from honour.serving.server import log_to_stderr
from honour.stores.sqlite import sqlite_log


@pytest.fixture
def service() -> Service:
    return Service(engine(model=Fixed()))


def test_a_body_that_is_no_json_is_a_400(service: Service) -> None:
    for body in (b"{", b"", b"nonsense", b"\xff\xfe{}", b'{"payment": "\\ud800"}', "\ufeff{}".encode()):
        problem = _problem(ask(service, "POST", "/v1/decisions", content=body), 400)
        assert problem["title"] == "Not JSON"


def test_an_unknown_field_is_named(service: Service) -> None:
    problem = _refused(service, payment(amuont=1))
    assert "amuont" in problem["detail"]
    assert problem["errors"][0]["path"] == "$.payment"


@pytest.mark.parametrize(
    ("field", "value", "word"),
    [
        ("amount_minor", "12.90", "int"),
        ("amount_minor", -1, ">= 0"),
        ("amount_minor", 12.9, "int"),
        ("amount_minor", 10**12 + 1, "<= "),
        ("currency", "XXQ", "ISO 4217"),
        ("currency", "eur", "regex"),
        ("merchant_country", "ZZ", "ISO 3166"),
        ("created_at", "2026-03-01T12:00:00", "timezone"),
        ("deadline_at", "yesterday", "RFC3339"),
        ("payment_id", "", "length"),
        ("payment_id", "p" * 129, "length"),
        ("installments", 0, ">= 1"),
    ],
)
def test_a_value_that_is_not_allowed_is_a_422_with_its_path(service: Service, field: str, value: object, word: str) -> None:
    problem = _refused(service, {**payment(), field: value})
    assert problem["type"] == "/docs#bad-input"
    assert [error["path"] for error in problem["errors"]] == [f"$.payment.{field}"]
    assert word in problem["errors"][0]["message"]


def test_a_body_nested_beyond_reason_is_refused(service: Service) -> None:
    for n in (500, 900, 950, 980, 990, 1_000, 5_000, 60_000):
        for text in ("x", "\\n", card_number()):
            response = ask(service, "POST", "/v1/decisions", content="[" * n + f'"{text}"' + "]" * n)
            assert response.status_code in (400, 422), (n, response.text)
            assert card_number() not in response.text


def test_an_instant_without_a_zone_is_refused_everywhere(service: Service) -> None:
    for at in ("2026-03-01T12:00:00", "2026-03-01"):
        problem = _problem(ask(service, "POST", "/v1/decisions", json={"payment": payment(), "at": at}), 422)
        assert problem["errors"][0]["path"] == "$.at"


@pytest.mark.parametrize("at", ["9999-12-31T23:59:59Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_instants_at_the_ends_of_the_calendar_are_no_accident(service: Service, at: str) -> None:
    answers = [ask(service, "POST", "/v1/decisions", json={"payment": payment(created_at=at, deadline_at=at), "at": at})]
    if answers[0].status_code == 200 and answers[0].json()["attempt"]:
        outcome = {"decision_id": answers[0].json()["decision_id"], "status": "declined", "at": at, "happened_at": at}
        answers.append(ask(service, "POST", "/v1/outcomes", json=outcome))
        answers.append(ask(service, "POST", "/v1/decisions", json={"payment": payment(), "at": at}))
    attempt = {"attempt_id": "att_1", "payment": payment(), "route": "acq_1", "attempted_at": at, "status": "declined"}
    answers.append(ask(service, "POST", "/v1/attempts", json=attempt))
    answers.append(ask(service, "POST", "/v1/decisions", json={"payment": payment()}))
    assert {response.status_code for response in answers} <= {200, 409, 422}, [response.text for response in answers]
    assert ask(service, "GET", "/v1/payments/pay_1").status_code in (200, 404)


def _places_of_a_card_number() -> dict[str, tuple[str, str]]:
    number = card_number()
    spaced = " ".join(number[at : at + 4] for at in range(0, 16, 4))
    dumped = {
        "card id": payment(card={"card_id": number, "bin": "411111", "network": "visa"}),
        "bin": payment(card={"card_id": "crd_1", "bin": number, "network": "visa"}),
        "payment id": payment(f"pay-{number}"),
        "attributes value": payment(attributes={"note": f"card {number} of the shopper"}),
        "attributes key": payment(attributes={number: 1}),
        "number": payment(attributes={"note": int(number)}),
        "decimal number": payment(attributes={"note": float(number)}),
        "amount": payment(amount_minor=int(number)),
        "spaced": payment(attributes={"note": spaced}),
        "dashed": payment(attributes={"note": spaced.replace(" ", "-")}),
        "unknown field": payment(pan=number),
        "unknown key": payment(**{number: "x"}),
        "wide digits": payment(attributes={"note": "".join(chr(0xFF10 + int(digit)) for digit in number)}),
    }
    places = {name: ("/v1/decisions", json.dumps({"payment": body})) for name, body in dumped.items()}
    escaped = "".join(f"\\u00{ord(digit):02x}" for digit in number)
    places["escaped"] = ("/v1/decisions", json.dumps({"payment": payment(attributes={"note": "@"})}).replace("@", escaped))
    exponent = f"{number[0]}.{number[1:]}e15"
    for name, written in (("exponent", exponent), ("upper exponent", exponent.upper()), ("low exponent", f"{number}0e-1")):
        places[name] = ("/v1/decisions", json.dumps({"payment": payment(attributes={"note": "@"})}).replace('"@"', written))
    places["not json"] = ("/v1/decisions", f'{{"payment": {{"card": "{number}"')
    places["outcome"] = ("/v1/outcomes", json.dumps({"decision_id": number, "status": "approved"}))
    places["dispute"] = ("/v1/disputes", json.dumps({"dispute_id": "dsp_1", "payment_id": number}))
    attempt = {"attempt_id": number, "payment": payment(), "route": "acq_1", "attempted_at": "2026-03-01T11:00:00Z", "status": "declined"}
    places["attempt"] = ("/v1/attempts", json.dumps(attempt))
    return places


@pytest.mark.parametrize("place", list(_places_of_a_card_number()))
def test_a_card_number_is_refused_and_nothing_of_it_stays(tmp_path: Path, capfd: pytest.CaptureFixture[str], place: str) -> None:
    path, body = _places_of_a_card_number()[place]
    with _on_disk(tmp_path) as service:
        response = ask(service, "POST", path, content=body)
        assert response.status_code == (400 if place == "not json" else 422), response.text
        if place != "not json":
            assert response.json()["type"] == "/docs#card-number-refused"
        _nothing_stays(tmp_path, service, [response], capfd)


def test_a_card_number_in_the_url_is_refused_and_nothing_of_it_stays(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    number = card_number()
    spaced = quote(f"{number[:4]} {number[4:8]} {number[8:12]} {number[12:]}")
    urls = (
        f"/v1/payments/{number}",
        f"/v1/payments/{spaced}",
        f"/v1/payments/x?card={number}",
        f"/v1/decisions?card={spaced}",
        f"/{number}",
    )
    with _on_disk(tmp_path) as service:
        responses = [ask(service, method, url) for method in ("GET", "POST", "DELETE") for url in urls]
        assert {response.status_code for response in responses} == {422}
        _nothing_stays(tmp_path, service, responses, capfd)


def test_a_line_with_a_card_number_is_named_and_its_neighbours_are_kept(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    lines = [_attempt_line("att_1"), _attempt_line("att_2", card_number()), _attempt_line("att_3")]
    with _on_disk(tmp_path) as service:
        response = _bulk(service, "\n".join(lines))
        assert (response.json()["accepted"], response.json()["refused"]) == (2, 1)
        assert [refusal["line"] for refusal in response.json()["refusals"]] == [2]
        _nothing_stays(tmp_path, service, [response], capfd)


def test_an_outcome_of_an_unknown_decision_is_a_404(service: Service) -> None:
    problem = _problem(ask(service, "POST", "/v1/outcomes", json={"decision_id": "dec_none", "status": "approved"}), 404)
    assert problem["type"] == "/docs#unknown-reference"
    assert "dec_none" in problem["detail"]


def test_the_first_outcome_stands_against_a_contradiction_and_may_be_repeated(service: Service) -> None:
    decision_id = _decided(service)["decision_id"]
    said = {"decision_id": decision_id, "status": "declined", "response_code": "51"}
    assert ask(service, "POST", "/v1/outcomes", json=said).status_code == 200
    for other in ({"status": "approved"}, {"status": "declined", "response_code": "05"}):
        problem = _problem(ask(service, "POST", "/v1/outcomes", json={"decision_id": decision_id, **other}), 409)
        assert "declined (51)" in problem["detail"]
    again = ask(service, "POST", "/v1/outcomes", json=said)
    assert (again.status_code, again.json()["response_code"]) == (200, "51")
    assert [event["event"]["type"] for event in _story(service)["events"]] == ["decision", "outcome"]


def test_an_unknown_outcome_is_settled_by_a_later_one(service: Service) -> None:
    decision_id = _decided(service)["decision_id"]
    statuses = ("unknown", "unknown", "approved", "unknown", "approved")
    answers = [ask(service, "POST", "/v1/outcomes", json={"decision_id": decision_id, "status": status}) for status in statuses]
    assert [response.status_code for response in answers] == [200] * 5
    assert answers[3].json()["status"] == "approved"
    assert len(_story(service)["events"]) == 3
    assert _story(service)["approved"]


def test_a_route_that_is_not_configured_is_a_422_that_lists_those_that_are(service: Service) -> None:
    problem = _problem(ask(service, "POST", "/v1/decisions", json={"payment": payment(), "routes": ["acq_1", "acq_9"]}), 422)
    assert problem["errors"][0]["path"] == "$.routes[1]"
    assert "acq_brl" in problem["detail"]


def test_when_nothing_is_eligible_the_answer_is_a_stop_with_reasons_for_each_candidate(service: Service) -> None:
    decision = ask(service, "POST", "/v1/decisions", json={"payment": payment(), "routes": ["acq_brl"]})
    assert decision.status_code == 200
    assert (decision.json()["action"], decision.json()["reason"]["code"]) == ("stop", "nothing_eligible")
    assert all(candidate["reasons"] for candidate in decision.json()["ranking"])
    without = Service(engine(settings=Settings(routes=())))
    assert ask(without, "POST", "/v1/decisions", json={"payment": payment()}).json()["reason"]["code"] == "nothing_eligible"


@pytest.mark.parametrize("path", ["/v1/decisions", "/v1/outcomes", "/v1/attempts", "/v1/disputes"])
def test_a_body_of_two_megabytes_is_a_413_however_it_is_sent(service: Service, path: str) -> None:
    body = b'{"payment": "' + b"x" * 2_000_000 + b'"}'
    for content in (body, in_pieces(body)):
        problem = _problem(ask(service, "POST", path, content=content), 413)
        assert "262144" in problem["detail"]


def test_a_bulk_body_beyond_its_limit_is_a_413() -> None:
    small = Settings(serving=ServingSettings(bulk_bytes_max=1_000), routes=(Route(id="acq_1"),))
    body = "\n".join(_attempt_line(f"att_{n}") for n in range(10)).encode()
    for content in (body, in_pieces(body, n_bytes=300)):
        assert _bulk(Service(engine(settings=small)), content).status_code == 413


def test_another_content_type_is_a_415(service: Service) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "application/jsonp"):
        _problem(ask(service, "POST", "/v1/decisions", content=b"{}", headers={"content-type": kind}), 415)
    packed = {"content-type": "application/json", "content-encoding": "gzip"}
    _problem(ask(service, "POST", "/v1/decisions", content=b"{}", headers=packed), 415)


def test_another_method_is_a_405_that_names_the_right_one(service: Service) -> None:
    for path in ("/v1/decisions", "/v1/outcomes", "/v1/attempts", "/v1/disputes", "/v1/events"):
        for method in ("GET", "PUT", "DELETE"):
            response = ask(service, method, path)
            _problem(response, 405)
            assert response.headers["allow"] == "POST"
    response = ask(service, "DELETE", "/v1/payments/pay_1")
    _problem(response, 405)
    assert "GET" in response.headers["allow"]


def test_an_unknown_path_or_payment_is_a_404(service: Service) -> None:
    for path in ("/v2/decisions", "/", "/v1/payments/pay_none", "/v1/payments/", "/docs/x"):
        _problem(ask(service, "GET", path), 404)
        assert ask(service, "POST", path).status_code in (404, 405)


def test_bulk_keeps_good_lines_and_names_bad_ones(service: Service) -> None:
    lines = [
        _attempt_line("att_1"),
        "",
        "{not json",
        _attempt_line("att_2") + "\r",
        '{"type": "outcome", "decision_id": "dec_none", "status": "approved"}',
        '{"type": "refund"}',
        json.dumps({"type": "dispute", "dispute_id": "dsp_1", "payment_id": "pay_att_1"}),
        _attempt_line("att_1"),
        '{"x": "' + "y" * 300_000 + '"}',
        _attempt_line("att_3"),
    ]
    for content in ("\n".join(lines), in_pieces("\n".join(lines).encode(), n_bytes=7_001)):
        answer = _bulk(service, content).json()
        assert (answer["accepted"], answer["refused"]) == (5, 4)
        statuses = {refusal["line"]: refusal["problem"]["status"] for refusal in answer["refusals"]}
        assert statuses == {3: 400, 5: 404, 6: 422, 9: 400}
    assert answer["repeated"] == 5


def test_another_payment_under_a_pending_id_is_a_409(service: Service) -> None:
    _decided(service)
    for changed in ({"amount_minor": 1}, {"currency": "USD"}, {"merchant_id": "mer_2"}):
        problem = _problem(ask(service, "POST", "/v1/decisions", json={"payment": payment(**changed)}), 409)
        assert problem["type"] == "/docs#contradiction"


def _problem(response: httpx.Response, status: int) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = response.json()
    assert problem["status"] == status
    assert problem["title"]
    assert problem["detail"]
    return problem


def _refused(service: Service, told: dict[str, Any]) -> dict[str, Any]:
    return _problem(ask(service, "POST", "/v1/decisions", json={"payment": told}), 422)


def _decided(service: Service) -> dict[str, Any]:
    response = ask(service, "POST", "/v1/decisions", json={"payment": payment()})
    assert response.status_code == 200, response.text
    decision: dict[str, Any] = response.json()
    return decision


def _story(service: Service) -> dict[str, Any]:
    story: dict[str, Any] = ask(service, "GET", "/v1/payments/pay_1").json()
    return story


def _attempt_line(attempt_id: str, note: str = "") -> str:
    told = payment(f"pay_{attempt_id}", attributes={"note": note})
    attempted_at = "2026-03-01T11:00:00Z"
    return json.dumps(
        {"type": "attempt", "attempt_id": attempt_id, "payment": told, "route": "acq_1", "attempted_at": attempted_at, "status": "declined"}
    )


def _bulk(service: Service, content: Any) -> httpx.Response:
    return ask(service, "POST", "/v1/events", content=content, headers={"content-type": "application/x-ndjson"})


class _on_disk:  # noqa: N801  # reads as a word: with _on_disk(folder) as service
    def __init__(self, folder: Path) -> None:
        log_to_stderr()
        self._log = sqlite_log(folder / "events.db")

    def __enter__(self) -> Service:
        return Service(engine(self._log, model=Fixed()))

    def __exit__(self, *_: object) -> None:
        self._log.close()
        structlog.reset_defaults()


def _nothing_stays(folder: Path, service: Service, responses: list[httpx.Response], capfd: pytest.CaptureFixture[str]) -> None:
    """A good decision afterwards shows that the files are written at all."""
    metrics, good = ask_all(service, [("GET", "/metrics", {}), ("POST", "/v1/decisions", {"json": {"payment": payment("pay_good")}})])
    assert good.status_code == 200
    printed = capfd.readouterr()
    texts = [*(response.text for response in (*responses, metrics)), printed.out, printed.err, *_texts_of(folder)]
    assert any("pay_good" in text for text in texts)
    for text in texts:
        digits = text.replace(" ", "").replace("-", "").replace("%20", "")
        assert card_number() not in digits


def _texts_of(folder: Path) -> Iterator[str]:
    for path in folder.rglob("*"):
        if path.is_file():
            yield path.read_bytes().decode("latin-1")


@given(st.text("0123456789", min_size=13, max_size=19) | st.text('0123456789 -.eE\\"a', max_size=40), st.booleans())
def test_whatever_holds_a_card_number_is_refused_however_it_is_written_down(note: str, is_ascii: bool) -> None:
    body = json.dumps({"note": note, "name": "a" if is_ascii else "é"}, ensure_ascii=False).encode()
    if holds_card_number(note):
        with pytest.raises(CardNumberRefused):
            refuse_in_body(body)
    else:
        refuse_in_body(body)

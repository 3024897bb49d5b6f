"""One merchant's key neither reads nor moves another's state."""

from __future__ import annotations

import json
from typing import Any

import httpx
import msgspec
import pytest
from shop import NOON_US, SETTINGS, Clock, Fixed, ask, payment

from honour.outcomes.state import State
from honour.records.instant import from_us
from honour.records.route import Merchant
from honour.serving.app import Service
from honour.serving.hot_path import Engine
from honour.serving.keys import new_key
from honour.stores.memory import MemoryLog

DAY_US = 86_400_000_000
KEYS = {
    name: new_key(name, scopes=["decide", "report", "read"], merchants=merchants)
    for name, merchants in {"mine": ["mer_1"], "theirs": ["mer_2"], "all": ["*"]}.items()
}
MINE, THEIRS = payment("pay_mine"), payment("pay_theirs", merchant_id="mer_2")


@pytest.fixture
def service() -> Service:
    """Both merchants have a decision, an attempt of their own choice and a dispute."""
    serving = msgspec.structs.replace(SETTINGS.serving, keys=tuple(kept for _, kept in KEYS.values()))
    settings = msgspec.structs.replace(SETTINGS, serving=serving, merchants={"default": Merchant(margin_bps=2500)})
    made = Service(Engine(settings, log=MemoryLog(), state=State(), model=Fixed(), bundle_id="bdl_test", clock_us=Clock()))
    for name, told in (("mine", MINE), ("theirs", THEIRS)):
        assert _ask(made, name, "/v1/decisions", {"payment": told}).status_code == 200
        assert _ask(made, name, "/v1/attempts", _attempt(f"att_{name}", told)).status_code == 200
        assert _ask(made, name, "/v1/disputes", {"dispute_id": f"dsp_{name}", "payment_id": told["payment_id"]}).status_code == 200
    return made


def test_a_key_decides_and_reports_attempts_for_its_own_merchant_only(service: Service) -> None:
    before = service.engine.log.last_seq
    for path, body in (
        ("/v1/decisions", {"payment": payment("pay_new", merchant_id="mer_2")}),
        ("/v1/attempts", _attempt("att_new", payment("pay_new", merchant_id="mer_2"))),
    ):
        answer = _ask(service, "mine", path, body)
        assert (answer.status_code, answer.json()["type"]) == (403, "/docs#not-permitted")
    assert service.engine.log.last_seq == before
    assert _ask(service, "all", "/v1/decisions", {"payment": payment("pay_new", merchant_id="mer_2")}).status_code == 200


def test_an_outcome_of_anothers_decision_is_answered_as_if_there_were_no_such_decision(service: Service) -> None:
    decision = _ask(service, "theirs", "/v1/decisions", {"payment": payment("pay_2", merchant_id="mer_2")}).json()
    said = {"decision_id": decision["decision_id"], "status": "approved"}
    before = service.engine.log.last_seq
    for _ in ("before it has an outcome", "and after"):
        answer = _ask(service, "mine", "/v1/outcomes", said)
        absent = _ask(service, "mine", "/v1/outcomes", {**said, "decision_id": "dec_none"})
        assert answer.status_code == absent.status_code == 404
        assert answer.text.replace(decision["decision_id"], "dec_none") == absent.text
        assert service.engine.log.last_seq == before
        assert _ask(service, "theirs", "/v1/outcomes", said).status_code == 200
        before = service.engine.log.last_seq


def test_a_dispute_of_anothers_payment_is_answered_as_if_there_were_no_such_payment(service: Service) -> None:
    answer = _ask(service, "mine", "/v1/disputes", {"dispute_id": "dsp_new", "payment_id": "pay_theirs"})
    absent = _ask(service, "mine", "/v1/disputes", {"dispute_id": "dsp_new", "payment_id": "pay_none"})
    assert answer.status_code == absent.status_code == 404
    assert answer.text.replace("pay_theirs", "pay_none") == absent.text


def test_ids_that_another_merchant_took_tell_nothing_of_what_they_stand_for(service: Service) -> None:
    for path, body in (
        ("/v1/attempts", _attempt("att_theirs", MINE, status="approved")),
        ("/v1/disputes", {"dispute_id": "dsp_theirs", "payment_id": "pay_mine"}),
    ):
        answer = _ask(service, "mine", path, body)
        assert (answer.status_code, answer.json()["type"]) == (409, "/docs#contradiction")
        for hidden in ("pay_theirs", "declined", "acq_2", "chargeback"):
            assert hidden not in answer.text


def test_bulk_lines_about_others_are_refused_one_by_one(service: Service) -> None:
    lines = [
        {"type": "attempt", **_attempt("att_a", payment("pay_a"))},
        {"type": "attempt", **_attempt("att_b", payment("pay_b", merchant_id="mer_2"))},
        {"type": "dispute", "dispute_id": "dsp_b", "payment_id": "pay_theirs"},
        {"type": "dispute", "dispute_id": "dsp_a", "payment_id": "pay_a"},
    ]
    body = b"\n".join(json.dumps(line).encode() for line in lines)
    answer = ask(service, "POST", "/v1/events", content=body, headers={"content-type": "application/x-ndjson", **_bearer("mine")}).json()
    assert (answer["accepted"], answer["refused"]) == (2, 2)
    assert [(one["line"], one["problem"]["status"]) for one in answer["refusals"]] == [(2, 403), (3, 404)]


def test_the_story_of_anothers_payment_is_not_told(service: Service) -> None:
    assert _get(service, "mine", "/v1/payments/pay_mine").status_code == 200
    answer, absent = _get(service, "mine", "/v1/payments/pay_theirs"), _get(service, "mine", "/v1/payments/pay_none")
    assert answer.status_code == absent.status_code == 404
    assert answer.text.replace("pay_theirs", "pay_none") == absent.text
    assert {_get(service, "all", f"/v1/payments/{name}").status_code for name in ("pay_mine", "pay_theirs")} == {200}


def test_an_id_that_changed_hands_after_months_tells_each_merchant_its_own_part(service: Service) -> None:
    much_later = from_us(NOON_US + 200 * DAY_US).isoformat()
    taken_over = {"payment": payment("pay_theirs"), "at": much_later}
    _ask(service, "mine", "/v1/decisions", {"payment": payment("pay_between"), "at": much_later})
    assert _ask(service, "mine", "/v1/decisions", taken_over).status_code == 200
    story = _get(service, "mine", "/v1/payments/pay_theirs").json()
    assert [one["event"]["type"] for one in story["events"]] == ["decision"]
    assert _get(service, "theirs", "/v1/payments/pay_theirs").status_code == 404
    assert len(_get(service, "all", "/v1/payments/pay_theirs").json()["events"]) == 4


def test_the_list_of_due_retries_holds_only_ones_own_page_by_page() -> None:
    serving = msgspec.structs.replace(SETTINGS.serving, keys=tuple(kept for _, kept in KEYS.values()))
    quiet = Merchant(margin_bps=2500, quiet_hours=(0, 23))
    settings = msgspec.structs.replace(SETTINGS, serving=serving, merchants={"default": quiet})
    service = Service(Engine(settings, log=MemoryLog(), state=State(), model=Fixed(), clock_us=Clock()))
    for number in range(12):
        told = payment(f"pay_{number}", merchant_id=f"mer_{1 + number % 3}", initiator="merchant")
        assert _ask(service, "all", "/v1/decisions", {"payment": told}).json()["action"] == "wait"
    seen: dict[str, list[str]] = {}
    for name in KEYS:
        after, seen[name] = "", []
        for _ in range(20):
            page = _get(service, name, f"/v1/payments?due_before=2026-04-01T00:00:00Z&limit=3{after}").json()
            seen[name] += [one["payment_id"] for one in page["due"]]
            if page["next"] is None:
                break
            after = f"&after={page['next']}"
    restored = State.from_bytes(service.engine.state.to_bytes())
    assert [one.payment_id for one in restored.due.before(2**62, n_max=99, merchants=["mer_1", "mer_3"])] == [
        one.payment_id for one in service.engine.state.due.before(2**62, n_max=99) if one.merchant_id != "mer_2"
    ]
    assert {name: sorted(found) for name, found in seen.items()} == {
        "mine": sorted(f"pay_{number}" for number in range(0, 12, 3)),
        "theirs": sorted(f"pay_{number}" for number in range(1, 12, 3)),
        "all": sorted(f"pay_{number}" for number in range(12)),
    }


def _attempt(attempt_id: str, told: dict[str, Any], *, status: str = "declined") -> dict[str, Any]:
    at = from_us(NOON_US).isoformat()
    return {"attempt_id": attempt_id, "payment": told, "route": "acq_2", "attempted_at": at, "status": status, "response_code": "51"}


def _bearer(name: str) -> dict[str, str]:
    return {"authorization": f"Bearer {KEYS[name][0]}"}


def _ask(service: Service, name: str, path: str, body: dict[str, Any]) -> httpx.Response:
    return ask(service, "POST", path, json=body, headers=_bearer(name))


def _get(service: Service, name: str, path: str) -> httpx.Response:
    return ask(service, "GET", path, headers=_bearer(name))

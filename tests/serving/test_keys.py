"""API keys: who is refused, what a key may do, how keys change while the service runs, and that they are written nowhere."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from shop import SETTINGS, Fixed, ask, engine, payment

from honour.errors import BadSettings
from honour.records.api_key import ApiKey, Scope
from honour.records.card_number import holds_card_number
from honour.records.event import SettingsTaken
from honour.records.settings import Settings
from honour.serving.app import Service
from honour.serving.keys import check_reachable, new_key
from honour.serving.server import log_to_stderr
from honour.stores.sqlite import sqlite_log

EVERY: tuple[Scope, ...] = ("decide", "report", "read", "administer")
DECISION = ("POST", "/v1/decisions", {"payment": payment()})
GUARDED = [
    ("POST", "/v1/decisions", "decide"),
    ("POST", "/v1/outcomes", "report"),
    ("POST", "/v1/attempts", "report"),
    ("POST", "/v1/disputes", "report"),
    ("POST", "/v1/events", "report"),
    ("GET", "/v1/payments", "read"),
    ("GET", "/v1/payments/pay_1", "read"),
    ("GET", "/metrics", "read"),
    ("GET", "/v1/settings", "administer"),
    ("GET", "/v1/anything", "administer"),
]


def with_keys(*keys: ApiKey, required: bool | None = None) -> Settings:
    serving = msgspec.structs.replace(SETTINGS.serving, keys=keys, keys_required=required)
    return msgspec.structs.replace(SETTINGS, serving=serving)


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


def test_on_this_machine_nobody_needs_a_key_until_there_is_one() -> None:
    _, kept = new_key("shop", scopes=EVERY, merchants=["*"])
    for settings, host, status in (
        (with_keys(), "127.0.0.1", 200),
        (with_keys(), "0.0.0.0", 401),
        (with_keys(kept), "127.0.0.1", 401),
        (with_keys(kept, required=False), "0.0.0.0", 200),
        (with_keys(required=True), "127.0.0.1", 401),
    ):
        service = Service(engine(model=Fixed(), settings=settings), host=host)
        assert ask(service, "POST", "/v1/decisions", json={"payment": payment()}).status_code == status, (host, settings.serving)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "honour.example"])
def test_a_service_that_others_can_reach_does_not_start_without_keys_unless_told_to(host: str) -> None:
    _, kept = new_key("shop", scopes=EVERY, merchants=["*"])
    with pytest.raises(BadSettings, match=r"serving\.keys: none, and .* `honour keys new`.*keys_required = false"):
        check_reachable(with_keys(), host=host)
    for settings in (with_keys(kept), with_keys(required=False), with_keys(required=True)):
        check_reachable(settings, host=host)


@pytest.mark.parametrize(("method", "path", "needed"), GUARDED)
def test_each_path_asks_for_its_scope_and_no_other(method: str, path: str, needed: Scope) -> None:
    for scope in EVERY:
        key, kept = new_key("one", scopes=[scope], merchants=["*"])
        service = Service(engine(settings=with_keys(kept)))
        answer = (
            ask(service, method, path, headers=bearer(key), json={})
            if method == "POST"
            else ask(service, method, path, headers=bearer(key))
        )
        if scope == needed:
            assert answer.status_code not in (401, 403)
        else:
            assert (answer.status_code, answer.json()["type"]) == (403, "/docs#not-permitted")
            assert needed in answer.json()["detail"]


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/openapi.json", "/docs"])
def test_health_and_documentation_are_open(path: str) -> None:
    assert ask(Service(engine(settings=with_keys(required=True))), "GET", path).status_code == 200


def test_what_tells_of_every_merchant_is_not_told_to_one() -> None:
    key, kept = new_key("one", scopes=EVERY, merchants=["mer_1"])
    service = Service(engine(settings=with_keys(kept)))
    for path in ("/metrics", "/v1/settings"):
        assert ask(service, "GET", path, headers=bearer(key)).status_code == 403


def test_a_key_that_is_not_right_to_the_letter_is_refused_in_the_same_words() -> None:
    key, kept = new_key("shop", scopes=EVERY, merchants=["*"])
    service = Service(engine(model=Fixed(), settings=with_keys(kept)))
    other, _ = new_key("other", scopes=EVERY, merchants=["*"])
    told = set()
    for headers in (
        {},
        bearer(""),
        bearer(key[:-1]),
        bearer(key[:-1] + ("a" if key[-1] != "a" else "b")),
        bearer(f"{key}a"),
        bearer(other),
        bearer(kept.id),
        bearer(f"honour_{kept.id}_{kept.digest}"),
        {"authorization": key},
        {"authorization": f"Basic {key}"},
        {"authorization": b"Bearer \xff\xfe"},
    ):
        answer = ask(service, "POST", "/v1/decisions", json={"payment": payment()}, headers=headers)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
        told.add(answer.text)
    assert len(told) == 1
    assert ask(service, "POST", "/v1/decisions", json={"payment": payment()}, headers=bearer(key)).status_code == 200
    assert (
        ask(service, "POST", "/v1/decisions", json={"payment": payment()}, headers={"authorization": f"bearer  {key}"}).status_code == 200
    )


def test_keys_change_with_the_settings_and_without_a_restart() -> None:
    old, old_kept = new_key("old", scopes=EVERY, merchants=["*"])
    new, new_kept = new_key("new", scopes=EVERY, merchants=["*"])
    deciding = engine(model=Fixed(), settings=with_keys(old_kept))
    service = Service(deciding)

    def statuses() -> list[int]:
        return [ask(service, "POST", "/v1/decisions", json={"payment": payment()}, headers=bearer(key)).status_code for key in (old, new)]

    seen = [statuses()]
    for keys in ((old_kept, new_kept), (new_kept,)):
        deciding.take_settings(with_keys(*keys))
        seen.append(statuses())
    assert seen == [[200, 401], [200, 200], [401, 200]]


def test_a_key_is_in_no_answer_no_log_line_and_no_event(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    key, kept = new_key("shop", scopes=["decide"], merchants=["mer_1"])
    log_to_stderr()
    log = sqlite_log(tmp_path / "events.db")
    deciding = engine(log, model=Fixed(lambda _n: None), settings=with_keys(kept))  # type: ignore[arg-type, return-value]  # it fails, and is logged
    deciding.take_settings(deciding.settings).result()
    service = Service(deciding)
    told = ""
    for method, path, headers in [
        *(("POST", path, bearer(key)) for _, path, _ in GUARDED),
        *(("GET", path, bearer(key)) for _, path, _ in GUARDED),
        ("POST", "/v1/decisions", bearer(key[:-1])),
    ]:
        sent: dict[str, Any] = {"json": {"payment": payment()}} if method == "POST" else {}
        told += ask(service, method, path, headers=headers, **sent).text
    log.close()
    output = capfd.readouterr()
    written = output.out + output.err + told + "".join(str(file.read_bytes()) for file in tmp_path.iterdir())
    assert "scoring_failed" in written
    secret = key.rpartition("_")[2]
    for hidden in (secret, secret[:20], kept.digest, kept.digest.partition(":")[2]):
        assert hidden not in written
    taken = next(
        logged.event for logged in sqlite_log(tmp_path / "events.db", read_only=True).read() if isinstance(logged.event, SettingsTaken)
    )
    assert [(one.name, one.scopes, one.merchants) for one in taken.settings.serving.keys] == [("shop", ("decide",), ("mer_1",))]


def test_the_settings_in_force_are_shown_without_their_secrets() -> None:
    key, kept = new_key("ops", scopes=["administer"], merchants=["*"])
    secret = msgspec.structs.replace(with_keys(kept), policy=msgspec.structs.replace(SETTINGS.policy, salt="of this place only"))
    answer = ask(Service(engine(settings=secret)), "GET", "/v1/settings", headers=bearer(key))
    assert [route["id"] for route in answer.json()["routes"]] == ["acq_1", "acq_2", "acq_brl"]
    assert "of this place only" not in answer.text
    assert kept.digest not in answer.text


def test_keys_hold_no_digits_and_are_never_the_same() -> None:
    made = [new_key("shop", scopes=["read"], merchants=["*"]) for _ in range(200)]
    assert len({key for key, _ in made} | {kept.digest for _, kept in made}) == 400
    for key, kept in made:
        assert re.fullmatch(r"honour_[a-z]{8}_[a-z]{48}", key)
        assert not holds_card_number(key + json.dumps(msgspec.to_builtins(kept)))
        assert key.rpartition("_")[2] not in json.dumps(msgspec.to_builtins(kept))

"""A challenger in shadow says what it would have done, and can do no harm: it may end, hang, lie, or take all memory."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from shop import SETTINGS, Fixed, ask, engine, payment

from honour.outcomes.state import State
from honour.records.event import ShadowDecided
from honour.records.release import ReleaseChanged, ReleaseSettings
from honour.serving.app import Service
from honour.serving.shadow import WAITING_MAX, Shadows

BUNDLE = "sha256:" + "a" * 64
READ = """
import os, struct, sys, time, msgspec
def read():
    head = sys.stdin.buffer.read(4)
    return msgspec.msgpack.decode(sys.stdin.buffer.read(struct.unpack(">I", head)[0])) if head else sys.exit()
def say(value):
    body = msgspec.msgpack.encode(value)
    sys.stdout.buffer.write(struct.pack(">I", len(body)) + body)
    sys.stdout.buffer.flush()
def answer(asked, **changed):
    route, authentication, credential, _ = asked["candidates"][0]
    one = {"route": route, "authentication": authentication, "credential": credential, "eligible": True, "p_approve": 0.5}
    attempt = {"route": route, "authentication": authentication, "credential": credential, "propensity": 1.0}
    return {"type": "shadow", "payment_id": asked["payment"]["payment_id"], "decision_id": asked["decision_id"], "bundle": BUNDLE,
            "action": "attempt", "attempt": attempt, "wait_until": None, "reason": {"code": "x", "detail": ""},
            "ranking": [one], "took_us": 1, **changed}
begin = read()
BUNDLE = begin["bundle_id"]
"""
GOOD = READ + 'say({"type": "begun"})\nwhile True: say(answer(read()))'
HARMFUL = {
    "it ends at once": ("sys.exit()", "ended"),
    "it ends when it is asked": ('say({"type": "begun"}); read(); sys.exit()', "ended"),
    "it never ends": ('say({"type": "begun"}); read()\nwhile True: pass', "late"),
    "it stops reading": ('say({"type": "begun"})\nwhile True: time.sleep(1)', "late"),
    "it crashes": ('say({"type": "begun"}); read(); os.abort()', "ended"),
    "it takes all memory": (
        'import resource; resource.setrlimit(resource.RLIMIT_DATA, (1 << 28, 1 << 28)); say({"type": "begun"}); read()\n'
        "hoard = []\nwhile True: hoard.append(bytearray(1 << 24))",
        "ended or late",  # Filling a quarter of a gigabyte takes its time on a busy machine.
    ),
    "it says no numbers": (
        'say({"type": "begun"})\nwhile True:\n a = read(); one = answer(a)["ranking"][0]\n'
        ' say(answer(a, ranking=[{**one, "p_approve": float("nan")}]))',
        "garbage",
    ),
    "it speaks of other routes": (
        'say({"type": "begun"})\nwhile True:\n a = read(); one = answer(a)["ranking"][0]\n'
        ' say(answer(a, ranking=[{**one, "route": "acq_x"}]))',
        "garbage",
    ),
    "it answers another question": ('say({"type": "begun"})\nwhile True: say(answer(read(), decision_id="dec_other"))', "garbage"),
    "it answers with the wrong fields": ('say({"type": "begun"})\nwhile True: read(); say({"type": "shadow", "action": 7})', "garbage"),
    "it answers with bytes": (
        'say({"type": "begun"})\nwhile True: read(); sys.stdout.buffer.write(b"\\xff" * 100); sys.stdout.buffer.flush()',
        "garbage",
    ),
    "it raises": (
        'say({"type": "begun"})\nwhile True: say({"type": "failed", "decision_id": read()["decision_id"], "error": "KeyError"})',
        "failed",
    ),
}


@pytest.mark.slow
def test_what_a_challenger_would_have_done_is_in_the_log_and_in_the_story_of_the_payment(tmp_path: Path) -> None:
    service, shadows = _service(tmp_path, GOOD)
    _drive(service, shadows, until=lambda: service.engine.log.find(f"shadow:{_first(service)}:{BUNDLE}") is not None)
    story = ask(service, "GET", "/v1/payments/pay_0").json()
    told = [one["event"] for one in story["events"]]
    assert [one["type"] for one in told] == ["decision", "shadow"]
    assert (told[1]["decision_id"], told[1]["bundle"]) == (told[0]["decision"]["decision_id"], BUNDLE)
    assert State.from_bytes(service.engine.state.to_bytes()).to_bytes() == service.engine.state.to_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("name", HARMFUL)
def test_no_payment_notices_when(name: str, tmp_path: Path) -> None:
    harm, result = HARMFUL[name]
    service, shadows = _service(tmp_path, READ + harm)
    _drive(service, shadows, until=lambda: any(n for what, n in shadows.totals().items() if what in result.split(" or ")))
    assert not [logged for logged in service.engine.log.read() if isinstance(logged.event, ShadowDecided)]


def test_when_more_is_decided_than_a_challenger_can_say_the_rest_is_left_out(tmp_path: Path) -> None:
    service, shadows = _service(tmp_path, "import time; time.sleep(60)")
    asyncio.run(shadows.look())
    for number in range(20):
        assert ask(service, "POST", "/v1/decisions", json={"payment": payment(f"pay_{number}")}).status_code == 200
    for _ in range(2 * WAITING_MAX):
        assert service.engine.watch is not None
        service.engine.watch(None)  # type: ignore[arg-type]  # It is not looked at before there is time for it.
    assert shadows.totals()["left_out"] >= WAITING_MAX
    service.engine.take_release(_change("unshadow"))
    asyncio.run(shadows.look())
    assert (service.engine.watch, shadows.challengers) == (None, ())


def _service(folder: Path, program: str) -> tuple[Service, Shadows]:
    settings = msgspec.structs.replace(SETTINGS, release=ReleaseSettings(shadow_ms_max=1_500, shadow_per_s_max=100_000))
    service = Service(engine(model=Fixed(), settings=settings))
    service.engine.take_release(_change("shadow"))
    return service, Shadows(service, data_dir=folder, command=(sys.executable, "-c", program))


def _drive(service: Service, shadows: Shadows, *, until: Callable[[], bool]) -> None:
    """Ask about payments until something is so; every one is answered by the live bundle."""

    async def go() -> None:
        await shadows.look()
        number, due_s = 0, time.monotonic() + 120
        while not until():
            assert time.monotonic() < due_s, shadows.totals()
            card = {"card_id": f"crd_{number}", "bin": "411111", "network": "visa"}
            answer = await _asked(service, payment(f"pay_{number}", card=card))
            assert (answer["stage"], answer["bundle"]) == ("live", "bdl_test")
            number += 1
            await asyncio.sleep(0.02)
            await shadows.look()
        for one in shadows.challengers:
            one.end()

    asyncio.run(go())


async def _asked(service: Service, asked: dict[str, object]) -> dict[str, object]:
    import httpx

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=service), base_url="http://honour.test") as client:
        answer = await client.post("/v1/decisions", json={"payment": asked}, headers={"Honour-Deadline-Ms": "60000"})
        assert answer.status_code == 200, answer.text
        told: dict[str, object] = answer.json()
        return told


def _first(service: Service) -> str:
    found = service.engine.log.story("pay_0")
    return found[0].event.decision.decision_id if found else ""  # type: ignore[union-attr]  # The first is a decision.


def _change(action: str) -> ReleaseChanged:
    return ReleaseChanged(action=action, bundle=BUNDLE, by="somebody", why="test", at=datetime.now(tz=UTC))  # type: ignore[arg-type]  # One of them.

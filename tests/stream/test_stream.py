"""Kafka: what the log holds goes out at least once and in order, what comes in has its effect once, and nothing is skipped."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from shop import Fixed, engine, payment

from honour.errors import BadSettings, StreamUnavailable
from honour.records.attempt import Outcome
from honour.records.decision import DecisionRequest
from honour.records.event import LoggedEvent, OutcomeReported
from honour.records.settings import DataSettings, StreamSettings
from honour.serving.app import Service
from honour.serving.hot_path import Engine
from honour.serving.recovery import restore
from honour.stores.sqlite import sqlite_log
from honour.stream.into import StreamIn
from honour.stream.out import StreamOut, message_of, position_of

pytestmark = pytest.mark.slow
CARD = "4" + 15 * "1"


@contextmanager
def running(stream: StreamIn | StreamOut) -> Iterator[None]:
    thread = threading.Thread(target=stream.run)
    thread.start()
    try:
        yield
    finally:
        stream.stop()
        thread.join()


def until(condition: Callable[[], object]) -> None:
    ends = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < ends, "it never came"
        time.sleep(0.05)


def messages(told: StreamSettings, topic: str, n: int) -> list[Any]:
    """The first messages of a topic, partition by partition in order."""
    consumer = Consumer({"bootstrap.servers": told.brokers, "group.id": "test", "enable.auto.commit": False, "log_level": 3})
    places = [TopicPartition(topic, number, 0) for number in consumer.list_topics(topic, timeout=10).topics[topic].partitions]
    consumer.assign(places)
    found: list[Any] = []
    until(lambda: found.extend(consumer.consume(1_000, timeout=0.2)) or len(found) >= n)
    consumer.close()
    return found


def decided(folder: Path, *, n: int) -> list[str]:
    """A log with decisions and their outcomes; ids of the decisions."""
    log = sqlite_log(folder / "events.db")
    shop, ids = engine(log, model=Fixed()), []
    for number in range(n):
        ids.append(decision_of(shop, payment(f"pay_{number}", card={"card_id": f"crd_{number}", "bin": "411111", "network": "visa"})))
        shop.report_outcome(Outcome(decision_id=ids[-1], status="approved"))
    log.close()
    return ids


def decision_of(shop: Engine, asked: dict[str, Any]) -> str:
    return shop.decide(msgspec.convert({"payment": asked}, DecisionRequest, strict=False)).answer.decision_id


def posted(service: Service, body: bytes) -> tuple[int, bytes]:
    async def go() -> tuple[int, bytes]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=service), base_url="http://honour.test") as client:
            response = await client.post("/v1/events", content=body, headers={"content-type": "application/x-ndjson"})
            return response.status_code, response.content

    return asyncio.run(go())


def test_every_event_of_the_log_is_sent_with_its_payment_as_key_and_a_restart_goes_on(tmp_path: Path, told: StreamSettings) -> None:
    decided(tmp_path, n=20)
    data = DataSettings(dir=str(tmp_path))
    first = StreamOut(data, told)
    with running(first):
        until(lambda: first.sent == 40)
    assert position_of(tmp_path, topic=told.events_topic) == 40
    log = sqlite_log(tmp_path / "events.db")
    again = StreamOut(data, told)
    with running(again):
        shop = engine(log, model=Fixed(), state=restore(log))
        shop.take_settings(shop.settings).result()
        until(lambda: again.sent == 1)  # Before that, the other might be the first to run.
        with pytest.raises(BadSettings, match="another `honour stream out` runs"):
            StreamOut(data, told).run()
    sent = messages(told, told.events_topic, 41)
    held = {logged.seq: logged for logged in log.read()}
    log.close()
    decoded = [msgspec.json.decode(one.value(), type=LoggedEvent) for one in sent]
    assert sorted(one.seq for one in decoded) == list(range(1, 42))
    assert all(held[one.seq] == one for one in decoded)
    for message, one in zip(sent, decoded, strict=True):
        assert message.key().decode() == message_of(one)[0]
    assert {message.key() for message in sent} == {b"settings", *(f"pay_{number}".encode() for number in range(20))}
    of_payment: dict[bytes, list[int]] = {}
    for message, one in zip(sent, decoded, strict=True):
        of_payment.setdefault(message.key(), []).append(one.seq)
    assert all(seqs == sorted(seqs) for seqs in of_payment.values())


def test_without_its_position_the_whole_log_is_sent_again_and_another_topic_begins_anew(tmp_path: Path, told: StreamSettings) -> None:
    decided(tmp_path, n=3)
    for _ in range(2):
        stream = StreamOut(DataSettings(dir=str(tmp_path)), told)
        with running(stream):
            until(lambda: stream.sent == 6)  # noqa: B023  # called before the next round
        (tmp_path / "stream-out.json").unlink()
    assert position_of(tmp_path, topic=told.events_topic) == 0
    (tmp_path / "stream-out.json").write_text('{"topic": "other", "seq": 5}')
    assert position_of(tmp_path, topic=told.events_topic) == 0
    (tmp_path / "stream-out.json").write_text("{")
    with pytest.raises(BadSettings, match="Delete it"):
        position_of(tmp_path, topic=told.events_topic)


def test_a_report_from_a_topic_has_its_effect_once_and_bad_ones_go_aside_with_the_reason(tmp_path: Path, told: StreamSettings) -> None:
    ids = decided(tmp_path, n=1)
    log = sqlite_log(tmp_path / "more.db")
    service = Service(engine(log, model=Fixed()))
    decision_id = decision_of(service.engine, payment("pay_x"))
    good = {"type": "outcome", "decision_id": decision_id, "status": "declined", "response_code": "51"}
    producer = Producer({"bootstrap.servers": told.brokers, "log_level": 3})
    sent = [
        json.dumps(good, indent=2),
        json.dumps(good),
        json.dumps({**good, "status": "approved"}),
        json.dumps({**good, "decision_id": ids[0]}),
        "{not json",
        "",
        json.dumps({**good, "response_code": CARD}),
        f"not json either: {CARD}",
    ]
    for number, value in enumerate(sent):
        producer.produce(told.reports_topic, key=str(number), value=value, partition=0)
    producer.flush()
    stream = StreamIn(told, post=lambda body: posted(service, body))
    with running(stream):
        until(lambda: stream.refused == 6)
    assert stream.accepted == 2
    assert sum(isinstance(logged.event, OutcomeReported) for logged in log.read()) == 1
    log.close()
    aside = {message.key().decode(): message for message in messages(told, told.refused_topic, 6)}
    kinds = {key: dict(message.headers())["honour-refused"].decode() for key, message in aside.items()}
    assert kinds == {
        "2": "contradiction",
        "3": "unknown-reference",
        "4": "bad-input",
        "5": "bad-input",
        "6": "card-number-refused",
        "7": "bad-input",
    }
    assert aside["2"].value().decode() == sent[2]
    assert dict(aside["2"].headers())["honour-source"].decode() == f"{told.reports_topic}/0/2"
    assert aside["6"].value() is None
    assert aside["7"].value() is None
    assert all(b"4111" not in dict(message.headers())["honour-detail"] for message in aside.values())


def test_a_position_is_committed_only_when_the_server_has_kept_what_came_before_it(told: StreamSettings) -> None:
    producer = Producer({"bootstrap.servers": told.brokers, "log_level": 3})
    producer.produce(told.reports_topic, value=b'{"type": "outcome"}', partition=0)
    producer.flush()
    asked: list[bytes] = []

    def never(body: bytes) -> tuple[int, bytes]:
        asked.append(body)
        return 503, b"{}"

    refusing = StreamIn(told, post=never)
    with running(refusing):
        until(lambda: len(asked) >= 2)
    kept = StreamIn(told, post=lambda _: (200, b'{"accepted": 1, "repeated": 0, "refused": 0, "refusals": []}'))
    with running(kept):
        until(lambda: kept.accepted == 1)
    looking = Consumer({"bootstrap.servers": told.brokers, "group.id": told.group, "log_level": 3})
    assert looking.committed([TopicPartition(told.reports_topic, 0)])[0].offset == 1
    looking.close()
    with pytest.raises(BadSettings, match="answers 401"):
        _told_once(told, status=401)


def _told_once(told: StreamSettings, *, status: int) -> None:
    producer = Producer({"bootstrap.servers": told.brokers, "log_level": 3})
    producer.produce(told.reports_topic, value=b'{"type": "outcome"}', partition=0)
    producer.flush()
    StreamIn(told, post=lambda _: (status, b"{}")).run()


def test_brokers_that_are_not_named_or_do_not_answer_are_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("honour.stream.brokers.ANSWER_S", 0.5)
    with pytest.raises(BadSettings, match=r"stream\.brokers: none"):
        StreamIn(StreamSettings()).run()
    with pytest.raises(StreamUnavailable, match=r"127\.0\.0\.1:1: no broker answers"):
        StreamOut(DataSettings(dir=str(tmp_path)), StreamSettings(brokers="127.0.0.1:1")).run()
    with pytest.raises(BadSettings, match=r"stream\.kafka: .*no.such.property"):
        StreamIn(StreamSettings(brokers="127.0.0.1:1", kafka={"no.such.property": "1"})).run()

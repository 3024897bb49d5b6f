"""Brokers of our own, in this process, and the small shop of the tests of serving."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Producer

from honour.records.settings import StreamSettings

sys.path.insert(0, str(Path(__file__).parents[1] / "serving"))
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def brokers() -> Iterator[str]:
    """The address of librdkafka's own cluster of three brokers, which speaks the protocol of Kafka."""
    cluster = Producer({"bootstrap.servers": "", "test.mock.num.brokers": 3, "log_level": 3})
    yield ",".join(f"{broker.host}:{broker.port}" for broker in cluster.list_topics(timeout=10).brokers.values())
    cluster.flush()


@pytest.fixture
def told(brokers: str) -> StreamSettings:
    """Settings with topics of their own."""
    number = next(_numbers)
    return StreamSettings(
        brokers=brokers,
        events_topic=f"events_{number}",
        reports_topic=f"reports_{number}",
        refused_topic=f"refused_{number}",
        group=f"group_{number}",
        kafka={"session.timeout.ms": "6000", "heartbeat.interval.ms": "500"},
    )

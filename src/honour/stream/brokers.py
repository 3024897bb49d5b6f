"""Clients of the brokers that the settings name (librdkafka)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import structlog

from honour.errors import BadSettings, StreamUnavailable
from honour.records.settings import StreamSettings

if TYPE_CHECKING:
    from confluent_kafka import Consumer, Producer

ANSWER_S = 15.0
"""Brokers that say nothing for this long when we start are not there."""

_log = structlog.get_logger("honour")


def producer_for(told: StreamSettings) -> Producer:
    """A client that writes: acknowledged by all replicas in sync, in order, sent again for as long as it takes."""
    from confluent_kafka import Producer  # After `check`.

    return Producer({**_common(told), "acks": "all", "enable.idempotence": True, "message.timeout.ms": 0, "compression.type": "lz4"})


def consumer_for(told: StreamSettings, *, topic: str) -> Consumer:
    """A client that reads a topic as one of its group; positions are committed by whoever uses it."""
    from confluent_kafka import Consumer

    consumer = Consumer(
        {
            **_common(told),
            "group.id": told.group,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "max.poll.interval.ms": 86_400_000,  # A server that is away for hours is waited for.
        }
    )
    consumer.subscribe([topic])
    return consumer


def check(told: StreamSettings) -> None:
    """Raise BadSettings when Kafka cannot be used as configured, StreamUnavailable when no broker answers."""
    try:
        from confluent_kafka import KafkaException
    except ImportError:
        raise BadSettings("stream: confluent-kafka is not installed. Install it with `pip install 'honour[kafka]'`.") from None
    if told.brokers is None:
        raise BadSettings("stream.brokers: none. Name them, HOST:PORT with commas between, in [stream] or HONOUR_STREAM__BROKERS.")
    try:
        producer_for(told).list_topics(timeout=ANSWER_S)
    except KafkaException as error:
        why = error.args[0]
        if str(why.name()) in ("_INVALID_ARG", "_UNKNOWN_PROPERTY"):
            raise BadSettings(f"stream.kafka: {why.str()}.") from None
        raise StreamUnavailable(
            f"{told.brokers}: no broker answers ({why.str()}). Check stream.brokers and what stream.kafka says of security."
        ) from None


def _common(told: StreamSettings) -> dict[str, Any]:
    return {
        "bootstrap.servers": told.brokers,
        "client.id": "honour",
        "log_level": 3,
        "error_cb": _told,
        **told.kafka,
    }


def _told(error: Any) -> None:
    _log.warning("stream_brokers", why=error.str())

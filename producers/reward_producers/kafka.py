"""The one module that imports confluent_kafka: clients with the settings that the log's promises need.

Everything above takes its clients from here, so that the promises of delivery stand in one place.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_END,
    Consumer,
    ConsumerGroupState,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, ConfigResource, NewPartitions, NewTopic, OffsetSpec

from reward_producers import kafka_settings
from reward_producers.kafka_settings import Kafka
from reward_producers.sparse import Sparse

__all__ = [
    "EARLIEST",
    "LATEST",
    "NEWEST",
    "OFFSET_BEGINNING",
    "OFFSET_END",
    "AdminClient",
    "ConfigResource",
    "Consumer",
    "ConsumerGroupState",
    "KafkaError",
    "KafkaException",
    "Message",
    "NewPartitions",
    "NewTopic",
    "Producer",
    "TopicCollection",
    "TopicPartition",
    "admin",
    "consumer",
    "producer",
]

# Of list_offsets: the two ends of a partition, and its newest record with that one's time.
EARLIEST: OffsetSpec = OffsetSpec.earliest()  # type: ignore[no-untyped-call] # confluent_kafka leaves it without types
LATEST: OffsetSpec = OffsetSpec.latest()  # type: ignore[no-untyped-call] # the same
NEWEST: OffsetSpec = OffsetSpec.max_timestamp()  # type: ignore[no-untyped-call] # the same

_log = logging.getLogger("reward_monitor.kafka")
_log.addFilter(Sparse())

# A broker that went away comes back within seconds; librdkafka's own back-off grows to 10 s.
_CONNECTION: dict[str, Any] = {"reconnect.backoff.ms": 100, "reconnect.backoff.max.ms": 1000, "log_level": 3, "logger": _log}


def admin(kafka: Kafka | str) -> AdminClient:
    """An admin client of a cluster: its settings, or bare "host:port,host:port".

    Hold it until its futures are done: dropped, it takes its requests with it, and they never end.
    """
    return AdminClient(_connection(kafka))


def producer(kafka: Kafka | str, **options: Any) -> Producer:
    """An idempotent producer: no duplicates and no reordering from its own retries, acknowledged by all replicas.

    `options` are librdkafka's, with `_` for `.`; they win over what is set here.
    """
    return Producer(
        {
            **_connection(kafka),
            "enable.idempotence": True,
            "acks": "all",
            "compression.type": "lz4",
            "linger.ms": 50,
            "message.max.bytes": 4194304,
            **_dotted(options),
        }
    )


def consumer(kafka: Kafka | str, group: str, *, on_error: Callable[[KafkaError], None] | None = None, **options: Any) -> Consumer:
    """A consumer that commits only what it is told to, and starts at the log's beginning where nothing was committed."""
    callbacks = {"error_cb": on_error} if on_error else {}
    return Consumer(
        {
            **_connection(kafka),
            "group.id": group,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "fetch.message.max.bytes": 4194304,
            **callbacks,
            **_dotted(options),
        }
    )


def _connection(kafka: Kafka | str) -> dict[str, Any]:
    return {**kafka_settings.of(kafka).options(), **_CONNECTION}


def _dotted(options: dict[str, Any]) -> dict[str, Any]:
    return {name.replace("_", "."): value for name, value in options.items()}

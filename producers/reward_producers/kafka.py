"""The one module that imports confluent_kafka: clients with the settings that the log's promises need.

Everything above takes its clients from here, so that the promises of delivery stand in one place.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any, TypeVar

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
from reward_producers.kafka_errors import KafkaRefused, explained, warn
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
    "OffsetSpec",
    "Producer",
    "TopicCollection",
    "TopicPartition",
    "admin",
    "consumer",
    "entered",
    "producer",
]

# Of list_offsets: the two ends of a partition, and its newest record with that one's time.
EARLIEST: OffsetSpec = OffsetSpec.earliest()  # type: ignore[no-untyped-call] # confluent_kafka leaves it without types
LATEST: OffsetSpec = OffsetSpec.latest()  # type: ignore[no-untyped-call] # the same
NEWEST: OffsetSpec = OffsetSpec.max_timestamp()  # type: ignore[no-untyped-call] # the same

_log = logging.getLogger("reward_monitor.kafka")
_log.addFilter(Sparse())

# A broker that went away comes back within seconds; librdkafka's own back-off grows to 10 s. What it would log it also
# tells its error callback, and there it is said in our words.
_CONNECTION: dict[str, Any] = {"reconnect.backoff.ms": 100, "reconnect.backoff.max.ms": 1000, "log_level": 2, "logger": _log}
_ALL_DOWN = "_ALL_BROKERS_DOWN"  # comes after the reasons, one of each broker
_PATIENCE_S = 1.0  # between two looks at why a cluster does not answer
OnError = Callable[[KafkaError], None]
T = TypeVar("T")


def admin(kafka: Kafka | str, *, on_error: OnError | None = None) -> AdminClient:
    """An admin client of a cluster: its settings, or bare "host:port,host:port".

    Hold it until its futures are done: dropped, it takes its requests with it, and they never end.
    This and the other clients raise KafkaRefused where certificates or keys can't be used, MonitorError where a file of the
    settings can't be read.
    """
    return _made(AdminClient, kafka, on_error, {})


def entered(kafka: Kafka | str, timeout_s: float = 10.0) -> AdminClient:
    """An admin client that has had an answer.

    KafkaRefused as soon as Kafka says no to who asks or to what it shows; KafkaUnreachable after `timeout_s`.
    """
    brokers, errors = kafka_settings.of(kafka).brokers, list[KafkaError]()
    client = admin(kafka, on_error=errors.append)
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            client.list_topics(timeout=_PATIENCE_S)
            return client
        except KafkaException as error:
            unanswered = error.args[0]
        client.poll(0)  # hands over what went wrong meanwhile
        reasons = [error for error in errors if error.name() != _ALL_DOWN] or [unanswered]
        told = [explained(error.name(), error.str(), brokers) for error in reasons]
        if refused := next((reason for reason in told if isinstance(reason, KafkaRefused)), None):
            raise refused
        if time.monotonic() > deadline:
            raise told[-1]


def producer(kafka: Kafka | str, **options: Any) -> Producer:
    """An idempotent producer: no duplicates and no reordering from its own retries, acknowledged by all replicas.

    `options` are librdkafka's, with `_` for `.`; they win over what is set here.
    """
    return _made(
        Producer,
        kafka,
        None,
        {
            "enable.idempotence": True,
            "acks": "all",
            "compression.type": "lz4",
            "linger.ms": 50,
            "message.max.bytes": 4194304,
            **_dotted(options),
        },
    )


def consumer(kafka: Kafka | str, group: str, *, on_error: OnError | None = None, **options: Any) -> Consumer:
    """A consumer that commits only what it is told to, and starts at the log's beginning where nothing was committed."""
    return _made(
        Consumer,
        kafka,
        on_error,
        {
            "group.id": group,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "fetch.message.max.bytes": 4194304,
            **_dotted(options),
        },
    )


def _made(client: Callable[[dict[str, Any]], T], kafka: Kafka | str, on_error: OnError | None, options: dict[str, Any]) -> T:
    of = kafka_settings.of(kafka)

    def tell(error: KafkaError) -> None:
        if error.name() != _ALL_DOWN:
            warn(_log, error.name(), error.str(), of.brokers)

    try:
        return client({**of.options(), **_CONNECTION, "error_cb": on_error or tell, **options})
    except KafkaException as error:
        told = explained(error.args[0].name(), error.args[0].str(), of.brokers)
        raise (told if isinstance(told, KafkaRefused) else error) from error


def _dotted(options: dict[str, Any]) -> dict[str, Any]:
    return {name.replace("_", "."): value for name, value in options.items()}

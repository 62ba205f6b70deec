"""What the broker says of the events topic."""

from __future__ import annotations

from collections.abc import Iterable

from reward_producers.kafka import Consumer, TopicCollection, TopicPartition, admin
from reward_producers.kafka_settings import Kafka
from reward_schemas.topics import EVENTS

from reward_jobs.assign import LogFacts


def log_facts(kafka: Kafka | str, reader: Consumer, partitions: Iterable[int], timeout_s: float = 30.0) -> dict[int, LogFacts]:
    """The events topic's id and partition count, with the offsets of each of these partitions."""
    client = admin(kafka)  # held until the answer is there: dropped, it takes the request with it
    described = client.describe_topics(TopicCollection([EVENTS]), request_timeout=timeout_s)[EVENTS].result()
    return {
        partition: LogFacts(
            str(described.topic_id),
            len(described.partitions),
            *reader.get_watermark_offsets(TopicPartition(EVENTS, partition), timeout=timeout_s),
        )
        for partition in partitions
    }

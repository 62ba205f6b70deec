"""Starts the fold afresh after the events topic was created again, or has lost its end.

It writes an empty snapshot of a new epoch for every partition. Earlier snapshots stay where they are and count no more;
rows that have landed stay, and rows of the new epoch replace those of the same keys.
"""

from __future__ import annotations

import time

from reward_producers.kafka import ConsumerGroupState, admin, producer
from reward_producers.kafka_settings import Kafka
from reward_schemas.errors import MonitorError

from reward_jobs import snapshots
from reward_jobs.groups import AGGREGATE
from reward_jobs.log_facts import log_facts

_WITHOUT_WORKERS = (ConsumerGroupState.EMPTY, ConsumerGroupState.DEAD)
_LEAVE_S = 12.0  # a worker that was killed is a member until its session ends


def reset(kafka: Kafka | str) -> int:
    """Starts a new epoch and returns it. Raises MonitorError while workers run: one of them would go on in the old one."""
    client = admin(kafka)
    deadline = time.monotonic() + _LEAVE_S
    while (group := client.describe_consumer_groups([AGGREGATE])[AGGREGATE].result()).state not in _WITHOUT_WORKERS:
        if time.monotonic() > deadline:
            raise MonitorError(
                f"{len(group.members)} workers run, and would go on in the old epoch.",
                where=f"consumer group {AGGREGATE}",
                remedy="stop them first, then reset",
            )
        time.sleep(0.5)
    reader, writer = snapshots.reader(kafka), producer(kafka)
    try:
        facts = log_facts(kafka, reader, [0])[0]
        found = snapshots.read(reader, range(facts.partitions))
        epoch = 1 + max((c.commit.epoch for candidates in found.values() for c in candidates), default=0)
        for partition in range(facts.partitions):
            commit, _ = snapshots.pack(b"", -1, facts.topic_id, facts.partitions, epoch)
            commit.chunks = 0
            snapshots.send(writer, partition, commit, [])
    finally:
        reader.close()
    return epoch

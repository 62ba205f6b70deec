"""Starts the fold afresh after the events topic was created again, or has lost its end.

    python -m reward_jobs.reset --brokers HOST:PORT

It writes an empty snapshot of a new epoch for every partition. Earlier snapshots stay where they are and count no more;
rows that have landed stay, and rows of the new epoch replace those of the same keys.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time

from reward_producers.kafka import ConsumerGroupState, admin, producer

from reward_jobs import logs, snapshots
from reward_jobs.aggregate import GROUP
from reward_jobs.log_facts import log_facts

log = logging.getLogger("reward_jobs.reset")

_WITHOUT_WORKERS = (ConsumerGroupState.EMPTY, ConsumerGroupState.DEAD)
_LEAVE_S = 12.0  # a worker that was killed is a member until its session ends


def reset(brokers: str) -> int:
    """Starts a new epoch and returns it. Raises RuntimeError while workers run: one of them would go on in the old one."""
    client = admin(brokers)
    deadline = time.monotonic() + _LEAVE_S
    while (group := client.describe_consumer_groups([GROUP])[GROUP].result()).state not in _WITHOUT_WORKERS:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{len(group.members)} workers run in the group {GROUP}: stop them first, then reset")
        time.sleep(0.5)
    reader, writer = snapshots.reader(brokers), producer(brokers)
    try:
        facts = log_facts(brokers, reader, [0])[0]
        found = snapshots.read(reader, range(facts.partitions))
        epoch = 1 + max((c.commit.epoch for candidates in found.values() for c in candidates), default=0)
        for partition in range(facts.partitions):
            commit, _ = snapshots.pack(b"", -1, facts.topic_id, facts.partitions, epoch)
            commit.chunks = 0
            snapshots.send(writer, partition, commit, [])
    finally:
        reader.close()
    return epoch


def main() -> int:
    """Resets; 0 when it is done, 1 while workers run."""
    logs.configure()
    arguments = argparse.ArgumentParser(prog="reward_jobs.reset", description=__doc__.splitlines()[0])
    arguments.add_argument("--brokers", required=True, help="Kafka, as host:port,host:port")
    try:
        epoch = reset(arguments.parse_args().brokers)
        log.info("epoch %d begins; start the workers, and the lander with --epoch %d", epoch, epoch)
    except RuntimeError as error:
        log.error("%s", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

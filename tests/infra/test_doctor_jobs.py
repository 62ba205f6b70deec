"""`doctor` on a real log whose jobs are away, behind, or of another history. The tests are in the order of the log's life."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from reward_infra.doctor.context import Context
from reward_infra.local_stack import LocalStack
from reward_infra.topics import offsets
from reward_jobs import groups, snapshots
from reward_jobs.log_facts import log_facts
from reward_producers.kafka import TopicPartition, admin, consumer, producer
from reward_schemas.encode import encode_control
from reward_schemas.events import Tick
from reward_schemas.topics import EVENTS, RESULTS, catalogue, source_partitions
from reward_store.client import Client
from reward_store.migrate import migrate

from tests.infra.doctoring import context, look, make_topics, one, well

pytestmark = pytest.mark.timeout(60)
PARTITIONS = source_partitions("embedded")
DATABASES = {"clickhouse_tables": "doctor_jobs_tables", "clickhouse_views": "doctor_jobs"}


class Log:
    """The topics of a stack that has no jobs, and a database beside it."""

    def __init__(self, stack: LocalStack) -> None:
        self.brokers, self.file = stack.brokers, stack.settings_file
        make_topics(self.brokers, catalogue(PARTITIONS))
        self.client: Client = self.context().settings.clickhouse.as_writer().connect()
        migrate(self.client)

    def context(self) -> Context:
        return context(self.file, **DATABASES)

    def append(self, records: int) -> None:
        out = producer(self.brokers, linger_ms=5)
        for _ in range(records):
            out.produce(EVENTS, encode_control(Tick()), None, 0)
        assert out.flush(20) == 0

    def snapshot(self, *, topic_id: str = "", partitions: int = PARTITIONS, through: int = 0, epoch: int = 0) -> None:
        """Writes one of partition 0; by default it is of this log."""
        reader = snapshots.reader(self.brokers)
        facts = log_facts(self.brokers, reader, [0])[0]
        reader.close()
        commit, chunks = snapshots.pack(b"state", through, topic_id or facts.topic_id, partitions, epoch)
        snapshots.send(producer(self.brokers), 0, commit, chunks)

    def landed(self, *, to_offset: int = 1, silent_s: int = 0, behind_s: int = 0, epoch: int = 0) -> None:
        """Says in the audit that a batch was landed, and nothing else was."""
        self.client.command(f"TRUNCATE TABLE {DATABASES['clickhouse_tables']}.ingest_audit")
        self.client.command(
            f"INSERT INTO {DATABASES['clickhouse_tables']}.ingest_audit (topic, epoch, partition, from_offset, to_offset, append_time, "
            f"landed_at) SELECT 'events', {epoch}, 0, 0, {to_offset}, now64(3) - {behind_s}, now64(3) - {silent_s}"
        )

    @contextmanager
    def member(self, group: str) -> Iterator[None]:
        """A job that is there and does nothing."""
        idle = consumer(self.brokers, group)
        idle.subscribe([*groups.TOPICS[group]])
        while not idle.assignment():
            idle.poll(0.05)
        yield
        idle.close()


@pytest.fixture(scope="module")
def log(stack: LocalStack) -> Iterator[Log]:
    made = Log(stack)
    yield made
    for database in DATABASES.values():
        made.client.command(f"DROP DATABASE IF EXISTS {database}")
    made.client.close()


def test_no_worker_and_no_lander(log: Log) -> None:
    log.append(20)
    worker, lander = one(log.context(), "worker"), one(log.context(), "lander")
    assert worker.what == "No worker runs, so events are kept by Kafka and never become steps: 20 records wait."
    assert worker.where == f"consumer group of aggregate at {log.brokers}" and "python -m reward_jobs.aggregate" in worker.remedy
    assert lander.what == "No lander runs, so nothing reaches ClickHouse: 20 records wait."
    assert "python -m reward_jobs.land" in lander.remedy and "docker compose up -d land" in lander.remedy
    with log.member(groups.AGGREGATE):
        assert well(log.context(), "worker") == ["1 runs, 20 records behind"]
        assert one(log.context(), "lander").what == lander.what  # a worker alone is not enough


def test_snapshots_of_another_log(log: Log) -> None:
    assert well(log.context(), "snapshots") == [f"0 of {PARTITIONS} partitions have one, of this log"]
    log.snapshot(topic_id="another")
    deleted = one(log.context(), "snapshots")
    assert "The snapshots are of another topic of this name (id another" in deleted.what
    assert deleted.where == f"{EVENTS} partition 0" and "reward-monitor topics --reset" in deleted.remedy
    log.snapshot(partitions=16)
    assert "Create the topic with 16 partitions" in one(log.context(), "snapshots").what
    log.snapshot(through=1_000)
    assert "The log ends at offset 20, the snapshot reaches through 1000" in one(log.context(), "snapshots").what
    log.snapshot(through=19, epoch=2)
    assert well(log.context(), "snapshots") == [f"1 of {PARTITIONS} partitions have one, of this log"]


def test_what_landed_is_of_another_history_or_old(log: Log) -> None:
    with log.member(groups.LAND):
        assert well(log.context(), "landed") == ["nothing has landed yet"]
        log.landed(epoch=1)
        epochs = [f for f in look(log.context(), "snapshots", "landed") if f.level == "error"]
        assert [f.what.partition(":")[0] for f in epochs] == ["Rows land under epoch 1, the fold is in epoch 2"]
        assert epochs[0].remedy == "start the lander with REWARD_MONITOR_JOBS_EPOCH=2" and "jobs.epoch" in epochs[0].where
        log.landed(to_offset=1_000)
        beyond = one(log.context(), "landed")
        assert "partition 0 ends at offset 20, 1000 were landed: it was created anew" in beyond.what
        assert "REWARD_MONITOR_JOBS_EPOCH=1" in beyond.remedy
        log.landed(silent_s=7_200, behind_s=6 * 86_400)
        stalled = one(log.context(), "landed")
        assert re.search(r"landed nothing for 2 h, and 20 records wait, the oldest for 6 d; what is older than 7 d", stalled.what)
        assert "reward-monitor logs land" in stalled.remedy
        log.landed()
        assert "under epoch 0" in well(log.context(), "landed")[0]


def test_a_worker_that_falls_behind(log: Log) -> None:
    log.append(1_200)
    with log.member(groups.AGGREGATE):
        found = one(log.context(), "worker", "warning")
    assert "The worker runs and falls behind: 1,220 records, 1,220 after 2 s" in found.what
    assert "start one more beside it" in found.remedy


def test_records_that_retention_took_from_the_lander(log: Log) -> None:
    late = consumer(log.brokers, groups.LAND)
    late.commit(offsets=[TopicPartition(EVENTS, 0, 5), TopicPartition(RESULTS, 0, 0)], asynchronous=False)
    late.close()
    client, events = admin(log.brokers), TopicPartition(EVENTS, 0, 12)
    client.delete_records([events])[events].result()
    while offsets(client, EVENTS, log.brokers)[0][0] != 12:
        time.sleep(0.02)
    lost = look(log.context(), "lander")[0]
    assert lost.level == "error" and lost.what == "7 records were deleted by retention before the lander had them."
    assert "retention.ms" in lost.remedy

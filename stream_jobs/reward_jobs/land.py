"""The lander: the one writer to ClickHouse. Gather, insert, audit, then commit.

    python -m reward_jobs.land [--config FILE]

Rows replace themselves by key and version, so it may die at any moment: what wasn't committed is read and written
again, and changes nothing. While ClickHouse is away it holds its place: partitions are paused, Kafka keeps the records.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from typing import Any

from reward_producers.kafka import Consumer, KafkaError, KafkaException, TopicPartition, consumer, entered
from reward_producers.kafka_errors import KafkaUnreachable, warn
from reward_producers.sparse import Sparse
from reward_schemas import topics
from reward_schemas.errors import MonitorError
from reward_store.audit import landed_ends
from reward_store.client import Client
from reward_store.errors import StoreError, Unavailable
from reward_store.event_rows import Arrived
from reward_store.landing import EVENTS, RESULTS, RULES, Batch, Table
from reward_store.migrate import check

from reward_jobs import groups, health, logs
from reward_jobs.settings import EXIT_CONFIGURATION, Settings, of_process

log = logging.getLogger("reward_jobs.land")
trouble = logging.getLogger("reward_jobs.land.trouble")
trouble.addFilter(Sparse(30.0))  # while something is down the same line comes with every attempt

EXIT_OK, EXIT_FATAL = 0, 70
_FLUSH_S, _FLUSH_BYTES = 1.0, 16_000_000  # a batch goes at the first of them
_TOPICS = {topics.EVENTS: EVENTS, topics.RESULTS: RESULTS, topics.RULES: RULES}
_NAMES = {short: name for name, short in _TOPICS.items()}
_ENTER_S = 30.0  # the longest wait for Kafka at the start
_STOP_S = 4.0  # after SIGTERM; what isn't in by then is landed by the next start
_SAY_S = 60.0  # between two lines of what was landed
_BACKOFF_S = (0.2, 5.0)
_CONSUMER = {
    "partition_assignment_strategy": "cooperative-sticky",  # a second lander takes some partitions and stops none
    "queued_max_messages_kbytes": 32_768,  # with the batch, what the lander holds of the log
    "fetch_max_bytes": 16_777_216,
    "session_timeout_ms": 6_000,  # librdkafka beats from a thread of its own: who is silent so long is dead
    "heartbeat_interval_ms": 1_500,
}


class Lander:
    """Owns the consumer and the client. One thread; `stop` may be called from a signal handler."""

    def __init__(self, settings: Settings) -> None:
        self._kafka, self._epoch, self._instance = settings.kafka, settings.jobs.epoch, settings.jobs.instance
        self._clickhouse = settings.clickhouse.as_writer()
        self._status = health.begin(settings.jobs.data_dir, health.LAND)
        self._stopping = threading.Event()
        self._fatal: KafkaError | None = None  # what librdkafka can't go on after
        self._batch = Batch(self._epoch)
        self._ends: dict[tuple[str, int], int] = {}  # landed, not yet committed
        self._landing: dict[tuple[str, int], int] = {}  # being inserted
        self._records, self._flushes, self._said = 0, 0, time.monotonic() - _SAY_S  # since the last line

    def stop(self) -> None:
        """Lands what is gathered, commits, and lets `run` return."""
        self._stopping.set()

    def run(self) -> None:
        """Lands until `stop`. MonitorError where a store refuses, or the log is another; KafkaException of the broker."""
        if (client := self._connect()) is None:
            return
        self._client = client
        entered(self._kafka, _ENTER_S)
        member = {"group_instance_id": self._instance} if self._instance else {}
        self._consumer = consumer(self._kafka, groups.LAND, on_error=self._kafka_error, **_CONSUMER, **member)
        try:
            self._check_log()
            log.info("landing from %s into %s, epoch %d", self._kafka.brokers, self._clickhouse.where, self._epoch)
            self._consumer.subscribe([*_TOPICS], on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._revoked)
            due = time.monotonic() + _FLUSH_S
            while not self._stopping.is_set():
                self._gather(max(0.0, min(due - time.monotonic(), 0.2)))
                if self._batch.bytes >= _FLUSH_BYTES or time.monotonic() >= due:
                    if not self._flush():
                        return
                    if self._consumer.assignment():  # the group takes partitions from a member that Kafka doesn't hear
                        self._status.touch()
                    due = time.monotonic() + _FLUSH_S
            self._flush()
        finally:
            self._consumer.close()
            self._client.close()

    def _gather(self, timeout_s: float, records: int = 500) -> None:
        messages = self._consumer.consume(records, timeout_s)
        if self._fatal:
            raise KafkaException(self._fatal)
        for message in messages:
            if error := message.error():
                self._kafka_error(error)  # a fatal one is raised next time
            else:
                _, append_time_ms = message.timestamp()
                place: Any = message.topic(), message.partition(), message.offset()  # None only before a message was sent
                topic, partition, offset = place
                self._batch.add(_TOPICS[topic], Arrived(partition, offset, append_time_ms, message.key(), message.value()))

    def _flush(self) -> bool:
        """Inserts, then commits. False where it was told to stop while ClickHouse was away: nothing after it may be committed."""
        batch, self._batch = self._batch, Batch(self._epoch)
        if not batch.rows:
            return True
        tables = batch.tables()
        for record, reason in batch.unreadable:
            trouble.warning("unreadable result partition=%d offset=%d: %s", record.partition, record.offset, reason)
        self._landing = batch.ends()
        if not all(self._insert(table, rows) for table, rows in tables):
            return False
        self._commit()
        self._records += batch.rows
        self._flushes += 1
        if time.monotonic() - self._said >= _SAY_S:
            log.info("landed records=%d flushes=%d lag=%d", self._records, self._flushes, self._lag())
            self._records, self._flushes, self._said = 0, 0, time.monotonic()
        return True

    def _insert(self, table: str, rows: Table) -> bool:
        wait_s, last_s = _BACKOFF_S
        stalled = False
        while True:
            try:
                self._client.insert_arrow(table, rows)
            except Unavailable as error:
                trouble.warning("stalled, the log keeps what comes: %s", error)
                if self._stopping.is_set():
                    return False
                stalled = True
                self._hold(wait_s)
                wait_s = min(2 * wait_s, last_s)
            else:
                if stalled:
                    log.info("going on, ClickHouse takes rows again lag=%d", self._lag())
                    self._consumer.resume(self._consumer.assignment())
                return True

    def _hold(self, seconds: float) -> None:
        """Waits without taking more, but answers the group, so that it keeps its partitions."""
        until = time.monotonic() + seconds
        while time.monotonic() < until and not self._stopping.is_set():
            self._consumer.pause(self._consumer.assignment())  # each time: a rebalance may have added some
            self._gather(0.1, records=1)

    def _commit(self) -> None:
        self._ends |= self._landing
        offsets = [TopicPartition(_NAMES[topic], partition, end) for (topic, partition), end in self._ends.items()]
        try:
            if offsets:
                self._consumer.commit(offsets=offsets, asynchronous=False)
            self._ends.clear()
        except KafkaException as error:  # the rows are in: the next commit stands for them, or they are landed again
            self._kafka_error(error.args[0])

    def _assigned(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        log.info("assigned %s", ", ".join(f"{_TOPICS[p.topic]}/{p.partition}" for p in partitions))

    def _revoked(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        gone = {(_TOPICS[p.topic], p.partition) for p in partitions}
        self._batch.forget(gone)
        for ends in (self._ends, self._landing):  # a commit of ours would set its next owner back
            for partition in gone:
                ends.pop(partition, None)
        log.info("gave back %s", ", ".join(f"{topic}/{partition}" for topic, partition in sorted(gone)))

    def _connect(self) -> Client | None:
        """The store, once it answers and has our schema; None where it is told to stop before."""
        while not self._stopping.is_set():
            try:
                client = self._clickhouse.connect()
                check(client)
                return client
            except Unavailable as error:
                trouble.warning("waiting for ClickHouse: %s", error)
                self._stopping.wait(_BACKOFF_S[0])
        return None

    def _check_log(self) -> None:
        """StoreError where less is in a topic than was landed of it: rows of another log would replace those."""
        ends = {name: self._consumer.list_topics(name, timeout=30).topics[name].partitions for name in _TOPICS}
        for (topic, partition), landed in landed_ends(self._client, self._epoch).items():
            name, end = _NAMES[topic], 0
            if partition in ends[name]:
                _, end = self._consumer.get_watermark_offsets(TopicPartition(name, partition), timeout=30)
            if end < landed:
                raise StoreError(
                    f"{name} partition {partition} ends at offset {end}, {landed} were landed: it was created anew.",
                    where=self._kafka.brokers,
                    remedy=f"set REWARD_MONITOR_JOBS_EPOCH={self._epoch + 1}, so that its rows stand beside the old ones",
                )

    def _lag(self) -> int:
        """Records of the log that are not yet gathered, as far as the consumer knows."""
        places = self._consumer.position(self._consumer.assignment())
        ends = [self._consumer.get_watermark_offsets(place, cached=True)[1] for place in places]
        return sum(max(end - max(place.offset, 0), 0) for place, end in zip(places, ends, strict=True))

    def _kafka_error(self, error: KafkaError) -> None:
        if error.fatal() or error.name() == "_FATAL":  # which a message has that tells of it
            self._fatal = error  # raised from a callback it could get lost in the next one
            return
        warn(trouble, error.name(), error.str(), self._kafka.brokers)


def main() -> int:
    """Runs a lander until SIGTERM; exit code 0 then, 70 after an error of Kafka, 78 where a restart won't mend it."""
    settings = of_process("reward_jobs.land", "Lands events and results in ClickHouse.")
    logs.configure()
    try:
        lander = Lander(settings)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: _end(lander))
        lander.run()
        return EXIT_OK
    except (KafkaUnreachable, KafkaException) as error:
        log.error("%s", f"Kafka: {error.args[0].str()}" if isinstance(error, KafkaException) else error)
        return EXIT_FATAL
    except MonitorError as error:
        log.error("%s", error)
        return EXIT_CONFIGURATION


def _end(lander: Lander) -> None:
    lander.stop()
    hung = threading.Timer(_STOP_S, os._exit, (EXIT_OK,))  # if a server hangs
    hung.daemon = True
    hung.start()


if __name__ == "__main__":
    sys.exit(main())

"""The notifier's loop: reads, writes down, commits, sends."""

from __future__ import annotations

import logging
import threading
import time

from google.protobuf.message import DecodeError
from reward_engine.fold import NO_RULES
from reward_engine.rules.routes import Notify
from reward_producers.kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition, consumer, entered
from reward_producers.kafka_errors import warn
from reward_schemas.errors import MonitorError
from reward_schemas.results_pb2 import Result
from reward_schemas.topics import RESULTS

from reward_jobs import groups, health
from reward_jobs.notify import config, notice
from reward_jobs.notify.core import Notifier
from reward_jobs.notify.outbox import Outbox, trouble
from reward_jobs.notify.receivers import senders
from reward_jobs.notify.store import Store
from reward_jobs.rule_sets import RuleSets
from reward_jobs.settings import Settings

log = logging.getLogger("reward_jobs.notify")

_ENTER_S = 30.0  # the longest wait for Kafka at the start
_WAIT_S, _FLYING_WAIT_S = 0.2, 0.02  # for a record; while a message is on its way, what became of it is waited for as well
_RECORDS = 500
_LAND_S = 3.0  # after SIGTERM: what isn't taken by then is sent again by the next start
_TOUCH_S, _LOOK_S, _PRUNE_S = 1.0, 2.0, 3_600.0
_CONSUMER = {
    # One notifier has the whole topic: the end of an alert must come to who told of its beginning. A second one with this name
    # takes the place of the first, and after kill -9 the next is in at once.
    "group_instance_id": "notifier",
    "session_timeout_ms": 10_000,
    "queued_max_messages_kbytes": 16_384,
}


class Job:
    """Owns the consumer, the store and the outbox. One thread, but for the outbox's; `stop` may be called by a signal handler."""

    def __init__(self, settings: Settings) -> None:
        self._kafka = settings.kafka
        self._status = health.begin(settings.jobs.data_dir, health.NOTIFY)
        # A file of its own stands for what rule sets say of routes and receivers.
        file = settings.jobs.notify_config
        self._rules = RuleSets(settings.kafka) if file is None else None
        self._config = config.load(file) if file else Notify()
        self._store = Store(settings.jobs.data_dir)
        self._store.lock()
        self._outbox = Outbox(senders(self._config), self._store.record)
        self._stopping = threading.Event()
        self._fatal: KafkaError | None = None
        self._touched = self._looked = self._pruned = time.monotonic() - _PRUNE_S

    def stop(self) -> None:
        """Lets `run` return, after what is on its way."""
        self._stopping.set()

    def run(self) -> None:
        """Notifies until `stop`. KafkaException of the broker; sqlite3.Error where the disk is full."""
        entered(self._kafka, _ENTER_S)
        self._follow_rules()
        self._begin()
        self._consumer = consumer(self._kafka, groups.NOTIFY, on_error=self._kafka_error, **_CONSUMER)
        flying = False
        try:
            self._consumer.subscribe([RESULTS], on_assign=_assigned)
            while not self._stopping.is_set():
                self._step(_FLYING_WAIT_S if flying else _WAIT_S)
                flying = self._outbox.work(_now_ms())
                self._tend()
            deadline = time.monotonic() + _LAND_S
            while flying and time.monotonic() < deadline:
                time.sleep(_FLYING_WAIT_S)
                flying = self._outbox.work(_now_ms(), hand_on=False)
        finally:
            self._outbox.close()
            self._consumer.close()
            if self._rules:
                self._rules.close()
            self._store.close()

    def _begin(self) -> None:
        now_ms = _now_ms()
        known = self._store.silences()
        wanted = {silence.id: silence for silence in config.declared(self._config.silences, now_ms)}
        for id_, silence in known.items():
            if silence.declared and id_ not in wanted:
                self._store.remove_silence(id_)
        for id_, silence in wanted.items():
            if id_ not in known:
                self._store.add_silence(silence)
        self._changes = self._store.changes()
        self._notifier = Notifier(self._config, self._store.load(now_ms), now_ms)
        self._outbox.add(self._store.pending())
        log.info(
            "notifying from %s: %d receivers, %d alerts fire",
            self._kafka.brokers,
            len(self._config.receivers),
            len(self._store.firing()),
        )

    def _follow_rules(self) -> bool:
        """Takes over what the newest rule set says of routes and receivers. MonitorError where a secret of it isn't there."""
        if self._rules is None:
            return False
        self._rules.refresh()
        found = self._rules.of(self._rules.newest) or NO_RULES
        if found.notify == self._config:
            return False
        made = senders(found.notify)
        log.info("routes and receivers of rule set %d", found.version)
        self._config = found.notify
        self._outbox.close()  # what is on its way is sent again, with its key
        self._outbox = Outbox(made, self._store.record)
        return True

    def _step(self, wait_s: float) -> None:
        """Reads what came, and writes down what follows before Kafka is told that it was read; of most records nothing does."""
        messages = self._gather(wait_s)
        now_ms = _now_ms()
        for message in messages:
            self._read(message, now_ms)
        if (changes := self._store.changes()) != self._changes:
            self._changes = changes
            self._notifier.silence(self._store.silences(), now_ms)
        made = self._notifier.tick(now_ms)
        changed = self._notifier.take_changed()
        if changed or made:
            self._store.save(self._notifier.state, changed, made)
            self._outbox.add(made)
            self._outbox.work(now_ms)
        if messages:
            self._commit(messages)

    def _gather(self, wait_s: float) -> list[Message]:
        first = self._consumer.poll(wait_s)  # consume() would wait for more, and the first is to be told at once
        messages = [] if first is None else [first, *self._consumer.consume(_RECORDS, 0)]
        for message in messages:
            if error := message.error():
                self._kafka_error(error)
        if self._fatal and "fenced" in self._fatal.str():
            remedy = "run one alone: what a second one doesn't know to fire it can't tell to be resolved"
            raise MonitorError("Another notifier has taken this one's place.", where=self._kafka.brokers, remedy=remedy)
        if self._fatal:
            raise KafkaException(self._fatal)
        return [message for message in messages if not message.error()]

    def _read(self, message: Message, now_ms: int) -> None:
        try:
            read = notice.read(Result.FromString(message.value() or b""))
        except DecodeError:  # the lander has it as a dead letter
            trouble.warning("unreadable result partition=%s offset=%s", message.partition(), message.offset())
            return
        if read is not None:
            self._notifier.read(read, now_ms)

    def _commit(self, messages: list[Message]) -> None:
        ends: dict[int, int] = {}
        for message in messages:
            partition, offset = message.partition(), message.offset()
            if partition is not None and offset is not None:  # None only before a message was sent
                ends[partition] = offset + 1
        try:
            offsets = [TopicPartition(RESULTS, partition, end) for partition, end in ends.items()]
            self._consumer.commit(offsets=offsets, asynchronous=True)
        except KafkaException as error:  # the next one stands for it, or it is read again and passed over
            self._kafka_error(error.args[0])

    def _tend(self) -> None:
        now = time.monotonic()
        if now - self._touched >= _TOUCH_S and self._consumer.assignment():
            self._status.touch()
            self._touched = now
        if now - self._looked >= _LOOK_S:
            self._looked = now
            try:
                if self._follow_rules():
                    self._begin()
            except (KafkaException, TimeoutError, MonitorError) as error:
                trouble.warning("the rules' routes and receivers can't be used, what was in force stays: %s", error)
        if now - self._pruned >= _PRUNE_S:
            self._store.prune(_now_ms())
            self._pruned = now

    def _kafka_error(self, error: KafkaError) -> None:
        if error.fatal() or error.name() == "_FATAL":
            self._fatal = error  # raised from a callback it could get lost in the next one
            return
        warn(trouble, error.name(), error.str(), self._kafka.brokers)


def _assigned(_: Consumer, partitions: list[TopicPartition]) -> None:
    log.info("assigned %d partitions", len(partitions))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000

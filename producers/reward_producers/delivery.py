"""A run's way into Kafka, with the spool beside it.

    send ──► spool empty? ──yes──► Kafka ──► delivered
                  │ no               │ full, or no answer in 5 s
                  ▼                  ▼
                spool ◄──────────── as it is, under the same ids
                  └──► Kafka, the oldest first, at most 8 MiB a second; the spool ends once all has arrived

A message that timed out may have arrived all the same: then it arrives twice, and the fold drops the repeat by its ids.
"""

from __future__ import annotations

import logging
import time
from typing import Any

from reward_schemas.errors import MonitorError
from reward_schemas.topics import EVENTS

from reward_producers.counts import Counts
from reward_producers.kafka import KafkaError, KafkaException, Message, producer
from reward_producers.kafka_settings import Kafka
from reward_producers.spool import Spool

log = logging.getLogger("reward_monitor")

ANSWER_S = 5.0  # without an answer for so long a message goes to the spool
RETRY_S = 1.0
REPLAY_BYTES_PER_S = 8 * 1024 * 1024
_KAFKA_QUEUE_BYTES_MIN = 8 * 1024 * 1024  # two of the largest messages
_HOPELESS = {"MSG_SIZE_TOO_LARGE", "INVALID_MSG", "INVALID_RECORD"}  # no later try helps


class Delivery:
    """The place of a run that is online."""

    def __init__(self, kafka: Kafka, spool: Spool, counts: Counts, queue_bytes_max: int) -> None:
        self._spool, self._counts = spool, counts
        # librdkafka keeps what is not delivered yet, by default up to 1 GiB.
        kafka_bytes_max = max(queue_bytes_max, _KAFKA_QUEUE_BYTES_MIN)
        self._producer = producer(
            kafka, queue_buffering_max_kbytes=kafka_bytes_max // 1024, message_timeout_ms=int(ANSWER_S * 1000)
        )
        self._live = 0  # messages on their way that are in no spool
        self._failed = False  # some weren't delivered
        self._chunk: int | None = None  # how many messages of the spool are being tried
        self._unanswered = self._arrived = self._hopeless = 0  # of these
        self._replay_at = 0.0

    def send(self, key: bytes, value: bytes) -> None:
        """To Kafka, or behind what waits for it. Raises OSError where that is needed and there is no room."""
        if not self._spool and self._produced(key, value, self._delivered):
            self._live += 1
        else:
            if self._live:  # Kafka's queue is full: what is in it is older
                self._give_up()
            self._keep(key, value)

    def poll(self) -> None:
        """Hears what has arrived, and sends on what waits."""
        self._producer.poll(0)
        if self._failed:
            self._give_up()
        if self._spool and not self._live and not self._unanswered:
            try:
                self._replay(time.monotonic())
            except (MonitorError, OSError) as error:
                log.warning("a spool is left where it is: %s", error)
                self._chunk = None
                self._spool.skip()

    def pending(self) -> int:
        """How many messages are on their way, in no spool."""
        return self._live

    def close(self, timeout_s: float) -> None:
        """Delivers for most of that time, and leaves the rest in the spool."""
        until = time.monotonic() + 0.8 * timeout_s
        while (self._live or self._spool) and time.monotonic() < until:
            self._producer.poll(0.02)
            self.poll()
        self._give_up()
        self._spool.close()

    def abandon(self) -> None:
        """The child has none of librdkafka's threads: to destroy the parent's handle it would wait for them, for ever."""
        import ctypes

        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._producer))
        self._spool.abandon()

    def _produced(self, key: bytes, value: bytes, then: Any) -> bool:
        try:
            self._producer.produce(EVENTS, value, key, on_delivery=then)
        except BufferError:  # librdkafka's queue is full
            return False
        except KafkaException as error:
            if error.args[0].name() in _HOPELESS:
                raise
            return False  # the topic is missing, or the producer is broken: a later one may do better
        return True

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        self._live -= 1
        if error is None:
            self._counts.delivered += 1
        elif error.name() in _HOPELESS:
            self._counts.drop(error.name())
        else:
            self._failed = True
            try:
                self._keep(message.key() or b"", message.value() or b"")
            except OSError as full:
                self._counts.drop(f"not written: {full.strerror}")

    def _replay(self, now: float) -> None:
        if self._chunk is not None:
            self._settle(now)
        if not self._spool or now < self._replay_at:
            return
        messages = self._spool.oldest()
        self._chunk, self._arrived, self._hopeless = len(messages), 0, 0
        self._replay_at = now + sum(len(message.value) for message in messages) / REPLAY_BYTES_PER_S
        for message in messages:
            if not self._produced(message.key, message.value, self._replayed):
                break
            self._unanswered += 1

    def _replayed(self, error: KafkaError | None, _: Message) -> None:
        self._unanswered -= 1
        if error is None:
            self._arrived += 1
        elif error.name() in _HOPELESS:
            self._hopeless += 1
            self._counts.drop(error.name())

    def _settle(self, now: float) -> None:
        """All of the chunk has an answer: it leaves the spool, or all of it is tried again."""
        if self._arrived + self._hopeless == self._chunk:
            if self._spool.own:
                self._counts.spooled -= self._chunk
                self._counts.delivered += self._arrived
            self._spool.arrived()
        else:
            self._replay_at = now + RETRY_S
        self._chunk = None

    def _give_up(self) -> None:
        """Takes back what is on its way, the oldest first, so that what comes later goes behind it."""
        self._producer.purge()
        self._producer.flush(1.0)
        self._failed = False

    def _keep(self, key: bytes, value: bytes) -> None:
        self._spool.append(key, value)
        self._counts.spooled += 1

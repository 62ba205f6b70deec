"""A bounded queue and the thread that empties it into Kafka. The trainer's own thread never waits."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable

from reward_schemas.encode import encode_event
from reward_schemas.events import Event, RunEvent, RunState, SenderReport
from reward_schemas.topics import EVENTS

from reward_producers.file_producer import FileProducer
from reward_producers.kafka import KafkaError, KafkaException, Message, Producer, producer
from reward_producers.kafka_settings import Kafka

log = logging.getLogger("reward_monitor")

HEARTBEAT_S = 15.0
REPORT_S = 60.0
_KAFKA_QUEUE_BYTES_MIN = 8 * 1024 * 1024  # two of the largest messages


class Counts:
    """What became of events: accepted by the reporter, delivered to the broker, dropped by reason."""

    def __init__(self) -> None:
        self.accepted, self.delivered = 0, 0
        self.dropped: dict[str, int] = {}

    def drop(self, reason: str) -> None:
        self.dropped[reason] = self.dropped.get(reason, 0) + 1

    def __str__(self) -> str:
        dropped = ", ".join(f"{count} {reason}" for reason, count in sorted(self.dropped.items()))
        return f"{self.accepted} accepted, {self.delivered} delivered, {sum(self.dropped.values())} dropped" + (
            f" ({dropped})" if dropped else ""
        )


class Sender:
    """Sends events of one (run, rank, session) in their order; at most `queue_bytes_max` wait here, and as many in librdkafka."""

    def __init__(self, place: Kafka | FileProducer, event_of: Callable[[object], Event], queue_bytes_max: int) -> None:
        self.counts = Counts()
        self._event_of = event_of  # numbers a body and stamps it with the time
        self._queue_bytes_max = queue_bytes_max
        self._queue: deque[tuple[Event, int]] = deque()
        self._queued_bytes = 0
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._closing = False
        self._over = False  # the time to close has passed: the thread ends, whatever is unsent
        # librdkafka keeps what is not delivered yet, by default up to 1 GiB.
        kafka_bytes_max = max(queue_bytes_max, _KAFKA_QUEUE_BYTES_MIN)
        self._producer: Producer | FileProducer = (
            place if isinstance(place, FileProducer) else producer(place, queue_buffering_max_kbytes=kafka_bytes_max // 1024)
        )
        self._thread = threading.Thread(target=self._run, name="reward-monitor-sender", daemon=True)
        self._thread.start()

    def put(self, body: object, size: int = 256) -> None:
        """Hands an event over; where the queue is full the event is dropped, counted, and seen downstream as a hole."""
        with self._lock:
            event = self._event_of(body)
            if self._queued_bytes + size > self._queue_bytes_max:
                self.counts.drop("queue full")
                return
            self.counts.accepted += 1
            self._queued_bytes += size
            self._queue.append((event, size))
        self._wake.set()

    def report(self) -> None:
        """Sends the counts upstream."""
        with self._lock:
            body = SenderReport(self.counts.accepted, 0, dict(self.counts.dropped))
        self.put(body, size=0)  # a full queue must not hide that it is full

    def close(self, timeout_s: float) -> Counts:
        """Sends what is queued, for at most so long; what is still unsent is counted as dropped."""
        deadline = time.monotonic() + timeout_s
        self._closing = True
        self._wake.set()
        self._thread.join(timeout_s)
        left = self._producer.flush(max(deadline - time.monotonic(), 0.0))
        self._over = True
        if left or self._queue:
            self.counts.dropped["unsent at the end"] = left + len(self._queue)
        return self.counts

    def _run(self) -> None:
        heartbeat_at, report_at = time.monotonic() + HEARTBEAT_S, time.monotonic() + REPORT_S
        while True:
            self._wake.wait(0.1)
            self._wake.clear()
            while self._queue and not self._over:
                self._send(*self._queue[0])
                with self._lock:
                    self._queued_bytes -= self._queue.popleft()[1]
            self._producer.poll(0)
            if self._over or (self._closing and not self._queue):
                return
            now = time.monotonic()
            if now >= heartbeat_at:
                heartbeat_at = now + HEARTBEAT_S
                self.put(RunEvent(RunState.HEARTBEAT))
            if now >= report_at:
                report_at = now + REPORT_S
                self.report()

    def _send(self, event: Event, _size: int) -> None:
        try:
            payload, key = encode_event(event), event.identity.run_id.encode()
            while not self._produced(payload, key) and not self._over:
                self._producer.poll(0.1)
        except Exception as error:  # noqa: BLE001 - one event that can't be sent must not end the thread that sends the others
            self.counts.drop(_reason(error))
            log.warning("run %s: an event was dropped and counted: %r", event.identity.run_id, error)

    def _produced(self, payload: bytes, key: bytes) -> bool:
        try:
            self._producer.produce(EVENTS, payload, key, on_delivery=self._delivered)
        except BufferError:  # librdkafka's queue is full
            return False
        return True

    def _delivered(self, error: KafkaError | None, _: Message | None) -> None:
        if error is None:
            self.counts.delivered += 1
        else:
            self.counts.drop(error.name())


def _reason(error: Exception) -> str:
    """Why an event couldn't be sent, in few words: they are counted."""
    if isinstance(error, KafkaException):
        return str(error.args[0].name())
    return f"not written: {error.strerror}" if isinstance(error, OSError) else "cannot be encoded"

"""A bounded queue and the thread that empties it. The trainer's own thread never waits."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

from reward_schemas.encode import encode_event
from reward_schemas.events import Event, RunEvent, RunState

from reward_producers.counts import Counts
from reward_producers.kafka import KafkaException

log = logging.getLogger("reward_monitor")

HEARTBEAT_S = 15.0
REPORT_S = 60.0
LOOK_S = 0.05
WRITE_S = 1.0  # what is left at the end is written to disk within that time, where the timeout was too short even for that
HURRY_BYTES = 4 * 1024 * 1024


class Place(Protocol):
    """Where messages go. The sender's thread alone calls it, but for `abandon`."""

    def send(self, key: bytes, value: bytes) -> None:
        """Takes a message. Raises OSError where it can't be written down."""

    def poll(self) -> None:
        """Does what is due."""

    def pending(self) -> int:
        """How many messages are on their way: neither delivered, nor on disk, nor lost."""

    def close(self, timeout_s: float) -> None:
        """Delivers for at most so long, and writes the rest down."""

    def abandon(self) -> None:
        """In a forked child: lets go of what is the parent's, and leaves it as it is."""


class Sender:
    """Sends events of one (run, rank, session) in their order; at most `queue_bytes_max` wait here."""

    def __init__(self, place: Place, counts: Counts, event_of: Callable[[object], Event], queue_bytes_max: int) -> None:
        self._place, self._counts = place, counts
        self._event_of = event_of  # numbers a body and stamps it with the time
        self._queue_bytes_max = queue_bytes_max
        self._queue: deque[tuple[Event, int]] = deque()
        self._queued_bytes = 0
        self._lock = threading.RLock()  # the handler of a signal may put, in the midst of a put
        self._wake = threading.Event()
        self._close_by: float | None = None
        self._ended = False  # nobody empties the queue any more
        self._thread = threading.Thread(target=self._run, name="reward-monitor-sender", daemon=True)
        self._thread.start()

    def put(self, body: object, size: int = 256) -> None:
        """Hands an event over; where the queue is full the event is dropped, counted, and seen downstream as a hole."""
        with self._lock:
            event = self._event_of(body)
            if self._ended or self._queued_bytes + size > self._queue_bytes_max:
                self._counts.drop("too late" if self._ended else "queue full")
                return
            self._counts.accepted += 1
            self._queued_bytes += size
            self._queue.append((event, size))
        if self._queued_bytes > HURRY_BYTES:  # else it looks by itself soon: to wake it costs the trainer more than all the rest
            self._wake.set()

    def report(self) -> None:
        """Sends the counts upstream."""
        self.put(self._counts.report(), size=0)  # a full queue must not hide that it is full

    def flush(self, timeout_s: float) -> None:
        """Waits until what was put is delivered or on disk, for at most so long."""
        until = time.monotonic() + timeout_s
        while (self._queue or self._place.pending()) and time.monotonic() < until:
            time.sleep(0.005)

    def close(self, timeout_s: float) -> None:
        """Sends what is queued, for at most so long; what is then neither sent nor on disk is counted as dropped."""
        if self._close_by is None:
            self._close_by = time.monotonic() + timeout_s
        self._wake.set()
        self._thread.join(timeout_s + WRITE_S)
        if self._thread.is_alive() and (left := len(self._queue) + self._place.pending()):
            self._counts.dropped["unsent at the end"] = left

    def abandon(self) -> None:
        """In a forked child, which has no such thread."""
        self._place.abandon()

    def _run(self) -> None:
        heartbeat_at, report_at = time.monotonic() + HEARTBEAT_S, time.monotonic() + REPORT_S
        while not self._ended:
            self._wake.wait(LOOK_S)
            self._wake.clear()
            self._empty()
            self._guarded(self._place.poll)
            now = time.monotonic()
            if now >= heartbeat_at:
                heartbeat_at = now + HEARTBEAT_S
                self.put(RunEvent(RunState.HEARTBEAT))
            if now >= report_at:
                report_at = now + REPORT_S
                self.report()
            with self._lock:
                self._ended = self._close_by is not None and not self._queue
        left_s = max((self._close_by or 0.0) - time.monotonic(), 0.0)
        self._guarded(lambda: self._place.close(left_s))

    def _empty(self) -> None:
        while self._queue:
            event, size = self._queue[0]
            try:
                self._place.send(event.identity.run_id.encode(), encode_event(event))
            except Exception as error:  # noqa: BLE001 - one event that can't be sent must not end the thread that sends the others
                if self._counts.drop(_reason(error)):
                    log.warning("run %s: an event was dropped and counted: %r", event.identity.run_id, error)
            with self._lock:
                self._queue.popleft()
                self._queued_bytes -= size

    def _guarded(self, do: Callable[[], None]) -> None:
        try:
            do()
        except Exception:
            log.exception("an error of reward-monitor's own")


def _reason(error: Exception) -> str:
    """Why an event couldn't be sent, in few words: they are counted."""
    if isinstance(error, KafkaException):
        return str(error.args[0].name())
    return f"not written: {error.strerror}" if isinstance(error, OSError) else "cannot be encoded"

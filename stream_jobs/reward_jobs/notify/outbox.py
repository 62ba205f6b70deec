"""Sends what the store has, from one thread a receiver, so that one that hangs keeps nobody else waiting.

A message is tried again, ever more rarely, until it is too old. The others to its receiver go past it meanwhile, except those
about the same problem: nobody hears of an end before the beginning.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from reward_producers.sparse import Sparse

from reward_jobs.notify.errors import Later, Refused
from reward_jobs.notify.receivers import Send
from reward_jobs.notify.state import Delivery
from reward_jobs.notify.store import FAILED, PENDING, SENT, Sent

log = logging.getLogger("reward_jobs.notify")
trouble = logging.getLogger("reward_jobs.notify.trouble")
trouble.addFilter(Sparse(30.0))
_BACKOFF_MS = (1_000, 300_000)


@dataclass
class _Queue:
    """The messages to one receiver, with how often each was tried, and when it is to be tried next."""

    waiting: dict[str, Delivery] = field(default_factory=dict)
    attempts: dict[str, int] = field(default_factory=dict)
    due_ms: dict[str, int] = field(default_factory=dict)
    not_before_ms: int = 0
    flying: str | None = None
    inbox: queue.SimpleQueue[Delivery | None] = field(default_factory=queue.SimpleQueue)


class Outbox:
    """Its methods are called from one thread, with the time. record: writes down what became of a message."""

    def __init__(self, senders: Mapping[str, Send], record: Callable[[Sent], None]) -> None:
        self._senders, self._record = senders, record
        self._queues: dict[str, _Queue] = {}
        self._landed: queue.SimpleQueue[tuple[Delivery, Exception | None]] = queue.SimpleQueue()

    def add(self, messages: Iterable[Delivery]) -> None:
        """Takes messages that the store has."""
        for message in messages:
            if message.receiver not in self._senders:
                self._fail(message, "no receiver has this name any more")
                continue
            if message.receiver not in self._queues:
                self._queues[message.receiver] = of = _Queue()
                courier = threading.Thread(target=self._carry, args=(self._senders[message.receiver], of.inbox), daemon=True)
                courier.start()
            self._queues[message.receiver].waiting[message.key] = message

    def work(self, now_ms: int, *, hand_on: bool = True) -> bool:
        """Notes what became of messages, and hands on the next ones. True while one is on its way."""
        while not self._landed.empty():
            self._land(*self._landed.get(), now_ms)
        for of in self._queues.values():
            for message in [m for m in of.waiting.values() if m.expires_ms <= now_ms and m.key != of.flying]:
                tries = of.attempts.get(message.key, 0)
                self._done(message)
                self._fail(message, f"too old, after {tries} attempts")
            if hand_on and of.flying is None and of.not_before_ms <= now_ms and (message_ := _next(of, now_ms)):
                of.flying = message_.key
                of.inbox.put(message_)
        return any(of.flying for of in self._queues.values())

    def close(self) -> None:
        """Lets the threads end after what is on its way."""
        for of in self._queues.values():
            of.inbox.put(None)

    def _carry(self, send: Send, inbox: queue.SimpleQueue[Delivery | None]) -> None:
        while (message := inbox.get()) is not None:
            try:
                send(message)
                self._landed.put((message, None))
            except Exception as error:  # noqa: BLE001 - whatever it is, the thread has more to carry; _land tells of it
                self._landed.put((message, error))

    def _land(self, message: Delivery, error: Exception | None, now_ms: int) -> None:
        of = self._queues[message.receiver]
        of.flying = None
        if error is None:
            of.not_before_ms = 0
            self._done(message)
            self._record(Sent(message.key, SENT))
        elif isinstance(error, Refused):
            self._done(message)
            self._fail(message, str(error))
        else:
            if not isinstance(error, Later):
                trouble.error("a mistake of ours, the message is tried again", exc_info=error)
            tries = of.attempts[message.key] = of.attempts.get(message.key, 0) + 1
            first, last = _BACKOFF_MS
            wait_ms = min(first * 2 ** min(tries - 1, 20), last)
            of.due_ms[message.key] = now_ms + wait_ms
            of.not_before_ms = now_ms + max(min(wait_ms, 2 * first), round(getattr(error, "after_s", 0.0) * 1000))
            reason = str(error) if isinstance(error, Later) else type(error).__name__
            trouble.warning("receiver %s takes no message, it is tried again: %s", message.receiver, reason)
            self._record(Sent(message.key, PENDING, reason))

    def _done(self, message: Delivery) -> None:
        of = self._queues[message.receiver]
        for known in (of.waiting, of.attempts, of.due_ms):
            known.pop(message.key, None)

    def _fail(self, message: Delivery, reason: str) -> None:
        log.error("receiver %s: message %s failed for good: %s", message.receiver, message.key, reason)
        self._record(Sent(message.key, FAILED, reason))


def _next(of: _Queue, now_ms: int) -> Delivery | None:
    """The first message that is due and that no earlier one about the same problem holds up."""
    before: set[str] = set()
    for message in of.waiting.values():
        about = {entry.id for entry in message.entries}
        if of.due_ms.get(message.key, 0) <= now_ms and not about & before:
            return message
        before |= about
    return None

"""Problems that share messages, and what each receiver can take."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct, field
from reward_engine.rules.routes import Alertmanager, PagerDuty, Receiver, Route, seconds

from reward_jobs.notify.matching import grouped
from reward_jobs.notify.notice import Notice

HOUR_MS = 3_600_000
_DIGEST_MS, _DIGEST_MS_MAX = 10_000, 300_000


class Channel(Struct, frozen=True):
    """A receiver, as far as it matters to what is sent.

    limit: messages an hour. single: each entry is a message of its own, and fires until it is resolved by its own.
    resend_ms: it groups and sums up by itself, and wants to hear so often of what fires.
    """

    limit: int | None = None
    single: bool = False
    resend_ms: int | None = None


class Group(Struct):
    """Problems of one receiver that share its messages. repeat_ms None: no route has them; they can only be resolved."""

    receiver: str
    wait_ms: int = 0
    interval_ms: int = 0
    repeat_ms: int | None = None
    members: set[str] = field(default_factory=set)
    flushed_ms: int | None = None
    due_ms: int | None = None

    def wake(self, at_ms: int) -> None:
        """Has it looked at then, or as soon after its last message as it may."""
        if self.flushed_ms is not None:
            at_ms = max(at_ms, self.flushed_ms + self.interval_ms)
        self.due_ms = at_ms if self.due_ms is None else min(self.due_ms, at_ms)


class Desk(Struct):
    """When a receiver's messages are due that sum up: of late notices, and of those beyond its messages an hour."""

    late_ms: int | None = None
    late_since_ms: int = 0
    flood_ms: int | None = None

    def put_off(self, now_ms: int) -> None:
        """Another late notice came: the digest waits until they cease, but not for ever."""
        if self.late_ms is None:
            self.late_since_ms = now_ms
        self.late_ms = min(now_ms + _DIGEST_MS, self.late_since_ms + _DIGEST_MS_MAX)


def channel(receiver: Receiver) -> Channel:
    """What a receiver of the configuration can take."""
    if isinstance(receiver, Alertmanager):
        return Channel(resend_ms=_ms(receiver.resend))
    return Channel(receiver.max_per_hour, single=isinstance(receiver, PagerDuty))


def group(name: str, of: Channel, routes: Sequence[Route], route: Route | None, notice: Notice) -> tuple[tuple[str, ...], Group]:
    """The group of a notice in a receiver, still empty, and what identifies it."""
    if of.resend_ms is not None:
        return (name,), Group(name, repeat_ms=of.resend_ms)
    if route is None:
        return (name, "unrouted"), Group(name)
    lengths = _ms(route.group_wait), _ms(route.group_interval), _ms(route.repeat_interval)
    return (name, str(routes.index(route)), *grouped(route, notice)), Group(name, *lengths)


def _ms(duration: str) -> int:
    return round(seconds(duration) * 1000)

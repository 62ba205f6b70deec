"""What the notifier remembers, and the messages that it makes of it. All of it can be written down as JSON."""

from __future__ import annotations

import hashlib

from msgspec import Struct, field
from reward_engine.rules.routes import Match

from reward_jobs.notify.notice import Notice, Place

ALERT, ERROR = "alert", "error"
LATE, FLOOD, OVER = "late", "flood", "over"


class Target(Struct, kw_only=True):
    """What a receiver knows of a problem. told_ms: when it was last told that it fires; None: never.

    muted: a silence came after that. late: the next was so long ago when we heard of it that it belongs into a digest.
    summary: the incident, where it was told in one that sums up (see core.py).
    """

    told_ms: int | None = None
    repeats: int = 0
    muted: bool = False
    late: bool = False
    summary: str = ""


class Problem(Struct, kw_only=True):
    """An episode of an alert, or a rule that can't be computed, until everybody who was told of it knows that it is over."""

    opened: Notice
    closed: Notice | None = None
    targets: dict[str, Target] = field(default_factory=dict)

    @property
    def id(self) -> str:
        return self.opened.id


class Silence(Struct, kw_only=True):
    """Alerts of which nobody is told: until a time, or as long as those do fire that it was made for (`bound`, by id).

    declared: by the configuration.
    """

    id: str
    match: Match
    until_ms: int | None = None
    bound: list[str] | None = None
    comment: str = ""
    created_ms: int = 0
    declared: bool = False


class Entry(Struct, frozen=True, kw_only=True):
    """One thing that a message says: that a problem fires (for the nth time: repeats), or that it is resolved.

    id: of the problem. about: ALERT, or ERROR, that the rule can't be computed. notice: the change of state that it tells.
    """

    id: str
    about: str
    status: str  # "firing" | "resolved"
    notice: Notice
    fired_ms: int
    repeats: int = 0

    @property
    def key(self) -> str:
        """The same whenever the same thing is said."""
        return f"{self.id}-{self.notice.sequence}-{self.status}" + (f"-{self.repeats}" if self.repeats else "")


class Delivery(Struct, frozen=True, kw_only=True):
    """One message to one receiver. key: the same at each attempt, so that the receiver can drop a repeat.

    kind: "" or why it sums up: LATE, FLOOD. OVER: all that the summary `of` said is resolved. held_until_ms: the receiver has
    had so many messages that the next comes then.
    """

    receiver: str
    entries: list[Entry]
    created_ms: int
    expires_ms: int
    kind: str = ""
    of: str = ""
    held_until_ms: int | None = None

    @property
    def key(self) -> str:
        said = "\n".join([self.receiver, self.kind, self.of, *(entry.key for entry in self.entries)])
        return hashlib.sha256(said.encode()).hexdigest()[:32]


class State(Struct, kw_only=True):
    """All that outlives a restart. sent: when each receiver got its messages of the last hour."""

    problems: dict[str, Problem] = field(default_factory=dict)
    silences: dict[str, Silence] = field(default_factory=dict)
    marks: dict[int, Place] = field(default_factory=dict)  # by partition of the events topic: all up to there was read
    sent: dict[str, list[int]] = field(default_factory=dict)

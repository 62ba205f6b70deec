"""What became of a reporter's events."""

from __future__ import annotations

import threading
from collections import defaultdict

from reward_schemas.events import SenderReport


class Counts:
    """Events accepted; delivered to the broker or the run's file; spooled: on disk until a broker takes them; dropped, by reason.

    What was accepted is delivered, spooled, dropped, or still on its way. A call that is refused, or meets a full queue, was
    never accepted.
    """

    def __init__(self) -> None:
        self.accepted, self.delivered, self.spooled = 0, 0, 0
        self.dropped: dict[str, int] = defaultdict(int)
        self._lock = threading.RLock()  # a signal's handler may come in between

    def drop(self, reason: str, number: int = 1) -> bool:
        """Counts events that are lost; True where it is the first time for this reason."""
        with self._lock:
            self.dropped[reason] += number
            return self.dropped[reason] == number

    def report(self) -> SenderReport:
        """The counts as they are sent upstream."""
        with self._lock:
            return SenderReport(self.accepted, self.spooled, dict(self.dropped))

    def __str__(self) -> str:
        with self._lock:
            dropped = ", ".join(f"{count} {reason}" for reason, count in sorted(self.dropped.items()))
        spooled = f", {self.spooled} spooled" if self.spooled else ""
        return f"{self.accepted} accepted, {self.delivered} delivered{spooled}, {sum(self.dropped.values())} dropped" + (
            f" ({dropped})" if dropped else ""
        )

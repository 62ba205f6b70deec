"""Who sent what: the identity of messages, holes, and which sender still speaks."""

from __future__ import annotations

from bisect import bisect_right

from msgspec import Struct, field

from reward_engine import bounds


class Seen(Struct, array_like=True):
    """The sequence numbers of one session that were seen, as a sorted list of half-open intervals [start, end).

    >>> seen = Seen()
    >>> [seen.add(n) for n in (0, 1, 3, 3, 2)]
    [True, True, True, False, True]
    >>> seen.intervals, seen.missing
    ([0, 4], 0)
    """

    intervals: list[int] = field(default_factory=list)  # start, end, start, end, ...
    missing: int = 0  # numbers below the largest that were not seen

    def add(self, number: int) -> bool:
        """Notes a number; False if it was seen before. Raises OverflowError where it would make a hole too many."""
        edges = self.intervals
        if edges and number == edges[-1]:  # the next one: nearly always
            edges[-1] += 1
            return True
        at = bisect_right(edges, number)
        if at % 2:  # inside an interval
            return False
        joins_left = at > 0 and edges[at - 1] == number
        joins_right = at < len(edges) and edges[at] == number + 1
        if not (joins_left or joins_right) and len(edges) >= 2 * bounds.HOLES_MAX:
            raise OverflowError(f"more than {bounds.HOLES_MAX} holes in the sequence of one session")
        top = edges[-1] if edges else 0
        self.missing += number - top if number >= top else -1
        if joins_left and joins_right:
            del edges[at - 1 : at + 1]
        elif joins_left:
            edges[at - 1] = number + 1
        elif joins_right:
            edges[at] = number
        else:
            edges[at:at] = [number, number + 1]
        return True


class Report(Struct, array_like=True):
    """The last report of a session: counted by the sender since its start."""

    accepted: int = 0
    spooled: int = 0
    dropped: dict[str, int] = field(default_factory=dict)


class Sender(Struct, array_like=True):
    """One rank of a run, over all sessions of its processes."""

    heard_ms: int  # on the partition's clock of absence
    event_ms: int  # its largest event time
    sessions: dict[int, Seen] = field(default_factory=dict)
    reports: dict[int, Report] = field(default_factory=dict)
    silent: bool = False
    finished: bool = False
    trains: bool = False  # has sent trainer steps in this attempt

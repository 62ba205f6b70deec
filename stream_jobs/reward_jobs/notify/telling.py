"""What a receiver is to be told of a problem, and that it was told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from reward_jobs.notify.groups import HOUR_MS, Channel
from reward_jobs.notify.matching import covers
from reward_jobs.notify.notice import FIRING, RESOLVED
from reward_jobs.notify.state import ALERT, ERROR, OVER, Delivery, Entry, Problem, State

EXPIRES_MS = 24 * HOUR_MS  # so long a message is tried
ENTRIES_MAX = 200  # in a message: a receiver would refuse a larger one for good
Needs = list[tuple[Problem, list[Entry]]]


class Telling:
    """Looks at targets, and notes in them what is sent. `changed`: ids of problems that are to be written down."""

    def __init__(self, state: State, channels: Mapping[str, Channel]) -> None:
        self._state, self._channels = state, channels
        self.changed: set[str] = set()

    def channel(self, receiver: str) -> Channel:
        """What a receiver can take. One that is configured no more is still told of what is resolved: the outbox refuses."""
        return self._channels.get(receiver, Channel())

    def needs(self, problem: Problem, receiver: str, now_ms: int, *, again: bool) -> list[Entry]:
        """What a receiver is to be told now. again: also that what it was told still fires."""
        target = problem.targets[receiver]
        if problem.closed is not None and target.told_ms is not None:
            return [_entry(problem, RESOLVED)]
        if self.covered(problem, now_ms):
            self.mute(problem, receiver, now_ms)
            return []
        if problem.closed is not None:
            return [_entry(problem, FIRING), _entry(problem, RESOLVED)]
        if target.told_ms is None:
            return [_entry(problem, FIRING)]
        return [_entry(problem, FIRING, target.repeats + 1)] if again or target.muted else []

    def covered(self, problem: Problem, now_ms: int) -> bool:
        """Whether a problem is silenced."""
        return any(covers(silence, problem, now_ms) for silence in self._state.silences.values())

    def mute(self, problem: Problem, receiver: str, now_ms: int) -> bool:
        """Notes where a silence came over what was told, so that it is told again after it. True: one did."""
        target = problem.targets[receiver]
        if problem.closed is None and target.told_ms is not None and not target.muted and self.covered(problem, now_ms):
            target.muted = True
            self.changed.add(problem.id)
        return target.muted

    def room(self, receiver: str, now_ms: int) -> bool:
        """Whether a receiver may have a message more."""
        return self.room_ms(receiver, now_ms) is None

    def room_ms(self, receiver: str, now_ms: int) -> int | None:
        """When there will be room again; None where there is."""
        limit = self.channel(receiver).limit
        sent = self._sent(receiver, now_ms)
        return None if limit is None or len(sent) < limit else sent[-limit] + HOUR_MS

    def deliver(self, receiver: str, told: Needs, now_ms: int, kind: str = "") -> list[Delivery]:
        """The messages that tell this; it counts as told."""
        single = self.channel(receiver).single
        bundles = self._one_by_one(receiver, told) if single and not kind else [[entry for _, each in told for entry in each]]
        made = [self._delivery(receiver, bundle, now_ms, kind) for bundle in bundles]
        over: dict[str, Entry] = {}
        for problem, entries in told:
            self.changed.add(problem.id)
            target = problem.targets[receiver]
            if target.summary:
                over[target.summary] = entries[-1] if entries else _entry(problem, RESOLVED)
            if problem.closed is not None:
                self.forget(problem, receiver)
                continue
            target.repeats += target.told_ms is not None
            target.told_ms, target.muted, target.late = now_ms, False, False
            target.summary = made[0].key if kind and single else ""
        for summary, last in over.items():
            if not any(t.summary == summary for p in self._state.problems.values() if (t := p.targets.get(receiver))):
                made.append(self._delivery(receiver, [last], now_ms, OVER, of=summary))
        return made

    def forget(self, problem: Problem, receiver: str) -> None:
        """There is nothing more to tell a receiver of a problem; nor of the problem, where it was the last one."""
        del problem.targets[receiver]
        self.settle(problem)

    def settle(self, problem: Problem) -> None:
        """Drops a problem that is over and of which nobody is to be told."""
        if problem.closed is not None and not problem.targets:
            self._state.problems.pop(problem.id, None)
            self.changed.add(problem.id)

    def _sent(self, receiver: str, now_ms: int) -> list[int]:
        """When it was sent the messages of the last hour."""
        sent = self._state.sent.setdefault(receiver, [])
        while sent and sent[0] <= now_ms - HOUR_MS:
            del sent[0]
        return sent

    def _one_by_one(self, receiver: str, told: Needs) -> Iterator[list[Entry]]:
        for problem, entries in told:
            for entry in entries:
                if entry.status == FIRING or not problem.targets[receiver].summary:  # else it has no incident of its own
                    yield [entry]

    def _delivery(self, receiver: str, entries: Sequence[Entry], now_ms: int, kind: str, of: str = "") -> Delivery:
        can = self.channel(receiver)
        held_until_ms = None
        if not can.single or entries[-1].status == FIRING:
            self._sent(receiver, now_ms).append(now_ms)
            held_until_ms = self.room_ms(receiver, now_ms)
        # That something still fires is said again so soon that an old message of it is worth nothing.
        expires_ms = can.resend_ms if can.resend_ms and all(entry.repeats for entry in entries) else EXPIRES_MS
        return Delivery(
            receiver=receiver,
            entries=list(entries),
            created_ms=now_ms,
            expires_ms=now_ms + expires_ms,
            kind=kind,
            of=of,
            held_until_ms=held_until_ms,
        )


def _entry(problem: Problem, status: str, repeats: int = 0) -> Entry:
    notice = problem.closed if status == RESOLVED and problem.closed is not None else problem.opened
    about = ERROR if problem.opened.state == ERROR else ALERT
    return Entry(id=problem.id, about=about, status=status, notice=notice, fired_ms=problem.opened.time_ms, repeats=repeats)

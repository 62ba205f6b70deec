"""What is to be said to whom: a pure function of what was read, what is silenced, and the time, which is handed in.

    notices ──► episodes.py: problems ──► their targets, in groups ──► tick: deliveries of the groups that are due

A problem is looked at anew whenever its group is due, so it doesn't matter how it came there: by a restart, another route,
the end of a silence. At each look (telling.py), a target that
- wasn't told of it                 is told, unless it is silenced; also where it is resolved meanwhile, then of both
- was told, and it still fires      is told again after the repeat interval, or after a silence
- was told, and it is resolved      is told so, whatever routes and silences say now

Two kinds of messages sum up: of notices that were an hour old when they were read (an outage of ours), and of what is beyond
a receiver's messages an hour. PagerDuty has one incident for such a message, which is over with the last problem in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from reward_engine.rules.routes import Notify

from reward_jobs.notify.episodes import Episodes
from reward_jobs.notify.groups import HOUR_MS, Desk, Group, channel, group
from reward_jobs.notify.matching import routed
from reward_jobs.notify.notice import RESOLVED, Ended, Notice
from reward_jobs.notify.state import FLOOD, LATE, Delivery, Problem, Silence, State, Target
from reward_jobs.notify.telling import ENTRIES_MAX, Needs, Telling

LATE_MS = HOUR_MS
_RECHECK_MS = 1_000


class Notifier:
    """Reads notices, ticks, and says what to send."""

    def __init__(self, config: Notify, state: State, now_ms: int) -> None:
        self.state = state
        self._routes = config.routes
        self._telling = Telling(state, {name: channel(receiver) for name, receiver in config.receivers.items()})
        self._groups: dict[tuple[str, ...], Group] = {}
        self._desks: dict[str, Desk] = {}
        self._episodes = Episodes(state)
        for problem in list(state.problems.values()):
            self._place(problem, now_ms)

    def read(self, read: Notice | Ended, now_ms: int) -> None:
        """Takes what the results topic says."""
        late = now_ms - read.time_ms > LATE_MS
        for problem in self._episodes.ended(read) if isinstance(read, Ended) else self._episodes.transition(read):
            self._place(problem, now_ms, late=late)

    def silence(self, silences: Mapping[str, Silence], now_ms: int) -> None:
        """Takes another set of silences."""
        self.state.silences = dict(silences)
        for of in self._groups.values():
            muted = [self._telling.mute(problem, of.receiver, now_ms) for problem in self._members(of)]
            if any(muted):
                of.wake(now_ms + _RECHECK_MS)

    def tick(self, now_ms: int) -> list[Delivery]:
        """What is to be sent now. The caller writes it down, with what changed, before it sends."""
        made: list[Delivery] = []
        for receiver, desk in self._desks.items():
            if desk.late_ms is not None and desk.late_ms <= now_ms:
                desk.late_ms = None
                made += self._sum_up(receiver, LATE, now_ms)
            if desk.flood_ms is not None and desk.flood_ms <= now_ms:
                desk.flood_ms = None
                made += self._sum_up(receiver, FLOOD, now_ms)
        for key, of in list(self._groups.items()):
            if of.due_ms is not None and of.due_ms <= now_ms:
                made += self._flush(of, now_ms)
                if not self._members(of):
                    del self._groups[key]
        return made

    def take_changed(self) -> set[str]:
        """Ids of the problems that are to be written down since the last call; those that are gone as well."""
        changed, self._telling.changed = self._telling.changed, set()
        return changed

    def _place(self, problem: Problem, now_ms: int, *, late: bool | None = None) -> None:
        """Puts a problem into the groups of those who are to be told of it. late: of what was just read; None: nothing was."""
        self._telling.changed.add(problem.id)
        routes = routed(self._routes, problem.opened)
        for receiver in routes if problem.closed is None else ():
            problem.targets.setdefault(receiver, Target())
        for receiver, target in list(problem.targets.items()):
            if receiver not in routes and target.told_ms is None:
                del problem.targets[receiver]  # another route has it now
                continue
            can = self._telling.channel(receiver)
            key, empty = group(receiver, can, self._routes, routes.get(receiver), problem.opened)
            of = self._groups.setdefault(key, empty)
            of.members.add(problem.id)
            of.wake(now_ms + (of.wait_ms if late is not None and target.told_ms is None else 0))
            if late is not None:
                target.late = late and can.resend_ms is None
            if target.late:
                self._desk(receiver).put_off(now_ms)
        self._telling.settle(problem)

    def _flush(self, of: Group, now_ms: int) -> list[Delivery]:
        """The messages of a group: as many as its receiver may have now, what remains is summed up later."""
        again = any(self._due_again(problem, of, now_ms) for problem in self._members(of))
        needs = [(problem, e) for problem, e in self._needs(of, now_ms, again=again) if not problem.targets[of.receiver].late]
        desk, single = self._desk(of.receiver), self._telling.channel(of.receiver).single
        made: list[Delivery] = []
        for part in _parts(needs, 0 if single else ENTRIES_MAX):
            silences = single and part[0][1][0].status == RESOLVED  # a pager is never held back from falling silent
            if silences or (desk.flood_ms is None and self._telling.room(of.receiver, now_ms)):
                made += self._telling.deliver(of.receiver, part, now_ms)
            elif desk.flood_ms is None:
                desk.flood_ms = self._telling.room_ms(of.receiver, now_ms)
        of.flushed_ms, of.due_ms = now_ms if made else of.flushed_ms, None
        self._plan(of, now_ms)
        return made

    def _sum_up(self, receiver: str, kind: str, now_ms: int) -> list[Delivery]:
        """One message of all that waits for a receiver; LATE: of what is too late for one of its own."""
        groups = [of for of in self._groups.values() if of.receiver == receiver]
        single = self._telling.channel(receiver).single
        waiting: Needs = []
        made: list[Delivery] = []
        for problem, entries in (need for of in groups for need in self._needs(of, now_ms, again=False)):
            if kind == LATE and not problem.targets[receiver].late:
                continue
            if single and problem.closed is not None:  # what came and went rings no pager, what rang falls silent
                made += self._telling.deliver(receiver, [(problem, entries if len(entries) == 1 else [])], now_ms)
            else:
                waiting.append((problem, entries))
        for part in [waiting] if single and waiting else _parts(waiting, ENTRIES_MAX):
            made += self._telling.deliver(receiver, part, now_ms, kind if len(waiting) > 1 else "")
        for of in groups:
            if kind == FLOOD:
                of.due_ms = None  # nothing remains
            for problem in self._members(of):
                if kind == LATE and problem.targets[receiver].late:  # it is silenced, and no longer late after that
                    problem.targets[receiver].late = False
                    self._telling.changed.add(problem.id)
            self._plan(of, now_ms)
        return made

    def _needs(self, of: Group, now_ms: int, *, again: bool) -> Needs:
        needs: Needs = []
        for problem in self._members(of):
            entries = self._telling.needs(problem, of.receiver, now_ms, again=again)
            if problem.closed is not None and not entries:  # it was silenced from its beginning to its end
                self._telling.forget(problem, of.receiver)
            elif entries and (problem.closed is not None or of.repeat_ms is not None):
                needs.append((problem, entries))
        return needs

    def _plan(self, of: Group, now_ms: int) -> None:
        """When a group is looked at again, if nothing happens meanwhile."""
        for problem in self._members(of):
            told_ms = problem.targets[of.receiver].told_ms
            if self._telling.covered(problem, now_ms):
                of.wake(now_ms + _RECHECK_MS)
            elif told_ms is not None and of.repeat_ms is not None:
                of.wake(max(told_ms + of.repeat_ms, now_ms + _RECHECK_MS))

    def _due_again(self, problem: Problem, of: Group, now_ms: int) -> bool:
        told_ms = problem.targets[of.receiver].told_ms
        return (
            problem.closed is None
            and told_ms is not None
            and of.repeat_ms is not None
            and told_ms + of.repeat_ms <= now_ms
            and not self._telling.covered(problem, now_ms)
        )

    def _members(self, of: Group) -> list[Problem]:
        """The problems that its receiver is still to be told of, the oldest first."""
        found = (self.state.problems.get(id_) for id_ in of.members)
        members = [problem for problem in found if problem and of.receiver in problem.targets]
        of.members = {problem.id for problem in members}
        return sorted(members, key=lambda problem: (problem.opened.time_ms, problem.opened.place, problem.id))

    def _desk(self, receiver: str) -> Desk:
        return self._desks.setdefault(receiver, Desk())


def _parts(needs: Needs, entries_max: int) -> Iterator[Needs]:
    """In their order, so many entries in each part; at least one problem."""
    part: Needs = []
    size = 0
    for problem, entries in needs:
        if part and size + len(entries) > entries_max:
            yield part
            part, size = [], 0
        part.append((problem, entries))
        size += len(entries)
    if part:
        yield part

"""Which problems there are, by what was read: at most one episode of an alert is open, and beside it that it can't be computed."""

from __future__ import annotations

from msgspec import structs

from reward_jobs.notify.notice import ERROR, FIRING, INACTIVE, RESOLVED, Ended, Notice
from reward_jobs.notify.state import Problem, State

_Alert = tuple[str, str, str, bool]  # run, rule, series; whether it is about an error


class Episodes:
    """Opens and closes the problems of a state. What it says of one is said once: a repeat is passed over."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._open = {_alert(problem.opened): problem for problem in state.problems.values() if problem.closed is None}

    def transition(self, notice: Notice) -> list[Problem]:
        """The problems that a change of state opens or closes.

        One that fires in another episode than the open one closes that: a new generation of the fold counts anew, and the
        end of the old one will never be told.
        """
        if not self._is_new(notice):
            return []
        changed = self._of_older_epochs(notice)
        if notice.state == ERROR:
            return changed if _alert(notice) in self._open else [*changed, self._opened(notice)]
        run, rule, series, _ = alert = _alert(notice)
        changed += self._closed((run, rule, series, True), notice)  # it can be computed again
        fires = self._open.get(alert)
        if fires and (notice.state in (RESOLVED, INACTIVE) or notice.episode != fires.opened.episode):
            changed += self._closed(alert, notice)
            fires = None
        if notice.state == FIRING and not fires:
            changed.append(self._opened(notice))
        return changed

    def ended(self, end: Ended) -> list[Problem]:
        """The problems that the end of a run closes: what couldn't be computed in it never will be."""
        if not self._is_new(end):
            return []
        changed = self._of_older_epochs(end)
        for alert, problem in list(self._open.items()):
            if alert[0] == end.run and alert[3]:
                changed += self._closed(alert, structs.replace(problem.opened, time_ms=end.time_ms, reason=end.reason))
        return changed

    def _is_new(self, read: Notice | Ended) -> bool:
        mark = self._state.marks.get(read.partition)
        return mark is None or read.place > mark

    def _of_older_epochs(self, read: Notice | Ended) -> list[Problem]:
        """Moves the mark. Where the topic was created anew, it closes what fired before: that will never be resolved."""
        mark = self._state.marks.get(read.partition)
        self._state.marks[read.partition] = read.place
        changed: list[Problem] = []
        if mark is not None and mark.epoch < read.place.epoch:
            for alert, problem in list(self._open.items()):
                if problem.opened.partition == read.partition:
                    reason = "the events topic was created anew"
                    changed += self._closed(alert, structs.replace(problem.opened, time_ms=read.time_ms, reason=reason))
        return changed

    def _opened(self, notice: Notice) -> Problem:
        problem = Problem(opened=notice)
        self._open[_alert(notice)] = self._state.problems[problem.id] = problem
        return problem

    def _closed(self, alert: _Alert, notice: Notice) -> list[Problem]:
        problem = self._open.pop(alert, None)
        if problem is None:
            return []
        opened = problem.opened  # what closes it may be another episode's beginning, or nothing that was read at all
        sequence = notice.sequence if notice.sequence > opened.sequence else opened.sequence + 1
        same = {"episode": opened.episode, "project": opened.project, "severity": opened.severity, "labels": opened.labels}
        problem.closed = structs.replace(notice, state=RESOLVED, sequence=sequence, **same)
        return [problem]


def _alert(notice: Notice) -> _Alert:
    return notice.run, notice.rule, notice.series, notice.state == ERROR

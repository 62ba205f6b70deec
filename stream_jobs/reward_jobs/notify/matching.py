"""Which routes and silences an alert is for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

from reward_engine.rules.routes import Match, Route

from reward_jobs.notify.notice import Notice
from reward_jobs.notify.state import Problem, Silence

FIELDS = ("severity", "project", "run", "rule", "series")


def matches(match: Match, notice: Notice) -> bool:
    """Whether all that is said of an alert holds of this one."""
    return (
        match.severity in (None, notice.severity)
        and all(fnmatchcase(getattr(notice, name), getattr(match, name)) for name in FIELDS[1:])
        and all(name in notice.labels and fnmatchcase(notice.labels[name], glob) for name, glob in match.labels.items())
    )


def routed(routes: Iterable[Route], notice: Notice) -> dict[str, Route]:
    """The receivers of an alert, each with the first route that names it."""
    found: dict[str, Route] = {}
    for route in routes:
        if matches(route.match, notice):
            for receiver in route.to:
                found.setdefault(receiver, route)
            if not route.go_on:
                break
    return found


def grouped(route: Route, notice: Notice) -> tuple[str, ...]:
    """What alerts have in common that share a message."""
    return tuple(
        notice.labels.get(name.removeprefix("labels."), "") if name.startswith("labels.") else str(getattr(notice, name))
        for name in route.group_by
    )


def covers(silence: Silence, problem: Problem, now_ms: int) -> bool:
    """Whether nobody is to be told of a problem."""
    return (
        active(silence, now_ms)
        and (silence.bound is None or problem.id in silence.bound)
        and matches(silence.match, problem.opened)
    )


def active(silence: Silence, now_ms: int) -> bool:
    """Whether a silence still holds."""
    return silence.bound != [] and (silence.until_ms is None or now_ms < silence.until_ms)


def bound(match: Match, problems: Mapping[str, Problem]) -> list[str]:
    """What fires now of the alerts that match."""
    return [id_ for id_, problem in problems.items() if problem.closed is None and matches(match, problem.opened)]


def match_of(texts: Iterable[str]) -> Match:
    """A match from `rule=reward-*`, `severity=critical`, `labels.team=rl`. Raises ValueError with a remedy."""
    facts: dict[str, str] = {}
    labels: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not value:
            raise ValueError(f"{text!r:.80} is no matcher: write `rule=reward-*` or `labels.team=rl`")
        if name.startswith("labels."):
            labels[name.removeprefix("labels.")] = value
        elif name not in FIELDS:
            raise ValueError(f"an alert has no {name!r:.80}: there are {', '.join(FIELDS)}, labels.NAME")
        elif name == "severity" and value not in ("info", "warning", "critical"):
            raise ValueError(f"{value!r:.80} is no severity: there are info, warning, critical")
        else:
            facts[name] = value
    return Match(labels=labels, **facts)  # type: ignore[arg-type] # the severity is one of the three

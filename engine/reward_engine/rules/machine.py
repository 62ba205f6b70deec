"""The state machine of an alert: what becomes of it at a point of its rule's axis, by what the condition gave there.

               true                  true for `hold`            false, and `recovered`
    inactive ────────────► pending ────────────────► firing ─────────────────────► recovering
       ▲      hold 0: firing │ false                  ▲ │ false, and nothing to wait for   │
       │◄────────────────────┘                        │ ▼                     true: firing │
       │◄─────────────────── resolved ◄───────────────┼─────────── false, `keep` since the last true

A pure function: live judging, `rules test`, `rules backtest` and the oracle of the tests all call it, once for each pane that
closes. Its timing is that of Prometheus (github.com/prometheus/compliance, alert_generator).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from msgspec import Struct, field

INACTIVE, PENDING, FIRING, RECOVERING, RESOLVED, ERROR = "inactive", "pending", "firing", "recovering", "resolved", "error"
QUARANTINE = "quarantine"  # the rule of the one alert that no rule makes: the fold's own
NOT_YET = -1  # a point that has not been
ERRORS = 3  # in succession, until they are told

FINISHED, LOST, FORGOTTEN, RESUMED = "run finished", "run lost", "run forgotten", "run resumed"
QUARANTINED, CHANGED, REMOVED, NO_DATA = "run quarantined", "rule changed", "rule removed", "no data"


class Outcome(Enum):
    """What a condition gives at a point. UNKNOWN: it needs a value that there is not. FAILED: it can't be computed."""

    TRUE = "true"
    FALSE = "false"
    UNKNOWN = "unknown"
    FAILED = "failed"


class AlertState(Struct, array_like=True):
    """An alert: one rule in one series of a run. Points are of the rule's axis: a step, or ms.

    state: inactive, pending, firing or recovering. since: where the condition began to hold, last_true: where it held last.
    episode, sequence: counts, see the message Alert. first: where the series was judged first in this attempt, or NOT_YET. heard_ms: when there was
    something to judge last, on the clock of absence. absent: it was told that there is no data. errors: in succession.
    """

    first: int
    heard_ms: int
    state: str = INACTIVE
    since: int = 0
    last_true: int = 0
    episode: int = 0
    sequence: int = 0
    errors: int = 0
    absent: bool = False


class Alerts(Struct, array_like=True):
    """All alerts of a run. states: by the rule's uid and the series, "" of the run; those of which there is something to keep.

    attempt, version: of what they were judged last: the run's, and the rule set's. through: the newest slot that was judged, by
    axis and by whether the rules wait for the trainer. fingerprints: of the rules, by uid.
    """

    attempt: int = 0
    version: int = -1
    through: dict[str, int] = field(default_factory=dict)
    states: dict[str, dict[str, AlertState]] = field(default_factory=dict)
    fingerprints: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Timing:
    """How long a condition has to hold until it fires, and not to hold until it is resolved; on the rule's axis."""

    hold: int = 0
    keep: int = 0


def advance(alert: AlertState, at: int, outcome: Outcome, recovered: bool, timing: Timing) -> str | None:
    """Moves an alert on, in place; the state to tell of, or None where nothing changed.

    recovered: whether what the rule wants before it recovers is there; True where it wants nothing more.
    """
    if outcome is Outcome.FAILED:
        alert.errors += 1
        return _told(alert, ERROR) if alert.errors == ERRORS else None
    failed, alert.errors = alert.errors >= ERRORS, 0
    told = None
    if outcome is not Outcome.UNKNOWN:
        alert.absent = False
        told = _held(alert, at, timing) if outcome is Outcome.TRUE else _ceased(alert, at, recovered, timing)
    return _told(alert, alert.state) if failed and told is None else told


def _held(alert: AlertState, at: int, timing: Timing) -> str | None:
    alert.last_true = at
    if alert.state == INACTIVE:
        alert.since = at
        alert.episode += 1
        return _moved(alert, FIRING if timing.hold <= 0 else PENDING)
    if alert.state == RECOVERING or (alert.state == PENDING and at - alert.since >= timing.hold):
        return _moved(alert, FIRING)
    return None


def _ceased(alert: AlertState, at: int, recovered: bool, timing: Timing) -> str | None:
    if alert.state == PENDING:
        return _moved(alert, INACTIVE)
    if alert.state == INACTIVE or (alert.state == FIRING and not recovered):
        return None
    if at - alert.last_true >= timing.keep:
        return _resolved(alert)
    return _moved(alert, RECOVERING) if alert.state == FIRING else None


def end(alert: AlertState) -> str | None:
    """Nothing more is to be judged: what fires is resolved, what is pending is forgotten."""
    alert.errors, alert.absent = 0, False
    if alert.state == INACTIVE:
        return None
    return _moved(alert, INACTIVE) if alert.state == PENDING else _resolved(alert)


def changed(alert: AlertState, at: int, outcome: Outcome, timing: Timing) -> str | None:
    """Another condition stands under the same rule, which is judged at the newest point: what fires goes on only where
    it holds, what is pending begins anew."""
    alert.errors = 0
    if outcome is not Outcome.TRUE:
        return end(alert)
    alert.last_true = at
    if alert.state == PENDING:
        alert.since = at
        return _moved(alert, FIRING) if timing.hold <= 0 else None
    if alert.state == RECOVERING:
        return _moved(alert, FIRING)
    return None if alert.state == FIRING else _held(alert, at, timing)


def absent(alert: AlertState, at: int, fire: bool) -> str | None:
    """Nothing could be judged for long: it fires, or is taken for well."""
    if alert.absent:
        return None
    told = None
    if not fire:
        told = end(alert)
    elif alert.state in (INACTIVE, PENDING):
        if alert.state == INACTIVE:
            alert.since = at
            alert.episode += 1
        told = _moved(alert, FIRING)
    alert.absent = True
    return told


def _resolved(alert: AlertState) -> str:
    alert.state = INACTIVE
    return _told(alert, RESOLVED)


def _moved(alert: AlertState, state: str) -> str:
    alert.state = state
    return _told(alert, state)


def _told(alert: AlertState, state: str) -> str:
    alert.sequence += 1
    return state

"""Alerts as a trainer gets them."""

from __future__ import annotations

import logging
import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from reward_schemas import results_pb2

log = logging.getLogger("reward_monitor")


@dataclass(frozen=True)
class Alert:
    """A change of state of an alert.

    rule: its uid. function: the reward function that it is about; "": the run. state: "pending", "firing", "recovering",
    "resolved", "inactive" (it was pending only) or "error" (the condition can't be computed). step, since_step: where it changed,
    and where the condition began to hold. values: what it was judged by, None where unknown. reason: of a change that the
    condition didn't cause. sentence: what a detector said. examples: groups that show it. episode: counts the alerts of this
    rule and function.
    """

    rule: str
    function: str
    state: str
    severity: str
    step: int
    since_step: int
    summary: str
    values: Mapping[str, float | None]
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    expr: str
    window: str
    reason: str
    sentence: str
    examples: tuple[int, ...]
    episode: int

    @classmethod
    def of(cls, said: results_pb2.Alert) -> Alert:
        """Of a result of the fold."""
        values = {n: None if math.isnan(v) else v for n, v in zip(said.names, said.values, strict=True)}
        annotations = dict(said.annotations)
        return cls(
            rule=said.rule,
            function=said.series,
            state=said.state,
            severity=said.severity,
            step=said.at,
            since_step=said.since,
            summary=annotations.get("summary", "") or said.sentence or _words(said.expr, values),
            values=values,
            labels=dict(said.labels),
            annotations=annotations,
            expr=said.expr,
            window=said.window,
            reason=said.reason,
            sentence=said.sentence,
            examples=tuple(said.examples),
            episode=said.episode,
        )

    def __str__(self) -> str:
        about = f" [{self.function}]" if self.function else ""
        why = f" ({self.reason})" if self.reason else ""
        return f"{self.state}{why} at step {self.step}: {self.severity} {self.rule}{about}: {self.summary}"


OnAlert = Callable[[Alert], None]
TOLD = ("firing", "resolved", "error")  # the states that a person wants to know of


def to_terminal(alert: Alert) -> None:
    """Writes what fires, and what is resolved, to stderr, a line each."""
    if alert.state in TOLD:
        print(f"reward-monitor: {alert}", file=sys.stderr, flush=True)


def hand_over(alert: Alert, on_alert: OnAlert) -> None:
    """Calls back. What goes wrong there is logged with its traceback: it must not end a training."""
    try:
        on_alert(alert)
    except Exception:
        log.exception("on_alert failed on %s", alert)


def _words(expr: str, values: Mapping[str, float | None]) -> str:
    said = ", ".join(f"{name} {'unknown' if value is None else f'{value:.4g}'}" for name, value in values.items())
    return f"{expr}: {said}" if said else expr

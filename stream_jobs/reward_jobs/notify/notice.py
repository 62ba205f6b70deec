"""What the notifier reads from the results topic: a change of state of an alert, or the end of a run."""

from __future__ import annotations

import hashlib
import math

from msgspec import Struct
from reward_schemas.results_pb2 import Result

ERROR, FIRING, RESOLVED, INACTIVE = "error", "firing", "resolved", "inactive"
_ENDED = ("finished", "lost", "forgotten")


class Place(Struct, frozen=True, order=True, array_like=True):
    """Where in a partition of the events topic something was caused: the order in which the fold says its results."""

    epoch: int
    offset: int
    index: int


class Notice(Struct, frozen=True, kw_only=True):
    """A change of state of an alert, as message Alert of results.proto has it. time_ms: of the record that caused it."""

    partition: int
    place: Place
    time_ms: int
    run: str
    project: str
    rule: str
    series: str
    state: str
    episode: int
    sequence: int
    attempt: int = 0
    rule_version: int = -1
    reason: str = ""
    axis: str = "step"
    at: int = 0
    since: int = 0
    severity: str = "warning"
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    expr: str = ""
    window: str = ""
    values: dict[str, float | None] = {}  # None: unknown
    examples: list[int] = []
    sentence: str = ""

    @property
    def id(self) -> str:
        """Of the episode that it begins. With its place, since a run that was forgotten counts its episodes anew."""
        told = (self.run, self.rule, self.series, self.state == ERROR, self.episode, self.partition, self.place)
        return hashlib.sha256(repr(told).encode()).hexdigest()[:32]


class Ended(Struct, frozen=True):
    """A run of which nothing more is judged."""

    partition: int
    place: Place
    time_ms: int
    run: str
    reason: str


def read(result: Result) -> Notice | Ended | None:
    """What a result says of alerts; None where nothing."""
    place = Place(result.epoch, result.offset, result.index)
    kind = result.WhichOneof("kind")
    if kind == "run" and result.run.state in _ENDED:
        return Ended(result.partition, place, result.append_time_ms, result.run_id, f"run {result.run.state}")
    if kind != "alert":
        return None
    alert = result.alert
    return Notice(
        partition=result.partition,
        place=place,
        time_ms=result.append_time_ms,
        run=result.run_id,
        project=alert.project,
        rule=alert.rule,
        series=alert.series,
        state=alert.state,
        episode=alert.episode,
        sequence=alert.sequence,
        attempt=alert.attempt,
        rule_version=alert.rule_version,
        reason=alert.reason,
        axis=alert.axis,
        at=alert.at,
        since=alert.since,
        severity=alert.severity,
        labels=dict(alert.labels),
        annotations=dict(alert.annotations),
        expr=alert.expr,
        window=alert.window,
        values={name: None if math.isnan(v) else v for name, v in zip(alert.names, alert.values, strict=False)},
        examples=list(alert.examples),
        sentence=alert.sentence,
    )

"""What the pages ask for, whoever answers: ClickHouse, or a directory of offline runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

import numpy as np
from reward_engine.rules.ruleset import RuleSet
from reward_schemas.errors import MonitorError
from reward_schemas.results_pb2 import Detection, Quality, Verdict

from reward_dashboards.backtest import Backtest

POINTS = 1_000  # of a curve, at most: what is more is told as the mean, least and greatest of a bucket
ORDER = ("broken", "hacking", "suspicious", "falling", "unverified", "flat", "learning", "too early", "")  # worst first


Span = tuple[float, float]  # of steps, both ends in it


class Reading(MonitorError):
    """It isn't known yet, and soon will be."""


@dataclass(frozen=True)
class RunCard:
    """A run in the fleet. firing: alerts that fire, by severity. problems: what is lost or silent, in words."""

    run_id: str
    project: str
    state: str
    verdict: str
    sentence: str
    since_step: int | None
    step: int | None
    reward: float | None
    started: datetime | None
    last: datetime | None
    firing: dict[str, int] = field(default_factory=dict)
    problems: tuple[str, ...] = ()

    @property
    def rank(self) -> tuple[bool, int, float, str]:
        """Worst first: live ones before those that ended, by what fires and by the verdict, then the one started last.

        Not the one heard last: live runs would change places at every update, below the pointer that is about to click.
        """
        worst = min(
            [ORDER.index(self.verdict) if self.verdict in ORDER else len(ORDER)]
            + [0 for _ in range(self.firing.get("critical", 0))]
            + [2 for _ in range(self.firing.get("warning", 0))]
        )
        return (self.state != "live", worst, -(self.started.timestamp() if self.started else 0.0), self.run_id)


@dataclass(frozen=True)
class Curve:
    """A measure by step: mean, least and greatest of each bucket of steps, float64[n]. steps: where each bucket begins, int64[n].
    times: of its last event, datetime64[ms][n] in UTC. total: how many steps there are."""

    steps: np.ndarray
    times: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    total: int

    @property
    def badge(self) -> str:
        """How much of it is shown."""
        return f"{len(self.steps):,} of {self.total:,} steps" if len(self.steps) < self.total else f"{self.total:,} steps"


@dataclass(frozen=True)
class AlertCard:
    """An alert. steps: where it fired, until where, None: fires still, or it isn't judged by steps."""

    run_id: str
    rule: str
    function: str
    state: str
    severity: str
    summary: str
    since_step: int | None
    last_step: int | None
    fired: datetime | None
    ended: datetime | None
    reason: str = ""
    evidence: dict[str, float | None] = field(default_factory=dict)
    examples: tuple[int, ...] = ()


@dataclass(frozen=True)
class Health:
    """How the pipeline does. facts: name to value in words; problems: what is wrong, with what to do."""

    facts: dict[str, str]
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class Rules:
    """The rules in force, and what is wrong with a newer set that was refused."""

    rules: RuleSet
    mistakes: tuple[str, ...] = ()


class Source(Protocol):
    """Answers the pages' questions. Its errors are MonitorErrors: what, where and what to do."""

    name: str
    live: bool  # what it says changes by itself

    def runs(self) -> list[RunCard]:
        """Every run, worst first."""

    def functions(self, run_id: str) -> dict[str, str]:
        """The reward functions of a run with their roles, the total first. Empty: there is no such run."""

    def reported(self, run_id: str) -> list[tuple[str, str]]:
        """What the trainer reports beside rewards: (kind, name)."""

    def curve(self, run_id: str, kind: str, name: str, measure: str, span: Span | None = None, points: int = POINTS) -> Curve:
        """A measure of a reward function, of a further number of the completions, or of a scalar. span: where as many points are
        wanted as there may be of the whole; beyond it they are as wide apart as without one."""

    def verdicts(self, run_id: str) -> list[Verdict]:
        """Every verdict, by step."""

    def detections(self, run_id: str) -> list[Detection]:
        """What the detectors said last."""

    def quality(self, run_id: str) -> list[Quality]:
        """The quality scores of the last verdict."""

    def alerts(self, run_ids: Sequence[str] = ()) -> list[AlertCard]:
        """The alerts of these runs, or of all: what fires first, then the newest."""

    def rules(self) -> Rules:
        """What is watched by."""

    def backtest(self, rules: RuleSet, run_ids: Sequence[str]) -> Backtest:
        """What rules would have done in these runs. Raises NoRun where there is nothing of them to fold."""

    def health(self) -> Health:
        """How the pipeline does."""


def bucketed(steps: np.ndarray, times_ms: np.ndarray, values: np.ndarray, span: Span | None, points: int) -> Curve:
    """A curve of all steps, or of as many buckets of equal width as there may be points, with as many again in a span. NaN: unknown."""
    total = len(steps)
    if total <= points:
        return Curve(steps, _times(times_ms), values, values, values, total)
    first, last = int(steps[0]), int(steps[-1])
    start, end = (first, last) if span is None else (int(max(span[0], first)), int(min(span[1], last)))
    wide, narrow = _begin(steps, first, last, points), _begin(steps, start, end, points)
    begin = np.where(steps < start, wide, np.where(steps > end, np.maximum(wide, end + 1), narrow))
    buckets, place = np.unique(begin, return_inverse=True)
    known, size = np.isfinite(values), len(buckets)
    count = np.bincount(place[known], minlength=size)
    mean = np.divide(np.bincount(place[known], values[known], size), count, out=np.full(size, np.nan), where=count > 0)
    low, high, times = np.full(size, np.inf), np.full(size, -np.inf), np.zeros(size, np.int64)
    np.minimum.at(low, place[known], values[known])
    np.maximum.at(high, place[known], values[known])
    np.maximum.at(times, place, times_ms)
    low[count == 0] = high[count == 0] = np.nan
    return Curve(buckets, _times(times), mean, low, high, total)


def _begin(steps: np.ndarray, first: int, last: int, points: int) -> np.ndarray:
    width = max(-(-(last - first + 1) // points), 1)
    return first + (steps - first) // width * width


def _times(ms: np.ndarray) -> np.ndarray:
    return ms.astype("datetime64[ms]")

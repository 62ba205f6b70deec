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

POINTS = 1_000  # of a curve, at most: what is more is told as the mean, least and greatest of a bucket
ORDER = ("broken", "hacking", "suspicious", "falling", "unverified", "flat", "learning", "too early", "")  # worst first


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
    """A measure by step: mean, least and greatest of each bucket of steps. total: how many steps there are."""

    steps: np.ndarray
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

    def curve(self, run_id: str, kind: str, name: str, measure: str, points: int = POINTS) -> Curve:
        """A measure of a reward function, of a further number of the completions, or of a scalar."""

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

    def health(self) -> Health:
        """How the pipeline does."""


def bucketed(steps: np.ndarray, values: np.ndarray, points: int) -> Curve:
    """A curve of all steps, or of as many buckets of equal width as there may be points. NaN: unknown."""
    total = len(steps)
    if total <= points:
        return Curve(steps, values, values, values, total)
    first, last = int(steps[0]), int(steps[-1])
    width = -(-(last - first + 1) // points)
    number = (steps - first) // width
    known = np.isfinite(values)
    buckets = np.unique(number)
    place = np.searchsorted(buckets, number)
    size = len(buckets)
    count = np.bincount(place[known], minlength=size)
    mean = np.divide(np.bincount(place[known], values[known], size), count, out=np.full(size, np.nan), where=count > 0)
    low, high = np.full(size, np.inf), np.full(size, -np.inf)
    np.minimum.at(low, place[known], values[known])
    np.maximum.at(high, place[known], values[known])
    low[count == 0] = high[count == 0] = np.nan
    return Curve(first + buckets * width, mean, low, high, total)

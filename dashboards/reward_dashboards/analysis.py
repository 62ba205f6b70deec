"""What a report says of a run, and of several beside each other: statistics over whole runs, with their uncertainty."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
from reward_engine.statistics.change import change
from reward_engine.statistics.change_points import change_points
from reward_engine.statistics.distribution import Difference, difference
from reward_engine.statistics.multiple import adjusted
from reward_engine.statistics.needs import Needs
from reward_engine.statistics.outlier import outliers
from reward_engine.statistics.trend import Trend, trend
from reward_schemas.results_pb2 import Detection, Quality, Verdict

from reward_dashboards.runs import RunData

BLOCK = 10  # steps: means of so many are nearly independent
LAST = 0.25  # of a run's blocks: what runs are compared by
NORMAL = 1.96
SIGNIFICANT = 0.05


@dataclass(frozen=True)
class Number:
    """A value with its 95 % interval; None: unknown."""

    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class FunctionReport:
    """One reward function over a run. first, last: means of the first and last quarter; gain: their difference. trend, shape: or what
    is lacking for them. change_points, outliers: steps."""

    name: str
    role: str
    first: Number
    last: Number
    gain: Number
    trend: Trend | Needs
    shape: Difference | Needs
    change_points: list[int] | Needs
    outliers: list[int]
    missing: float | None
    variance_contribution: float | None


@dataclass(frozen=True)
class RunReport:
    """One run. verdict: None where it was never judged."""

    run_id: str
    steps: tuple[int, int]
    verdict: Verdict | None
    functions: list[FunctionReport]

    @property
    def detections(self) -> list[Detection]:
        """Of the last verdict."""
        return list(self.verdict.detections) if self.verdict else []

    @property
    def quality(self) -> list[Quality]:
        """Of the last verdict."""
        return list(self.verdict.quality) if self.verdict else []

    @property
    def sentence(self) -> str:
        """The verdict, or why there is none."""
        return self.verdict.sentence if self.verdict else "Not judged: fewer steps than one block."


@dataclass(frozen=True)
class Comparison:
    """The last quarter of two runs, of one function. difference: other - one; effect: by the standard deviation of a reward; p:
    adjusted for all comparisons of the report."""

    one: str
    other: str
    function: str
    difference: Number
    effect: float | None
    p: float | None


@dataclass(frozen=True)
class Report:
    """Runs, each by itself and, where there are several, beside each other."""

    runs: list[RunReport]
    comparisons: list[Comparison] = field(default_factory=list)


def report(runs: Sequence[RunData]) -> Report:
    """The report of some runs."""
    return Report([_run(run) for run in runs], _compared(runs))


def _run(run: RunData) -> RunReport:
    steps = (int(run.steps[0]), int(run.steps[-1]))
    functions = [_function(run, name, role) for name, role in run.functions.items()]
    return RunReport(run.run_id, steps, run.verdicts[-1] if run.verdicts else None, functions)


def _function(run: RunData, name: str, role: str) -> FunctionReport:
    of = run.measures[name]
    means, errors = _blocks(of["mean"]), _block_errors(of["standard_error"])
    width = max(int(len(means) * LAST), 1)
    first, last = slice(0, width), slice(len(means) - width, len(means))
    moved = change(means[first, None], means[last, None], errors[first, None], errors[last, None])
    (before, before_counts), (after, after_counts) = run.ends[name]
    points = change_points(means)
    said, missing = np.nansum(of["count"]), np.nansum(of["missing"])
    return FunctionReport(
        name,
        role,
        _mean(means[first], errors[first]),
        _mean(means[last], errors[last]),
        _number(moved.delta[0], moved.standard_error[0]),
        trend(means),
        difference(before, before_counts, after, after_counts, _groups(of["groups"])),
        points if isinstance(points, Needs) else [int(run.steps[min(at * BLOCK, len(run.steps) - 1)]) for at in points],
        [int(step) for step in run.steps[outliers(_detrended(of["mean"]))]],
        float(missing / (said + missing)) if said + missing > 0 else None,
        _known(np.nanmean(of["variance_contribution"])) if np.isfinite(of["variance_contribution"]).any() else None,
    )


def _blocks(values: np.ndarray) -> np.ndarray:
    """float64[blocks]: means of the known ones of ten; what is left of less than half a block goes with the last."""
    edges = np.arange(0, max(len(values) - BLOCK // 2, 1), BLOCK)
    parts = np.split(values, edges[1:])
    return np.array([part[np.isfinite(part)].mean() if np.isfinite(part).any() else np.nan for part in parts])


def _block_errors(errors: np.ndarray) -> np.ndarray:
    """float64[blocks]: standard errors of the means of ten steps, by those of the steps."""
    squares = _blocks(errors**2)
    return np.asarray(np.sqrt(squares / min(BLOCK, max(len(errors), 1))))


def _detrended(values: np.ndarray) -> np.ndarray:
    """What is left of a series beside the median of its neighbours: a curve that rises has no outliers for that."""
    if len(values) <= BLOCK:
        return values
    near = np.lib.stride_tricks.sliding_window_view(np.pad(values, BLOCK // 2, mode="reflect"), 2 * (BLOCK // 2) + 1)
    middle = [np.median(row[np.isfinite(row)]) if np.isfinite(row).any() else np.nan for row in near]
    return np.asarray(values - np.array(middle))


def _groups(groups: np.ndarray) -> tuple[float, float]:
    """How many groups there were at either end: what independent observations there are of a distribution."""
    known = np.where(np.isfinite(groups), groups, 0.0)
    return float(max(known[:50].sum(), 1.0)), float(max(known[-50:].sum(), 1.0))


def _mean(values: np.ndarray, errors: np.ndarray) -> Number:
    known = np.isfinite(values)
    if not known.any():
        return Number(None)
    number = known.sum()
    from_groups = np.where(np.isfinite(errors[known]), errors[known] ** 2, 0.0).sum() / number**2
    between = np.var(values[known], ddof=1) / number if number > 1 else 0.0
    return _number(values[known].mean(), np.sqrt(max(from_groups, between)))


def _number(value: float, error: float) -> Number:
    if not np.isfinite(value):
        return Number(None)
    if not np.isfinite(error):
        return Number(float(value))
    return Number(float(value), float(value - NORMAL * error), float(value + NORMAL * error))


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _compared(runs: Sequence[RunData]) -> list[Comparison]:
    found, p = [], []
    for one, other in combinations(runs, 2):
        for name in (name for name in one.functions if name in other.functions):
            sides = [_ending(run, name) for run in (one, other)]
            (before, before_errors, before_std), (after, after_errors, after_std) = sides
            moved = change(before[:, None], after[:, None], before_errors[:, None], after_errors[:, None])
            spread = np.sqrt((before_std**2 + after_std**2) / 2)
            effect = _known(moved.delta[0] / spread) if spread > 0 else None
            found.append((one.run_id, other.run_id, name, _number(moved.delta[0], moved.standard_error[0]), effect))
            p.append(moved.p[0])
    return [
        Comparison(*told, _known(value)) for told, value in zip(found, adjusted(np.array(p, np.float64)).tolist(), strict=True)
    ]


def _ending(run: RunData, name: str) -> tuple[np.ndarray, np.ndarray, float]:
    """Blocks of a function in the last quarter, their errors, and the standard deviation of a reward there."""
    of = run.measures[name]
    means, errors = _blocks(of["mean"]), _block_errors(of["standard_error"])
    width = max(int(len(means) * LAST), 2)
    std = of["std"][-width * BLOCK :]
    return means[-width:], errors[-width:], float(std[np.isfinite(std)].mean()) if np.isfinite(std).any() else 0.0

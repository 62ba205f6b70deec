"""The offline entry: a run's id, a directory, or arrays in; a report out."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf.json_format import MessageToDict
from reward_engine.statistics.needs import Needs
from reward_schemas.encode import function_table
from reward_schemas.events import Event, Identity, RewardFunction, Role, Rollout, RunEvent, RunState, Status
from reward_store.client import Client

from reward_dashboards.analysis import Report, RunReport, report
from reward_dashboards.report_text import text
from reward_dashboards.runs import NoRun, RunData, of_directory, of_events, of_store

_STEP_MS = 1_000


class RewardAnalyzer:
    """Judges whole runs: verdict, statistics, quality, and how several differ.

    >>> rng = np.random.default_rng(0)
    >>> steps = [{"accuracy": rng.random(64) < 0.3 + step / 400} for step in range(120)]
    >>> analyzer = RewardAnalyzer.of_arrays(steps, groups=np.arange(64) // 8, ranges={"accuracy": (0, 1)})
    >>> print(analyzer.report.runs[0].sentence.partition(":")[0])
    Rising, unverified
    """

    def __init__(self, runs: Sequence[RunData]) -> None:
        if not runs:
            raise NoRun("There is nothing to report of.", remedy="give a run, a directory or arrays")
        self.runs = list(runs)

    @classmethod
    def of_directory(cls, folder: str | Path) -> RewardAnalyzer:
        """Every run below a directory that `start_run(…, data_dir=…)` wrote into. Raises `NoRun` where there is none."""
        return cls(of_directory(Path(folder)))

    @classmethod
    def of_runs(cls, client: Client, run_ids: Iterable[str]) -> RewardAnalyzer:
        """Runs that are in ClickHouse. Raises `NoRun` where one isn't."""
        return cls([of_store(client, run_id) for run_id in run_ids])

    @classmethod
    def of_arrays(
        cls,
        steps: Iterable[Mapping[str, Any]],
        *,
        groups: Any = None,
        lengths: Iterable[Any] | None = None,
        weights: Mapping[str, float] | None = None,
        audit: Iterable[str] = (),
        ranges: Mapping[str, tuple[float, float]] | None = None,
        run_id: str = "run",
    ) -> RewardAnalyzer:
        """One run of arrays: for each step the n rewards of each function by name; NaN: missing, of an audit: not scored.

        groups: n numbers, equal for the completions of one prompt, the same at each step; without them each completion is alone.
        lengths: for each step n numbers of tokens. weights: in the total, 1 where not given. audit: functions that aren't trained.
        Raises ValueError where an array doesn't fit, with the step.
        """
        return cls(of_events(_events(steps, groups, lengths, weights or {}, {*audit}, ranges or {}, run_id)))

    @cached_property
    def report(self) -> Report:
        """What there is to say."""
        return report(self.runs)

    def text(self) -> str:
        """For a terminal."""
        return text(self.report)

    def json(self) -> str:
        """For programs: unknown numbers are null."""
        made = {
            "runs": [_plain_run(run) for run in self.report.runs],
            "comparisons": self.report.comparisons,
        }
        return json.dumps(_plain(made), indent=2, ensure_ascii=False) + "\n"

    def html(self) -> str:
        """One page that needs nothing else. Needs plotly: pip install 'reward-monitor[web]'."""
        from reward_dashboards.report_html import html

        return html(self.report, self.runs)


def _plain_run(run: RunReport) -> dict[str, Any]:
    verdict = MessageToDict(run.verdict, preserving_proto_field_name=True) if run.verdict else None
    return {"run_id": run.run_id, "steps": run.steps, "verdict": verdict, "functions": run.functions}


def _plain(value: Any) -> Any:
    """What JSON can say."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, Needs):
        return {"needs": value.what}
    if is_dataclass(value):
        return {each.name: _plain(getattr(value, each.name)) for each in fields(value)}
    if value == "NaN" or (isinstance(value, float) and not math.isfinite(value)):
        return None
    return value


def _events(
    steps: Iterable[Mapping[str, Any]],
    groups: Any,
    lengths: Iterable[Any] | None,
    weights: Mapping[str, float],
    audit: set[str],
    ranges: Mapping[str, tuple[float, float]],
    run_id: str,
) -> Iterable[tuple[int, Event]]:
    given_lengths = iter(lengths) if lengths is not None else None
    started = RunEvent(RunState.STARTED)
    yield 0, Event(Identity(run_id, 1, 0, 0, 0), 0, 1, started)
    step = -1
    for step, rewards in enumerate(steps):
        columns = {name: np.asarray(values, np.float32).ravel() for name, values in rewards.items()}
        sizes = {name: len(column) for name, column in columns.items()}
        if len(set(sizes.values())) != 1:
            raise ValueError(f"step {step}: the functions have different numbers of rewards: {sizes}")
        n = next(iter(sizes.values()))
        group = np.arange(n, dtype=np.int32) if groups is None else np.asarray(groups, np.int32)
        length = None if given_lengths is None else np.asarray(next(given_lengths), np.int32)
        for name, array in (("groups", group), ("lengths", length)):
            if array is not None and len(array) != n:
                raise ValueError(f"step {step}: {len(array)} {name} for {n} completions")
        table = function_table(tuple(_function(name, weights, name in audit, ranges) for name in columns))
        values = np.array([*columns.values()])
        unsaid = np.array([Status.NOT_SCORED if name in audit else Status.MISSING for name in columns])[:, None]
        status = np.where(np.isnan(values), unsaid, Status.SCORED).astype(np.uint8)
        body = Rollout(step, table, values, group, status=status, length=length)
        yield step * _STEP_MS, Event(Identity(run_id, 1, 0, 0, step + 1), 0, 1, body)
    yield (step + 1) * _STEP_MS, Event(Identity(run_id, 1, 0, 0, step + 2), 0, 1, RunEvent(RunState.FINISHED))


def _function(name: str, weights: Mapping[str, float], audit: bool, ranges: Mapping[str, tuple[float, float]]) -> RewardFunction:
    lo, hi = ranges.get(name, (None, None))
    role = Role.AUDIT if audit else Role.TRAINED
    return RewardFunction(name, 0.0 if audit else weights.get(name, 1.0), role, lo=lo, hi=hi)

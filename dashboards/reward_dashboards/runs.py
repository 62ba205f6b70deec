"""A run as reports see it, from a directory, from arrays, or from ClickHouse: the same numbers of the same fold."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import merge
from pathlib import Path

import numpy as np
from reward_engine.bounds import ABSENCE_PER_TICK_MAX_MS, RUN_LOST_MS
from reward_engine.fold import Record, fold
from reward_engine.kinds import COMPLETION, REWARD
from reward_engine.measuring import measured
from reward_engine.state import STEP, Partition
from reward_schemas.errors import MonitorError
from reward_schemas.events import Control, Event, InvalidEvent, Tick
from reward_schemas.parse import parse
from reward_schemas.results_pb2 import Detection, PaneRow, Quality, Result, Verdict
from reward_schemas.segments import read, segments
from reward_store.client import Client

MEASURES = (
    "count",
    "mean",
    "std",
    "standard_error",
    "missing",
    "non_finite",
    "zero_variance_groups",
    "variance_contribution",
    "total_correlation",
    "length_correlation",
    "groups",
)
ENDS = 50  # steps at either end whose distributions are compared
Counted = tuple[np.ndarray, np.ndarray]  # values, and how often each came


class NoRun(MonitorError):
    """There is nothing to report of."""


@dataclass
class RunData:
    """One run. functions: role by name, the total first. steps: int64[n]. measures: float64[n] by function and measure, NaN where
    unknown; properties: means of the completions' numbers, scalars: of the trainer's. ends: the distributions of the first and
    the last `ENDS` steps, by function."""

    run_id: str
    functions: dict[str, str] = field(default_factory=dict)
    steps: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    measures: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)
    properties: dict[str, np.ndarray] = field(default_factory=dict)
    scalars: dict[str, np.ndarray] = field(default_factory=dict)
    ends: dict[str, tuple[Counted, Counted]] = field(default_factory=dict)
    verdicts: list[Verdict] = field(default_factory=list)


def of_directory(folder: Path) -> list[RunData]:
    """Every run whose segments are below a folder. Raises `NoRun` where there is none."""
    return of_results(_folded(records_of_directory(folder)))


def of_events(events: Iterable[tuple[int, Event | Control | InvalidEvent]]) -> list[RunData]:
    """The runs of events with the times at which they were written, in that order; those that didn't end, end with the last."""
    return of_results(_folded(records(events)))


def records_of_directory(folder: Path, run_ids: Collection[str] = ()) -> Iterator[Record]:
    """Every message below a folder as the log would have it, or those of some runs. Raises `NoRun` where there is none."""
    files = segments(folder)
    if not files:
        raise NoRun(
            "There are no runs here.",
            where=str(folder),
            remedy="start_run(…, data_dir=DIR) writes them; without a broker, `python -m reward_producers.numpy_grpo --data-dir DIR`",
        )
    frames = merge(*map(read, files), key=lambda frame: frame.time_ms)
    keys = {run_id.encode() for run_id in run_ids}
    return records((frame.time_ms, parse(frame.key, frame.value)) for frame in frames if not keys or frame.key in keys)


def records(events: Iterable[tuple[int, Event | Control | InvalidEvent]]) -> Iterator[Record]:
    """Events as records; after them ticks until what a killed trainer left open is closed by silence."""
    at, offset = 0, -1
    for offset, (time_ms, event) in enumerate(events):
        at = max(at, time_ms)
        yield Record(offset, at, event)
    for tick in range(1, RUN_LOST_MS // ABSENCE_PER_TICK_MAX_MS + 3):
        yield Record(offset + tick, at + tick * ABSENCE_PER_TICK_MAX_MS, Tick())


def _folded(log: Iterable[Record]) -> Iterator[Result]:
    state = Partition(0)
    for record in log:
        yield from fold(state, record)


def of_results(results: Iterable[Result]) -> list[RunData]:
    """The runs that results of the fold tell of."""
    rows: dict[str, dict[tuple[str, int], PaneRow]] = defaultdict(dict)
    verdicts: dict[str, dict[int, Verdict]] = defaultdict(dict)
    for result in results:
        if result.HasField("pane") and result.pane.window == STEP.row:
            rows[result.run_id][result.pane.kind, result.pane.slot] = result.pane
        elif result.HasField("verdict"):
            verdicts[result.run_id][result.verdict.step] = result.verdict
        elif result.HasField("quarantine") and not result.quarantine.released:
            raise RuntimeError(f"an error of reward-monitor's own: {result.quarantine.traceback}")
    runs = [_of_rows(run_id, panes, [*verdicts[run_id].values()]) for run_id, panes in rows.items()]
    if not runs:
        raise NoRun("No rewards were reported.", remedy="log_rollout reports them")
    return runs


def _of_rows(run_id: str, panes: Mapping[tuple[str, int], PaneRow], verdicts: list[Verdict]) -> RunData:
    run = RunData(run_id, verdicts=sorted(verdicts, key=lambda verdict: verdict.step))
    run.steps = np.array(sorted({slot for kind, slot in panes if kind == REWARD}), np.int64)
    at = {int(step): i for i, step in enumerate(run.steps)}
    for (kind, slot), pane in sorted(panes.items()):
        if slot not in at:
            continue
        table = np.frombuffer(pane.values, "<f8").reshape(len(pane.series), len(pane.sums))
        if kind == REWARD:
            found = measured(table, pane.roles)
            for row, (name, role) in enumerate(zip(pane.series, pane.roles, strict=True)):
                run.functions.setdefault(name, role)
                of = run.measures.setdefault(name, {m: np.full(len(at), np.nan) for m in MEASURES})
                for measure in MEASURES:
                    of[measure][at[slot]] = found[measure][row]
            continue
        where = run.properties if kind == COMPLETION else run.scalars
        for name, mean in zip(pane.series, measured(table)["mean"], strict=True):
            where.setdefault(name, np.full(len(at), np.nan))[at[slot]] = mean
    rewards = {slot: pane for (kind, slot), pane in panes.items() if kind == REWARD}
    first, last = run.steps[:ENDS].tolist(), run.steps[-ENDS:].tolist()
    run.ends = {name: (_counted(name, rewards, first), _counted(name, rewards, last)) for name in run.functions}
    return run


def _counted(name: str, rewards: Mapping[int, PaneRow], steps: Sequence[int]) -> Counted:
    """The values of a function over some steps, from their sketches."""
    values, counts = [], []
    for pane in (rewards[step] for step in steps):
        if name not in pane.series:
            continue
        row = list(pane.series).index(name)
        start = sum(pane.sketch_sizes[:row])
        part = slice(start, start + pane.sketch_sizes[row])
        values.append(np.frombuffer(pane.sketch_values, "<f4")[part])
        counts.append(np.frombuffer(pane.sketch_counts, "<u4")[part])
    return _summed(np.concatenate([*values, np.empty(0)]), np.concatenate([*counts, np.empty(0)]))


def _summed(values: np.ndarray, counts: np.ndarray) -> Counted:
    unique, at = np.unique(values.astype(np.float64), return_inverse=True)
    return unique, np.bincount(at, counts, len(unique))


def of_store(client: Client, run_id: str) -> RunData:
    """A run from ClickHouse. Raises `NoRun` where it has none of this id."""
    columns = ", ".join(MEASURES)
    rows = client.query(
        f"SELECT step, function, role, {columns} FROM steps WHERE run_id = {{r:String}} ORDER BY step, function != 'total', function",
        r=run_id,
    )
    if not rows:
        raise NoRun(f"There is no run {run_id!r:.80}.", where=client.settings.where, remedy="`reward-monitor runs` lists them")
    run = RunData(run_id, steps=np.array(sorted({row[0] for row in rows}), np.int64))
    at = {int(step): i for i, step in enumerate(run.steps)}
    for step, function, role, *values in rows:
        run.functions.setdefault(function, role)
        of = run.measures.setdefault(function, {m: np.full(len(at), np.nan) for m in MEASURES})
        for measure, value in zip(MEASURES, values, strict=True):
            of[measure][at[step]] = _or_nan(value)
    for where, view, name, value in (
        (run.properties, "completions", "property", "mean"),
        (run.scalars, "trainer_steps", "name", "value"),
    ):
        for step, key, mean in client.query(f"SELECT step, {name}, {value} FROM {view} WHERE run_id = {{r:String}}", r=run_id):
            if step in at and mean is not None:
                where.setdefault(key, np.full(len(at), np.nan))[at[step]] = mean
    first, last = (_stored_ends(client, run_id, steps) for steps in (run.steps[:ENDS], run.steps[-ENDS:]))
    none = np.empty(0), np.empty(0)
    run.ends = {name: (first.get(name, none), last.get(name, none)) for name in run.functions}
    run.verdicts = list(stored_verdicts(client, run_id))
    return run


def _stored_ends(client: Client, run_id: str, steps: np.ndarray) -> dict[str, Counted]:
    found = client.query(
        "SELECT function, groupArray(value), groupArray(number) FROM (SELECT function, value, sum(count) AS number FROM distributions"
        " WHERE run_id = {r:String} AND step BETWEEN {a:Int64} AND {b:Int64} GROUP BY function, value) GROUP BY function",
        r=run_id,
        a=int(steps[0]),
        b=int(steps[-1]),
    )
    return {name: _summed(np.array(values), np.array(counts)) for name, values, counts in found}


def stored_verdicts(client: Client, run_id: str) -> Iterator[Verdict]:
    """The run's verdicts of its last attempt; the last one with what the detectors said and the quality."""
    last = "attempt = (SELECT max(attempt) FROM verdicts WHERE run_id = {r:String})"
    names = ("step", "state", "sentence", "since_step", "judged")
    rows = client.query(f"SELECT {', '.join(names)} FROM verdicts WHERE run_id = {{r:String}} AND {last} ORDER BY step", r=run_id)
    for i, row in enumerate(rows):
        verdict = Verdict(**dict(zip(names, row, strict=True)))
        if i == len(rows) - 1:
            verdict.detections.extend(_stored_detections(client, run_id, verdict.step, last))
            verdict.quality.extend(_stored_quality(client, run_id, verdict.step, last))
        yield verdict


def _stored_detections(client: Client, run_id: str, step: int, last: str) -> Iterator[Detection]:
    kept = ("detector", "level", "needs", "function", "sentence", "since_step", "recent_from", "recent_to", "groups", "examples")
    numbers = ("statistic", "threshold", "p", "standard_error")
    sql = f"SELECT {', '.join((*kept, *numbers))}, ifNull(reference_from, 0), ifNull(reference_to, 0) FROM detections"
    where = f"WHERE run_id = {{r:String}} AND step = {{s:Int64}} AND {last}"
    for *row, reference_from, reference_to in client.query(f"{sql} {where}", r=run_id, s=step):
        said = dict(zip((*kept, *numbers), row, strict=True))
        said["series"] = said.pop("function")
        said |= {name: _or_nan(said[name]) for name in numbers}
        yield Detection(**said, reference_from=reference_from, reference_to=reference_to)


def _stored_quality(client: Client, run_id: str, step: int, last: str) -> Iterator[Quality]:
    sql = f"SELECT function, score, low, high, coverage, components, hacking FROM quality WHERE run_id = {{r:String}} AND step = {{s:Int64}} AND {last}"
    for function, *interval, coverage, components, hacking in client.query(sql, r=run_id, s=step):
        score, low, high = map(_or_nan, interval)
        values = [*map(_or_nan, components.values())]
        yield Quality(
            series=function, score=score, low=low, high=high, coverage=coverage, components=list(components), values=values, hacking=hacking
        )  # fmt: skip


def _or_nan(value: float | None) -> float:
    return np.nan if value is None else value

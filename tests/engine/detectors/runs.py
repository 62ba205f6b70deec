"""Made-up runs, each with one thing going on, as the detectors get them: through the fold."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from reward_engine.fold import fold
from reward_engine.state import Partition
from reward_schemas.encode import function_table
from reward_schemas.events import FunctionTable, RewardFunction, Role, RunState
from reward_schemas.results_pb2 import Detection, Verdict

from tests.engine.logs import Log, Trainer

GROUPS, SIZE = 32, 8
N = GROUPS * SIZE
GROUP = np.repeat(np.arange(GROUPS, dtype=np.int32), SIZE)
SCORED = {"accuracy": RewardFunction("accuracy", 1.0, lo=0.0, hi=1.0), "style": RewardFunction("style", 1.0, lo=0.0, hi=1.0)}
AUDIT = RewardFunction("audit", 0.0, Role.AUDIT, lo=0.0, hi=1.0)


@dataclass
class Step:
    """One step's report. columns and scalars as in a rollout and a trainer step; status: rows of the functions."""

    rewards: dict[str, np.ndarray]
    lengths: np.ndarray | None = None
    truncated: np.ndarray | None = None
    columns: dict[str, np.ndarray] = field(default_factory=dict)
    scalars: dict[str, float] = field(default_factory=dict)
    missing: dict[str, np.ndarray] = field(default_factory=dict)
    not_scored: dict[str, np.ndarray] = field(default_factory=dict)


Make = Callable[[int, np.random.Generator], Step]


def solved(rng: np.random.Generator, share: float) -> np.ndarray:
    """Binary rewards of groups whose difficulty differs."""
    p = np.clip(share + rng.normal(0, 0.15, GROUPS), 0.02, 0.98)
    return (rng.random(N) < p[GROUP]).astype(np.float32)


def noisy(rng: np.random.Generator, mean: float, sd: float = 0.1) -> np.ndarray:
    return np.clip(rng.normal(mean, sd, N), 0, 1).astype(np.float32)


def table_of(names: Sequence[str]) -> FunctionTable:
    return function_table(tuple(AUDIT if name == "audit" else SCORED.get(name, RewardFunction(name)) for name in names))


def log_of(make: Make, steps: int, *, planned: int | None = None, seed: int = 0, finish: bool = True) -> Log:
    """A run's records, one step every 5 s."""
    rng, trainer, log = np.random.default_rng(seed), Trainer(), Log()
    log.append(trainer.state(RunState.STARTED, config_json=json.dumps({"steps": planned} if planned else {})))
    for step in range(steps):
        told, at = make(step, rng), 5_000 * step
        names = list(told.rewards)
        status = np.zeros((len(names), len(told.rewards[names[0]])), np.uint8)
        for code, which in ((1, told.missing), (2, told.not_scored)):
            for name, where in which.items():
                status[names.index(name), where] = code
        more = {
            "length": None if told.lengths is None else told.lengths.astype(np.int32),
            "truncated": None if told.truncated is None else told.truncated.astype(np.uint8),
            "columns": {name: column.astype(np.float32) for name, column in told.columns.items()},
        }
        values = np.array([told.rewards[name] for name in names], np.float32)
        group = GROUP[: values.shape[1]]
        log.append(trainer.rollout(step, at, values, group=group, table=table_of(names), status=status, **more))
        if told.scalars:
            log.append(trainer.trainer(step, at, **told.scalars))
    if finish:
        log.append(trainer.state(RunState.FINISHED, 5_000 * steps))
    return log


def verdicts_of(log: Log, state: Partition | None = None) -> list[Verdict]:
    """Every verdict of the log; an error of the fold's own is raised."""
    state = state or Partition(0)
    results = [result for record in log.records for result in fold(state, record)]
    broken = [result.quarantine.traceback for result in results if result.HasField("quarantine")]
    assert not broken, broken[0]
    return [result.verdict for result in results if result.HasField("verdict")]


def judged(make: Make, steps: int = 200, **more: object) -> list[Verdict]:
    return verdicts_of(log_of(make, steps, **more))


def worst(verdicts: list[Verdict], detector: str) -> Detection:
    """The loudest that a detector said."""
    levels = ("off", "arming", "quiet", "info", "warning", "critical")
    said = [d for verdict in verdicts for d in verdict.detections if d.detector == detector]
    return max(said, key=lambda d: levels.index(d.level))

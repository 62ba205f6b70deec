"""Logs for tests: what trainers sent, with ticks, as records for the fold."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from reward_engine.fold import NO_RULES, Record, fold
from reward_engine.rules.ruleset import RuleSet
from reward_engine.state import Partition
from reward_schemas.encode import encode_event, function_table
from reward_schemas.events import Event, Identity, RewardFunction, Rollout, RunEvent, RunState, Tick, TrainerStep
from reward_schemas.results_pb2 import Result

T0 = 1_790_000_000_000  # a multiple of 10 s
TABLE = function_table((RewardFunction("accuracy", 1.0), RewardFunction("format", 0.2)))


def rewards(seed: int, functions: int = 2, n: int = 4) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(functions, n)).astype(np.float32)


@dataclass
class Trainer:
    """One sender process of a run: numbers its messages."""

    run: str = "r"
    rank: int = 0
    senders: int = 1
    attempt: int = 1
    session: int = 7
    seq: int = 0

    def event(self, body: object, at_ms: int) -> Event:
        identity = Identity(self.run, self.attempt, self.rank, self.session, self.seq)
        self.seq += 1
        return Event(identity, T0 + at_ms, self.senders, body)

    def rollout(self, step: int, at_ms: int, values: np.ndarray | None = None, **more: object) -> Event:
        values = rewards(1000 * self.rank + step) if values is None else np.asarray(values, np.float32)
        group = np.asarray(more.pop("group", [0] * values.shape[1]), np.int32)
        return self.event(Rollout(step=step, table=more.pop("table", TABLE), rewards=values, group=group, **more), at_ms)

    def trainer(self, step: int, at_ms: int, **scalars: float) -> Event:
        return self.event(TrainerStep(step, scalars or {"kl": 0.1}), at_ms)

    def state(self, state: RunState, at_ms: int = 0, **more: object) -> Event:
        return self.event(RunEvent(state, **more), at_ms)


@dataclass
class Log:
    """Records in the order in which they were appended. append_ms counts from T0."""

    records: list[Record] = field(default_factory=list)

    def append(self, event: object, append_ms: int | None = None) -> Log:
        if append_ms is None:
            append_ms = event.event_time_ms - T0 if isinstance(event, Event) else self.records[-1].append_time_ms - T0
        payload = encode_event(event) if isinstance(event, Event) else b""
        self.records.append(Record(len(self.records), T0 + append_ms, event, payload))
        return self

    def ticks(self, from_ms: int, to_ms: int, every_ms: int = 5_000) -> Log:
        for at in range(from_ms, to_ms + 1, every_ms):
            self.append(Tick(), at)
        return self


def folded(records: list[Record], state: Partition | None = None, rules: RuleSet = NO_RULES) -> tuple[Partition, list[Result]]:
    state = state or Partition(0)
    results = [result for record in records for result in fold(state, record, rules)]
    return state, results


def kinds(results: list[Result], kind: str) -> list[Result]:
    return [result for result in results if result.WhichOneof("kind") == kind]


def panes(
    results: list[Result], window: str = "step", kind: str = "reward", closed: bool | None = True, run: str | None = None
) -> list:
    """Pane rows of a window, in the order in which they were emitted; `closed` None: partial ones too."""
    return [
        r.pane
        for r in kinds(results, "pane")
        if r.pane.window == window and r.pane.kind == kind and closed in (None, r.pane.closed) and run in (None, r.run_id)
    ]


def last_run_row(results: list[Result], run: str = "r"):
    return [r.run for r in kinds(results, "run") if r.run_id == run][-1]


def table_of(pane) -> dict[str, dict[str, float]]:
    """{series: {sum: value}} of a pane row."""
    values = np.frombuffer(pane.values, "<f8").reshape(len(pane.series), len(pane.sums))
    return {name: dict(zip(pane.sums, map(float, row), strict=True)) for name, row in zip(pane.series, values, strict=True)}

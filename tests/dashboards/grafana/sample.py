"""Runs for dashboards to show: names with a quote and letters beyond ASCII, everything that a panel can show, and alerts."""

from __future__ import annotations

import numpy as np
from reward_engine.rules.ruleset import RuleSet, load
from reward_schemas.encode import function_table
from reward_schemas.events import Event, RewardFunction, Role, Rollout, RunEvent, RunState, Tick, TrainerStep
from reward_schemas.results_pb2 import Gap, LateEvent, Quarantine, Result
from reward_store.client import Client

from tests.dashboards.grafana.plugin import Window
from tests.store.logs import T0_MS, as_records, event, folded, records
from tests.store.running import land

PLAIN, QUOTED, BROKEN = "run-a", "it's ein Läufchen", "run-broken"
RUNS = [PLAIN, QUOTED, BROKEN]
FUNCTION = "it's prüf"
FUNCTIONS = (
    RewardFunction("correct", 1.0, lo=0.0, hi=1.0),
    RewardFunction(FUNCTION, 2.0, lo=0.0, hi=1.0),
    RewardFunction("audit", 0.0, Role.AUDIT, lo=0.0, hi=1.0),
)
STEPS, N, GROUP = 64, 16, 4
WINDOW = Window(T0_MS // 1000 - 600, T0_MS // 1000 + 600)
EMPTY = Window(T0_MS // 1000 - 9000, T0_MS // 1000 - 6000)

RULES = """version: 1
groups:
- name: g
  rules:
  - {uid: low, by: [run, reward], window: 2 steps, expr: mean < 0.5, severity: critical, annotations: {summary: "{{ reward }} is low"}}
  - {uid: low-run, window: 1 step, expr: mean < 99, severity: warning}
  - {uid: told, window: 1 step, expr: mean < 99, severity: info}
"""


def rules() -> RuleSet:
    found, mistakes = load({"rules.yaml": RULES})
    assert found is not None, mistakes
    return found


def training(run: str, seed: int, *, steps: int = STEPS, completions: int = N, step_ms: int = 1000) -> list[Event]:
    """A run whose rewards rise; the broken one's are not finite in part."""
    rng = np.random.default_rng(seed)
    events = [event(run, 0, 0, RunEvent(RunState.STARTED, "maths", {"owner": "me"}, "test 1", '{"lr": 1}'), senders=1)]
    group = np.repeat(np.arange(completions // GROUP), GROUP).astype("<i4")
    for step in range(steps):
        at_ms = T0_MS + step_ms * step
        rewards = np.clip(rng.normal(0.4 + 0.005 * step, 0.2, (len(FUNCTIONS), completions)), 0, 1).astype("<f4")
        rewards[1] = np.round(rewards[1])
        rewards[0, group == 0] = 1.0
        if run == BROKEN:
            rewards[0, :3] = np.nan
        columns = {
            "duplicate": (rng.random(completions) < 0.3).astype("<f4"),
            "staleness": np.full(completions, step % 3, "<f4"),
            "importance": np.exp(rng.normal(0, 0.1, completions)).astype("<f4"),
        }
        body = Rollout(
            step, function_table(FUNCTIONS), rewards, group, length=rng.integers(10, 900, completions).astype("<i4"),
            truncated=(rng.random(completions) < 0.1).astype("u1"), columns=columns,
        )  # fmt: skip
        events.append(event(run, 0, 2 * step + 1, body, senders=1, at_ms=at_ms))
        scalars = {"kl": 0.002 * step, "entropy": 1.0 - 0.01 * step, "clip_fraction": 0.1}
        events.append(event(run, 0, 2 * step + 2, TrainerStep(step, scalars), senders=1, at_ms=at_ms))
    return events


def fill(client: Client) -> None:
    """Lands the sample: each run on a partition of its own, and one of every kind of trouble."""
    for partition, run in enumerate(RUNS):
        extra = [b"\xff", Tick()] if run == PLAIN else [Tick()]
        log = records([*training(run, partition), *extra], partition)
        results = [*folded(log, rules()), *(troubles(log[-1].append_time_ms) if run == BROKEN else [])]
        land(client, log, results=as_records(results))


def troubles(at_ms: int) -> list[Result]:
    """What the fold says of a gap, a late event and a run that made it fail."""
    common = {"epoch": 1, "generation": 1, "partition": 2, "offset": 900, "run_id": BROKEN, "append_time_ms": at_ms}
    late = LateEvent(axis="step", kind="reward", attempt=1, session=7, seq=3, slot=2, lateness=5, fate="raw only")
    return [
        Result(**common, index=90, gap=Gap(from_offset=1, to_offset=2, reason="deleted")),
        Result(**common, index=91, late_event=late),
        Result(**common, index=92, quarantine=Quarantine(error="ValueError: x", traceback="…")),
    ]

"""What rules cost the fold: the same messages with and without 50 rules, and what a backtest makes of that.

python benchmarks/rules.py [--runs 20] [--steps 100] [--completions 64]
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from reward_engine.fold import NO_RULES, Record, fold
from reward_engine.rules.ruleset import RuleSet, load
from reward_engine.state import Partition
from reward_schemas.encode import function_table
from reward_schemas.events import Event, Identity, RewardFunction, Rollout

T0_MS = 1_790_000_000_000
FUNCTIONS = 8
CONDITIONS = (
    "mean < {0} and count >= 10", "std > {0}", "p95 > {0}", "zero_variance_groups > {0}", "missing > {0} * count",
    "abs(skewness) > {0} and std > 0", "saturation_high > {0}", "total_correlation < -{0}", "max > {0} or min < -{0}", "entropy < {0}",
)  # fmt: skip


def rules(number: int) -> RuleSet:
    """Half of them of each reward function, half of the run; windows of 1, 10 and 100 steps and of a minute."""
    windows = ("1 step", "10 steps", "100 steps", "1m")
    lines = [
        f"  - {{uid: r{i}, by: [{'run, reward' if i % 2 else 'run'}], window: {windows[i % 4]}, "
        f'expr: "{CONDITIONS[i % len(CONDITIONS)].format(1 + i / 100)}", for: {"1 windows"}}}'
        for i in range(number)
    ]
    found, mistakes = load({"rules.yaml": "version: 1\ngroups:\n- name: g\n  rules:\n" + "\n".join(lines)})
    assert found is not None, mistakes
    return found


def messages(runs: int, steps: int, completions: int) -> list[Record]:
    """Of all runs in turn, a message a step."""
    rng = np.random.default_rng(0)
    table = function_table(tuple(RewardFunction(f"f{i}", lo=0.0, hi=1.0) for i in range(FUNCTIONS)))
    rewards = [rng.random((FUNCTIONS, completions)).astype(np.float32) for _ in range(16)]
    group = np.arange(completions, dtype=np.int32) // 8
    made = []
    for step in range(steps):
        for run in range(runs):
            body = Rollout(step, table, rewards[(step + run) % 16], group)
            at = T0_MS + step * 10_000
            made.append(Record(len(made), at, Event(Identity(f"run-{run}", 1, 0, 1, step), at, 1, body)))
    return made


def folded(log: list[Record], judged_by: RuleSet) -> tuple[float, int]:
    """CPU seconds, and how many changes of alerts came of it."""
    state, changes = Partition(0), 0
    began = time.process_time()
    for record in log:
        changes += sum(result.HasField("alert") for result in fold(state, record, judged_by))
    return time.process_time() - began, changes


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--completions", type=int, default=64)
    parser.add_argument("--rules", type=int, default=50)
    given = parser.parse_args()
    log = messages(given.runs, given.steps, given.completions)
    of = rules(given.rules)
    bare, ruled, changes = [], [], 0
    for _ in range(3):
        bare.append(folded(log, NO_RULES)[0])
        seconds, changes = folded(log, of)
        ruled.append(seconds)
    without, with_rules = min(bare), min(ruled)
    judged = len(log) * sum(FUNCTIONS if rule.by_reward else 1 for rule in of.rules)
    print(
        f"{len(log)} messages of {given.runs} runs, {FUNCTIONS} functions x {given.completions} completions, {given.rules} rules"
    )
    print(f"fold without rules  {1000 * without / len(log):.2f} ms CPU a message")
    print(
        f"with rules          {1000 * with_rules / len(log):.2f} ms, {with_rules / without:.2f} times as much; {changes} changes of alerts"
    )
    print(
        f"judgings            {judged / (with_rules - without):,.0f} a second and core, {1e6 * (with_rules - without) / judged:.1f} us each"
    )
    whole = with_rules / len(log) * 100_000
    print(f"a backtest of 100 runs x 1,000 steps would take {whole:.0f} s of CPU at this rate")


if __name__ == "__main__":
    main()

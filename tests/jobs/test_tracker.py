"""The tracker and the real stream: the same completions give the same bits in the trainer's process and in ClickHouse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from reward_engine.measures import MEASURES
from reward_engine.measuring import COLUMNS
from reward_infra.pipeline import Pipeline
from reward_producers.metrics import Metrics
from reward_producers.metrics_tracker import RewardMetricsTracker
from reward_producers.reporter import Reporter, start_run
from reward_schemas.events import RewardFunction, Role

from tests.jobs.oracle import await_finished

pytestmark = pytest.mark.timeout(180)

FUNCTIONS = [
    RewardFunction("accuracy", 1.0, lo=0.0, hi=1.0),
    RewardFunction("format", 0.3),
    RewardFunction("style", -0.1),
    RewardFunction("judge", role=Role.AUDIT),
]
AMENDED = 40  # comes again after step 90
STEPS = [*range(91), AMENDED, *range(91, 130)]

Rows = dict[tuple[str, str, int, str], np.ndarray]


def report_and_track(run: Reporter, tracker: RewardMetricsTracker, step: int, rng: np.random.Generator) -> Any:
    """One batch to both: small differences on a large level, what is missing and what is not finite, groups in any order."""
    n = int(rng.integers(16, 48))
    rewards = {
        "accuracy": rng.integers(0, 2, n),
        "format": rng.normal(1e6, 1e-1, n).astype(np.float32),
        "style": [None if x < 0.1 else float("nan") if x < 0.15 else x for x in rng.random(n)],
        "judge": [None if x < 0.7 else x for x in rng.random(n)] if step % 2 else None,
    }
    of_completions: dict[str, Any] = {
        "groups": [f"prompt {i}" for i in rng.integers(0, 6, n)],
        "lengths": rng.integers(1, 2000, n),
        "advantages": rng.normal(size=n).astype(np.float32) if step % 3 else None,
        "truncated": rng.random(n) < 0.1,
        "columns": {"logp": rng.normal(-300, 20, n)},
    }
    kl, entropy, scalars = float(rng.normal()), float(rng.random()), {"loss": float(rng.normal()), "grad_norm": float("inf")}
    run.log_rollout(step, rewards, **of_completions)
    run.log_trainer(step, kl=kl, entropy=entropy, **scalars)
    return tracker.track_step(step, rewards, kl_divergence=kl, policy_entropy=entropy, **of_completions, **scalars)


def rows_of(metrics: Metrics, window: str) -> Rows:
    """By kind, window, slot and series: what was said of the series in this step or window."""
    return {
        (kind, window, metrics.step, series): values
        for kind, row in metrics._rows.items()
        for series, values in zip(row.series, np.frombuffer(row.values).reshape(-1, len(COLUMNS)), strict=True)
    }


def bits(values: np.ndarray) -> bytes:
    return np.where(np.isnan(values), np.nan, values).tobytes()


def test_the_tracker_and_clickhouse_have_the_same_bits(monitor: Pipeline) -> None:
    rng, tracker = np.random.default_rng(11), RewardMetricsTracker(FUNCTIONS)
    steps, windows, verdicts = {}, {}, {}
    with start_run("tracked", FUNCTIONS, brokers=monitor.brokers, strict=True) as run:
        for step in STEPS:
            steps[step] = report_and_track(run, tracker, step, rng)
            windows.setdefault(step, steps[step].window)  # rows of windows stay as they were judged
            if said := tracker.verdict:
                verdicts[said.step] = said
    await_finished(monitor, [run.run_id])

    client = monitor.writer()
    try:
        found = client.query(
            f"SELECT kind, window, slot, series, {', '.join(COLUMNS)} FROM rewards_tables.pane_rows FINAL"
            " WHERE closed AND window IN ('step', '100 steps') AND run_id = {run:String}",
            run=run.run_id,
        )
        view = client.query(
            f"SELECT step, function, {', '.join(m.name for m in MEASURES)} FROM rewards.steps WHERE run_id = {{run:String}}",
            run=run.run_id,
        )
        judged = client.query(
            "SELECT step, state, sentence, since_step FROM rewards.verdicts WHERE run_id = {r:String}", r=run.run_id
        )
        detections = client.query(
            "SELECT step, detector, level, sentence, statistic, p, standard_error FROM rewards.detections WHERE run_id = {r:String}",
            r=run.run_id,
        )
    finally:
        client.close()
    landed = {tuple(row[:4]): np.array([np.nan if x is None else x for x in row[4:]]) for row in found}
    tracked: Rows = {}
    for step, metrics in steps.items():
        tracked |= rows_of(metrics, "step") | rows_of(windows[step], "100 steps")
    assert tracked.keys() == landed.keys()
    assert [key for key in tracked if bits(tracked[key]) != bits(landed[key])] == []
    assert len({key[0] for key in tracked}) == 3 and len(tracked) > 2000

    assert len(verdicts) == 12 and len({said.state for said in verdicts.values()}) > 1
    landed_verdicts = {row[0]: row for row in judged if row[0] in verdicts}  # at its end the run was judged once more
    assert landed_verdicts == {step: (step, said.state, said.sentence, said.since_step) for step, said in verdicts.items()}
    told = {
        (said.step, d.detector, d.level, d.sentence, d.statistic, d.p, d.standard_error)
        for said in verdicts.values()
        for d in said.detections
    }
    assert {row for row in detections if row[0] in verdicts} == told

    assert len(view) == 5 * len(steps)
    for step, function, *values in view:
        of = steps[step][function]
        for m, value in zip(MEASURES, values, strict=True):
            if any(inexact in m.formula for inexact in ("pow", "log10")):  # each has its own last digit
                assert value == (None if of[m.name] is None else pytest.approx(of[m.name], rel=1e-13)), (step, function, m.name)
            else:
                assert value == of[m.name], (step, function, m.name)

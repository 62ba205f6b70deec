"""A GRPO training with monitoring: with TRL where it is installed, else the small GRPO in NumPy.

python scripts/train_grpo_monitored.py --num-steps 100 --enable-alerts --log-distributions

Rewards go to Kafka with --brokers, else into a directory, for `reward-monitor web --data-dir DIR`. requirements-monitoring.txt
names what is needed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from reward_producers.numpy_grpo.publish import publish
from reward_producers.numpy_grpo.training import StepBatch, TrainConfig, train

import reward_monitor

PROJECT = "grpo-monitored"


def main() -> None:
    """Trains, and says what became of what was reported."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--num-steps", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--backend", choices=("auto", "trl", "numpy"), default="auto", help="default: trl where it is installed")
    parser.add_argument("--enable-alerts", action="store_true", help="judge the rules that come along; alerts go to the terminal")
    parser.add_argument("--log-distributions", action="store_true", help="measures and histograms, for TensorBoard")
    parser.add_argument("--brokers", help="report to this Kafka, host:port")
    parser.add_argument("--data-dir", default="runs", help="report into this directory, without brokers; default: %(default)s")
    parser.add_argument("--run-id")
    given = parser.parse_args()
    where = {
        "mode": "online" if given.brokers else "offline",
        "brokers": given.brokers,
        "data_dir": given.data_dir,
        "run_id": given.run_id,
    }
    if given.backend == "trl" or (given.backend == "auto" and find_spec("trl")):
        _with_trl(given, where)
    else:
        _with_numpy(given, where)


def _with_trl(given: argparse.Namespace, where: dict[str, Any]) -> None:
    from trl_on_the_spot import trainer  # beside this file

    if given.enable_alerts or given.log_distributions:
        print("TRL: alerts and distributions come from the run, by `reward-monitor web`; not from this process.", file=sys.stderr)
    with tempfile.TemporaryDirectory() as folder:
        made = trainer(Path(folder), max_steps=given.num_steps, seed=given.seed)
        run = reward_monitor.watch(made, project=PROJECT, **where)
        made.train()
    print(run.counts if run else "not watched", file=sys.stderr)


def _with_numpy(given: argparse.Namespace, where: dict[str, Any]) -> None:
    config = TrainConfig(seed=given.seed, steps=given.num_steps)
    run = reward_monitor.start_run(PROJECT, config.task.functions, trainer="numpy_grpo", config=vars(given), **where)
    report = publish(run)
    if given.enable_alerts:
        tracker = reward_monitor.RealtimeMonitor(reward_function_names=config.task.functions, planned_steps=config.steps).tracker
    else:
        tracker = reward_monitor.RewardMetricsTracker(config.task.functions, planned_steps=config.steps)
    dashboards = reward_monitor.DashboardManager(PROJECT, run_id=run.run_id, enable_tensorboard=given.log_distributions)

    def on_step(batch: StepBatch) -> None:
        report(batch)
        metrics = tracker.track_step(
            batch.step, batch.rewards, kl_divergence=batch.kl, policy_entropy=batch.entropy, loss=batch.loss, groups=batch.groups,
            lengths=batch.lengths, advantages=batch.advantages, truncated=batch.truncated,
        )  # fmt: skip
        dashboards.log_metrics(batch.step, metrics)

    train(config, on_step=on_step)
    dashboards.close()
    tracker.finish()
    print(tracker.verdict)
    print(run.finish(), file=sys.stderr)


if __name__ == "__main__":
    main()

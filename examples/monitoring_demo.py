"""A monitored training on this machine, without any service: python examples/monitoring_demo.py

Trains a small GRPO policy that finds its judge's blind spot. Its rewards go into a run directory, its alerts to the terminal,
its measures to TensorBoard where that is installed. What stands between the two lines of ### is what your own trainer needs.
"""

from __future__ import annotations

import argparse
from importlib.util import find_spec

from reward_producers.numpy_grpo.training import StepBatch, TrainConfig, train

from reward_monitor import DashboardManager, RealtimeMonitor, start_run


def main() -> None:
    """Trains, and says what to open next."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--seed", type=int, default=0, help="0 gets hacked, 3 learns honestly")
    parser.add_argument("--data-dir", default="runs")
    given = parser.parse_args()
    config = TrainConfig(seed=given.seed, steps=given.steps)
    functions = config.task.functions
    tensorboard = find_spec("tensorboard") is not None

    ###
    run = start_run("monitoring-demo", functions, mode="offline", data_dir=given.data_dir)
    tracker = RealtimeMonitor(reward_function_names=functions, planned_steps=config.steps).tracker
    dashboards = DashboardManager("monitoring-demo", run_id=run.run_id, enable_tensorboard=tensorboard)

    def on_step(batch: StepBatch) -> None:
        """What the trainer knows of a step, once to the run, once to the tracker."""
        said = {"groups": batch.groups, "lengths": batch.lengths, "advantages": batch.advantages, "truncated": batch.truncated}
        run.log_rollout(batch.step, rewards=batch.rewards, **said)
        run.log_trainer(batch.step, kl=batch.kl, entropy=batch.entropy)
        metrics = tracker.track_step(batch.step, batch.rewards, kl_divergence=batch.kl, policy_entropy=batch.entropy, **said)
        dashboards.log_metrics(batch.step, metrics)
        if batch.step % 25 == 0:
            print(f"step {batch.step:4}: reward {metrics.total.mean:.2f}; {tracker.verdict or 'too early to say'}", flush=True)

    train(config, on_step=on_step)
    dashboards.close()
    tracker.finish()
    counts = run.finish()
    ###

    print(f"\n{tracker.verdict}\n\n{counts}\n\nNext:")
    print(f"  reward-monitor web --data-dir {given.data_dir}      # charts, alerts, what shows it")
    print(f"  reward-monitor analyze {given.data_dir}             # one report")
    print(
        "  tensorboard --logdir tensorboard"
        if tensorboard
        else "  pip install 'reward-monitor[export]'   # for TensorBoard and W&B"
    )


if __name__ == "__main__":
    main()

"""`python -m reward_producers.numpy_grpo`: trains as one rank and prints a table."""

from __future__ import annotations

import argparse
import signal
import sys
from dataclasses import asdict
from pathlib import Path

from reward_producers.reporter import start_run

from .environment import ENVIRONMENTS
from .outcome import Outcome
from .publish import publish
from .ranks import RankError, run_rank
from .training import StepBatch, TrainConfig

_INTERRUPTED = 128 + signal.SIGINT


def main(argv: list[str] | None = None) -> int:
    """The exit code: 0 trained to the end, 1 lost another rank, 130 stopped by SIGINT or SIGTERM."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    options = _parser().parse_args(argv)
    config = TrainConfig(seed=options.seed, steps=options.steps, environment=options.environment)
    functions = config.task.functions
    batches: list[StepBatch] = []

    def on_step(batch: StepBatch) -> None:
        batches.append(batch)
        if report:
            report(batch)
        if batch.step % 10 == 0 or batch.step == config.steps - 1:
            rewards = "".join(f"{batch.rewards[function.name].mean():13.3f}" for function in functions)
            means = f"{batch.total.mean():8.3f}{rewards}{batch.kl:8.3f}{batch.entropy:9.3f}"
            print(f"{options.rank:4}{batch.step:6}{means}", flush=True)

    run = report = None
    if options.brokers or options.data_dir:
        run = start_run(
            "demo-grpo", functions, run_id=options.run_id, mode="online" if options.brokers else "offline", brokers=options.brokers, data_dir=options.data_dir, rank=options.rank,
            world_size=options.world_size, trainer="reward_producers.numpy_grpo", config={**asdict(config), "kl_estimator": "k3"},
            tags={"environment": options.environment, "seed": str(config.seed)},
        )  # fmt: skip
        report = publish(run)

    if options.rank == 0:
        names = "".join(f"{function.name:>13}" for function in functions)
        print(f"rank  step   total{names}      kl  entropy", flush=True)
    try:
        run_rank(
            config,
            options.rank,
            options.world_size,
            options.rendezvous,
            on_step,
            pause_ms=options.pause_ms,
            timeout_s=options.timeout_s,
        )
    except KeyboardInterrupt:
        print(f"rank {options.rank}: stopped by a signal after {len(batches)} steps", file=sys.stderr)
        return _INTERRUPTED
    except RankError as error:
        print(f"rank {options.rank}: {error}; ended after {len(batches)} steps", file=sys.stderr)
        return 1
    finally:
        if run:
            print(f"rank {options.rank}: {run.finish()}", file=sys.stderr)
    if options.rank == 0 and batches:
        outcome = Outcome.of(batches)
        print(
            f"{outcome.label}: total reward {outcome.total_before:.2f} -> {outcome.total_after:.2f}, "
            f"true objective {outcome.true_before:.2f} -> {outcome.true_after:.2f}"
        )
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m reward_producers.numpy_grpo", description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--environment", choices=sorted(ENVIRONMENTS), default="judge_blind_spot")
    parser.add_argument("--rank", type=int, default=0)
    parser.add_argument("--world-size", type=int, default=1)
    parser.add_argument("--rendezvous", type=Path, help="path of a socket at which several ranks meet")
    parser.add_argument("--brokers", help="report to this Kafka, host:port; without: only print")
    parser.add_argument("--data-dir", help="report into this directory, for `reward-monitor analyze`")
    parser.add_argument("--run-id", help="the same for all ranks; needed for several that report")
    parser.add_argument("--pause-ms", type=int, default=0, help="sleep after each step")
    parser.add_argument("--timeout-s", type=float, default=60.0, help="how long to wait for another rank")
    return parser


if __name__ == "__main__":
    sys.exit(main())

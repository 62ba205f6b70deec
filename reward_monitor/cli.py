"""The command `reward-monitor`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path


def main(argv: list[str] | None = None) -> int:
    """Runs a command; the exit code: 0 done, 1 it went wrong, 2 it can't be done as asked, 130 stopped by Ctrl-C."""
    given = _parser().parse_args(argv)
    try:
        from reward_infra.errors import InfraError
        from reward_store.errors import StoreError
    except ImportError as error:
        print(f"{error}: the local stack needs its extra: pip install 'reward-monitor[local]'", file=sys.stderr)
        return 2
    try:
        code: int = given.run(given)
    except (InfraError, StoreError) as error:
        print(f"reward-monitor {given.command}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="reward-monitor", description="Watches the rewards of RL trainings.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    demo = commands.add_parser(
        "demo",
        help="everything on this machine: Kafka, ClickHouse, the jobs, and a real small GRPO training",
        description="Starts Kafka, ClickHouse and the jobs, trains a small GRPO policy in two rank processes, and shows the "
        "rows as they land. Example: reward-monitor demo --steps 120 --seed 3",
    )
    demo.add_argument("--steps", type=_at_least(1), default=150, help="optimizer steps (default: %(default)s)")
    demo.add_argument(
        "--seed", type=_at_least(0), default=0, help="of the training; 0 gets hacked, 3 learns honestly (default: 0)"
    )
    demo.add_argument(
        "--pause-ms", type=_at_least(0), default=100, help="slept after each step, for watching (default: %(default)s)"
    )
    demo.add_argument(
        "--data-dir", type=Path, help="where everything is kept (default: $REWARD_MONITOR_DIR, else .reward-monitor)"
    )
    demo.set_defaults(run=_demo)
    fetch = commands.add_parser(
        "fetch",
        help="downloads what the local stack needs, and nothing else",
        description="Downloads Kafka and the ClickHouse library into the cache that all projects share. Example: reward-monitor fetch",
    )
    fetch.set_defaults(run=_fetch)
    return parser


def _at_least(least: int) -> Callable[[str], int]:
    def whole(text: str) -> int:
        value = int(text)
        if value < least:
            raise ValueError
        return value

    whole.__name__ = f"whole number from {least} on"
    return whole


def _demo(given: argparse.Namespace) -> int:
    from reward_monitor.demo import demo

    return demo(given.steps, given.seed, given.pause_ms, given.data_dir)


def _fetch(_: argparse.Namespace) -> int:
    from reward_infra.fetch import main as fetch_main

    return fetch_main([])


if __name__ == "__main__":
    sys.exit(main())

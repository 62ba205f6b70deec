"""Rewards a second that one lander writes to ClickHouse: a backlog of raw events, landed by the real process.

    python benchmarks/lander.py [--messages 6000]

From the first row to the last, wall time and the lander's own CPU time; ClickHouse shares the machine's cores.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
from reward_infra.local_stack import LocalStack
from reward_jobs.settings import Settings
from reward_schemas.settings import load
from reward_store.audit import landed_ends
from reward_store.migrate import migrate
from worker import SHAPES, fill


def landed(client: object) -> int:
    """Messages of the events topic that are in."""
    return sum(end for (topic, _), end in landed_ends(client, 0).items() if topic == "events")


def main() -> None:
    """Prints a row a message size."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--messages", type=int, default=6_000, help="of 64 KB; of smaller ones as many times more")
    given = arguments.parse_args()
    print(f"{'rewards':>8} {'bytes':>7} {'msg/s':>8} {'rewards/s':>11} {'cpu us/msg':>10} {'rss MB':>7}")
    for name, (functions, completions) in SHAPES.items():
        messages = given.messages * {"1 KB": 10, "16 KB": 3}.get(name, 1)
        with tempfile.TemporaryDirectory() as scratch, LocalStack(Path(scratch) / "stack") as stack:
            stack.start()
            client = load(Settings, {}, stack.settings_file).value.clickhouse.as_writer().connect()
            migrate(client)
            size = fill(stack.brokers, functions, completions, messages)
            process = subprocess.Popen([sys.executable, "-m", "reward_jobs.land", "--config", str(stack.settings_file)])
            watched = psutil.Process(process.pid)
            while not (first := landed(client)):
                time.sleep(0.02)
            began, cpu = time.perf_counter(), sum(watched.cpu_times()[:2])
            while landed(client) < messages:
                time.sleep(0.02)
            seconds, cpu = time.perf_counter() - began, sum(watched.cpu_times()[:2]) - cpu
            rate = (messages - first) / seconds
            memory = watched.memory_info().rss // 1_000_000
            print(
                f"{name:>8} {size:>7} {rate:>8.0f} {rate * functions * completions:>11.0f}"
                f" {1e6 * cpu / (messages - first):>10.0f} {memory:>7}",
                flush=True,
            )
            process.terminate()
            process.wait()


if __name__ == "__main__":
    main()

"""Messages a second of one worker core, beside a bare confluent-kafka loop with the same decode and the same fold.

    python benchmarks/worker.py [--messages 6000] [--rounds 3]

Each role runs in a process of its own over the same topic, in turn; figures are CPU time (user + system) of the whole
process from its first message on, and the ratio is taken within a round. The worker also writes its results and
snapshots; the bare loop doesn't.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from reward_engine.fold import Record, fold
from reward_engine.snapshot import encode, joined
from reward_engine.state import Partition
from reward_infra.local_stack import LocalStack
from reward_infra.topics import ensure
from reward_jobs.settings import Jobs, Settings
from reward_producers.kafka import TopicPartition, admin, consumer, producer
from reward_producers.kafka_settings import Kafka
from reward_schemas.encode import encode_event, function_table
from reward_schemas.events import Event, Identity, RewardFunction, Rollout
from reward_schemas.parse import parse
from reward_schemas.topics import EVENTS, catalogue

PARTITIONS = 8
SHAPES = {"1 KB": (4, 32), "16 KB": (8, 460), "64 KB": (8, 1840)}  # functions x completions: the size of the reward vectors
RUNS = 16


class Stopwatch:
    """CPU and wall seconds of this process since the first message."""

    def __init__(self) -> None:
        self._cpu = self._wall = None

    def start(self) -> None:
        if self._cpu is None:
            self._cpu, self._wall = _cpu_s(), time.perf_counter()

    def report(self, messages: int, **more: object) -> None:
        cpu, wall = _cpu_s() - self._cpu, time.perf_counter() - self._wall
        print(json.dumps({"us": 1e6 * cpu / messages, "wall_us": 1e6 * wall / messages, **more}), flush=True)


def _cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def bare(brokers: str, messages: int) -> None:
    """The loop that nothing is taken from: consume, parse, fold."""
    client = consumer(brokers, "bench-bare")
    client.assign([TopicPartition(EVENTS, p, 0) for p in range(PARTITIONS)])
    states = [Partition(p) for p in range(PARTITIONS)]
    watch, done = Stopwatch(), 0
    while done < messages:
        for message in client.consume(500, 0.2):
            watch.start()
            record = Record(message.offset(), message.timestamp()[1], parse(message.key(), message.value()))
            fold(states[message.partition()], record)
            done += 1
    sizes = [len(joined(encode(state))) for state in states]
    watch.report(messages, state_bytes=sum(sizes) // RUNS)


def worker(brokers: str, messages: int, data_dir: Path) -> None:
    """The real worker; the process ends when it has folded all."""
    from reward_jobs import aggregate, logs, worker
    from reward_jobs.chunks import run

    logs.configure()
    watch, take = Stopwatch(), worker.Worker.take
    done = 0

    async def counted(self: worker.Worker, partition: int, records: list) -> None:
        nonlocal done
        watch.start()
        await take(self, partition, records)
        done += sum(record.key is not None for record in records)  # ticks have none
        if done >= messages:
            import os

            self._results.flush()
            watch.report(messages, rss_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
            sys.stdout.flush()
            os._exit(0)

    worker.Worker.take = counted
    run(lambda: aggregate.app(Settings(kafka=Kafka(brokers=brokers), jobs=Jobs(data_dir=data_dir))))


def fill(brokers: str, functions: int, completions: int, messages: int) -> int:
    """Writes the topic anew and returns the size of a message."""
    client = admin(brokers)
    topics = catalogue(PARTITIONS)
    for future in client.delete_topics([t.name for t in topics], operation_timeout=20).values():
        future.exception()
    time.sleep(1)
    ensure(client, topics, brokers)
    table = function_table(tuple(RewardFunction(f"f{i}") for i in range(functions)))
    rng, out = np.random.default_rng(0), producer(brokers)
    at = int(time.time() * 1000) - 60_000
    for i in range(messages):
        run, step = i % RUNS, i // RUNS
        body = Rollout(
            step=step,
            table=table,
            rewards=rng.random((functions, completions), np.float32),
            group=np.arange(completions, dtype=np.int32) // 8,
        )
        payload = encode_event(Event(Identity(f"run{run}", 1, 0, run, step), at + step * 50, 1, body))
        while True:
            try:
                out.produce(EVENTS, payload, f"run{run}".encode(), run % PARTITIONS)
                break
            except BufferError:
                out.poll(0.1)
    out.flush()
    return len(payload)


def main() -> None:
    """Prints a table, a row a message size."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--messages", type=int, default=6000)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--role", choices=["bare", "worker"], help=argparse.SUPPRESS)
    arguments.add_argument("--brokers", help=argparse.SUPPRESS)
    arguments.add_argument("--data-dir", type=Path, help=argparse.SUPPRESS)
    given = arguments.parse_args()
    if given.role == "bare":
        bare(given.brokers, given.messages)
        return
    if given.role == "worker":
        worker(given.brokers, given.messages, given.data_dir)
        return
    print(
        f"{'rewards':>8} {'bytes':>7} {'bare us':>8} {'worker us':>9} {'share':>6} {'msg/s':>7} {'rewards/s':>10} {'state/run':>9} {'rss MB':>7}"
    )
    with tempfile.TemporaryDirectory() as scratch, LocalStack(Path(scratch) / "stack") as stack:
        stack.start()
        for name, (functions, completions) in SHAPES.items():
            size = fill(stack.brokers, functions, completions, given.messages)
            rounds = [
                [_run(role, stack.brokers, given.messages, scratch) for role in ("bare", "worker")] for _ in range(given.rounds)
            ]
            a, b = (statistics.median(r[i]["us"] for r in rounds) for i in (0, 1))
            share = statistics.median(r[0]["us"] / r[1]["us"] for r in rounds)
            print(
                f"{name:>8} {size:>7} {a:>8.0f} {b:>9.0f} {share:>6.2f} {1e6 / b:>7.0f} {1e6 / b * functions * completions:>10.0f}"
                f" {rounds[0][0]['state_bytes']:>9} {rounds[0][1]['rss_mb']:>7}",
                flush=True,
            )


def _run(role: str, brokers: str, messages: int, scratch: str) -> dict:
    command = [
        sys.executable,
        __file__,
        "--role",
        role,
        "--brokers",
        brokers,
        "--messages",
        str(messages),
        "--data-dir",
        f"{scratch}/faust",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    if done.returncode:
        raise SystemExit(f"{role} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    main()

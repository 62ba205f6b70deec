"""What a call costs the trainer: log_rollout of 8 reward functions x 512 completions, as numpy arrays that are copied.

    python benchmarks/reporter.py [--calls 2000]

With the broker up, down (nothing listens) and paused (SIGSTOP); beside the bare copies of the arrays, and TensorBoard's writer and
W&B offline where they are installed, with what they are commonly given of such a step: a histogram and a mean of each function.
Calls come back to back, and 2 ms apart: then the processor has forgotten the code, as in a training. Wall time of the calling
thread, in microseconds, and CPU time of the whole process for each call.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from reward_infra.embedded_kafka import EmbeddedKafka
from reward_infra.fetch import fetch
from reward_infra.ports import Ports
from reward_infra.supervisor import Supervisor
from reward_infra.topics import ensure
from reward_producers.kafka import admin
from reward_producers.reporter import start_run
from reward_schemas.topics import catalogue

FUNCTIONS, COMPLETIONS, GROUP = 8, 512, 8
Log = Callable[[int, dict[str, np.ndarray], np.ndarray], object]


def measured(name: str, log: Log, calls: int) -> list[float]:
    """Prints two rows, and returns their 99th percentiles in microseconds."""
    return [
        _measured(f"{name}, back to back", log, range(calls), 0.0),
        _measured(f"{name}, 2 ms apart", log, range(calls, 2 * calls), 0.002),
    ]


def _measured(name: str, log: Log, steps: range, pause_s: float) -> float:
    rng = np.random.default_rng(0)
    rewards = {f"f{i}": rng.random(COMPLETIONS, np.float32) for i in range(FUNCTIONS)}
    groups = np.repeat(np.arange(COMPLETIONS // GROUP, dtype=np.int32), GROUP)
    took_us = np.empty(len(steps))
    cpu = time.process_time()
    for at, step in enumerate(steps):
        began = time.perf_counter()
        log(step, rewards, groups)
        took_us[at] = (time.perf_counter() - began) * 1e6
        if pause_s:
            time.sleep(pause_s)
    cpu_us = (time.process_time() - cpu) / len(steps) * 1e6
    p50, p99 = np.percentile(took_us, [50, 99])
    print(f"{name:34}{p50:10.1f}{p99:10.1f}{took_us.max():12.1f}{cpu_us:12.1f}", flush=True)
    return float(p99)


def reported(name: str, brokers: str, folder: Path, calls: int) -> list[float]:
    """The same of a run; then what became of it."""
    run = start_run("bench", [f"f{i}" for i in range(FUNCTIONS)], mode="online", brokers=brokers, data_dir=folder / name)
    p99 = measured(name, run.log_rollout, calls)
    print(f"    {run.finish()}")
    return p99


def tensorboard(folder: Path) -> Log | None:
    """TensorBoard's own writer, without torch."""
    if not find_spec("tensorboard"):
        return None
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import HistogramProto, Summary
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    writer = EventFileWriter(str(folder / "tensorboard"))

    def log(step: int, rewards: dict[str, np.ndarray], _: np.ndarray) -> None:
        summary = Summary()
        for name, values in rewards.items():
            counts, edges = np.histogram(values, 30)
            histogram = HistogramProto(
                min=values.min(), max=values.max(), num=len(values), sum=values.sum(), bucket_limit=edges[1:], bucket=counts
            )
            summary.value.add(tag=name, simple_value=values.mean())
            summary.value.add(tag=f"{name}/values", histo=histogram)
        writer.add_event(Event(step=step, wall_time=time.time(), summary=summary))

    return log


def wandb(folder: Path) -> Log | None:
    """W&B's run.log, offline."""
    if not find_spec("wandb"):
        return None
    import wandb as client

    run = client.init(mode="offline", dir=str(folder), settings=client.Settings(silent=True, console="off"))

    def log(step: int, rewards: dict[str, np.ndarray], _: np.ndarray) -> None:
        histograms = {f"{name}/values": client.Histogram(values) for name, values in rewards.items()}
        run.log({name: float(values.mean()) for name, values in rewards.items()} | histograms, step=step)

    return log


def main() -> int:
    """Prints one row for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=2000)
    calls = parser.parse_args().calls
    logging.getLogger("reward_monitor").setLevel(logging.ERROR)
    installed = fetch()
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        ports = Ports(None, installed.cache / "ports")
        chosen = ports.choose({"kafka": 29892, "controller": 29893})
        kafka = EmbeddedKafka(installed.kafka(), home / "kafka", chosen["kafka"], chosen["controller"])
        kafka.prepare()
        with Supervisor([kafka.part()], home / "logs") as supervisor:
            supervisor.start()
            ensure(admin(kafka.brokers), catalogue(8), kafka.brokers)
            print(f"{FUNCTIONS} functions x {COMPLETIONS} completions, {calls} calls, {os.cpu_count()} cores; microseconds")
            print(f"{'':34}{'p50':>10}{'p99':>10}{'max':>12}{'CPU/call':>12}")
            measured("copies alone", lambda _, rewards, groups: [a.copy() for a in (*rewards.values(), groups)], calls)
            ours = [reported("broker up", kafka.brokers, home, calls), reported("broker down", "127.0.0.1:1", home, calls)]
            supervisor.signal("kafka", signal.SIGSTOP)
            ours.append(reported("broker paused", kafka.brokers, home, calls))
            supervisor.signal("kafka", signal.SIGCONT)
        ports.release()
        for other, make in (("TensorBoard writer", tensorboard), ("W&B offline run.log", wandb)):
            if log := make(home):
                p99 = measured(other, log, calls)
                worst = [max(each) for each in zip(*ours, strict=True)]
                ratios = [theirs / our for theirs, our in zip(p99, worst, strict=True)]
                print(f"    p99 is {ratios[0]:.1f} and {ratios[1]:.1f} times the worst of ours")
            else:
                print(f"{other:34}   skipped: not installed (pip install {other.split()[0].lower().replace('&', 'and')})")
    return 0


if __name__ == "__main__":
    sys.exit(main())

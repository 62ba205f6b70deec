"""Publishes runs that were reported into a directory, and what Kafka did not take at the time."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from reward_producers.kafka_settings import Kafka, of_environment
from reward_producers.sync import Progress, sync
from reward_schemas.settings import FILE_VARIABLE

from reward_monitor.arguments import Parser, running_settings
from reward_monitor.terminal import console


def add(parser: Parser) -> None:
    """Declares the arguments."""
    parser.about(
        "Publishes to Kafka the runs of a directory: those reported offline, and left-over spools. It can be interrupted and "
        "repeated: it goes on where it stopped, and what arrives twice counts once."
    )
    parser.example("reward-monitor sync runs", "reward-monitor sync runs --brokers kafka-1:9092,kafka-2:9092")
    parser.add_argument("folder", type=Path, metavar="DIR", help="the directory of runs, or one run's")
    parser.add_argument(
        "--brokers", metavar="HOST:PORT,...", help="where Kafka is (default: the setting kafka.brokers, or the local stack)"
    )


def _kafka(given: argparse.Namespace) -> Kafka:
    if not given.brokers:
        return running_settings(given, "kafka").kafka
    environment = {**os.environ, FILE_VARIABLE: str(given.config or os.environ.get(FILE_VARIABLE, ""))}
    found = of_environment(environment, given.brokers)
    assert found is not None  # brokers are given
    return found


def run(given: argparse.Namespace) -> int:
    """0; NotSynced, KafkaUnreachable or KafkaRefused where it could not be published, Damaged where a file is."""
    screen = console()

    def tell(progress: Progress) -> None:
        done, of = progress.bytes_done / 1e6, progress.bytes_all / 1e6
        screen.print(f"{progress.folder.name}: {progress.messages:,} messages, {done:.1f} of {of:.1f} MB", markup=False)

    sync(given.folder, _kafka(given), tell)
    return 0

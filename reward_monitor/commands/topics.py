"""The topics in Kafka, and whether they are as they must be."""

from __future__ import annotations

import argparse

from reward_infra.errors import InfraError
from reward_infra.topics import TopicState, ensure, look
from reward_producers.kafka import entered
from reward_schemas.topics import catalogue
from rich.text import Text

from reward_monitor.arguments import Parser, running_settings
from reward_monitor.terminal import console, table


def add(parser: Parser) -> None:
    """Declares the arguments."""
    parser.about(
        "The topics in Kafka, and whether they are as they must be. Exit code 1 where one is missing or has other settings."
    )
    parser.example("reward-monitor topics", "reward-monitor topics --create --config cluster.yaml")
    parser.add_argument("--create", action="store_true", help="create those that are missing, and check all of them")
    parser.add_argument(
        "--reset", action="store_true", help="start the fold afresh in a new epoch, after the events topic was created again"
    )


def run(given: argparse.Namespace) -> int:
    """0 where every topic is as it must be."""
    chosen = running_settings(given, "kafka")
    kafka, topics = chosen.kafka, chosen.topics
    screen, client = console(), entered(kafka)
    wanted = catalogue(topics.partitions)
    if given.create:
        for name in ensure(client, wanted, kafka.brokers, replication=topics.replication):
            screen.print(f"created {name}", markup=False)
    if given.reset:
        from reward_jobs.reset import reset

        epoch = reset(kafka)
        screen.print(
            f"epoch {epoch} begins: start the workers, and the lander with REWARD_MONITOR_JOBS_EPOCH={epoch}", markup=False
        )
        return 0
    found = look(client, wanted, kafka.brokers)
    screen.print(
        table(
            ("topic", "partitions", "records", "kept", "written by", "state"), map(_row, found), right=("partitions", "records")
        )
    )
    for topic in found:
        for difference in topic.differences:
            screen.print(str(difference), markup=False)
    if missing := [topic.topic.name for topic in found if topic.partitions is None]:
        raise InfraError(
            f"Topics are missing: {', '.join(missing)}.", where=kafka.brokers, remedy="`reward-monitor topics --create`"
        )
    return 1 if any(topic.differences for topic in found) else 0


def _row(found: TopicState) -> tuple[object, ...]:
    if found.partitions is None:
        return (found.topic.name, None, None, None, found.topic.writers, Text("missing", style="red"))
    state = Text("other settings", style="red") if found.differences else Text("as it must be", style="green")
    return (found.topic.name, found.partitions, f"{found.records:,}", _kept(found.retention_ms), found.topic.writers, state)


def _kept(retention_ms: int | None) -> str:
    return "" if retention_ms is None else "for ever" if retention_ms < 0 else f"{retention_ms / 86_400_000:g} d"

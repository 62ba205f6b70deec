"""What is in Kafka: the topics, as the catalogue wants them."""

from __future__ import annotations

from collections.abc import Iterator

from reward_schemas.topics import catalogue

from reward_infra.topics import look

from .context import Context
from .finding import Check, Finding, error, note, ok


def topics(context: Context) -> Iterator[Finding]:
    """Each topic of the catalogue: there, and with its settings."""
    brokers, partitions = context.settings.kafka.brokers, context.settings.topics.partitions
    where = f"Kafka at {brokers}"
    context.topics = look(context.admin, catalogue(partitions), brokers)
    there = context.topics[0].partitions  # of the events topic, which the others follow
    if there not in (None, partitions) and context.default("topics.partitions"):
        # A trainer's machine, say, that was told of brokers and nothing else: the number isn't its business.
        context.topics = look(context.admin, catalogue(there), brokers)
        yield note(
            f"The topics have {there} partitions; topics.partitions is not set here, and {partitions} by default.",
            where,
            f"set REWARD_MONITOR_TOPICS_PARTITIONS={there} where topics are made and checked",
        )
    if missing := [found.topic.name for found in context.topics if found.partitions is None]:
        yield error(f"Topics are missing: {', '.join(missing)}.", where, "`reward-monitor topics --create`")
    for found in context.topics:
        for difference in found.differences:
            yield error(
                f"{difference.topic}: {difference.setting} is {difference.found}, must be {difference.wanted}.",
                where,
                difference.remedy,
            )
    if not missing and not any(found.differences for found in context.topics):
        yield ok(f"all {len(context.topics)} are there, with the catalogue's settings")


CHECKS = (Check("topics", topics, ("advertised listeners",)),)

"""Create the catalogue's topics and check that the ones that exist are as the catalogue wants them.

A topic with other settings is never changed here: what the log promises (a run's partition, append times, how long
records are kept) depends on them, so a person decides, with the command that the error names.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from reward_producers.kafka import (
    EARLIEST,
    LATEST,
    AdminClient,
    ConfigResource,
    KafkaError,
    KafkaException,
    NewTopic,
    OffsetSpec,
    TopicPartition,
)
from reward_schemas.topics import Topic

from .errors import InfraError

_TIMEOUT_S = 15.0
_SEEN_WITHIN_S = 10.0
_SETTLING = (KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE, KafkaError.UNKNOWN_TOPIC_OR_PART)
T = TypeVar("T")


@dataclass(frozen=True)
class Difference:
    """One setting of one topic that is not as the catalogue wants it; remedy: how to mend it."""

    topic: str
    setting: str
    wanted: str
    found: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.topic}: {self.setting} is {self.found}, must be {self.wanted}\n    {self.remedy}"


class WrongTopics(InfraError):
    """Topics exist with other settings than the catalogue's; `differences` has all of them."""

    def __init__(self, differences: Sequence[Difference], brokers: str) -> None:
        listed = "\n".join(f"  {difference}" for difference in differences)
        super().__init__(
            f"Topics have other settings than the catalogue:\n{listed}",
            where=f"Kafka at {brokers}",
            remedy="run the command named below each difference, then start again",
        )
        self.differences = tuple(differences)


@dataclass(frozen=True)
class TopicState:
    """A topic of the catalogue as the cluster has it. partitions: None where there is none; retention_ms: -1 for ever."""

    topic: Topic
    partitions: int | None
    records: int = 0
    retention_ms: int | None = None
    differences: tuple[Difference, ...] = ()


def look(admin: AdminClient, topics: Sequence[Topic], brokers: str) -> list[TopicState]:
    """How each topic is; changes nothing. InfraError if the cluster does not answer."""
    there = _partitions(admin, brokers)
    known = [topic for topic in topics if there.get(topic.name)]
    settings = _settings(admin, [topic.name for topic in known], brokers)
    wrong = differences(known, there, settings, brokers)
    found = []
    for topic in topics:
        if topic not in known:
            found.append(TopicState(topic, None))
            continue
        records = sum(end - start for start, end in offsets(admin, topic.name, brokers).values())
        kept = settings[topic.name].get("retention.ms")
        mine = tuple(difference for difference in wrong if difference.topic == topic.name)
        found.append(TopicState(topic, there[topic.name], records, int(kept) if kept else None, mine))
    return found


def offsets(admin: AdminClient, topic: str, brokers: str) -> dict[int, tuple[int, int]]:
    """By partition, the offsets of its log: [start, end). InfraError if the cluster does not answer or has no such topic."""
    found = _ask(f"The topic {topic}", brokers, lambda: admin.list_topics(topic, timeout=_TIMEOUT_S)).topics[topic]
    if found.error is not None:
        raise _refused(f"The topic {topic} could not be read", KafkaException(found.error), brokers)
    places = [TopicPartition(topic, partition) for partition in found.partitions]
    starts, ends = (_edge(admin, places, spec, brokers) for spec in (EARLIEST, LATEST))
    return {partition: (starts[partition], ends[partition]) for partition in found.partitions}


def ensure(
    admin: AdminClient, topics: Sequence[Topic], brokers: str, *, replication: int = -1, tool: str = "kafka-configs.sh"
) -> tuple[str, ...]:
    """Create the topics that are missing, check all of them, and return the names of those that this call created.

    Safe when several processes do it at once. brokers and tool only complete the commands in an error: the address that
    an administrator reaches, and Kafka's program for settings. replication: -1 takes the cluster's default.

    WrongTopics with every difference; InfraError if the cluster does not answer or refuses to create a topic.
    """
    there = _partitions(admin, brokers)
    created = _create(admin, [topic for topic in topics if topic.name not in there], replication, brokers)
    there = _await_topics(admin, [topic.name for topic in topics], brokers)
    settings = _settings(admin, [topic.name for topic in topics], brokers)
    if wrong := differences(topics, there, settings, brokers, tool):
        raise WrongTopics(wrong, brokers)
    return created


def differences(
    topics: Sequence[Topic],
    partitions: dict[str, int],
    settings: dict[str, dict[str, str]],
    brokers: str,
    tool: str = "kafka-configs.sh",
) -> list[Difference]:
    """What differs between the catalogue and what was found, by topic name; asks nobody."""
    found = []
    for topic in topics:
        if (count := partitions[topic.name]) != topic.partitions:
            remedy = (
                "a partition count cannot be changed without breaking the order of runs: start with "
                f"{count} partitions (REWARD_MONITOR_TOPICS_PARTITIONS={count}), or stop everything, delete the topic with its records "
                f"(kafka-topics.sh --bootstrap-server {brokers} --delete --topic {topic.name}) and start again"
            )
            found.append(Difference(topic.name, "partition count", str(topic.partitions), str(count), remedy))
        for name, wanted in topic.config.items():
            is_now = settings[topic.name].get(name, "unknown to this cluster")
            if is_now != wanted:
                setting = shlex.quote(f"{name}=[{wanted}]" if "," in wanted else f"{name}={wanted}")
                remedy = (
                    f"{tool} --bootstrap-server {brokers} --alter --entity-type topics "
                    f"--entity-name {topic.name} --add-config {setting}"
                )
                found.append(Difference(topic.name, name, wanted, is_now, remedy))
    return found


def _create(admin: AdminClient, missing: list[Topic], replication: int, brokers: str) -> tuple[str, ...]:
    if not missing:
        return ()
    wanted = [NewTopic(topic.name, topic.partitions, replication, config=topic.config) for topic in missing]
    created = []
    for name, done in admin.create_topics(wanted, request_timeout=_TIMEOUT_S).items():
        try:
            done.result()
            created.append(name)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:  # another process was quicker
                raise _refused(f"The topic {name} could not be created", error, brokers) from error
    return tuple(created)


def _edge(admin: AdminClient, places: list[TopicPartition], spec: OffsetSpec, brokers: str) -> dict[int, int]:
    """One end of each partition. The brokers learn a moment after a topic's creation who leads what: till then, asked again."""
    deadline = time.monotonic() + _SEEN_WITHIN_S
    while True:
        answers = admin.list_offsets(dict.fromkeys(places, spec), request_timeout=_TIMEOUT_S)
        try:
            return {place.partition: answer.result().offset for place, answer in answers.items()}
        except KafkaException as error:
            if error.args[0].code() not in _SETTLING or time.monotonic() > deadline:
                raise _refused(f"The offsets of {places[0].topic} could not be read", error, brokers) from error
        time.sleep(0.05)


def _partitions(admin: AdminClient, brokers: str) -> dict[str, int]:
    found = _ask("The list of topics", brokers, lambda: admin.list_topics(timeout=_TIMEOUT_S))
    return {name: len(topic.partitions) for name, topic in found.topics.items() if topic.error is None}


def _await_topics(admin: AdminClient, names: Sequence[str], brokers: str) -> dict[str, int]:
    """The partition counts, once the brokers know every topic: they learn of a new one a moment after its creation."""
    deadline = time.monotonic() + _SEEN_WITHIN_S
    while True:
        there = _partitions(admin, brokers)
        if not (unseen := [name for name in names if not there.get(name)]):
            return there
        if time.monotonic() > deadline:
            raise InfraError(
                f"The brokers do not show the topics {', '.join(unseen)} {_SEEN_WITHIN_S:.0f} s after their creation.",
                where=f"Kafka at {brokers}",
                remedy="look into the controller's log; start again",
            )
        time.sleep(0.02)


def _settings(admin: AdminClient, names: Sequence[str], brokers: str) -> dict[str, dict[str, str]]:
    resources = [ConfigResource(ConfigResource.Type.TOPIC, name) for name in names]
    answers = admin.describe_configs(resources, request_timeout=_TIMEOUT_S)
    return {
        resource.name: {
            entry.name: entry.value for entry in _ask(f"The settings of {resource.name}", brokers, answer.result).values()
        }
        for resource, answer in answers.items()
    }


def _ask(what: str, brokers: str, question: Callable[[], T]) -> T:
    try:
        return question()
    except KafkaException as error:
        raise _refused(f"{what} could not be read", error, brokers) from error


def _refused(what: str, error: KafkaException, brokers: str) -> InfraError:
    return InfraError(
        f"{what}: {error.args[0].str()}",
        where=f"Kafka at {brokers}",
        remedy="check that the brokers run and that this client may create and describe topics",
    )

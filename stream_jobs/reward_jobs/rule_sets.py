"""The rules topic: rule sets are published there, checked, and handed to the folds. A set's version is its offset."""

from __future__ import annotations

import getpass
import time
from collections.abc import Mapping
from typing import NamedTuple

from reward_engine.fold import NO_RULES
from reward_engine.rules.ruleset import RuleSet, load
from reward_producers.kafka import OFFSET_BEGINNING, KafkaException, Message, TopicPartition, consumer, producer
from reward_producers.kafka_settings import Kafka
from reward_producers.rule_files import RulesRefused, refusal
from reward_schemas.rule_sets import SETS_BYTES_MAX, PublishedRules, read_rule_set, rule_set_bytes
from reward_schemas.topics import RULES

_PARTITION = 0
_TIMEOUT_S = 30.0


class _Published(NamedTuple):
    at_ms: int
    said: PublishedRules


class RuleSets:
    """Every rule set that was published, as `refresh` finds them. Used from one thread at a time."""

    def __init__(self, kafka: Kafka | str) -> None:
        self._consumer = consumer(kafka, "reward-monitor.rules", fetch_wait_max_ms=10)
        self._consumer.assign([TopicPartition(RULES, _PARTITION, OFFSET_BEGINNING)])
        self._published: dict[int, _Published] = {}
        self._compiled: dict[int, RuleSet | None] = {-1: NO_RULES}
        self.newest = -1  # version of the newest that is sound
        self.last = -1  # of the newest, sound or not

    def close(self) -> None:
        """Leaves the broker."""
        self._consumer.close()

    def refresh(self, timeout_s: float = _TIMEOUT_S) -> list[int]:
        """Reads what was published since, and returns the versions among it that can't be used.

        KafkaException, or TimeoutError, where the broker doesn't deliver.
        """
        before = self.last
        place = TopicPartition(RULES, _PARTITION)
        low, end = self._consumer.get_watermark_offsets(place, timeout=timeout_s)
        deadline = time.monotonic() + timeout_s
        while max(self._consumer.position([place])[0].offset, low) < end:
            for message in self._consumer.consume(100, 0.05):
                if message.error():
                    raise KafkaException(message.error())
                self._take(message)
            if time.monotonic() > deadline:
                raise TimeoutError(f"{RULES}: not read to its end in {timeout_s:.0f} s")
        return [version for version in self._published if version > before and self.of(version) is None]

    def mistakes(self, version: int) -> list[str]:
        """What is wrong with a rule set, each with its place and remedy."""
        said = self.said(version)
        return (said.mistakes or [str(mistake) for mistake in load(said.files)[1]]) if said else []

    def said(self, version: int) -> PublishedRules | None:
        """What was published as this version."""
        found = self._published.get(version)
        return found.said if found else None

    def of(self, version: int, at_ms: int | None = None) -> RuleSet | None:
        """The rule set of a version; None where there is no such, it has mistakes, or it was published after `at_ms`: whoever
        wrote a switch to it then, it wasn't an owner, and in a replay the answer has to be the same."""
        found = self._published.get(version)
        if found and at_ms is not None and found.at_ms > at_ms:
            return None
        if version not in self._compiled and found:
            self._compiled[version] = None if found.said.mistakes else load(found.said.files, version)[0]
        return self._compiled.get(version)

    def _take(self, message: Message) -> None:
        version: int = message.offset()  # type: ignore[assignment]  # None only before a message was sent
        self._published[version] = _Published(message.timestamp()[1], read_rule_set(message.value()))
        self.last = version
        if self.of(version) is not None:
            self.newest = version


def publish(kafka: Kafka | str, files: Mapping[str, str], *, refused: bool = False) -> int:
    """Publishes a rule set and returns its version.

    Raises `RulesRefused` where it has mistakes; with `refused` that is published as well, for all to see, and never in force.
    KafkaException where the broker doesn't take it.
    """
    found, mistakes = load(files)
    if found is None and not refused:
        raise refusal(mistakes)
    told = [str(mistake) for mistake in mistakes]
    value = rule_set_bytes(PublishedRules(dict(files), _who(), len(found.rules) if found else 0, told))
    if len(value) > SETS_BYTES_MAX:
        raise RulesRefused(f"The rules are {len(value)} bytes long; {SETS_BYTES_MAX} fit.", remedy="leave some out")
    client, versions, errors = producer(kafka, linger_ms=0), list[int](), list[object]()

    def delivered(error: object, message: Message) -> None:
        if error is None:
            versions.append(message.offset() or 0)
        else:
            errors.append(error)

    client.produce(RULES, value, b"rules", _PARTITION, on_delivery=delivered)
    client.flush(_TIMEOUT_S)
    if not versions:
        raise KafkaException(*errors) if errors else TimeoutError(f"{RULES}: the broker didn't take the rules")
    return versions[0]


def _who() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user has no name
        return ""

"""A real broker with the catalogue's topics, and what lies in its events topic."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from reward_infra.embedded_kafka import EmbeddedKafka
from reward_infra.fetch import fetch
from reward_infra.ports import Ports
from reward_infra.supervisor import Supervisor
from reward_infra.topics import ensure
from reward_producers.kafka import Message, TopicPartition, admin, consumer
from reward_schemas.events import Event
from reward_schemas.parse import parse
from reward_schemas.topics import EVENTS, catalogue

PARTITIONS = 3


@pytest.fixture(scope="session")
def brokers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a running broker."""
    installed, home = fetch(), tmp_path_factory.mktemp("broker")
    ports = Ports(None, installed.cache / "ports")
    chosen = ports.choose({"kafka": 29692, "controller": 29693})
    kafka = EmbeddedKafka(installed.kafka(), home / "kafka", chosen["kafka"], chosen["controller"])
    kafka.prepare()
    with Supervisor([kafka.part()], home / "logs") as supervisor:
        supervisor.start()
        ensure(admin(kafka.brokers), catalogue(PARTITIONS), kafka.brokers)
        yield kafka.brokers
    ports.release()


class EventsTopic:
    """The events topic from its start: reads on from where it stopped, and keeps each run's messages apart."""

    def __init__(self, brokers: str) -> None:
        self._at = dict.fromkeys(range(PARTITIONS), 0)
        self._runs: dict[bytes | None, list[Message]] = defaultdict(list)
        self._client = consumer(brokers, "reader", fetch_wait_max_ms=20)
        self._client.assign([TopicPartition(EVENTS, partition, 0) for partition in self._at])

    def messages(self, run_id: str) -> list[Message]:
        """All messages of a run that lie in the topic now, in their order."""
        ends = {p: self._client.get_watermark_offsets(TopicPartition(EVENTS, p), timeout=10)[1] for p in self._at}
        while any(self._at[partition] < end for partition, end in ends.items()):
            for message in self._client.consume(500, 0.05):
                assert message.error() is None
                self._at[message.partition()] = message.offset() + 1
                self._runs[message.key()].append(message)
        return self._runs[run_id.encode()]

    def close(self) -> None:
        self._client.close()


@pytest.fixture(scope="session")
def topic(brokers: str) -> Iterator[EventsTopic]:
    topic = EventsTopic(brokers)
    yield topic
    topic.close()


@pytest.fixture
def arrived(topic: EventsTopic) -> Callable[[str], list[Event]]:
    """All events of a run in the topic, in their order; each was keyed by its run and well formed."""

    def read(run_id: str) -> list[Event]:
        messages = topic.messages(run_id)
        events = [parse(message.key(), message.value()) for message in messages]
        assert all(isinstance(event, Event) for event in events), events
        assert len({message.partition() for message in messages}) <= 1
        return events

    return read


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No run of the machine that tests run on, and a directory of the test's own for files."""
    for name in ("KAFKA_BROKERS", "MODE", "RUN_ID", "ATTEMPT", "FILES_BYTES_MAX"):
        monkeypatch.delenv(f"REWARD_MONITOR_{name}", raising=False)
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("REWARD_MONITOR_DATA_DIR", str(tmp_path))

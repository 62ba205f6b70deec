"""The catalogue's topics on a real broker: created once, checked always, never changed."""

from __future__ import annotations

import threading
import uuid
from dataclasses import replace

import pytest
from reward_infra.errors import InfraError
from reward_infra.local_stack import LocalStack
from reward_infra.topics import WrongTopics, differences, ensure, look
from reward_producers.kafka import ConfigResource, admin
from reward_schemas.topics import Topic, catalogue

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def wanted() -> tuple[Topic, ...]:
    """The catalogue under names of this test's own."""
    return tuple(replace(topic, name=f"{topic.name}.{uuid.uuid4().hex[:8]}") for topic in catalogue(2))


def test_creates_what_is_missing_and_nothing_a_second_time(stack: LocalStack, wanted: tuple[Topic, ...]) -> None:
    client = admin(stack.brokers)
    assert ensure(client, wanted[:2], stack.brokers) == (wanted[0].name, wanted[1].name)
    assert ensure(client, wanted, stack.brokers) == (wanted[2].name, wanted[3].name)
    assert ensure(client, wanted, stack.brokers) == ()
    found = client.list_topics(timeout=5).topics
    assert {topic.name: len(found[topic.name].partitions) for topic in wanted} == {
        topic.name: topic.partitions for topic in wanted
    }
    events = ConfigResource(ConfigResource.Type.TOPIC, wanted[0].name)
    settings = client.describe_configs([events])[events].result()
    assert settings["message.timestamp.type"].value == "LogAppendTime"
    assert settings["max.message.bytes"].value == "4194304"


def test_several_at_once_create_each_topic_once(stack: LocalStack, wanted: tuple[Topic, ...]) -> None:
    results: list[tuple[str, ...] | Exception] = []

    def one() -> None:
        try:
            results.append(ensure(admin(stack.brokers), wanted, stack.brokers))
        except Exception as error:
            results.append(error)

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not [result for result in results if isinstance(result, Exception)]
    assert sorted(name for created in results for name in created) == sorted(topic.name for topic in wanted)


def test_a_topic_with_other_settings_is_refused_with_every_difference_and_its_remedy(
    stack: LocalStack, wanted: tuple[Topic, ...]
) -> None:
    client = admin(stack.brokers)
    events = wanted[0]
    there = replace(
        events, partitions=3, config={**events.config, "message.timestamp.type": "CreateTime", "retention.ms": "1000"}
    )
    ensure(client, [there], stack.brokers)
    with pytest.raises(WrongTopics) as caught:
        ensure(client, wanted, stack.brokers)
    found = {difference.setting: difference for difference in caught.value.differences}
    assert set(found) == {"partition count", "message.timestamp.type", "retention.ms"}
    assert (found["partition count"].wanted, found["partition count"].found) == ("2", "3")
    assert "start with 3 partitions" in found["partition count"].remedy
    assert f"--delete --topic {events.name}" in found["partition count"].remedy
    assert found["retention.ms"].remedy == (
        f"kafka-configs.sh --bootstrap-server {stack.brokers} --alter --entity-type topics "
        f"--entity-name {events.name} --add-config retention.ms=604800000"
    )
    for difference in caught.value.differences:
        assert str(difference) in str(caught.value)


def test_the_named_command_mends_it(stack: LocalStack, wanted: tuple[Topic, ...], tmp_path) -> None:
    import shlex
    import subprocess

    client = admin(stack.brokers)
    rules = wanted[3]
    ensure(client, [replace(rules, config={**rules.config, "cleanup.policy": "compact"})], stack.brokers)
    with pytest.raises(WrongTopics) as caught:
        ensure(client, [rules], stack.brokers)
    (difference,) = caught.value.differences
    programs = stack.installed.kafka()
    # kafka-configs.sh is this class; the embedded stack has no scripts.
    argv = programs.argv("kafka.admin.ConfigCommand", *shlex.split(difference.remedy)[1:])
    subprocess.run(argv, env=programs.env(), cwd=tmp_path, check=True, capture_output=True)
    assert ensure(client, [rules], stack.brokers) == ()


def test_a_policy_of_two_words_is_quoted_for_the_command() -> None:
    topic = Topic("t", "k", 1, "w", {"cleanup.policy": "compact,delete"})
    (difference,) = differences([topic], {"t": 1}, {"t": {"cleanup.policy": "delete"}}, "b:1")
    assert difference.remedy.endswith("--add-config 'cleanup.policy=[compact,delete]'")


def test_a_silent_cluster_is_named(monkeypatch: pytest.MonkeyPatch, wanted: tuple[Topic, ...]) -> None:
    from reward_infra import topics

    monkeypatch.setattr(topics, "_TIMEOUT_S", 0.5)
    with pytest.raises(InfraError, match=r"list of topics could not be read[\s\S]*Kafka at 127.0.0.1:1"):
        ensure(admin("127.0.0.1:1"), wanted, "127.0.0.1:1")


def test_topics_that_were_just_created_can_be_looked_at(stack: LocalStack) -> None:
    many = tuple(replace(topic, name=f"{topic.name}.{uuid.uuid4().hex[:8]}") for topic in catalogue(64))  # as in a cluster
    client = admin(stack.brokers)
    ensure(client, many, stack.brokers)
    assert [(found.partitions, found.records) for found in look(client, many, stack.brokers)] == [(64, 0)] * 3 + [(1, 0)]

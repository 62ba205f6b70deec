"""The real broker: it keeps its log over a stop, and over kill -9."""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path

import pytest
from reward_infra import embedded_kafka
from reward_infra.embedded_kafka import EmbeddedKafka
from reward_infra.errors import InfraError, PartFailed, PortTaken
from reward_infra.fetch import Installed
from reward_infra.ports import Ports
from reward_infra.supervisor import Supervisor
from reward_producers.kafka import NewTopic, TopicPartition, admin, consumer, producer

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def kafka(installed: Installed, tmp_path: Path):
    """A prepared broker in a directory whose name Java, Kafka's settings and a shell could all stumble over."""
    ports = Ports(None, installed.cache / "ports")
    chosen = ports.choose({"kafka": 29592, "controller": 29593})
    broker = EmbeddedKafka(installed.kafka(), tmp_path / "a, b=c é\\d", chosen["kafka"], chosen["controller"])
    broker.prepare()
    yield broker
    ports.release()


def send(brokers: str, first: int, count: int) -> None:
    client = producer(brokers, linger_ms=0)
    failures = []
    for number in range(first, first + count):
        client.produce("t", str(number).encode(), on_delivery=lambda error, _: error and failures.append(error))
    assert client.flush(20) == 0 and not failures


def read(brokers: str, count: int) -> list[int]:
    client = consumer(brokers, "reader")
    client.assign([TopicPartition("t", 0, 0)])
    got: list[int] = []
    for _ in range(100):
        got += [int(message.value()) for message in client.consume(1000, 0.2)]
        if len(got) >= count:
            break
    client.close()
    return got


def test_the_log_outlives_a_stop_and_kill_9(kafka: EmbeddedKafka, tmp_path: Path) -> None:
    supervisor = Supervisor([kafka.part()], tmp_path / "logs")
    with supervisor:
        supervisor.start()
        client = admin(kafka.brokers)  # held: its requests end with it
        client.create_topics([NewTopic("t", 1, 1)])["t"].result()
        send(kafka.brokers, 0, 100)
    assert supervisor.states()["kafka"].last_exit == 143  # Java's way to say that it ended in order on SIGTERM
    assert supervisor.states()["kafka"].last_error is None

    kafka.prepare()  # formats nothing a second time
    with Supervisor([kafka.part()], tmp_path / "logs") as supervisor:
        supervisor.start()
        assert read(kafka.brokers, 100) == list(range(100))
        send(kafka.brokers, 100, 100)
        supervisor.kill("kafka")
        assert supervisor.wait_up("kafka", 30).restarts == 1
        send(kafka.brokers, 200, 10)
        assert read(kafka.brokers, 210) == list(range(210))


def test_a_taken_port_is_named_before_and_after_the_start(kafka: EmbeddedKafka, tmp_path: Path) -> None:
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # the test before has just used this port
        other.bind(("127.0.0.1", kafka.port))
        other.listen()
        with pytest.raises(PortTaken, match=f"Port {kafka.port} is taken: Kafka cannot"):
            kafka.prepare()
        part = kafka.part()
        with pytest.raises(PartFailed, match="exit code 1") as caught:  # the race that no check can close
            Supervisor([part], tmp_path / "logs").start()
        assert f"127.0.0.1:{kafka.port}" in caught.value.log_tail


def test_an_id_that_looks_like_an_option_is_drawn_again(monkeypatch: pytest.MonkeyPatch) -> None:
    class Drawn:
        def __init__(self, data: bytes) -> None:
            self.bytes = data

    draws = iter([Drawn(b"\xf8" + bytes(15)), Drawn(b"\xfb" + bytes(15)), Drawn(bytes(16))])
    monkeypatch.setattr(embedded_kafka.uuid, "uuid4", lambda: next(draws))
    assert embedded_kafka._cluster_id() == "A" * 22


def test_a_failed_format_says_kafkas_words(installed: Installed, tmp_path: Path) -> None:
    broker = EmbeddedKafka(installed.kafka(), tmp_path, 29792, 29792)  # one port for two listeners
    with pytest.raises(InfraError, match=r"could not format its storage \(exit code 1\)[\s\S]*port"):
        broker.prepare()


def test_the_class_cache_fits_the_programs(installed: Installed, tmp_path: Path) -> None:
    programs = installed.kafka()
    # Mode "on" makes Java refuse to run where it would otherwise go on without the cache.
    argv = programs.argv("kafka.tools.StorageTool", "random-uuid", flags=("-XX:AOTMode=on",))
    done = subprocess.run(argv, env=programs.env(), cwd=tmp_path, capture_output=True, text=True)
    assert programs.class_cache and done.returncode == 0, done.stdout + done.stderr


def test_no_flag_of_the_users_environment_reaches_java(installed: Installed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_TOOL_OPTIONS", "-Xmx1m")
    assert "JAVA_TOOL_OPTIONS" not in installed.kafka().env()

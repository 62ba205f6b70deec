"""`doctor` on a real broker whose listeners are wrong in every way a user meets."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from reward_infra.doctor import network
from reward_infra.embedded_kafka import EmbeddedKafka
from reward_infra.fetch import Installed
from reward_infra.ports import Ports
from reward_infra.supervisor import Supervisor
from reward_producers.kafka import admin, producer
from reward_schemas.encode import encode_control
from reward_schemas.events import Tick
from reward_schemas.topics import EVENTS, catalogue

from tests.infra.doctoring import closed_port, context, look, make_topics, mute_port, one, silent_port, well

pytestmark = pytest.mark.timeout(90)

PASSWORD, WRONG = "right-and-secret", "wrong-and-secret"
_LISTENERS = """
listeners=PLAINTEXT://127.0.0.1:{plain},ASTRAY://127.0.0.1:{astray},SASL://127.0.0.1:{sasl},TLS://127.0.0.1:{tls},\
MUTUAL://127.0.0.1:{mutual},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{plain},ASTRAY://127.0.0.1:{closed},SASL://127.0.0.1:{sasl},TLS://127.0.0.1:{tls},\
MUTUAL://127.0.0.1:{mutual}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,ASTRAY:PLAINTEXT,SASL:SASL_PLAINTEXT,TLS:SSL,MUTUAL:SSL,CONTROLLER:PLAINTEXT
listener.name.sasl.sasl.enabled.mechanisms=PLAIN
listener.name.sasl.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_alice="{password}";
ssl.keystore.type=PEM
ssl.keystore.location={keystore}
ssl.truststore.type=PEM
ssl.truststore.location={truststore}
listener.name.mutual.ssl.client.auth=required
"""


@dataclass(frozen=True)
class Broker:
    """A broker with a listener for each mistake, and the files of its users."""

    ports: dict[str, int]
    closed: int
    files: Path

    def at(self, listener: str) -> str:
        return f"127.0.0.1:{self.ports[listener]}"

    def secret(self, text: str) -> Path:
        file = self.files / f"secret-{text}"
        file.write_text(text)
        file.chmod(0o600)
        return file


def certificate(directory: Path, name: str) -> Path:
    """A self-signed certificate for 127.0.0.1, its own authority; its key beside it, and both in one file."""
    certificate, key = directory / f"{name}.pem", directory / f"{name}.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "9",
         "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    (directory / f"{name}-both.pem").write_text(key.read_text() + certificate.read_text())
    return certificate


@pytest.fixture(scope="module")
def broker(installed: Installed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    if not shutil.which("openssl"):
        pytest.skip("no openssl to make certificates with")
    home = tmp_path_factory.mktemp("broker")
    ports = Ports(None, installed.cache / "ports")
    names = ("plain", "astray", "sasl", "tls", "mutual", "controller")
    chosen = ports.choose(dict.fromkeys(names, 0))
    made = Broker(chosen, closed_port(), tmp_path_factory.mktemp("files"))
    trusted = certificate(made.files, "broker")
    certificate(made.files, "stranger")
    kafka = EmbeddedKafka(installed.kafka(), home, chosen["plain"], chosen["controller"])
    kafka.prepare()
    with (home / "server.properties").open("a") as file:
        both = made.files / "broker-both.pem"
        file.write(_LISTENERS.format(**chosen, closed=made.closed, password=PASSWORD, keystore=both, truststore=trusted))
    with Supervisor([kafka.part()], home / "logs") as supervisor:
        supervisor.start()
        yield made
    ports.release()


def test_a_broker_that_is_well(broker: Broker) -> None:
    told = well(
        context(kafka_brokers=broker.at("plain")), "Kafka address", "Kafka protocol", "Kafka login", "advertised listeners"
    )
    assert told[-1] == f"broker 1 can be reached where it says it is, {broker.at('plain')}"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """For what answers nothing, however long one waits."""
    monkeypatch.setattr(network, "CONNECT_S", 0.3)


@pytest.mark.usefixtures("impatient")
def test_addresses_that_do_not_answer() -> None:
    port = closed_port()
    refused = one(context(kafka_brokers=f"127.0.0.1:{port}"), "Kafka address")
    assert f"Nothing listens at 127.0.0.1:{port}" in refused.what
    assert (
        "kafka.brokers, environment REWARD_MONITOR_KAFKA_BROKERS" in refused.where and "or change kafka.brokers" in refused.remedy
    )
    unknown = one(context(kafka_brokers="kafka.invalid:9092"), "Kafka address")
    assert "The name kafka.invalid is unknown here" in unknown.what and "DNS" in unknown.remedy
    compose = one(context(kafka_brokers="kafka:9092"), "Kafka address")
    assert "compose's services are known inside its network only" in compose.remedy
    with silent_port() as silent:
        timed_out = one(context(kafka_brokers=f"127.0.0.1:{silent}"), "Kafka address")
    assert f"127.0.0.1:{silent} gave no answer" in timed_out.what and "firewall, security group" in timed_out.remedy
    with mute_port() as mute:
        hangs = one(context(kafka_brokers=f"127.0.0.1:{mute}"), "Kafka protocol")
    assert f"127.0.0.1:{mute} takes connections and says nothing" in hangs.what and "the broker hangs" in hangs.remedy


def test_one_dead_bootstrap_server_of_two_is_a_warning(broker: Broker) -> None:
    dead = f"127.0.0.1:{closed_port()}"
    assert dead in one(context(kafka_brokers=f"{dead},{broker.at('plain')}"), "Kafka address", "warning").what


@pytest.mark.usefixtures("impatient")
def test_a_port_of_something_else(broker: Broker) -> None:
    from http.server import BaseHTTPRequestHandler, HTTPServer
    from threading import Thread

    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        found = one(context(kafka_brokers=f"127.0.0.1:{server.server_port}"), "Kafka protocol")
        server.shutdown()
    assert "is no Kafka broker" in found.what and "`listeners`" in found.remedy
    controller = one(context(kafka_brokers=broker.at("controller")), "Kafka login")
    assert "the port of a controller" in controller.what and controller.where.startswith(broker.at("controller"))


def test_clickhouse_given_as_kafka(stack, tmp_path: Path) -> None:
    port = stack.clickhouse.tcp_port
    found = one(context(local_dir=stack.data_dir, kafka_brokers=f"127.0.0.1:{port}"), "Kafka address")
    assert "is the port of clickhouse_tcp of the local stack" in found.what and found.remedy == f"use {stack.brokers}"
    assert stack.supervisor.states()["clickhouse"].restarts == 0


@pytest.mark.parametrize(
    ("listener", "said", "speaks"),
    [
        ("tls", "plaintext", "ssl"),
        ("plain", "ssl", "plaintext"),
        ("sasl", "plaintext", "sasl_plaintext"),
        ("plain", "sasl_plaintext", "plaintext"),
        ("tls", "sasl_ssl", "ssl"),
        ("sasl", "ssl", "sasl_plaintext"),
    ],
)
def test_a_listener_that_speaks_another_protocol(broker: Broker, listener: str, said: str, speaks: str) -> None:
    user = {"kafka_sasl_username": "alice", "kafka_sasl_password_file": broker.secret(PASSWORD)} if "sasl" in said else {}
    found = one(context(kafka_brokers=broker.at(listener), kafka_security_protocol=said, **user), "Kafka protocol")
    assert f"speaks {speaks}, the settings say {said}" in found.what
    assert f"set kafka.security_protocol to {speaks}" in found.remedy
    assert "REWARD_MONITOR_KAFKA_SECURITY_PROTOCOL" in found.where or said == "plaintext"


def test_log_ins(broker: Broker) -> None:
    alice = {"kafka_brokers": broker.at("sasl"), "kafka_security_protocol": "sasl_plaintext", "kafka_sasl_username": "alice"}
    right = {**alice, "kafka_sasl_password_file": broker.secret(PASSWORD)}
    other = one(context(**right), "Kafka protocol")  # SCRAM is the default
    assert "The broker offers PLAIN, the settings say SCRAM-SHA-512" in other.what
    assert "set kafka.sasl_mechanism to PLAIN" in other.remedy
    assert well(context(**right, kafka_sasl_mechanism="PLAIN"), "Kafka login")[0].endswith("answers as alice")
    wrong = {**alice, "kafka_sasl_password_file": broker.secret(WRONG), "kafka_sasl_mechanism": "PLAIN"}
    refused = one(context(**wrong), "Kafka login")
    assert "refuses the user alice" in refused.what and "Invalid username or password" in refused.what
    assert "kafka.sasl_password_file" in refused.where
    assert WRONG not in str(refused).replace(str(wrong["kafka_sasl_password_file"]), "")


def test_certificates(broker: Broker) -> None:
    tls = {"kafka_brokers": broker.at("tls"), "kafka_security_protocol": "ssl"}
    well(context(**tls, kafka_ssl_ca_file=broker.files / "broker.pem"), "Kafka protocol", "Kafka login")
    for wrong in ({}, {"kafka_ssl_ca_file": broker.files / "stranger.pem"}):
        found = one(context(**tls, **wrong), "Kafka protocol")
        assert "certificate is not trusted: self-signed certificate" in found.what
        assert "set kafka.ssl_ca_file" in found.remedy and "kafka.ssl_ca_file" in found.where
    tls["kafka_brokers"] = tls["kafka_brokers"].replace("127.0.0.1", "localhost")
    named = one(context(**tls, kafka_ssl_ca_file=broker.files / "broker.pem"), "Kafka protocol")
    assert "Hostname mismatch" in named.what and "a host name that stands in it" in named.remedy


def test_a_certificate_of_the_client_s(broker: Broker) -> None:
    tls = {
        "kafka_brokers": broker.at("mutual"),
        "kafka_security_protocol": "ssl",
        "kafka_ssl_ca_file": broker.files / "broker.pem",
    }

    def of(name: str) -> dict[str, Path]:
        return {"kafka_ssl_certificate_file": broker.files / f"{name}.pem", "kafka_ssl_key_file": broker.files / f"{name}.key"}

    well(context(**tls, **of("broker")), "Kafka protocol", "Kafka login")
    for wrong in ({}, of("stranger")):
        found = one(context(**tls, **wrong), "Kafka protocol")
        assert "wants a certificate of the client's" in found.what and "kafka.ssl_certificate_file" in found.remedy


def test_a_certificate_and_a_key_that_do_not_go_together(broker: Broker) -> None:
    tls = {"kafka_security_protocol": "ssl", "kafka_ssl_certificate_file": broker.files / "broker.pem"}
    other = one(context(**tls, kafka_ssl_key_file=broker.files / "stranger.key"), "Kafka's secrets")
    assert "can't be used: key values mismatch" in other.what and "kafka.ssl_key_file" in other.where
    locked = broker.files / "locked.key"
    command = ["openssl", "pkcs8", "-topk8", "-in", broker.files / "broker.key", "-passout", f"pass:{PASSWORD}", "-out", locked]
    subprocess.run(command, check=True, capture_output=True)
    closed = one(context(**tls, kafka_ssl_key_file=locked), "Kafka's secrets")
    assert "kafka.ssl_key_password_file" in closed.remedy
    well(context(**tls, kafka_ssl_key_file=locked, kafka_ssl_key_password_file=broker.secret(PASSWORD)), "Kafka's secrets")


def test_a_broker_that_sends_its_clients_astray(broker: Broker) -> None:
    for _ in range(2):  # librdkafka does not always give the metadata, once it has tried to follow it
        found = one(context(kafka_brokers=broker.at("astray")), "advertised listeners")
    assert f"Broker 1 answers at {broker.at('astray')}, and sends clients on to 127.0.0.1:{broker.closed}" in found.what
    assert found.where == "advertised.listeners of broker 1"
    assert "KAFKA_ADVERTISED_LISTENERS" in found.remedy


def test_topics_and_the_clock(broker: Broker) -> None:
    client, place = admin(broker.at("plain")), broker.at("plain")
    events, results, snapshots, _ = catalogue(3)
    changed = {"message.timestamp.type": "CreateTime", "retention.ms": "1000", "max.message.bytes": "1000000"}
    make_topics(place, (replace(events, config={**events.config, **changed}), results, snapshots))
    found = [f for f in look(context(kafka_brokers=place, topics_partitions=8), "topics") if f.level == "error"]
    told = {finding.what: finding for finding in found}
    assert len(found) == 7 and {finding.where for finding in found} == {f"Kafka at {place}"}
    assert told["Topics are missing: rewards.rules.v1."].remedy == "`reward-monitor topics --create`"
    for name in (events.name, results.name, snapshots.name):
        assert "REWARD_MONITOR_TOPICS_PARTITIONS=3" in told[f"{name}: partition count is 3, must be 8."].remedy
    for setting, value in changed.items():
        remedy = told[f"{events.name}: {setting} is {value}, must be {events.config[setting]}."].remedy
        assert f"--add-config {setting}={events.config[setting]}" in remedy

    client.delete_topics([events.name])[events.name].result()
    while events.name in client.list_topics(timeout=5).topics:
        time.sleep(0.05)
    make_topics(place, catalogue(3))
    patient = {"kafka_brokers": place, "topics_partitions": 3}
    assert well(context(**patient), "topics") == ["all 4 are there, with the catalogue's settings"]
    assert look(context(**patient), "Kafka's clock")[0].what == "there is no record yet that would tell it"
    out = producer(place)
    out.produce(EVENTS, encode_control(Tick()), None, 0)
    assert out.flush(10) == 0
    assert "from this machine's" in look(context(**patient), "Kafka's clock")[0].what
    # The clock of this machine can't be set in a test: the check is handed one that is.
    behind = one(context(**patient, now_s=lambda: time.time() - 30), "Kafka's clock", "warning")
    assert re.search(r"Kafka's clock is at least 2\d\.\d s ahead of this machine's", behind.what)  # the record is a moment old
    assert "chrony" in behind.remedy and behind.where == place
    far = one(context(**patient, now_s=lambda: time.time() - 300), "Kafka's clock")
    assert "more than 60 s ahead of the broker are set back" in far.what
    # Without a worker that writes ticks an old record says nothing of a clock that is behind.
    assert look(context(**patient, now_s=lambda: time.time() + 300), "Kafka's clock")[0].level == "ok"

"""A cluster of one's own: a Kafka with keys, a ClickHouse behind HTTPS, and the environment of a client of both."""

from __future__ import annotations

import http.server
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from reward_infra.embedded_clickhouse import PASSWORDS, EmbeddedClickHouse
from reward_infra.fetch import Installed, fetch
from reward_infra.ports import Ports
from reward_infra.supervisor import Supervisor

from tests.cluster.broker import SecuredKafka
from tests.cluster.keys import USER, Keys
from tests.cluster.tls_proxy import TlsProxy

WAYS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "certificate", "certificate, its key with a password")


class Silent(http.server.BaseHTTPRequestHandler):
    """A web server that says nothing of what it can't read."""

    def log_message(self, *_: object) -> None: ...


class Cluster:
    """Where it is, and how its clients are configured."""

    def __init__(self, kafka: SecuredKafka, clickhouse: EmbeddedClickHouse, https: TlsProxy, keys: Keys) -> None:
        self.kafka, self.clickhouse, self.https, self.keys = kafka, clickhouse, https, keys
        self.plain_http_port = 0  # of a server that is no ClickHouse: TLS bytes may end the embedded engine
        self.secrets = (*keys.secrets, clickhouse.address.credentials.writer, clickhouse.address.credentials.reader)

    def kafka_settings(self, way: str) -> dict[str, str]:
        """The section `kafka` for one of WAYS."""
        keys = self.keys
        if way.startswith("certificate"):
            key = {"ssl_key_file": keys.key}
            if way != "certificate":
                key = {"ssl_key_file": keys.locked_key, "ssl_key_password_file": keys.key_password_file}
            given = {"brokers": self.kafka.mutual, "security_protocol": "ssl", "ssl_certificate_file": keys.certificate, **key}
        else:
            user = {"sasl_mechanism": way, "sasl_username": USER, "sasl_password_file": keys.password_file}
            given = {"brokers": self.kafka.sasl, "security_protocol": "sasl_ssl", **user}
        return {name: str(value) for name, value in {**given, "ssl_ca_file": keys.ca}.items()}

    def clickhouse_settings(self) -> dict[str, str]:
        """The section `clickhouse`."""
        passwords = self.clickhouse.home / PASSWORDS
        files = {"writer_password_file": str(passwords / "writer"), "reader_password_file": str(passwords / "reader")}
        return {"host": "localhost", "http_port": str(self.https.port), "secure": "true", "ca_file": str(self.keys.ca), **files}

    def settings(self, way: str = "SCRAM-SHA-512") -> dict[str, dict[str, str]]:
        """All of them, by section."""
        return {"kafka": self.kafka_settings(way), "clickhouse": self.clickhouse_settings(), "topics": {"partitions": "2"}}


def variables(settings: dict[str, dict[str, str]]) -> dict[str, str]:
    """The same as an environment."""
    return {f"REWARD_MONITOR_{section}_{name}".upper(): v for section, values in settings.items() for name, v in values.items()}


def start(home: Path, environment: dict[str, str], *command: str) -> subprocess.Popen[str]:
    """A program of ours with this environment of ours and no other; what it prints goes into one pipe."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("REWARD_MONITOR_")}
    status = {"REWARD_MONITOR_JOBS_DATA_DIR": str(home / command[0])}
    return subprocess.Popen(
        [sys.executable, "-m", *command],
        cwd=home,
        env={**clean, "COLUMNS": "500", **status, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def run(home: Path, environment: dict[str, str], *command: str) -> tuple[int, str]:
    """Its exit code and all that it printed."""
    process = start(home, environment, *command)
    try:
        text, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    return process.returncode, text


@pytest.fixture(scope="package")
def installed() -> Installed:
    return fetch()


@pytest.fixture(scope="package")
def cluster(installed: Installed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One that runs."""
    home = tmp_path_factory.mktemp("cluster")
    keys = Keys(home / "keys")
    claimed = Ports(None, installed.cache / "ports")
    ports = claimed.choose({"plain": 25092, "controller": 25093, "sasl": 25094, "mutual": 25095, "http": 25123, "tcp": 25000})
    kafka = SecuredKafka(installed.kafka(), home / "kafka", ports, keys)
    clickhouse = EmbeddedClickHouse(installed.library, home / "clickhouse", ports["http"], ports["tcp"])
    for part in (kafka, clickhouse):
        part.prepare()
    https = TlsProxy(keys.server, ports["http"])
    with Supervisor([kafka.part(), clickhouse.part()], home / "logs") as supervisor:
        supervisor.start()
        made = Cluster(kafka, clickhouse, https, keys)
        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Silent) as plain:
            threading.Thread(target=plain.serve_forever, daemon=True).start()
            made.plain_http_port = plain.server_port
            yield made
            plain.shutdown()
    https.close()
    claimed.release()

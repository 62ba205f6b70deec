"""The containers' programs as plain processes: with the environment that Compose gives them, hosts, ports and paths replaced."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from reward_infra import compose_secrets
from reward_infra.embedded_clickhouse import PASSWORDS, EmbeddedClickHouse
from reward_infra.embedded_kafka import Programs
from reward_infra.fetch import Installed

from tests.compose.project import ROOT, environment, image_health_command, project


class Kafka:
    """The broker: configured and formatted by the image's own program, `KafkaDockerWrapper`, which is in Kafka's jar."""

    def __init__(self, programs: Programs, home: Path, host_port: int, container_port: int, controller_port: int) -> None:
        self.programs, self.home = programs, home
        self.host, self.containers = f"127.0.0.1:{host_port}", f"127.0.0.1:{container_port}"
        replaced = {
            "://kafka:9092": f"://{self.containers}",
            "://:9092": f"://{self.containers}",
            "://:29092": f"://{self.host}",
            ":9093": f":{controller_port}",
            "/var/lib/kafka/data": str(home / "data"),
            "/etc/kafka/log4j2.properties": str(ROOT / self._mounted("/etc/kafka/log4j2.properties")),
        }
        self.env = {**programs.env(), **environment("kafka", replaced, {"KAFKA_PORT": str(host_port)})}

    @staticmethod
    def _mounted(target: str) -> str:
        (source,) = [v.split(":")[0] for v in project()["services"]["kafka"]["volumes"] if v.split(":")[1] == target]
        return source

    def java(self, *command: str) -> list[str]:
        """What the image's kafka-run-class.sh makes of a class: its options come from the environment."""
        options = shlex.split(f"{self.env['KAFKA_HEAP_OPTS']} {self.env['KAFKA_LOG4J_OPTS']}")
        return [str(self.programs.java), *options, *command]

    def setup(self) -> subprocess.CompletedProcess[str]:
        """Writes server.properties from the variables and formats the storage, as the image does at each start."""
        for name in ("default", "mounted", "config"):
            (self.home / name).mkdir(parents=True, exist_ok=True)
        folders = ["--default-configs-dir", "default", "--mounted-configs-dir", "mounted", "--final-configs-dir", "config"]
        command = self.java("kafka.docker.KafkaDockerWrapper", "setup", *folders)
        return subprocess.run(command, cwd=self.home, env=self.env, capture_output=True, text=True, timeout=60)

    def properties(self) -> dict[str, str]:
        """What the variables became."""
        lines = (self.home / "config" / "server.properties").read_text().splitlines()
        return {name: value for name, _, value in (line.partition("=") for line in lines if line.strip())}

    def start(self) -> subprocess.Popen[bytes]:
        with (self.home / "log").open("ab") as log:
            command = self.java("kafka.Kafka", "config/server.properties")
            return subprocess.Popen(command, cwd=self.home, env=self.env, stdout=log, stderr=log)

    def health(self, timeout_s: float = 60.0) -> bool:
        """The service's health check, with a script for kafka-configs.sh that does what the image's does.

        One that takes too long has failed: it waits for a broker that isn't there.
        """
        script = self.home / "kafka-configs.sh"
        options = f"$KAFKA_HEAP_OPTS {self.env['KAFKA_LOG4J_OPTS']}"
        script.write_text(f'#!/bin/sh\nexec {shlex.quote(str(self.programs.java))} {options} kafka.admin.ConfigCommand "$@"\n')
        script.chmod(0o755)
        kind, text = project()["services"]["kafka"]["healthcheck"]["test"]
        assert kind == "CMD-SHELL"
        text = text.replace("/opt/kafka/bin/kafka-configs.sh", shlex.quote(str(script))).replace(
            "127.0.0.1:9092", self.containers
        )
        try:
            return subprocess.run(["/bin/sh", "-c", text], env=self.env, capture_output=True, timeout=timeout_s).returncode == 0
        except subprocess.TimeoutExpired:
            return False


def clickhouse(installed: Installed, home: Path, secrets: Path, http_port: int, tcp_port: int) -> EmbeddedClickHouse:
    """The embedded engine with the container's users and configuration, in so far as it must not lose the user it starts as."""
    server = EmbeddedClickHouse(installed.library, home, http_port, tcp_port)
    (home / PASSWORDS).mkdir(parents=True)
    for user in ("writer", "reader"):
        shutil.copy(secrets / f"clickhouse_{user}", home / PASSWORDS / user)
    server.prepare()
    (home / "users.xml").write_text((secrets / compose_secrets.USERS).read_text())
    for name, folder in (("config.xml", "config.d"), ("users.xml", "users.d")):
        text = (ROOT / "infra/docker/clickhouse" / name).read_text()
        (home / folder).mkdir()
        (home / folder / "reward-monitor.xml").write_text(re.sub(r'<default remove="remove"/>', "", text))
    return server


class Job:
    """A service of our image, in a directory of its own."""

    def __init__(self, service: str, home: Path, kafka: Kafka, secrets: Path, http_port: int) -> None:
        home.mkdir(parents=True)
        self.service, self.home, self.status = service, home, home / "status"
        self._replaced = {
            "kafka:9092": kafka.containers,
            "clickhouse": "127.0.0.1",
            "/run/secrets/127.0.0.1_": f"{secrets}/clickhouse_",
            "/tmp/reward-monitor-jobs": str(self.status),
        }
        path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
        port = {"REWARD_MONITOR_CLICKHOUSE_HTTP_PORT": str(http_port)}  # in its container it has the default one
        self.env = {**environment(service, self._replaced), **port, "PATH": path}

    def run(self, command: Sequence[str], **options: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, cwd=self.home, env=self.env, capture_output=True, text=True, timeout=120, **options)

    def command(self) -> list[str]:
        return list(project()["services"][self.service]["command"])

    def start(self) -> subprocess.Popen[bytes]:
        with (self.home / "log").open("ab") as log:
            return subprocess.Popen(self.command(), cwd=self.home, env=self.env, stdout=log, stderr=log)

    def health(self) -> subprocess.CompletedProcess[str]:
        """The image's health check."""
        *command, _ = image_health_command()
        return self.run([*command, str(self.status)])

    def log(self) -> str:
        return (self.home / "log").read_text()


def wait(condition: Callable[[], bool], timeout_s: float = 60.0) -> None:
    """Until it holds."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.1)


def http_get(url: str) -> subprocess.CompletedProcess[str]:
    """The GET of a health check: wget's or curl's, with the one of them that is here."""
    tool = ["wget", "-q", "-O", "/dev/null"] if shutil.which("wget") else ["curl", "-fsS", "-o", "/dev/null"]
    return subprocess.run(
        [*tool, url], capture_output=True, text=True, timeout=20, env={"PATH": os.environ["PATH"], "no_proxy": "*"}
    )

"""What the containers run, run here: Kafka's own set-up program, the engine with the container's users, setup, worker, lander."""

from __future__ import annotations

import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from string import Template

import pytest
from reward_infra import compose_secrets
from reward_infra.cache import data_text
from reward_infra.embedded_clickhouse import EmbeddedClickHouse
from reward_infra.errors import PartFailed
from reward_infra.fetch import Installed, fetch
from reward_infra.ports import Ports
from reward_infra.supervisor import Supervisor
from reward_jobs import health
from reward_producers.kafka import admin
from reward_producers.reporter import start_run
from reward_store.client import ClickHouse, Client
from reward_store.errors import Rejected

from tests.compose.containers import Job, Kafka, clickhouse, http_get, wait
from tests.compose.project import environment, project

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def installed() -> Installed:
    return fetch()


@pytest.fixture(scope="module")
def ports(installed: Installed) -> Iterator[dict[str, int]]:
    claimed = Ports(None, installed.cache / "ports")
    yield claimed.choose({"host": 26092, "containers": 26093, "controller": 26094, "http": 26123, "tcp": 26000})
    claimed.release()


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As `make secrets` makes them."""
    directory = tmp_path_factory.mktemp("deployment") / "secrets"
    assert compose_secrets.make(directory) == [*compose_secrets.PASSWORDS]
    return directory


@pytest.fixture(scope="module")
def kafka(installed: Installed, ports: dict[str, int], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    """A running broker with the container's variables."""
    made = Kafka(installed.kafka(), tmp_path_factory.mktemp("kafka"), ports["host"], ports["containers"], ports["controller"])
    done = made.setup()
    assert done.returncode == 0, done.stdout + done.stderr
    process = made.start()
    wait(made.health)
    yield made
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 143


@pytest.fixture(scope="module")
def server(
    installed: Installed, ports: dict[str, int], secrets: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[EmbeddedClickHouse]:
    """A running engine with the container's users and configuration."""
    made = clickhouse(installed, tmp_path_factory.mktemp("clickhouse") / "home", secrets, ports["http"], ports["tcp"])
    with Supervisor([made.part()], tmp_path_factory.mktemp("logs")) as supervisor:
        supervisor.start()
        yield made


def client(server: EmbeddedClickHouse, user: str) -> Client:
    return ClickHouse("127.0.0.1", server.http_port, user, getattr(server.address.credentials, user)).connect()


# --- Kafka


def test_every_kafka_variable_is_a_setting_of_the_broker(kafka: Kafka) -> None:
    listed = subprocess.run(kafka.java("kafka.server.KafkaConfig"), env=kafka.env, capture_output=True, text=True, timeout=60)
    names = set(re.findall(r'<a id="([a-z0-9._]+)"', listed.stdout))
    assert len(names) > 200
    of_scripts = {"heap.opts"}  # a variable of the scripts that the image's program takes for a setting; the broker ignores it
    assert kafka.properties().keys() - names - of_scripts == set()
    assert "auto.create.topic.enable" not in names  # the check can fail


def test_the_broker_keeps_what_the_embedded_one_keeps() -> None:
    template = Template(data_text("server.properties.tmpl")).substitute(port=1, controller_port=2)
    embedded = dict(line.split("=", 1) for line in template.splitlines() if line and line[0] != "#")
    given = {
        name[6:].lower().replace("_", "."): value for name, value in environment("kafka").items() if name.startswith("KAFKA_")
    }
    of_the_place = {name for name in embedded if "listener" in name or "thread" in name} | {
        "controller.quorum.voters",
        "log.dirs",
    }
    assert {name: given.get(name) for name in embedded.keys() - of_the_place} == {
        name: value for name, value in embedded.items() if name not in of_the_place
    }


def test_the_health_check_of_kafka_is_of_this_broker(kafka: Kafka, tmp_path: Path) -> None:
    assert kafka.health()
    nobody = Kafka(kafka.programs, tmp_path, 1, 2, 3)
    assert not nobody.health(timeout_s=4.0)


def test_a_second_start_finds_the_storage_formatted(kafka: Kafka) -> None:
    again = kafka.setup()
    assert again.returncode == 1 and "already formatted" in again.stdout + again.stderr  # what the image looks for


def test_both_listeners_lead_to_the_broker_by_a_name_that_is_known_there(kafka: Kafka) -> None:
    for address in (kafka.host, kafka.containers):
        found = admin(address).list_topics(timeout=10)
        assert [f"{broker.host}:{broker.port}" for broker in found.brokers.values()] == [address]
    assert found.cluster_id == environment("kafka")["CLUSTER_ID"]


def test_a_wrong_variable_is_refused_by_the_image(kafka: Kafka, tmp_path: Path) -> None:
    bad = Kafka(kafka.programs, tmp_path, 1, 2, 3)
    bad.env["KAFKA_ADVERTISED_LISTENERS"] = "HOST://0.0.0.0:1"
    assert bad.setup().returncode != 0


def test_no_log_of_the_broker_fills_the_memory(kafka: Kafka) -> None:
    """The root file system is read-only and the rest in memory, so it logs to its output alone."""
    names = {file.name for file in kafka.home.iterdir()}
    assert names == {"default", "mounted", "config", "data", "log", "kafka-configs.sh"}
    assert "started" in (kafka.home / "log").read_text()
    assert environment("kafka")["EXTRA_ARGS"] == "-name kafkaServer"  # without -loggc, by which the image writes files


# --- ClickHouse


def test_the_users_of_the_container(server: EmbeddedClickHouse) -> None:
    writer, reader = client(server, "writer"), client(server, "reader")
    users = writer.query("SELECT name, auth_type, host_ip FROM system.users WHERE name != 'default' ORDER BY name")
    assert users == [("reader", ["sha256_password"], ["::/0"]), ("writer", ["sha256_password"], ["::/0"])]
    limits = reader.query("SELECT getSetting('max_memory_usage'), getSetting('readonly'), getSetting('max_execution_time')")
    assert limits == [(compose_secrets.READER_MEMORY_BYTES, 2, 60)]
    with pytest.raises(Rejected) as refused:
        reader.command(f"SELECT 1 SETTINGS max_memory_usage = {compose_secrets.READER_MEMORY_BYTES + 1}")
    assert refused.value.code == 452
    with pytest.raises(Rejected, match="wrong user or password"):
        ClickHouse("127.0.0.1", server.http_port, "reader", "guess").connect()


def test_only_logs_that_end_are_kept(server: EmbeddedClickHouse) -> None:
    writer = client(server, "writer")
    writer.command("SYSTEM FLUSH LOGS")
    logs = writer.query(
        "SELECT name, engine_full LIKE '%toIntervalDay(7)%' FROM system.tables WHERE database = 'system' AND name LIKE '%\\_log'"
    )
    assert set(logs) == {("query_log", 1), ("part_log", 1)}


def test_nobody_enters_without_a_password(installed: Installed, ports: dict[str, int], secrets: Path, tmp_path: Path) -> None:
    """The engine starts as `default`. With the file as the container has it there is no such user, and so no start here."""
    made = clickhouse(installed, tmp_path / "home", secrets, ports["http"] + 7, ports["tcp"] + 7)
    users = tmp_path / "home/users.d/reward-monitor.xml"
    users.write_text(users.read_text().replace("<users>", '<users><default remove="remove"/>'))
    with pytest.raises(PartFailed, match="there is no user with such name"):
        Supervisor([made.part()], tmp_path / "logs").start()


def test_the_health_check_of_clickhouse(server: EmbeddedClickHouse) -> None:
    test = project()["services"]["clickhouse"]["healthcheck"]["test"]
    assert test[:5] == ["CMD", "wget", "-q", "-O", "/dev/null"]
    asked = http_get(test[5].replace(":8123", f":{server.http_port}"))
    assert asked.returncode == 0, asked.stderr
    assert http_get(test[5].replace(":8123", ":1")).returncode != 0


# --- our image


@pytest.fixture(scope="module")
def jobs(
    kafka: Kafka, server: EmbeddedClickHouse, secrets: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Job]]:
    """setup has run; the worker and the lander run."""
    home = tmp_path_factory.mktemp("jobs")
    made = {name: Job(name, home / name, kafka, secrets, server.http_port) for name in ("setup", "aggregate", "land")}
    done = made["setup"].run(made["setup"].command())
    assert done.returncode == 0, done.stdout + done.stderr
    assert "created rewards.events.v1" in done.stdout and "applied 0001_tables" in done.stdout
    assert "no job has begun" in made["land"].health().stderr
    processes = {name: made[name].start() for name in ("aggregate", "land")}
    yield made
    for process in processes.values():
        process.send_signal(signal.SIGTERM)
    assert [process.wait(30) for process in processes.values()] == [0, 0]


def test_setup_may_run_twice(jobs: dict[str, Job]) -> None:
    again = jobs["setup"].run(jobs["setup"].command())
    assert again.returncode == 0 and "created" not in again.stdout and "nothing to apply" in again.stdout


def test_a_run_from_the_host_lands(jobs: dict[str, Job], kafka: Kafka, server: EmbeddedClickHouse) -> None:
    for name in ("aggregate", "land"):
        wait(lambda name=name: jobs[name].health().returncode == 0)
    with start_run("composed", functions={"f": 1.0}, run_id="composed-1", brokers=kafka.host) as run:
        for step in range(3):
            run.log_rollout(step, rewards={"f": [float(step), 1.0]}, groups=[0, 0])
    reader = client(server, "reader")
    landed = "SELECT step, mean FROM rewards.steps WHERE run_id = 'composed-1' AND function = 'f' AND closed ORDER BY step"
    wait(lambda: len(reader.query(landed)) == 3)
    assert reader.query(landed) == [(0, 0.5), (1, 1.0), (2, 1.5)]
    told = jobs["setup"].run(["reward-monitor", "runs", "--json"])  # the way to a command: docker compose run --rm setup …
    assert told.returncode == 0 and '"run_id": "composed-1"' in told.stdout, told.stderr
    assert jobs["setup"].run(["reward-monitor", "status"]).returncode == 0


def test_no_secret_is_in_a_log_or_an_environment(jobs: dict[str, Job], secrets: Path) -> None:
    for name in compose_secrets.PASSWORDS:
        secret = (secrets / name).read_text()
        assert not [job.service for job in jobs.values() if secret in str(job.env)]
        assert not [name for name in ("aggregate", "land") if secret in jobs[name].log()]


def test_a_lander_that_waits_for_clickhouse_is_not_well(
    installed: Installed, ports: dict[str, int], kafka: Kafka, server: EmbeddedClickHouse, secrets: Path, tmp_path: Path
) -> None:
    job = Job("land", tmp_path / "land", kafka, secrets, ports["http"] + 9)  # nothing listens there
    process = job.start()
    wait(lambda: "waiting for ClickHouse" in job.log())
    assert "no job has begun" in job.health().stderr and job.health().returncode == 1
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0


def test_a_job_that_does_not_get_on_is_not_well(tmp_path: Path) -> None:
    status = health.begin(tmp_path / "status", health.LAND)
    assert "no job has begun" in str(health.problem(status.parent, time.time()))
    status.touch()
    assert health.problem(status.parent, time.time()) is None
    later = status.stat().st_mtime + health.AGE_S_MAX
    assert health.problem(status.parent, later) is None
    assert "has not got on for 61 s" in str(health.problem(status.parent, later + 1))
    assert health.begin(status.parent, health.LAND) == status and not status.exists()  # a new start has done nothing yet

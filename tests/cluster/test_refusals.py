"""Wrong keys and missing files: one line that says what, where and the remedy; an exit code; no secret and no traceback."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest
from reward_jobs.settings import EXIT_CONFIGURATION, Settings
from reward_producers.kafka_errors import KafkaRefused, KafkaUnreachable, explained
from reward_producers.reporter import start_run
from reward_schemas.errors import MonitorError
from reward_schemas.settings import load

from tests.cluster.conftest import Cluster, run, variables

pytestmark = pytest.mark.timeout(120)
CLI = "reward_monitor.cli"
PASSWORD, CERTIFICATE = "SCRAM-SHA-512", "certificate"

Change = Callable[[Cluster], dict[str, object]]
# What is wrong: how the client would enter, what is changed, and words of what must be said.
KAFKA: dict[str, tuple[str, Change, list[str]]] = {
    "password": (
        PASSWORD,
        lambda c: {"sasl_password_file": c.keys.wrong_password_file},
        ["refuses the user", "kafka.sasl_username"],
    ),
    "user": (PASSWORD, lambda c: {"sasl_username": "nobody"}, ["refuses the user", "kafka.sasl_username"]),
    "authority": (PASSWORD, lambda c: {"ssl_ca_file": c.keys.wrong_ca}, ["certificate can't be verified", "kafka.ssl_ca_file"]),
    "no password file": (PASSWORD, lambda c: {"sasl_password_file": "/gone"}, ["secret could not be read", "(/gone)", "put it"]),
    "empty password file": (PASSWORD, lambda c: {"sasl_password_file": c.keys.empty_file}, ["is empty", "put the secret"]),
    "no authority file": (PASSWORD, lambda c: {"ssl_ca_file": "/gone"}, ["kafka.ssl_ca_file could not be read", "(/gone)"]),
    "empty authority file": (PASSWORD, lambda c: {"ssl_ca_file": c.keys.empty_file}, ["authorities can't be used", "PEM"]),
    "no certificate": (
        CERTIFICATE,
        lambda c: {"ssl_certificate_file": "", "ssl_key_file": ""},
        ["wants a certificate", "kafka.ssl_certificate_file"],
    ),
    "a stranger's certificate": (
        CERTIFICATE,
        lambda c: {"ssl_certificate_file": c.keys.wrong_certificate, "ssl_key_file": c.keys.wrong_key},
        ["wants a certificate", "kafka.ssl_certificate_file"],
    ),
    "another's key": (CERTIFICATE, lambda c: {"ssl_key_file": c.keys.wrong_key}, ["key can't be used", "kafka.ssl_key_file"]),
    "no key file": (CERTIFICATE, lambda c: {"ssl_key_file": "/gone"}, ["kafka.ssl_key_file could not be read", "(/gone)"]),
    "a key's password": (
        CERTIFICATE,
        lambda c: {"ssl_key_file": c.keys.locked_key, "ssl_key_password_file": c.keys.wrong_password_file},
        ["key can't be used", "kafka.ssl_key_password_file"],
    ),
    "no password of a key": (
        CERTIFICATE,
        lambda c: {"ssl_key_file": c.keys.locked_key},
        ["key can't be used", "kafka.ssl_key_password_file"],
    ),
}
CLICKHOUSE: dict[str, tuple[Change, list[str]]] = {
    "password": (lambda c: {"writer_password_file": c.keys.wrong_password_file}, ["wrong user or password"]),
    "user": (lambda c: {"writer": "nobody"}, ["wrong user or password"]),
    "authority": (lambda c: {"ca_file": c.keys.wrong_ca}, ["certificate verify failed", "clickhouse.ca_file"]),
    "the system's authorities": (lambda c: {"ca_file": ""}, ["certificate verify failed", "clickhouse.ca_file"]),
    "no password file": (lambda c: {"writer_password_file": "/gone"}, ["secret could not be read", "(/gone)"]),
    "no authority file": (lambda c: {"ca_file": "/gone"}, ["clickhouse.ca_file could not be read", "(/gone)"]),
    "empty authority file": (lambda c: {"ca_file": c.keys.empty_file}, ["no certificate", "must name a PEM file"]),
    "HTTPS where there is HTTP": (lambda c: {"http_port": c.plain_http_port}, ["by HTTPS", "clickhouse.secure"]),
}


def environment(cluster: Cluster, section: str, change: dict[str, object], way: str = PASSWORD) -> dict[str, str]:
    settings = cluster.settings(way)
    settings[section] |= {name: str(value) for name, value in change.items()}
    return variables(settings)


def check(cluster: Cluster, text: str, words: list[str]) -> None:
    (line,) = text.strip().splitlines()
    assert [word for word in (*words, " -> ") if word not in line] == [], line
    assert not [secret for secret in cluster.secrets if secret in text]


@pytest.fixture(scope="module")
def prepared(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Cluster:
    """Topics and tables are there: what fails, fails for what is wrong."""
    home = tmp_path_factory.mktemp("prepared")
    for command in (["topics", "--create"], ["migrate"]):
        code, text = run(home, variables(cluster.settings()), CLI, *command)
        assert code == 0, text
    return cluster


@pytest.mark.parametrize("wrong", KAFKA)
def test_a_command_that_kafka_does_not_let_in(prepared: Cluster, wrong: str, tmp_path: Path) -> None:
    way, change, words = KAFKA[wrong]
    code, text = run(tmp_path, environment(prepared, "kafka", change(prepared), way), CLI, "topics")
    assert code == 1, text
    check(prepared, text, words)


@pytest.mark.parametrize("wrong", ["password", "authority", "no password file", "no password of a key"])
@pytest.mark.parametrize("job", ["aggregate", "land"])
def test_a_job_that_kafka_does_not_let_in(prepared: Cluster, wrong: str, job: str, tmp_path: Path) -> None:
    way, change, words = KAFKA[wrong]
    code, text = run(tmp_path, environment(prepared, "kafka", change(prepared), way), f"reward_jobs.{job}")
    assert code == EXIT_CONFIGURATION, text
    check(prepared, text, words)


@pytest.mark.parametrize("wrong", CLICKHOUSE)
@pytest.mark.parametrize(("program", "code"), [((CLI, "migrate"), 1), (("reward_jobs.land",), EXIT_CONFIGURATION)])
def test_whom_clickhouse_does_not_let_in(
    prepared: Cluster, wrong: str, program: tuple[str, ...], code: int, tmp_path: Path
) -> None:
    change, words = CLICKHOUSE[wrong]
    got, text = run(tmp_path, environment(prepared, "clickhouse", change(prepared)), *program)
    assert got == code, text
    check(prepared, text, words)


@pytest.mark.parametrize("wrong", [name for name in KAFKA if "file" in name or "key" in name])
def test_a_trainer_that_has_unusable_files_is_told_at_its_start(
    prepared: Cluster, wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    way, change, words = KAFKA[wrong]
    for name, value in environment(prepared, "kafka", change(prepared), way).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(MonitorError) as refused:
        start_run("own", functions={"f": 1.0})
    check(prepared, str(refused.value), words)


@pytest.mark.parametrize("wrong", ["password", "authority", "no certificate"])
def test_a_trainer_that_is_let_in_nowhere_goes_on_and_is_told_once(
    prepared: Cluster, wrong: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    way, change, words = KAFKA[wrong]
    given = environment(prepared, "kafka", change(prepared), way)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    logging.getLogger("reward_monitor.kafka").filters[0]._last.clear()  # what was said lately by other tests
    run = start_run("own", functions={"f": 1.0}, run_id="refused")
    run.log_rollout(0, rewards={"f": [1.0]}, groups=[0])
    counts = run.finish(timeout_s=3.0)
    assert counts.delivered == 0 and counts.spooled == counts.accepted
    told = [r.getMessage() for r in caplog.records if r.name == "reward_monitor.kafka"]
    of_this = (
        f"Kafka at {given['REWARD_MONITOR_KAFKA_BROKERS']}"  # clients of tests before this one may have something to say too
    )
    check(prepared, "\n".join(line for line in told if of_this in line), words)
    assert not [secret for secret in prepared.secrets if secret in repr(run) + caplog.text]


def test_nobody_there(tmp_path: Path, cluster: Cluster) -> None:
    nowhere = environment(cluster, "kafka", {"brokers": "127.0.0.1:1"})
    code, text = run(tmp_path, nowhere, CLI, "topics")
    assert code == 1
    check(cluster, text, ["gives no answer", "Connection refused", "127.0.0.1:1"])


def test_no_secret_in_what_settings_show(cluster: Cluster) -> None:
    settings = load(Settings, variables(cluster.settings())).value
    shown = repr(settings) + str(settings) + repr(settings.clickhouse.as_writer()) + repr(settings.clickhouse.as_reader())
    assert not [secret for secret in cluster.secrets if secret in shown]
    assert str(cluster.keys.password_file) in shown


def test_only_what_no_second_try_mends_is_a_refusal() -> None:
    frame = "sasl_ssl://b:1/bootstrap: {} (after 2ms in state X)"
    for name, text, kind in (
        ("_AUTHENTICATION", "SASL authentication error: no", KafkaRefused),
        ("TOPIC_AUTHORIZATION_FAILED", "Broker: Topic authorization failed", KafkaRefused),
        ("_TRANSPORT", "Connect to ipv4#1.2.3.4:1 failed: Connection refused", KafkaUnreachable),
        ("_TRANSPORT", "Disconnected: SSL connection closed by peer", KafkaUnreachable),
        ("_SSL", "SSL handshake failed: error:0A000126:SSL routines::unexpected eof while reading", KafkaUnreachable),
        ("FENCED_INSTANCE_ID", "Commit failed: Broker: Static consumer fenced", KafkaUnreachable),
        ("_RESOLVE", "Failed to resolve 'b:1'", KafkaUnreachable),
    ):
        told = explained(name, frame.format(text), "b:1")
        assert type(told) is kind and "bootstrap" not in str(told) and "state" not in str(told) and "routines" not in str(told)

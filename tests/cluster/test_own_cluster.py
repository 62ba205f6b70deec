"""Trainer, worker, lander and commands against a Kafka and a ClickHouse that want keys, all of them given as files."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest
import yaml
from reward_jobs.settings import Settings
from reward_producers.reporter import start_run
from reward_schemas.settings import load

from tests.cluster.conftest import WAYS, Cluster, run, start, variables

pytestmark = pytest.mark.timeout(180)
CLI = "reward_monitor.cli"


def rows(cluster: Cluster, environment: dict[str, str], run_id: str) -> list[tuple]:
    """The closed steps of a run, as the reader sees them over HTTPS."""
    client = load(Settings, environment).value.clickhouse.as_reader().connect()
    try:
        sql = "SELECT step, mean FROM rewards.steps WHERE run_id = {r:String} AND function = 'f' AND closed ORDER BY step"
        return client.query(sql, r=run_id)
    finally:
        client.close()


def train(run_id: str) -> None:
    """Two steps of a trainer whose environment says where Kafka is."""
    with start_run("own", functions={"f": 1.0}, run_id=run_id) as reporter:
        for step in range(2):
            reporter.log_rollout(step, rewards={"f": [float(step), 1.0]}, groups=[0, 0])
    assert reporter.counts.dropped == {} and reporter.counts.delivered == reporter.counts.accepted


@pytest.mark.parametrize("way", WAYS)
def test_a_reward_goes_its_way(cluster: Cluster, way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = variables(cluster.settings(way))
    for command in (["topics", "--create"], ["migrate"]):
        code, text = run(tmp_path, environment, CLI, *command)
        assert code == 0, text
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    jobs = [start(tmp_path, environment, f"reward_jobs.{job}") for job in ("aggregate", "land")]
    run_id = f"own-{WAYS.index(way)}"
    try:
        train(run_id)
        deadline = time.monotonic() + 60
        while len(landed := rows(cluster, environment, run_id)) < 2:
            assert time.monotonic() < deadline and all(job.poll() is None for job in jobs)
            time.sleep(0.2)
        assert landed == [(0, 0.5), (1, 1.0)]
    finally:
        for job in jobs:
            job.send_signal(signal.SIGTERM)
        told = [job.communicate(timeout=30)[0] for job in jobs]
    assert [job.returncode for job in jobs] == [0, 0], told
    assert not [secret for secret in cluster.secrets if secret in "".join(told)]
    assert "Traceback" not in "".join(told)


def test_the_same_from_one_file(cluster: Cluster, tmp_path: Path) -> None:
    file = tmp_path / "cluster.yaml"
    file.write_text(yaml.safe_dump(cluster.settings()))
    for command in (
        ["topics", "--create"],
        ["migrate"],
        ["runs", "--json"],
        ["status"],
        ["config", "--json"],
        ["config", "--explain"],
    ):
        code, text = run(tmp_path, {}, CLI, *command, "--config", str(file))
        assert code == (1 if command == ["status"] else 0), text  # no job runs
        assert ("records behind the log" in text) == (command == ["status"])
        assert (f"{file}:" in text) == (command[0] == "config")
        assert not [secret for secret in cluster.secrets if secret in text]
    code, text = run(tmp_path, {"REWARD_MONITOR_CONFIG": str(file)}, CLI, "topics")
    assert code == 0, text


def test_https_was_spoken(cluster: Cluster) -> None:
    before = cluster.https.connections
    rows(cluster, variables(cluster.settings()), "none")
    assert cluster.https.connections == before + 1

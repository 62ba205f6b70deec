"""Kafka and ClickHouse of one directory together: one holder, the same ports again, nothing left behind."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from reward_infra import ports
from reward_infra.errors import Held, InfraError
from reward_infra.fetch import Installed
from reward_infra.local_stack import LocalStack, addresses
from reward_infra.part import Part
from reward_producers.kafka import admin

pytestmark = pytest.mark.timeout(90)


def test_a_second_one_on_the_directory_is_told_who_holds_it(stack: LocalStack, installed: Installed) -> None:
    with pytest.raises(Held, match=f"held by process {os.getpid()}") as caught:
        LocalStack(stack.data_dir, installed=installed).start()
    assert caught.value.pid == os.getpid()
    assert stack.supervisor.states()["kafka"].status == "up"


def test_two_directories_at_once_and_one_stopped_and_started_again(
    stack: LocalStack, installed: Installed, tmp_path: Path, sql: Callable
) -> None:
    changes: list[tuple[str, str]] = []
    with LocalStack(tmp_path, installed=installed, on_change=lambda state: changes.append((state.name, state.status))) as other:
        other.start()
        assert other.brokers != stack.brokers and other.clickhouse.http_port != stack.clickhouse.http_port
        other.add(Part("job", ("sleep", "1000"), after=("kafka", "clickhouse")))
        assert addresses(tmp_path) == addresses(tmp_path) and addresses(tmp_path).brokers == other.brokers
        sql(other.clickhouse, "CREATE DATABASE rewards")
        sql(other.clickhouse, "CREATE TABLE rewards.t (x UInt8) ORDER BY x AS SELECT 7 AS x")
        first = addresses(tmp_path)
        other.stop()
        downs = [name for name, status in changes if status == "down"]
        assert downs[0] == "job" and set(downs) == {"job", "kafka", "clickhouse"}
        assert all(ports.is_free(port) for port in ports.read(tmp_path / "ports.json").values())
        with pytest.raises(InfraError, match="does not run"):
            other.supervisor.states()
        other.start()
        assert addresses(tmp_path) == first
        assert sql(other.clickhouse, "SELECT x FROM rewards.t", "reader") == "7"


def test_after_a_killed_stack_the_next_one_takes_its_place(installed: Installed, tmp_path: Path, sql: Callable) -> None:
    program = (
        "import sys, time\nfrom pathlib import Path\nfrom reward_infra.local_stack import LocalStack\n"
        "from reward_infra.fetch import fetch\n"
        "stack = LocalStack(Path(sys.argv[1]), installed=fetch(Path(sys.argv[2])))\nstack.start()\nprint('up', flush=True)\ntime.sleep(1000)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path), str(installed.cache)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout and process.stdout.readline() == "up\n"
    before = addresses(tmp_path)
    sql(before.clickhouse, "CREATE DATABASE rewards")
    process.kill()
    process.wait()
    with LocalStack(tmp_path, installed=installed) as stack:
        stack.start()
        assert addresses(tmp_path) == before  # the same ports, though the dying parts held them a moment longer
        assert admin(stack.brokers).list_topics(timeout=5).brokers
        assert sql(stack.clickhouse, "SHOW DATABASES", "reader") == "rewards"


def test_a_broker_held_down_for_a_while(stack: LocalStack, installed: Installed) -> None:
    supervisor = stack.supervisor
    supervisor.stop("kafka")
    time.sleep(0.5)
    assert supervisor.states()["kafka"].status == "down" and supervisor.states()["clickhouse"].status == "up"
    supervisor.start("kafka")
    assert admin(stack.brokers).list_topics(timeout=5).brokers


def test_a_directory_without_a_stack_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(InfraError, match="No stack has been started"):
        addresses(tmp_path)

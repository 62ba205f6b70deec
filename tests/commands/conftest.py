"""The installed command as a user runs it, and one detached stack for the tests that only look."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from reward_infra.fetch import fetch
from reward_producers.reporter import start_run
from reward_schemas.settings import load

Command = Callable[..., subprocess.CompletedProcess[str]]
PROGRAM = str(Path(sys.executable).with_name("reward-monitor"))


def command(*arguments: object, stdin: str | None = "", env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Runs `reward-monitor` to its end."""
    # COLUMNS: a worker of pytest-xdist has it, and the program would fold its lines there.
    clean = {name: value for name, value in os.environ.items() if not name.startswith("REWARD_MONITOR_") and name != "COLUMNS"}
    return subprocess.run(
        [PROGRAM, *map(str, arguments)], input=stdin, env=clean | (env or {}), capture_output=True, text=True, timeout=120
    )


@pytest.fixture(scope="session", name="command")
def command_fixture() -> Command:
    """`command`, for tests."""
    return command


@pytest.fixture(scope="package")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The data directory of a detached stack, with one short run landed."""
    fetch()
    data_dir = tmp_path_factory.mktemp("up") / "data"
    up = command("up", "--detach", "--data-dir", data_dir)
    assert up.returncode == 0, up.stderr
    try:
        report(data_dir, "first")
        yield data_dir
    finally:
        down = command("down", "--data-dir", data_dir)
        assert down.returncode == 0, down.stderr


def brokers_of(data_dir: Path) -> str:
    """Where the Kafka of a stack is."""
    from reward_jobs.settings import Settings

    return load(Settings, {}, data_dir / "settings.yaml").value.kafka.brokers


def report(data_dir: Path, run_id: str) -> None:
    """A training of three steps."""
    with start_run("looked-at", {"accuracy": 1.0}, run_id=run_id, brokers=brokers_of(data_dir)) as run:
        for step in range(3):
            run.log_rollout(step, rewards={"accuracy": [0.0, 1.0, 1.0, 1.0]}, groups=[0, 0, 1, 1])
            run.log_trainer(step, kl=0.125)

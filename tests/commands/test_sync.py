"""`reward-monitor sync` as its user sees it."""

from __future__ import annotations

from pathlib import Path

from reward_producers.reporter import start_run

from tests.commands.conftest import Command, brokers_of
from tests.commands.test_up import eventually


def test_an_offline_run_is_published_and_found(command: Command, running: Path, tmp_path: Path) -> None:
    with start_run("p", {"accuracy": 1.0}, mode="offline", data_dir=tmp_path, run_id="synced") as run:
        for step in range(3):
            run.log_rollout(step, rewards={"accuracy": [0.0, 1.0]}, groups=[0, 0])
    told = command("sync", tmp_path, "--data-dir", running)
    assert told.returncode == 0, told.stderr
    assert told.stdout.splitlines()[-1] == "synced: 6 messages, 0.0 of 0.0 MB"
    assert eventually(lambda: "synced" in command("runs", "--data-dir", running).stdout)
    again = command("sync", tmp_path, "--brokers", brokers_of(running))
    assert (again.returncode, again.stdout) == (0, "synced: 0 messages, 0.0 of 0.0 MB\n")


def test_what_is_wrong_is_one_line(command: Command, running: Path, tmp_path: Path) -> None:
    for arguments, code, says in (
        ((tmp_path / "none", "--data-dir", running), 1, "There are no runs here."),
        ((tmp_path, "--brokers", "kafka"), 2, "host:port,host:port is needed"),
    ):
        told = command("sync", *arguments)
        assert (told.returncode, told.stdout) == (code, "") and says in told.stderr and told.stderr.count("\n") == 1

"""`reward-monitor analyze`: a directory without any service, a stored run, and what is neither."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from reward_producers.reporter import start_run

from tests.commands.conftest import Command
from tests.commands.test_up import eventually, landed


def test_a_directory_of_runs_as_text_json_and_one_page(command: Command, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for run_id in ("one", "two"):
        with start_run("p", {"accuracy": 1.0}, data_dir=tmp_path / "runs", run_id=run_id) as run:
            for step in range(60):
                rewards = (rng.random(64) < step / 80).astype(float)
                run.log_rollout(step, rewards={"accuracy": rewards}, groups=np.repeat(np.arange(16), 4))
    told = command("analyze", tmp_path / "runs")
    assert told.returncode == 0, told.stderr
    assert "Rising, unverified: reward +" in told.stdout and "one" in told.stdout and "two" in told.stdout
    page = tmp_path / "report.html"
    told = command("analyze", tmp_path / "runs", "--json", "--html", page)
    assert [run["run_id"] for run in json.loads(told.stdout)["runs"]] == ["one", "two"]
    assert str(page) in told.stderr and 'src="http' not in page.read_text(encoding="utf-8")


def test_a_stored_run(command: Command, running: Path) -> None:
    assert eventually(lambda: landed(command, running))
    told = command("analyze", "first", "--data-dir", running)
    assert told.returncode == 0, told.stderr
    assert "first" in told.stdout and "Not judged: fewer steps than one block" in told.stdout and "accuracy" in told.stdout


def test_what_is_neither_a_run_nor_a_directory(command: Command, running: Path, tmp_path: Path) -> None:
    for what in ("no-such-run", tmp_path / "nowhere", tmp_path):
        told = command("analyze", what, "--data-dir", running)
        assert told.returncode in (1, 2) and not told.stdout and "Traceback" not in told.stderr
        assert str(what) in told.stderr and len(told.stderr.splitlines()) <= 2

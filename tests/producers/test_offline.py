"""A run without a broker: into a directory, all of it, and safe."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from reward_producers.file_producer import folder_name
from reward_producers.reporter import start_run
from reward_schemas.events import Rollout, RunEvent, RunState, SenderReport
from reward_schemas.parse import parse
from reward_schemas.segments import read, segments


@pytest.fixture(autouse=True)
def no_brokers(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("REWARD_MONITOR_KAFKA_BROKERS", "REWARD_MONITOR_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)


def bodies(folder: Path) -> list[object]:
    return [parse(f.key, f.value).body for file in segments(folder) for f in read(file)]


def test_a_run_is_in_its_directory_with_all_that_was_said(tmp_path: Path) -> None:
    with start_run("p", {"f": 1.0}, data_dir=tmp_path, run_id="räte/1", config={"steps": 3}) as run:
        for step in range(3):
            run.log_rollout(step, rewards={"f": [0.0, 1.0]}, groups=[0, 0])
    assert str(run.finish()).startswith("6 accepted, 6 delivered, 0 dropped")
    (file,) = segments(tmp_path)
    assert file.parent.name == "r%C3%A4te%2F1" and file.name.startswith("1-0-")
    said = bodies(tmp_path)
    assert [type(body) for body in said] == [RunEvent, Rollout, Rollout, Rollout, SenderReport, RunEvent]
    assert said[0].config_json == '{"steps":3}' and said[-1].state is RunState.FINISHED
    assert [frame.key for frame in read(file)] == ["räte/1".encode()] * 6


def test_the_environment_names_the_directory_and_brokers_go_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REWARD_MONITOR_DATA_DIR", str(tmp_path))
    with start_run("p", {"f": 1.0}):
        pass
    assert len(segments(tmp_path)) == 1
    with start_run("p", {"f": 1.0}, brokers="127.0.0.1:1") as run:
        pass
    assert len(segments(tmp_path)) == 1 and run.finish().delivered == 0


def test_one_of_two_places_and_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="brokers and data_dir: a run is reported to one of them"):
        start_run("p", {"f": 1.0}, brokers="127.0.0.1:1", data_dir=tmp_path)
    with pytest.raises(ValueError, match="or data_dir='runs', for a run without any"):
        start_run("p", {"f": 1.0})


def test_each_rank_and_attempt_has_its_file(tmp_path: Path) -> None:
    for rank, attempt in ((0, 1), (1, 1), (0, 2)):
        with start_run("p", {"f": 1.0}, data_dir=tmp_path, run_id="r", rank=rank, world_size=2, attempt=attempt):
            pass
    assert [file.name[:4] for file in segments(tmp_path)] == ["1-0-", "1-1-", "2-0-"]


def test_a_disk_that_is_full_is_counted_and_never_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with start_run("p", {"f": 1.0}, data_dir=tmp_path) as run:
        monkeypatch.setattr("reward_schemas.segments.Writer.append", full)
        run.log_rollout(0, rewards={"f": [1.0]}, groups=[0])
    assert run.finish().dropped["not written: No space left on device"] >= 1


def test_a_killed_trainer_leaves_what_it_had_said(tmp_path: Path) -> None:
    code = (
        "import os, time, sys; from reward_producers.reporter import start_run\n"
        "run = start_run('p', {'f': 1.0}, data_dir=sys.argv[1])\n"
        "for step in range(50): run.log_rollout(step, rewards={'f': [0.0, 1.0]}, groups=[0, 0])\n"
        "time.sleep(1); os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)]).returncode == -9
    assert sum(isinstance(body, Rollout) for body in bodies(tmp_path)) == 50


@pytest.mark.parametrize("name", ["..", ".", "../../etc", "/abs", "a" * 500, "é" * 200, "nul\0", "CON"])
def test_no_run_id_leaves_its_folder(name: str, tmp_path: Path) -> None:
    folder = tmp_path / folder_name(name)
    folder.mkdir()
    assert folder.resolve().parent == tmp_path.resolve() and folder_name(name) == folder_name(name)
    assert np.unique([folder_name(n) for n in ("a" * 500, "a" * 499, "a" * 498)]).size == 3

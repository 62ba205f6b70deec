"""A run without a broker: into a directory, all of it, and safe."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from reward_producers.files import folder_name
from reward_producers.reporter import start_run
from reward_schemas.events import Rollout, RunEvent, RunState, SenderReport
from reward_schemas.parse import parse
from reward_schemas.segments import read, segments


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


NOBODY = "127.0.0.1:1"  # nothing listens there


def test_without_brokers_a_run_is_offline_in_the_directory_of_the_environment_or_in_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in (tmp_path / "here", tmp_path / "runs"):
        with start_run("p", {"f": 1.0}, data_dir=folder if folder.name == "here" else None) as run:
            pass
        assert run.counts.delivered == 3 and len(segments(folder)) == 1
        monkeypatch.chdir(tmp_path)
        monkeypatch.delenv("REWARD_MONITOR_DATA_DIR", raising=False)


@pytest.mark.parametrize(
    ("given", "environment", "files"),
    [
        ({"brokers": NOBODY}, {}, 0),
        ({}, {"KAFKA_BROKERS": NOBODY}, 0),
        ({"brokers": NOBODY, "mode": "offline"}, {}, 1),
        ({"brokers": NOBODY}, {"MODE": "offline"}, 1),
        ({"mode": "offline"}, {"KAFKA_BROKERS": NOBODY, "MODE": "disabled"}, 1),
        ({"mode": "online"}, {"KAFKA_BROKERS": NOBODY, "MODE": "offline"}, 0),
    ],
)
def test_a_mode_is_given_or_the_environments_or_online_where_there_are_brokers(
    given: dict, environment: dict, files: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(f"REWARD_MONITOR_{name}", value)
    counts = start_run("p", {"f": 1.0}, **given).finish(timeout_s=0.1)
    assert len(segments(tmp_path)) == files
    assert (counts.delivered, counts.spooled) == ((3, 0) if files else (0, 3))


@pytest.mark.parametrize("given", [{"mode": "disabled"}, {"mode": "disabled", "strict": True, "brokers": NOBODY}])
def test_a_disabled_run_does_nothing(given: dict, tmp_path: Path) -> None:
    threads = threading.active_count()
    with start_run("p", {"f": 1.0}, **given) as run:
        run.log_rollout(0, rewards={"unknown": ["x"]}, groups=[0])
        run.log_trainer(-1)
    assert str(run.finish()) == "0 accepted, 0 delivered, 0 dropped"
    assert threading.active_count() == threads and not list(tmp_path.iterdir())


def test_a_mode_that_is_none_and_online_without_brokers_start_no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="mode 'on': online, offline or disabled is needed"):
        start_run("p", {"f": 1.0}, mode="on")
    with pytest.raises(ValueError, match="online, and no brokers: pass brokers='host:port' or set REWARD_MONITOR_KAFKA_BROKERS"):
        start_run("p", {"f": 1.0}, mode="online")
    monkeypatch.setenv("REWARD_MONITOR_FILES_BYTES_MAX", "1 GiB")
    with pytest.raises(ValueError, match="REWARD_MONITOR_FILES_BYTES_MAX='1 GiB' in the environment is not a whole number"):
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


def test_the_newest_is_dropped_where_the_file_is_full(tmp_path: Path) -> None:
    with start_run("p", {"f": 1.0}, files_bytes_max=2000) as run:
        for step in range(50):
            run.log_rollout(step, rewards={"f": [1.0]}, groups=[0])
    (file,) = segments(tmp_path)
    assert file.stat().st_size <= 2000 and run.counts.dropped == {"not written: 2000 bytes are full": 53 - run.counts.delivered}
    steps = [body.step for body in bodies(tmp_path) if isinstance(body, Rollout)]
    assert steps == list(range(len(steps))) and 5 < len(steps) < 50


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

"""Runs that were reported into a directory, published later: the same rows, whatever happens in between."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
from reward_engine.fold import Record, fold
from reward_engine.state import Partition
from reward_infra.pipeline import Pipeline
from reward_producers.reporter import start_run
from reward_producers.sync import Progress, sync
from reward_schemas.parse import parse
from reward_schemas.segments import read, segments

from tests.jobs.oracle import audited, await_finished, closed_rows, landed_rows, read_log

STEPS, RANKS = 40, 2


def offline(folder: Path, run_id: str) -> None:
    """A run of two ranks that report a step each in turn."""
    rng = np.random.default_rng(3)
    ranks = [
        start_run("p", {"f": 1.0, "g": 0.5}, mode="offline", data_dir=folder, run_id=run_id, rank=rank, world_size=RANKS)
        for rank in range(RANKS)
    ]
    for step in range(STEPS):
        for rank in ranks:
            rewards = {name: rng.random(16, np.float32) for name in ("f", "g")}
            rank.log_rollout(step, rewards, np.repeat(np.arange(4) + 4 * rank.rank, 4), lengths=rng.integers(1, 100, 16))
            rank.flush(5)  # so that the times of their frames are those of the steps
        ranks[0].log_trainer(step, kl=float(rng.random()))
    for rank in ranks:
        assert rank.finish().dropped == {}


def values(rows: dict) -> dict:
    """Rows of steps without the run's name and their place in the log. Ten seconds begin when they begin: there the runs differ."""
    return {key[1:]: row[2:] for key, row in rows.items() if key[2] not in ("10s", "5m")}


def of_directory(folder: Path) -> dict:
    """The closed rows that the fold makes of a directory."""
    frames = sorted((frame for file in segments(folder) for frame in read(file)), key=lambda frame: frame.time_ms)
    state = Partition(0)
    records = (Record(at, frame.time_ms, parse(frame.key, frame.value)) for at, frame in enumerate(frames))
    return closed_rows([result for record in records for result in fold(state, record)])


def test_interrupted_and_repeated_it_gives_the_rows_of_one_go(monitor: Pipeline, tmp_path: Path) -> None:
    offline(tmp_path / "a", "synced-whole")
    sync(tmp_path / "a", monitor.brokers, lambda _: None)

    offline(tmp_path / "b", "synced-broken")
    program = (
        "import os, sys; from pathlib import Path; from reward_producers import sync\n"
        "sync._CHUNK_MESSAGES = 7; calls = []\n"
        "def tell(progress):\n"
        "    calls.append(progress.messages)\n"
        "    if len(calls) == int(sys.argv[3]): os.kill(os.getpid(), 9)\n"
        "sync.sync(Path(sys.argv[1]), sys.argv[2], tell)"
    )
    for killed_at in (4, 5):
        arguments = [str(tmp_path / "b"), monitor.brokers, str(killed_at)]
        assert subprocess.run([sys.executable, "-c", program, *arguments]).returncode == -signal.SIGKILL
    (tmp_path / "b" / "synced-broken" / "synced.json").unlink()  # the worst: nothing is known of what has arrived
    sync(tmp_path / "b", monitor.brokers, lambda _: None)
    again: list[Progress] = []
    sync(tmp_path / "b", monitor.brokers, again.append)
    assert [(told.messages, told.bytes_done) for told in again] == [(0, again[0].bytes_all)]

    await_finished(monitor, ["synced-whole", "synced-broken"])
    sent = Counter(m.key().decode() for messages in read_log(monitor.brokers).values() for m in messages if m.key())
    once = 2 * (STEPS + 3) + STEPS
    assert sent["synced-whole"] == once and sent["synced-broken"] == once + 49
    whole, broken = (landed_rows(monitor, f"synced-{which}") for which in ("whole", "broken"))
    assert values(whole) == values(broken) == values(of_directory(tmp_path / "a"))
    assert {slot for _, _, window, _, _, slot in whole if window == "step"} >= set(range(STEPS))
    assert audited(monitor, "synced-") == []
    client = monitor.reader()
    told = client.query("SELECT run_id, missing, duplicates FROM rewards.runs WHERE run_id LIKE 'synced-%' ORDER BY run_id")
    rewards = client.query(
        "SELECT run_id, count() FROM rewards.rewards WHERE run_id LIKE 'synced-%' GROUP BY run_id ORDER BY run_id"
    )
    client.close()
    assert told == [("synced-broken", 0, 49), ("synced-whole", 0, 0)]
    assert rewards == [(run, STEPS * RANKS * 16 * 2) for run in ("synced-broken", "synced-whole")]

"""kill -9 of the trainer at random moments: what it had accepted lies in the log or in its spool, but for the newest, in memory.

What SIGKILL may lose is what no counter called delivered or spooled: the queue, and what Kafka has not answered for.
"""

from __future__ import annotations

import random
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from reward_producers.sync import sync
from reward_schemas.events import Event

pytestmark = pytest.mark.timeout(60)
NOBODY = "127.0.0.1:1"

TRAINER = """
import struct, sys, time
from reward_producers import delivery
from reward_producers.reporter import start_run
delivery.ANSWER_S = 0.5
brokers, folder, run_id, told = sys.argv[1:]
run = start_run("p", ["f"], brokers=brokers, data_dir=folder, run_id=run_id)
with open(told, "r+b", buffering=0) as file:
    for step in range(10**9):
        safe = run.counts.delivered + run.counts.spooled  # before the call: it only grows
        run.log_rollout(step, {"f": [1.0] * 8}, [0] * 8)
        file.seek(0); file.write(struct.pack("<QQQ", run.counts.accepted, safe, sum(run.counts.dropped.values())))
        time.sleep(0.001)
"""


def killed(brokers: str, folder: Path, run_id: str, after_s: float) -> tuple[int, int, int]:
    """What a trainer counted before it was killed, so long after the first of its events was safe: accepted, safe, dropped."""
    told = folder / f"{run_id}.told"
    told.write_bytes(bytes(24))
    trainer = subprocess.Popen([sys.executable, "-c", TRAINER, brokers, str(folder), run_id, str(told)])
    try:
        while not struct.unpack("<QQQ", told.read_bytes())[1]:
            assert trainer.poll() is None
            time.sleep(0.005)
        time.sleep(after_s)
    finally:
        trainer.kill()
    assert trainer.wait(10) == -signal.SIGKILL
    accepted, safe, dropped = struct.unpack("<QQQ", told.read_bytes())
    return accepted, safe, dropped


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("up", [True, False])
def test_accepted_is_landed_or_spooled_but_for_the_newest(
    up: bool, seed: int, brokers: str, arrived: Callable[[str], list[Event]], tmp_path: Path
) -> None:
    run_id = f"killed-{up}-{seed}"
    accepted, safe, dropped = killed(brokers if up else NOBODY, tmp_path, run_id, random.Random(seed).uniform(0.0, 0.4))
    if list(tmp_path.rglob("*.spool")):
        sync(tmp_path, brokers, lambda _: None)
    found = [event.identity.seq for event in arrived(run_id)]
    unique = sorted(set(found))
    assert unique == list(range(len(unique)))  # the newest are lost, and none before them
    assert dropped == 0 and 0 < safe <= len(unique) <= accepted + 1  # the last call may not have been told

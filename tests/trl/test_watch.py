"""watch(trainer) on TRL's own GRPOTrainer: what arrives is what the trainer had, and the training is the same to the last bit."""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("trl")

from reward_schemas.events import Event, Rollout, Status, TrainerStep
from reward_schemas.parse import parse
from reward_schemas.segments import read, segments

import reward_monitor
from scripts import trl_on_the_spot
from tests.trl import tiny

pytestmark = pytest.mark.timeout(300)
FUNCTIONS = ("brevity", "likes_even", "judge")


def events(folder: Path, kind: type) -> list[Any]:
    """The bodies of one kind in a directory of runs, with their ranks."""
    parsed = [parse(frame.key, frame.value) for file in segments(folder) for frame in read(file)]
    return [(event.identity.rank, event.body) for event in parsed if isinstance(event, Event) and isinstance(event.body, kind)]


def watched(folder: Path, of: type = tiny.Recording, **options: Any) -> Any:
    """A trainer that was watched to its end."""
    trainer = trl_on_the_spot.trainer(folder, of, **options)
    assert reward_monitor.watch(trainer, mode="offline", data_dir=folder, run_id="one") is not None
    trainer.train()
    return trainer


def equal(body: Rollout, kept: dict[str, Any], rows: slice) -> None:
    """Rewards, silence, advantages and lengths of a rank's batch are the trainer's own."""
    assert body.advantage is not None and body.length is not None
    np.testing.assert_array_equal(body.advantage, np.array(kept["advantages"], np.float32))
    np.testing.assert_array_equal(body.length, kept["lengths"])
    for row, name in enumerate(FUNCTIONS):
        theirs = np.array(kept["rewards"][name][rows], np.float32)
        scored = np.ones(len(theirs), bool) if body.status is None else body.status[row] == Status.SCORED
        np.testing.assert_array_equal(scored, np.isfinite(theirs))
        np.testing.assert_array_equal(body.rewards[row][scored], theirs[scored])


def test_what_arrives_is_what_the_trainer_had(tmp_path: Path) -> None:
    trainer = watched(tmp_path)
    rollouts = [body for _, body in events(tmp_path, Rollout)]
    assert [body.step for body in rollouts] == [1, 2, 3] and len(trainer.kept) == 3
    silent = 0
    for body, kept in zip(rollouts, trainer.kept, strict=True):
        equal(body, kept, slice(None))
        np.testing.assert_array_equal(body.group, [0, 0, 0, 0, 1, 1, 1, 1])
        assert body.truncated is not None and (body.truncated <= (body.length == 8)).all() and not body.more
        silent += int((body.status != Status.SCORED).sum()) if body.status is not None else 0
    assert silent > 0
    told: dict[int, dict[str, float]] = {}
    for _, body in events(tmp_path, TrainerStep):
        told.setdefault(body.step, {}).update(body.scalars)
    logged = [line for line in trainer.state.log_history if "kl" in line]
    assert [line["step"] for line in logged] == sorted(told) == [1, 2, 3]
    for line in logged:
        for name in ("kl", "entropy", "loss", "grad_norm"):
            assert told[line["step"]][name] == pytest.approx(line[name], rel=1e-6)


def test_scalars_come_for_every_step_also_where_trl_logs_rarely(tmp_path: Path) -> None:
    watched(tmp_path, max_steps=4, logging_steps=3)
    assert [body.step for _, body in events(tmp_path, TrainerStep) if "kl" in body.scalars] == [1, 2, 3, 4]


def test_several_batches_of_one_step_are_told_apart(tmp_path: Path) -> None:
    trainer = watched(tmp_path, steps_per_generation=1, gradient_accumulation_steps=2, max_steps=2)
    rollouts = [body for _, body in events(tmp_path, Rollout)]
    assert [(body.step, body.more) for body in rollouts] == [(1, True), (1, False), (2, True), (2, False)]
    assert [set(body.group) for body in rollouts] == [{0}, {1}, {0}, {1}]
    for body, kept in zip(rollouts, trainer.kept, strict=True):
        equal(body, kept, slice(None))


def test_the_training_is_the_same_to_the_last_bit(tmp_path: Path) -> None:
    one, other = watched(tmp_path / "a"), trl_on_the_spot.trainer(tmp_path / "b")
    other.train()
    theirs, ours = other.model.state_dict(), one.model.state_dict()
    before = trl_on_the_spot.trainer(tmp_path / "c").model.state_dict()
    assert any(not torch.equal(before[name], ours[name]) for name in ours)  # it trained at all
    assert all(torch.equal(theirs[name], ours[name]) for name in theirs)


def test_two_ranks_each_report_their_own(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        at = ["--master-addr", "127.0.0.1", "--master-port", str(free.getsockname()[1])]
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", *at, "-m", "tests.trl.tiny", str(tmp_path)]
    here = os.environ | {"GLOO_SOCKET_IFNAME": "lo"}  # else it looks for this machine's name
    done = subprocess.run(launch, env=here, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found = events(tmp_path, Rollout)
    for rank in range(2):
        kept = torch.load(tmp_path / f"kept-{rank}.pt")
        mine = [body for of, body in found if of == rank]
        assert [body.step for body in mine] == [1, 2, 3]
        for body, theirs in zip(mine, kept, strict=True):
            n = len(theirs["advantages"])
            equal(body, theirs, slice(rank * n, (rank + 1) * n))
            np.testing.assert_array_equal(body.group, (rank * n + np.arange(n)) // trl_on_the_spot.GENERATIONS)
    assert {rank for rank, _ in events(tmp_path, TrainerStep)} == {0}


class Renamed(tiny.Recording):
    """As another version of TRL may be."""

    def _calculate_rewards(self, inputs: Any, prompts: Any, completions: Any, more: Any) -> Any:
        return super()._calculate_rewards(inputs, prompts, completions, completion_ids_list=more)


def test_a_version_that_is_not_known_gets_one_warning_and_its_scalars_are_reported(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "reward_monitor"):
        watched(tmp_path, Renamed)
    assert [record.name for record in caplog.records].count(
        "reward_monitor"
    ) == 1 and "takes inputs, prompts, completions, more" in caplog.text
    assert events(tmp_path, Rollout) == [] and [
        body.step for _, body in events(tmp_path, TrainerStep) if "kl" in body.scalars
    ] == [1, 2, 3]


def test_a_trainer_of_another_make_is_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "reward_monitor"):
        assert reward_monitor.watch(object()) is None
    assert "isn't watched" in caplog.text

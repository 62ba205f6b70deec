"""The reporter against a real broker: what a trainer handed over is what `parse` reads from the topic, bit for bit."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from reward_producers import reporter as reporter_module
from reward_producers import sender as sender_module
from reward_producers.errors import RewardInputError
from reward_producers.reporter import Reporter, start_run
from reward_producers.sender import Sender
from reward_schemas.encode import function_table
from reward_schemas.events import Event, RewardFunction, Role, Rollout, RunEvent, RunState, SenderReport, Status, TrainerStep
from reward_schemas.topics import EVENT_BYTES_MAX

pytestmark = pytest.mark.timeout(60)

FUNCTIONS = [RewardFunction("accuracy"), RewardFunction("format", 0.2), RewardFunction("judge", 3.0, role=Role.AUDIT)]
Arrived = Callable[[str], list[Event]]


def run_of(brokers: str, **more: Any) -> Reporter:
    return start_run("p", more.pop("functions", FUNCTIONS), brokers=brokers, strict=more.pop("strict", True), **more)


def rollouts(events: list[Event]) -> list[Rollout]:
    return [event.body for event in events if isinstance(event.body, Rollout)]


def bits(vector: np.ndarray) -> list:
    return np.ascontiguousarray(vector).view(f"u{vector.dtype.itemsize}").tolist()


@pytest.fixture
def log_once(brokers: str, arrived: Arrived) -> Callable[..., list[Rollout]]:
    """The rollouts that arrive of calls with these arguments."""

    def log(functions: Any, *calls: dict) -> list[Rollout]:
        with run_of(brokers, functions=functions) as run:
            for call in calls:
                run.log_rollout(0, **call)
        return rollouts(arrived(run.run_id))

    return log


# ---- what arrives -------------------------------------------------------------------------------------------------


def test_everything_arrives_in_order_and_bit_for_bit(brokers: str, arrived: Arrived) -> None:
    rng = np.random.default_rng(7)
    sent, before_ms = [], time.time_ns() // 1_000_000
    with run_of(
        brokers, tags={"team": "räte"}, config={"lr": 1e-6}, trainer="t 1", world_size=4, rank=2, run_id="p-in-order"
    ) as run:
        for step in range(200):
            n = int(rng.integers(1, 20))
            rewards = rng.integers(0, 2**32, size=(3, n), dtype=np.uint32).view(np.float32)  # any bits, NaNs with payloads too
            columns = {
                "groups": rng.integers(-(2**31), 2**31, size=n, dtype=np.int32),
                "lengths": rng.integers(0, 2**31, size=n, dtype=np.int32),
                "advantages": rng.integers(0, 2**32, size=n, dtype=np.uint32).view(np.float32),
                "truncated": rng.random(n) < 0.5,
            }
            run.log_rollout(step, dict(zip(["accuracy", "format", "judge"], rewards, strict=True)), **columns, more=step % 3 == 0)
            run.log_trainer(step, kl=0.1 * step, loss=float("nan"), grad_norm=float("-inf"), entropy=None)
            sent.append((step, rewards, columns))
    counts = run.finish()
    events = arrived("p-in-order")

    assert [event.identity.seq for event in events] == list(range(403))  # started, 400, report, finished
    assert {(e.identity.run_id, e.identity.attempt, e.identity.rank, e.senders) for e in events} == {("p-in-order", 1, 2, 4)}
    assert len({event.identity.session for event in events}) == 1
    times = [event.event_time_ms for event in events]
    assert times == sorted(times) and before_ms <= times[0] and times[-1] <= time.time_ns() // 1_000_000

    started, *middle, report, finished = (event.body for event in events)
    assert started == RunEvent(RunState.STARTED, "p", {"team": "räte"}, "t 1", '{"lr":1e-6}', tuple(FUNCTIONS))
    assert report == SenderReport(401, 0, {})
    assert finished == RunEvent(RunState.FINISHED)
    for (step, rewards, columns), body, trained in zip(sent, middle[::2], middle[1::2], strict=True):
        assert (body.step, body.more, body.status) == (step, step % 3 == 0, None)
        assert body.table.functions == tuple(FUNCTIONS)
        assert bits(body.rewards) == bits(rewards)
        assert bits(body.advantage) == bits(columns["advantages"])
        assert body.group.tolist() == columns["groups"].tolist()
        assert body.length.tolist() == columns["lengths"].tolist()
        assert body.truncated.tolist() == columns["truncated"].tolist()
        assert isinstance(trained, TrainerStep) and trained.step == step
        assert str(trained.scalars) == str({"kl": 0.1 * step, "loss": float("nan"), "grad_norm": float("-inf")})
    assert str(counts) == "403 accepted, 403 delivered, 0 dropped"


def test_none_is_missing_and_what_an_audit_leaves_out_is_not_scored(log_once: Callable[..., list[Rollout]]) -> None:
    some, all_, none = log_once(
        FUNCTIONS,
        {"rewards": {"accuracy": [1.0, None, 0.0], "format": (None, None, None)}, "groups": [0, 0, 1]},
        {"rewards": {"accuracy": [1, 2, 3], "format": [4, 5, 6], "judge": [None, 7.5, None]}, "groups": [0, 0, 1]},
        {"rewards": {"accuracy": [1, 2], "format": np.array([None, 3.0], object), "judge": None}, "groups": [0, 0]},
    )
    S, M, N = Status.SCORED, Status.MISSING, Status.NOT_SCORED
    assert some.status.tolist() == [[S, M, S], [M, M, M], [N, N, N]]
    assert all_.status.tolist() == [[S, S, S], [S, S, S], [N, S, N]]
    assert all_.rewards[2, 1] == 7.5
    assert none.status.tolist() == [[S, S], [M, S], [N, N]]


def test_further_columns_and_the_size_of_a_group(log_once: Callable[..., list[Rollout]]) -> None:
    given = {"rewards": {"f": [1, 2]}, "groups": [0, 1]}
    plain, whole = log_once(
        ["f"],
        given,
        given
        | {"group_size": 8, "columns": {"kl": [0.5, None], "потеря": np.array([1, 2]), "unknown": None}, "advantages": [None, 1]},
    )
    assert (plain.group_size, plain.columns) == (0, {})
    assert whole.group_size == 8
    assert {name: str(column.tolist()) for name, column in whole.columns.items()} == {"kl": "[0.5, nan]", "потеря": "[1.0, 2.0]"}
    assert str(whole.advantage.tolist()) == "[nan, 1.0]"


def test_texts_as_groups_are_the_same_numbers_everywhere(log_once: Callable[..., list[Rollout]]) -> None:
    texts = ["p7", "p1", "p1", "p7"]
    makes = [list, tuple, np.array, lambda t: np.array(t, object)]
    *bodies, other_rank = log_once(
        ["f"],
        *({"rewards": {"f": [1, 2, 3, 4]}, "groups": make(texts)} for make in makes),
        {"rewards": {"f": [5]}, "groups": ["p1"]},
    )
    for body in bodies:
        assert body.group.tolist() == bodies[0].group.tolist()
    p7, p1 = bodies[0].group[:2].tolist()
    assert bodies[0].group.tolist() == [p7, p1, p1, p7] and p7 != p1
    assert other_rank.group.tolist() == [p1]


def test_two_texts_with_one_checksum_are_two_groups(log_once: Callable[..., list[Rollout]]) -> None:
    texts = ["plumless", "buckeroo", "plumless"]  # known to share their CRC-32
    assert zlib.crc32(b"plumless") == zlib.crc32(b"buckeroo")
    (body,) = log_once(["f"], {"rewards": {"f": [1, 2, 3]}, "groups": texts})
    first, second, third = body.group.tolist()
    assert first == third != second


def test_nan_is_kept_and_is_not_missing(log_once: Callable[..., list[Rollout]]) -> None:
    (body,) = log_once(["f"], {"rewards": {"f": [float("nan"), float("inf"), -0.0]}, "groups": [0, 0, 0]})
    assert body.status is None
    assert str(body.rewards.tolist()) == "[[nan, inf, -0.0]]"


class Tensor:
    """What the reporter may ask of a torch tensor. One of bfloat16 has no numpy of its own, one on a GPU only by cpu()."""

    def __init__(self, values: Any, dtype: str, device: str = "cuda", attached: bool = True) -> None:
        self.values, self.dtype, self.device, self.attached = values, dtype, device, attached

    def _with(self, **changed: Any) -> Tensor:
        return Tensor(**{**vars(self), **changed})

    def detach(self) -> Tensor:
        return self._with(attached=False)

    def float(self) -> Tensor:
        return self._with(values=np.asarray(self.values, np.float32), dtype="float32")

    def cpu(self) -> Tensor:
        return self._with(device="cpu")

    def numpy(self) -> np.ndarray:
        if self.attached or self.device != "cpu" or self.dtype == "bfloat16":
            raise TypeError(f"no numpy of {vars(self)}")
        return np.asarray(self.values, self.dtype)

    def __len__(self) -> int:
        return len(self.values)

    def __iter__(self) -> Any:
        raise AssertionError("a transfer for each element")


def test_vectors_of_any_make(brokers: str, arrived: Arrived) -> None:
    given = [
        [0.1, 2.0, -3.5],
        (0.1, 2.0, -3.5),
        np.array([0.1, 2.0, -3.5]),
        np.array([0.1, 2.0, -3.5], np.float16),
        np.array([[0.1, 2.0, -3.5]] * 2, np.float32)[0],
        np.array([-3.5, 0, 2.0, 0, 0.1])[::-2],
        np.array([0.1, 2.0, -3.5], ">f8"),
        np.array([0.1, 2.0, -3.5], object),
        [np.float32(0.1), 2, np.float64(-3.5)],
        Tensor([0.1, 2.0, -3.5], "bfloat16"),
        Tensor([0.1, 2.0, -3.5], "float64"),
        range(3),
        [True, False, True],
        np.array([1, 0, 1], np.int64),
    ]
    with run_of(brokers, functions=["f"]) as run:
        for step, column in enumerate(given):
            run.log_rollout(step, {"f": column}, groups=np.array([5, 5, 6]), advantages=column)
    for column, body in zip(given, rollouts(arrived(run.run_id)), strict=True):
        wanted = np.asarray(column.values if isinstance(column, Tensor) else column).astype(np.float32)
        assert bits(body.rewards[0]) == bits(body.advantage) == bits(wanted), column


def test_whole_numbers_stay_whole(brokers: str, arrived: Arrived) -> None:
    groups, lengths = [2**24 + 1, 2**31 - 1, -(2**31)], [0, 1, 2**24 + 1]  # float32 has no 2^24 + 1
    makes = [list, tuple, np.array, lambda v: Tensor(v, "int64"), lambda v: np.array(v, np.float64)]
    with run_of(brokers, functions=["f"]) as run:
        for make in makes:
            run.log_rollout(np.int64(2**53), {"f": [1, 2, 3]}, make(groups), make(lengths), truncated=make([0, 1, 0]))
        run.log_rollout(7.0, {"f": [1]}, groups=[0])
    *bodies, last = rollouts(arrived(run.run_id))
    for _, body in zip(makes, bodies, strict=True):
        assert (body.group.tolist(), body.length.tolist(), body.truncated.tolist()) == (groups, lengths, [0, 1, 0])
        assert body.step == 2**53
    assert last.step == 7


def test_the_trainer_may_reuse_its_buffers(brokers: str, arrived: Arrived, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = gated(monkeypatch)
    buffers = {name: np.zeros(4, dtype) for name, dtype in [("r", "f4"), ("g", "i4"), ("n", "i4"), ("a", "f4"), ("t", "u1")]}
    with run_of(brokers, functions=["f"]) as run:
        for step in range(2):
            for buffer in buffers.values():
                buffer[:] = step
            run.log_rollout(step, {"f": buffers["r"]}, *(buffers[name] for name in "gnat"))
        for buffer in buffers.values():
            buffer[:] = 99
        gate.set()
    for step, body in enumerate(rollouts(arrived(run.run_id))):
        columns = (body.rewards[0], body.group, body.length, body.advantage, body.truncated)
        assert [column.tolist() for column in columns] == [[step] * 4] * 5


@pytest.mark.parametrize("names", [["f"], ["x" * 508 + f"{i:04d}" for i in range(256)]])
def test_the_largest_batch_that_is_taken_arrives(names: list[str], log_once: Callable[..., list[Rollout]]) -> None:
    table = function_table(tuple(map(RewardFunction, names)))
    n = (EVENT_BYTES_MAX - len(table.raw)) // (4 * len(names) + 4)
    rewards = np.random.default_rng(1).integers(0, 2**32, (len(names), n), np.uint32).view(np.float32)  # does not compress
    (body,) = log_once(names, {"rewards": dict(zip(names, rewards, strict=True)), "groups": np.arange(n)})
    assert body.rewards.shape == (len(names), n)
    assert bits(body.rewards) == bits(rewards)
    with pytest.raises(RewardInputError, match="bytes in one batch"):
        log_once(names, {"rewards": dict.fromkeys(names, np.zeros(n + 1)), "groups": np.arange(n + 1)})


def test_any_script_may_name_a_function_a_run_and_a_scalar(brokers: str, arrived: Arrived) -> None:
    with start_run("Награда 🎯", {"报酬": 1, "f" * 512: 0.5}, brokers=brokers, strict=True) as run:
        run.log_rollout(0, {"报酬": [1], "f" * 512: [2]}, [0])
        run.log_trainer(0, потеря=1.0)
    assert run.run_id.startswith("Награда 🎯-")
    _, rollout, trainer, _, _ = (event.body for event in arrived(run.run_id))
    assert rollout.table.names == ("报酬", "f" * 512)
    assert trainer.scalars == {"потеря": 1.0}


def test_a_step_that_goes_back_and_a_clock_that_jumps_are_sent_as_they_are(
    brokers: str, arrived: Arrived, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What to make of them is the fold's: it clamps the future, and counts what is late."""
    now_ns = time.time_ns()
    with run_of(brokers, functions=["f"]) as run:
        for step, jump_s in ((7, 0), (8, 10**7), (3, -(10**7)), (9, 0)):
            monkeypatch.setattr(reporter_module.time, "time_ns", lambda s=jump_s: now_ns + s * 10**9)
            run.log_rollout(step, {"f": [1.0]}, [0])
        monkeypatch.undo()
    events = [event for event in arrived(run.run_id) if isinstance(event.body, Rollout)]
    assert [event.identity.seq for event in events] == [1, 2, 3, 4]
    assert [event.body.step for event in events] == [7, 8, 3, 9]
    assert [event.event_time_ms - now_ns // 1_000_000 for event in events] == [0, 10**10, -(10**10), 0]


def test_many_threads_leave_no_hole(brokers: str, arrived: Arrived) -> None:
    with run_of(brokers, functions=["f"]) as run:
        threads = [
            threading.Thread(target=lambda at=at: [run.log_rollout(step, {"f": [at]}, [0]) for step in range(200)])
            for at in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    events = arrived(run.run_id)
    assert [event.identity.seq for event in events] == list(range(803))
    for at in range(4):
        assert [body.step for body in rollouts(events) if body.rewards[0, 0] == at] == list(range(200))


def test_heartbeats_and_reports_are_sent_in_between(brokers: str, arrived: Arrived, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender_module, "HEARTBEAT_S", 0.05)
    monkeypatch.setattr(sender_module, "REPORT_S", 0.05)
    with run_of(brokers, functions=["f"], strict=False) as run:
        run.log_rollout(0, {"f": []}, [])
        time.sleep(0.5)
    bodies = [event.body for event in arrived(run.run_id)]
    assert sum(body == RunEvent(RunState.HEARTBEAT) for body in bodies) >= 2
    reports = [body for body in bodies if isinstance(body, SenderReport)]
    assert len(reports) >= 3 and all(report.dropped == {"refused: groups": 1} for report in reports)


def test_the_numpy_training_reports_all_that_it_has(brokers: str, arrived: Arrived) -> None:
    command = [sys.executable, "-m", "reward_producers.numpy_grpo", "--steps", "2", "--brokers", brokers, "--run-id", "grpo"]
    subprocess.run(command, capture_output=True, timeout=50, check=True)
    started, *bodies = (event.body for event in arrived("grpo"))
    assert json.loads(started.config_json).items() >= {"seed": 0, "steps": 2, "kl_estimator": "k3"}.items()
    assert [set(body.of_completions) for body in bodies if isinstance(body, Rollout)] == [
        {"length", "advantage", "truncated"}
    ] * 2
    scalars = [set(body.scalars) for body in bodies if isinstance(body, TrainerStep)]
    assert scalars == [{"kl", "entropy", "loss", "grad_norm", "clip_fraction"}] * 2


# ---- the end ------------------------------------------------------------------------------------------------------


def test_finish_twice_ends_once(brokers: str, arrived: Arrived) -> None:
    run = run_of(brokers, functions=["f"])
    first = run.finish("done")
    assert str(run.finish("again")) == str(first) == "3 accepted, 3 delivered, 0 dropped"
    ends = [e.body for e in arrived(run.run_id) if isinstance(e.body, RunEvent) and e.body.state is RunState.FINISHED]
    assert ends == [RunEvent(RunState.FINISHED, reason="done")]


def test_a_training_that_fails_says_of_what(brokers: str, arrived: Arrived) -> None:
    with pytest.raises(KeyboardInterrupt), run_of(brokers, functions=["f"]) as run:
        raise KeyboardInterrupt
    assert arrived(run.run_id)[-1].body == RunEvent(RunState.FINISHED, reason="KeyboardInterrupt")


def test_the_counts_are_logged_at_the_end(brokers: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "reward_monitor"), run_of(brokers, functions=["f"], strict=False) as run:
        run.log_rollout(0, {"f": [1, 2]}, [0])
    said = [record.getMessage() for record in caplog.records]
    assert f"run {run.run_id} rank 0: 3 accepted, 3 delivered, 1 dropped (1 refused: rewards['f'])" in said


def gated(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Holds senders back until the event is set."""
    gate, empty = threading.Event(), Sender._empty

    def wait_and_empty(self: Sender) -> None:
        gate.wait(20)
        empty(self)

    monkeypatch.setattr(Sender, "_empty", wait_and_empty)
    return gate


def test_a_full_queue_drops_the_newest_and_leaves_holes(brokers: str, arrived: Arrived, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = gated(monkeypatch)
    run = run_of(brokers, functions=["f"], queue_bytes_max=10_000)
    for step in range(50):
        run.log_rollout(step, {"f": np.zeros(100)}, np.zeros(100))  # 256 + 800 bytes
    accepted = run.counts.accepted
    assert accepted == 1 + 9 and run.counts.dropped == {"queue full": 41}
    gate.set()
    while run._sender._queue:
        time.sleep(0.01)
    run.log_rollout(50, {"f": [1]}, [0])
    assert str(run.finish()) == "13 accepted, 13 delivered, 41 dropped (41 queue full)"
    events = arrived(run.run_id)
    assert [event.identity.seq for event in events] == [*range(10), 51, 52, 53]  # 41 holes, for the fold to count
    assert [body.step for body in rollouts(events)] == [*range(9), 50]
    assert events[-2].body == SenderReport(11, 0, {"queue full": 41})


def test_there_is_room_for_the_end_in_a_full_queue(brokers: str, arrived: Arrived, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = gated(monkeypatch)
    run = run_of(brokers, functions=["f"], queue_bytes_max=300)
    run.log_rollout(0, {"f": [1]}, [0])
    threading.Timer(0.2, gate.set).start()
    run.finish()
    *_, report, end = (event.body for event in arrived(run.run_id))
    assert (report.dropped, end.state) == ({"queue full": 1}, RunState.FINISHED)


# ---- what cannot be sent does not stop what can -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "reason"),
    [({"tags": {"path": "\udcff"}}, "cannot be encoded")],
)
def test_an_event_that_cannot_be_sent_is_counted(
    more: dict, reason: str, brokers: str, arrived: Arrived, caplog: pytest.LogCaptureFixture
) -> None:
    with run_of(brokers, functions=["f"], **more) as run:
        run.log_rollout(0, {"f": [1]}, [0])
    assert run.counts.dropped == {reason: 1}
    assert [event.identity.seq for event in arrived(run.run_id)] == [1, 2, 3]
    assert "an event was dropped and counted" in caplog.text

"""The reporter where something is wrong: with a call, with the way a run is started, with the broker."""

from __future__ import annotations

import logging
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from reward_producers import reporter as reporter_module
from reward_producers.errors import RewardInputError
from reward_producers.reporter import Reporter, new_run_id, start_run
from reward_schemas.events import Event, RewardFunction, Role, RunEvent, RunState
from reward_schemas.parse import parse
from reward_schemas.segments import read

pytestmark = pytest.mark.timeout(60)

NOBODY = "127.0.0.1:1"  # nothing listens there
FUNCTIONS = [RewardFunction("a"), RewardFunction("b", 0.2), RewardFunction("audit", role=Role.AUDIT)]
LONG = "x" * 10_000
BIG = np.zeros(263_155, np.float32)


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Any:
    run = start_run("p", FUNCTIONS, brokers=NOBODY, data_dir=tmp_path_factory.mktemp("strict"), strict=True)
    yield run
    run.finish(timeout_s=0)


@pytest.fixture
def lenient() -> Any:
    run = start_run("p", FUNCTIONS, brokers=NOBODY)
    yield run
    run.finish(timeout_s=0)


# ---- a call that does not fit -------------------------------------------------------------------------------------

GOOD = {
    "step": 1,
    "rewards": {"a": [1, 2], "b": [3, 4]},
    "groups": [0, 0],
    "lengths": [5, 6],
    "advantages": [0, 1],
    "truncated": [0, 1],
}


class Stranger:
    """A tensor that fails on the way, as one on a GPU that is lost."""

    def detach(self) -> Any:
        raise RuntimeError("CUDA error: device-side assert triggered")


class Huge:
    """A tensor of 2 GB on a GPU, of which nothing may be fetched."""

    shape = (500_000_000,)

    def detach(self) -> Any:
        raise AssertionError


BAD_ROLLOUTS = [
    ("one reward too few", {"rewards": {"a": [1], "b": [3, 4]}}, "rewards['a']", "1 values, 2 are needed: one a completion"),
    (
        "one too many, with None",
        {"rewards": {"a": [1, 2], "b": [3, None, 5]}},
        "rewards['b']",
        "3 values, 2 are needed: one a completion",
    ),
    ("no rewards", {"rewards": {"a": [], "b": [3, 4]}}, "rewards['a']", "0 values, 2 are needed: one a completion"),
    ("lengths", {"lengths": [1, 2, 3]}, "lengths", "3 values, 2 are needed: one a completion"),
    ("advantages", {"advantages": [1.0]}, "advantages", "1 values, 2 are needed: one a completion"),
    ("truncated", {"truncated": []}, "truncated", "0 values, 2 are needed: one a completion"),
    (
        "unknown function",
        {"rewards": {"a": [1, 2], "b": [3, 4], "c": [5, 6]}},
        "rewards",
        "unknown function 'c'; the run declared a, b, audit",
    ),
    ("a number for a name", {"rewards": {1: [1, 2]}}, "rewards", "unknown function 1; the run declared a, b, audit"),
    (
        "the reserved name",
        {"rewards": {"a": [1, 2], "b": [3, 4], "total": [5, 6]}},
        "rewards",
        "unknown function 'total'; the run",
    ),
    (
        "lacking function",
        {"rewards": {"a": [1, 2]}},
        "rewards",
        "'b' is lacking; give None for a completion that it did not score",
    ),
    ("None for a function", {"rewards": {"a": None, "b": [3, 4]}}, "rewards", "'a' is lacking; give None for a completion"),
    ("no mapping", {"rewards": [[1, 2], [3, 4]]}, "rewards", "list, a mapping of function names to numbers is needed"),
    ("no rewards at all", {"rewards": None}, "rewards", "NoneType, a mapping of function names to numbers is needed"),
    ("no groups", {"groups": []}, "groups", "no completions"),
    ("groups of None", {"groups": None}, "groups", "no completions"),
    ("one group for all", {"groups": 5}, "groups", "of shape (), one value a completion is needed"),
    ("a text and a number as groups", {"groups": ["p1", 2]}, "groups", "not numbers: values of type <U2"),
    ("one text for all groups", {"groups": "p1"}, "groups", "not numbers: values of type <U2"),
    ("texts in two dimensions", {"groups": [["p1"], ["p2"]]}, "groups", "not numbers: values of type <U2"),
    ("bytes as groups", {"groups": [b"p1", b"p2"]}, "groups", "not numbers: values of type |S2"),
    ("negative length", {"lengths": [5, -6]}, "lengths", "-6, 0 to 2147483647 is taken"),
    ("truncated twice", {"truncated": [2, 0]}, "truncated", "2, 0 to 1 is taken"),
    ("a group size that is a text", {"group_size": "8"}, "group_size", "'8', a whole number from 0 to 1048576 is needed"),
    ("negative group size", {"group_size": -1}, "group_size", "-1, a whole number from 0 to 1048576 is needed"),
    ("half a group", {"group_size": 0.5}, "group_size", "0.5, a whole number from 0 to 1048576 is needed"),
    ("columns in a list", {"columns": [[1, 2]]}, "columns", "list, a mapping of names to numbers is needed"),
    ("a column too short", {"columns": {"kl": [0.1]}}, "columns['kl']", "1 values, 2 are needed: one a completion"),
    ("a column of texts", {"columns": {"domain": ["math", "code"]}}, "columns['domain']", "not numbers: values of type <U4"),
    ("a column that has an argument", {"columns": {"length": [1, 2]}}, "columns.name", "'length' has a column already"),
    ("a column without a name", {"columns": {"": [1, 2]}}, "columns.name", "empty"),
    ("33 columns", {"columns": {f"c{i}": [1, 2] for i in range(33)}}, "columns", "33 columns, at most 32 are taken"),
    ("texts as rewards", {"rewards": {"a": ["1.0", "2.0"], "b": [3, 4]}}, "rewards['a']", "not numbers: values of type <U3"),
    (
        "a text among numbers",
        {"rewards": {"a": np.array([1.0, "2"], object), "b": [3, 4]}},
        "rewards['a']",
        "not numbers: values of type object",
    ),
    ("a text", {"rewards": {"a": "high", "b": [3, 4]}}, "rewards['a']", "not numbers: values of type <U4"),
    ("bytes", {"rewards": {"a": b"12", "b": [3, 4]}}, "rewards['a']", "not numbers: values of type |S2"),
    ("complex", {"rewards": {"a": [1j, 2], "b": [3, 4]}}, "rewards['a']", "not numbers: values of type complex128"),
    ("dates", {"lengths": np.array(["2026-01-01"] * 2, "M8[D]")}, "lengths", "not numbers: values of type datetime64[D]"),
    (
        "a list of lists",
        {"rewards": {"a": [[1], [2]], "b": [3, 4]}},
        "rewards['a']",
        "of shape (2, 1), one value a completion is needed",
    ),
    (
        "2-D",
        {"rewards": {"a": np.zeros((2, 2)), "b": [3, 4]}},
        "rewards['a']",
        "of shape (2, 2), one value a completion is needed",
    ),
    ("ragged", {"rewards": {"a": [[1], [2, 3]], "b": [3, 4]}}, "rewards['a']", "not numbers: "),
    ("a generator", {"rewards": {"a": (x for x in [1, 2]), "b": [3, 4]}}, "rewards['a']", "not numbers: "),
    ("groups with a hole", {"groups": [0, None]}, "groups", "not numbers: "),
    ("fractional groups", {"groups": [0, 0.5]}, "groups", "whole numbers of type int32 are needed"),
    ("groups past int32", {"groups": np.array([0, 2**31])}, "groups", "whole numbers of type int32 are needed"),
    ("groups past int64", {"groups": [0, 2**70]}, "groups", "not numbers: "),
    ("NaN for a group", {"groups": np.array([0, np.nan])}, "groups", "whole numbers of type int32 are needed"),
    ("negative flag", {"truncated": np.array([0, -1])}, "truncated", "whole numbers of type uint8 are needed"),
    ("negative step", {"step": -1}, "step", "-1, a whole number from 0 to 9007199254740992 is needed"),
    ("fractional step", {"step": 1.5}, "step", "1.5, a whole number from 0 to 9007199254740992 is needed"),
    ("step past 2^53", {"step": 2**53 + 1}, "step", "9007199254740993, a whole number from 0 to 9007199254740992 is needed"),
    ("infinite step", {"step": float("inf")}, "step", "inf is not a number"),
    ("NaN step", {"step": float("nan")}, "step", "nan is not a number"),
    ("a text as a step", {"step": "7"}, "step", "'7', a whole number from 0 to 9007199254740992 is needed"),
    ("no step", {"step": None}, "step", "None is not a number"),
    (
        "5 MB",
        {
            "rewards": {"a": BIG, "b": BIG},
            "groups": np.zeros(263_155, np.int32),
            "lengths": None,
            "advantages": None,
            "truncated": None,
        },
        "rewards",
        "at least 4210480 bytes in one batch, 4190208 are taken; log it in parts with more=True",
    ),
    (
        "2 GB",
        {"rewards": {"a": np.broadcast_to(np.float32(0), 500_000_000), "b": [3, 4]}},
        "rewards['a']",
        "500000000 values in one batch, at most 4190208 can be taken",
    ),
    (
        "2 GB on a GPU",
        {"groups": Huge()},
        "rewards",
        "at least 8000000000 bytes in one batch, 4190208 are taken; log it in parts with more=True",
    ),
    ("lengths of 2 GB on a GPU", {"lengths": Huge()}, "lengths", "500000000 values in one batch, at most 4190208 can be taken"),
    (
        "a tensor that fails",
        {"rewards": {"a": Stranger(), "b": [3, 4]}},
        "arguments",
        "RuntimeError: CUDA error: device-side assert triggered",
    ),
]
BAD_SCALARS = [
    ("none at all", {}, "scalars", "0 scalars, 1 to 256 are taken"),
    ("None for all", {"kl": None, "x": None}, "scalars", "0 scalars, 1 to 256 are taken"),
    ("257", {f"s{i}": 0.0 for i in range(257)}, "scalars", "257 scalars, 1 to 256 are taken"),
    ("a text", {"kl": "0.5"}, "scalars['kl']", "'0.5', a number is needed"),
    ("a vector", {"kl": np.array([1.0, 2.0])}, "scalars['kl']", ""),
    ("too large", {"kl": 10**400}, "scalars['kl']", "int too large to convert to float"),
    ("empty name", {"": 1.0}, "scalars.name", "empty"),
    ("10 kB name", {LONG: 1.0}, "scalars.name", f"10000 bytes long, at most 512 are taken: {'x' * 40}..."),
    ("half a surrogate", {"\ud800": 1.0}, "scalars.name", "'\\ud800', text that UTF-8 can encode is needed"),
    ("negative step", {"step": -1, "kl": 0.1}, "step", "-1, a whole number from 0 to 9007199254740992 is needed"),
]
BAD = [(f"rollout: {name}", "log_rollout", GOOD | wrong, field, reason) for name, wrong, field, reason in BAD_ROLLOUTS]
BAD += [(f"trainer: {name}", "log_trainer", {"step": 1} | wrong, field, reason) for name, wrong, field, reason in BAD_SCALARS]
bad_calls = pytest.mark.parametrize(("call", "given", "field", "reason"), [b[1:] for b in BAD], ids=[b[0] for b in BAD])


@bad_calls
def test_a_strict_reporter_raises_with_field_and_reason(
    strict: Reporter, call: str, given: dict, field: str, reason: str
) -> None:
    before = strict.counts.accepted
    with pytest.raises(RewardInputError) as caught:
        getattr(strict, call)(**given)
    assert caught.value.field == field
    assert caught.value.reason.startswith(reason) and caught.value.reason
    assert str(caught.value) == f"{field}: {caught.value.reason}"
    assert isinstance(caught.value, ValueError)
    assert strict.counts.accepted == before


@bad_calls
def test_a_lenient_one_counts_warns_once_and_goes_on(
    lenient: Reporter, caplog: pytest.LogCaptureFixture, call: str, given: dict, field: str, reason: str
) -> None:
    for _ in range(3):
        assert getattr(lenient, call)(**given) is None
    assert lenient.counts.dropped == {f"refused: {field}": 3}
    (warning,) = [r.getMessage() for r in caplog.records if (r.name, r.levelno) == ("reward_monitor", logging.WARNING)]
    assert warning.startswith(f"run {lenient.run_id}: a call was refused and counted: {field}: {reason}")
    assert lenient.counts.accepted == 1
    lenient.log_rollout(**GOOD)
    assert lenient.counts.accepted == 2


def test_the_good_call_is_good(strict: Reporter) -> None:
    before = strict.counts.accepted
    strict.log_rollout(**GOOD)
    strict.log_trainer(1, kl=np.float32(0.5), loss=True)
    assert strict.counts.accepted == before + 2


def test_a_call_after_the_end(caplog: pytest.LogCaptureFixture) -> None:
    lenient = start_run("p", ["f"], brokers=NOBODY)
    strict = start_run("p", ["f"], brokers=NOBODY, strict=True)
    for run in (lenient, strict):
        run.finish(timeout_s=0)
    lenient.log_rollout(0, {"f": [1]}, [0])
    lenient.log_trainer(0, kl=1.0)
    assert lenient.counts.dropped["refused: run"] == 2
    assert caplog.text.count("finished already; the call came too late") == 1
    with pytest.raises(RewardInputError, match="run: finished already"):
        strict.log_trainer(0, kl=1.0)


# ---- how a run is started -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("functions", "field", "reason"),
    [
        ([], "functions", "0 reward functions, 1 to 256 are taken"),
        ([f"f{i}" for i in range(257)], "functions", "257 reward functions, 1 to 256 are taken"),
        ("accuracy", "functions", "str 'accuracy'; a list of names, or a mapping of names to weights, is needed"),
        (["a", ""], "functions.name", "empty"),
        ([LONG], "functions.name", f"10000 bytes long, at most 512 are taken: {'x' * 40}..."),
        ({"total": 1.0}, "functions.name", "'total' is the name of the weighted sum; call the function otherwise"),
        (["a", "a"], "functions.name", "'a' stands twice"),
        ([5], "functions.name", "5, text that UTF-8 can encode is needed"),
        (["\udcff"], "functions.name", "'\\udcff', text that UTF-8 can encode is needed"),
        ({"a": float("nan")}, "functions.weight", "nan for 'a', a finite number is needed"),
        ({"a": None}, "functions.weight", "None for 'a', a finite number is needed"),
        ({"a": "much"}, "functions.weight", "'much' for 'a', a finite number is needed"),
        ([RewardFunction("a", lo=1, hi=0)], "functions.lo", "range 1 to 0 for 'a', lo < hi is needed"),
    ],
)
@pytest.mark.parametrize("strict", [True, False])
def test_unusable_functions_start_no_run(functions: Any, field: str, reason: str, strict: bool) -> None:
    with pytest.raises(RewardInputError) as caught:
        start_run("p", functions, brokers=NOBODY, strict=strict)
    assert (caught.value.field, caught.value.reason) == (field, reason)


@pytest.mark.parametrize("run_id", ["x" * 513, "\ud800"])
def test_an_unusable_run_id_starts_no_run(run_id: str) -> None:
    with pytest.raises(RewardInputError, match="run_id: "):
        start_run("p", ["f"], brokers=NOBODY, run_id=run_id)


@pytest.mark.parametrize(
    ("given", "environment", "said"),
    [
        ({"brokers": NOBODY, "world_size": 2}, {}, "one run id: pass run_id=... or set REWARD_MONITOR_RUN_ID for all of them"),
        ({"brokers": NOBODY}, {"WORLD_SIZE": "8", "RANK": "3"}, "one run id: pass run_id=... or set REWARD_MONITOR_RUN_ID"),
        ({"brokers": NOBODY}, {"RANK": "zero"}, "RANK='zero' in the environment is not a whole number"),
        ({"brokers": NOBODY}, {"WORLD_SIZE": "2.0"}, "WORLD_SIZE='2.0' in the environment is not a whole number"),
        ({"brokers": NOBODY}, {"REWARD_MONITOR_ATTEMPT": "x"}, "REWARD_MONITOR_ATTEMPT='x' in the environment is not a whole"),
        ({"brokers": NOBODY}, {"RANK": "3"}, "rank 3 of 1: pass rank=... and world_size=..., or set RANK and WORLD_SIZE"),
        ({"brokers": NOBODY, "rank": -1}, {}, "rank -1 of 1: pass rank="),
        ({"brokers": NOBODY, "config": {"blob": "x" * 70_000}}, {}, "config_json: 70011 bytes long, at most 65536 are taken"),
        ({"brokers": NOBODY, "world_size": 0}, {}, "rank 0 of 0: pass rank="),
        ({"brokers": NOBODY, "world_size": 70_000}, {}, "rank 0 of 70000: pass rank="),
        ({"brokers": NOBODY, "attempt": -1}, {}, "attempt -1: pass attempt=... or set REWARD_MONITOR_ATTEMPT"),
    ],
)
def test_a_start_that_lacks_something_says_what_to_do(
    given: dict, environment: dict, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValueError) as caught:
        start_run("p", ["f"], **given)
    assert said in str(caught.value)


def test_the_environment_says_what_was_not_given(
    brokers: str, arrived: Callable[[str], list[Event]], monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = f"from-environment-{uuid.uuid4()}"
    environment = {"KAFKA_BROKERS": brokers, "RUN_ID": run_id, "ATTEMPT": "3"}
    for name, value in {**{f"REWARD_MONITOR_{n}": v for n, v in environment.items()}, "RANK": "5", "WORLD_SIZE": "8"}.items():
        monkeypatch.setenv(name, value)
    with start_run("p", ["f"]) as run:
        assert (run.run_id, run.rank) == (run_id, 5)
    with start_run("p", ["f"], rank=0, attempt=1, world_size=2):  # what is given wins
        pass
    resumed, *_, started, _, _ = arrived(run_id)
    assert (resumed.identity.attempt, resumed.identity.rank, resumed.senders) == (3, 5, 8)
    assert resumed.body == RunEvent(RunState.RESUMED, "p", config_json="{}", functions=(RewardFunction("f"),))
    assert (started.identity.attempt, started.identity.rank, started.senders) == (1, 0, 2)
    assert started.body.state is RunState.STARTED
    assert started.identity.session != resumed.identity.session


def test_run_ids_sort_by_time_and_are_uuid7_behind_the_projects_name(monkeypatch: pytest.MonkeyPatch) -> None:
    now_ns = time.time_ns()
    ids = []
    for later_ms in (0, 1, 2, 1_000, 10**6, 10**10):
        at_ns = now_ns + later_ms * 1_000_000
        monkeypatch.setattr(reporter_module.time, "time_ns", lambda at_ns=at_ns: at_ns)
        ids.append(new_run_id("math-grpo"))
        name, digits = ids[-1][:9], ids[-1][10:]
        parsed = uuid.UUID(digits)
        assert (name, ids[-1][9], str(parsed)) == ("math-grpo", "-", digits)
        assert (parsed.version, parsed.variant) == (7, uuid.RFC_4122)
        assert parsed.int >> 80 == at_ns // 1_000_000
    assert ids == sorted(ids)
    assert len({new_run_id("p") for _ in range(1000)}) == 1000


# ---- the trainer's process ----------------------------------------------------------------------------------------


def _python(text: str, timeout_s: float = 20) -> tuple[subprocess.CompletedProcess, float]:
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=timeout_s)
    return done, time.monotonic() - began


def test_an_import_starts_no_thread() -> None:
    text = "import os, threading, reward_producers.reporter; print(threading.active_count(), len(os.listdir('/proc/self/task')))"
    done, _ = _python(f"import os; os.environ['OPENBLAS_NUM_THREADS'] = '1'; {text}")
    assert (done.stdout, done.stderr) == ("1 1\n", "")


def test_a_broker_that_is_down_delays_nothing() -> None:
    began = time.monotonic()
    with start_run("p", ["f"], brokers=NOBODY, strict=True) as run:
        took = []
        for step in range(500):
            at = time.monotonic()
            run.log_rollout(step, {"f": np.zeros(64)}, np.zeros(64))
            took.append(time.monotonic() - at)
        assert sorted(took)[len(took) // 2] < 0.002 and time.monotonic() - began < 2
        began = time.monotonic()
        counts = run.finish(timeout_s=1)
        assert 0.5 < time.monotonic() - began < 2.5  # two cores, shared
    assert str(counts) == "503 accepted, 0 delivered, 503 spooled, 0 dropped"


def test_a_broker_that_is_down_costs_no_more_than_the_stated_memory_and_disk(tmp_path: Path) -> None:
    """The queue here, the one in librdkafka and the spool are bounded; the rest is dropped and counted."""
    run = start_run("p", ["f"], brokers=NOBODY, queue_bytes_max=4_000_000, files_bytes_max=10_000_000)
    values, groups = np.zeros(50_000, np.float32), np.zeros(50_000, np.int32)  # 400 kB a call
    for step in range(100):
        run.log_rollout(step, {"f": values}, groups)
        time.sleep(0.002)
    counts = run.finish(timeout_s=5)
    full = counts.dropped["not written: 10000000 bytes are full"]
    assert 20 <= counts.spooled <= 28 and counts.spooled + full == counts.accepted == 103 - counts.dropped["queue full"]
    assert not run._sender._thread.is_alive()
    (spool,) = tmp_path.rglob("*.spool")
    assert spool.stat().st_size <= 10_000_000
    kept = [parse(frame.key, frame.value).identity.seq for frame in read(spool)]
    assert len(kept) == counts.spooled and kept == sorted(kept)


@pytest.mark.parametrize("end", ["run.finish(timeout_s=0.5)", "pass", "raise SystemExit(3)"])
def test_a_process_ends_although_the_broker_is_down(end: str) -> None:
    text = f"""
from reward_producers.reporter import start_run
run = start_run("p", ["f"], brokers={NOBODY!r})
for step in range(1000):
    run.log_rollout(step, {{"f": [1.0] * 100}}, [0] * 100)
{end}
"""
    done, took_s = _python(text)
    assert done.returncode == (3 if "SystemExit" in end else 0), done.stderr
    assert "Traceback" not in done.stderr
    assert took_s < 6

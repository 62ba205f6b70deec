"""The tracker: the same rows as the stream's fold, windows of any size, steps that come again, and what it costs."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from reward_engine.fold import Record, fold
from reward_engine.sketch import RELATIVE_ERROR
from reward_engine.state import Partition
from reward_producers.columns import functions_of, rollout, trainer_step
from reward_producers.errors import RewardInputError
from reward_producers.metrics_tracker import RewardMetricsTracker
from reward_schemas.encode import encode_control, encode_event
from reward_schemas.events import Event, Identity, RunEvent, RunState, Tick
from reward_schemas.parse import parse

from tests.producers.batches import FUNCTIONS, batch, state_of, tracked

pytestmark = pytest.mark.timeout(120)

T0 = 1_790_000_000_000


def streamed(steps: list[int] | range) -> dict[tuple[str, str, int], bytes]:
    """The sums of every last closed row of the stream's fold: (kind, window, slot) -> values. Through bytes, with times and ticks."""
    functions, state, rows = functions_of(FUNCTIONS), Partition(0), {}
    bodies = [RunEvent(RunState.STARTED, "p")]
    for at, step in enumerate(steps):
        given = batch(at)
        columns = [given[name] for name in ("rewards_by_function", "groups", "lengths", "advantages", "truncated")]
        bodies.append(rollout(functions, step, *columns, columns=given["columns"]))
        scalars = {"kl": given["kl_divergence"], "entropy": given["policy_entropy"], "grad_norm": given["grad_norm"]}
        bodies.append(trainer_step(step, scalars))
    bodies.append(RunEvent(RunState.FINISHED))
    messages = [
        (b"r", encode_event(Event(Identity("r", 1, 0, 7, seq), T0 + 1000 * seq, 1, body))) for seq, body in enumerate(bodies)
    ]
    messages = [
        m for i, message in enumerate(messages) for m in ([message, (None, encode_control(Tick()))] if i % 9 == 8 else [message])
    ]
    for offset, (key, value) in enumerate(messages):
        for result in fold(state, Record(offset, T0 + 500 * offset, parse(key, value), value)):
            if result.HasField("pane") and result.pane.closed:
                rows[result.pane.kind, result.pane.window, result.pane.slot] = result.pane.values
    return rows


# ---- the same as the stream ---------------------------------------------------------------------------------------


def test_every_row_has_the_bits_of_the_streams() -> None:
    steps = [*range(130), *range(150, 400, 7)]
    want, seen = streamed(steps), set()
    for metrics in tracked(steps):
        for window, of in (("step", metrics), ("100 steps", metrics.window)):
            for kind, row in of._rows.items():
                if row.slot == metrics.step:
                    assert row.values == want[kind, window, metrics.step], (kind, window, metrics.step)
                    seen.add((kind, window, metrics.step))
    assert seen == {key for key in want if key[1] in ("step", "100 steps")}


def test_the_measures_are_those_of_numpy() -> None:
    for at, metrics in enumerate(tracked(range(5))):
        given = batch(at)
        accuracy = np.asarray(given["rewards_by_function"]["accuracy"], float)
        values = np.float64(given["rewards_by_function"]["format"])
        finite = values[np.isfinite(values)]
        assert metrics["accuracy"]["mean"] == pytest.approx(accuracy.mean(), rel=1e-14)
        assert metrics["format"]["std"] == pytest.approx(finite.std(ddof=1), rel=1e-10)
        assert (metrics["format"]["count"], metrics["format"]["non_finite"]) == (len(finite), 1)
        assert metrics["format"]["p95"] == pytest.approx(np.quantile(finite, 0.95), rel=RELATIVE_ERROR)
        total = accuracy + 0.2 * values
        assert metrics.total.mean == pytest.approx(np.nanmean(total), rel=1e-12)
        assert metrics["judge"].not_scored == sum(x is None for x in given["rewards_by_function"]["judge"])
        assert metrics.lengths.max == max(given["lengths"])
        assert metrics.truncated.mean == pytest.approx(np.mean(given["truncated"]))
        assert metrics.kl_divergence == given["kl_divergence"]
        assert metrics.scalars["grad_norm"] == given["grad_norm"]
        assert metrics.policy_entropy == (given["policy_entropy"] if at else None)  # NaN says nothing
        assert metrics.advantages.std == (
            None if at % 4 == 0 else pytest.approx(np.float32(given["advantages"]).std(ddof=1), rel=1e-6)
        )
        assert metrics.columns["logp"].count == 24


# ---- windows ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 7, 99, 101, 250])
def test_a_window_of_any_size_is_of_the_last_steps(size: int) -> None:
    #   steps    0 1 2 . . . . 119   130 140 150 ... 420
    #   size 7         |-------]                           the panes in (step - 7, step]
    #   size 250   |----------------------------]          kept on where the fold has let go of them
    steps = [*range(120), *range(130, 430, 10)]
    first = {step: np.float64(batch(at)["rewards_by_function"]["accuracy"]) for at, step in enumerate(steps)}
    kl = {step: batch(at)["kl_divergence"] for at, step in enumerate(steps)}
    for metrics in tracked(steps, size):
        inside = [step for step in steps if metrics.step - size < step <= metrics.step]
        window = metrics.window
        values = np.concatenate([first[step] for step in inside])
        assert (window.step, window.size, window.steps) == (metrics.step, size, len(inside))
        assert window["accuracy"].count == len(values)
        assert window["accuracy"].mean == pytest.approx(values.mean(), rel=1e-13)
        assert window["accuracy"].p50 == np.sort(values)[(len(values) - 1) // 2]
        known = [kl[step] for step in inside if kl[step] is not None]
        assert window.kl_divergence == (pytest.approx(np.mean(known), rel=1e-12) if known else None)


def test_a_window_of_one_step_is_the_step() -> None:
    for metrics in tracked(range(4), 1):
        assert dict(metrics.window["format"]) == dict(metrics["format"])


# ---- steps that come again, or go back ----------------------------------------------------------------------------


def mean_of(*values: list[float]) -> Any:
    return pytest.approx(np.mean(np.concatenate(values)), rel=1e-12)


@pytest.mark.parametrize("size", [3, 100, 200])
def test_a_step_that_comes_again_is_amended(size: int) -> None:
    tracker = RewardMetricsTracker(["f"], size)
    for step in range(10):
        first = tracker.track_step(step, {"f": [step, step]}, kl_divergence=0.25, advantages=[1, -1])
    again = tracker.track_step(9, {"f": [0.5]})
    assert (first["f"].count, again["f"].count, again["f"].mean) == (2, 3, mean_of([9, 9, 0.5]))
    assert (again.kl_divergence, again.advantages.count) == (0.25, 2)  # what was said before stays said
    assert again.window["f"].count == 2 * min(size, 10) + 1
    back = tracker.track_step(5, {"f": [7.5]}, kl_divergence=0.75)
    assert (back.step, back["f"].mean, back.kl_divergence) == (5, mean_of([5, 5, 7.5]), 0.5)
    assert back.window["f"].count == 2 * min(size, 6) + 1  # the window that ends with step 5
    later = tracker.track_step(10, {"f": [1.0]})
    assert later.window["f"].count == {3: 2 * 2 + 1 + 1, 100: 20 + 2 + 1, 200: 20 + 2 + 1}[size]
    assert tracker.counts["late"] == 3  # two batches of rewards and one of scalars


def test_a_step_between_others_that_comes_late_is_a_step() -> None:
    tracker = RewardMetricsTracker(["f"], 10)
    for step in (0, 50):
        tracker.track_step(step, {"f": [1.0]})
    between = tracker.track_step(20, {"f": [3.0, 4.0]})
    assert (between["f"].mean, between.window.steps) == (3.5, 1)


def test_a_step_too_old_to_be_amended_is_refused() -> None:
    tracker = RewardMetricsTracker(["f"], 500)
    for step in range(150):
        tracker.track_step(step, {"f": [1.0]})
    before = tracker.counts
    assert tracker.track_step(50, {"f": [3.0]})["f"].count == 2
    with pytest.raises(RewardInputError, match="step: 49 is too old: of the last 100 steps the oldest is 50"):
        tracker.track_step(49, {"f": [3.0]}, kl_divergence=1.0)
    assert tracker.counts == before | {"received": 151, "late": 1}
    assert tracker.track_step(150, {"f": [1.0]}).window["f"].count == 152


def test_a_fold_that_fails_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise ZeroDivisionError("made to fail")

    tracker = RewardMetricsTracker(["f"])
    monkeypatch.setattr("reward_engine.lanes.add", fails)
    with pytest.raises(RuntimeError, match="(?s)reward-monitor's own.*made to fail"):
        tracker.track_step(0, {"f": [1]})


# ---- what it costs ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [100, 150])
def test_the_state_does_not_grow_with_the_steps(size: int) -> None:
    tracker, sizes = RewardMetricsTracker(["f"], size), []
    for step in [*range(260), *range(1000, 2500, 5), *range(10**6 - 260, 10**6)]:  # the same of each step
        tracker.track_step(step, {"f": [0.0, 0.5, 1.0]}, kl_divergence=0.5, advantages=[1, 0, -1], groups=[0, 0, 0])
        sizes.append(len(state_of(tracker)))
        assert all(len(panes) <= max(size, 100) for panes in tracker._panes.values())
    assert max(sizes[260:]) <= 1.02 * sizes[259]  # larger numbers of steps take a few bytes more
    lanes = tracker._partition.runs["tracked"].lanes
    assert all(not lane.open and not lane.dirty for lane in lanes)
    assert all(not lane.held for lane in lanes if lane.axis_name == "time")  # where a state would grow with the time


def test_the_same_calls_leave_the_same_state() -> None:
    """No clock and no chance: it is a function of what it was given."""
    states = set()
    for _ in range(2):
        tracker = RewardMetricsTracker(FUNCTIONS)
        for step in range(3):
            tracker.track_step(step, **batch(step))
        states.add(state_of(tracker))
    assert len(states) == 1


def _python(text: str) -> str:
    return subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=60, check=True).stdout


def test_it_needs_neither_services_nor_their_clients() -> None:
    said = _python(
        "import sys; from reward_monitor import RewardMetricsTracker\n"
        "metrics = RewardMetricsTracker(['f']).track_step(0, {'f': [1.0]}); str(metrics); metrics.as_dict()\n"
        "heavy = 'confluent_kafka pyarrow scipy pandas torch yaml rich faust aiokafka clickhouse_connect reward_store'.split()\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    assert said == "[]\n"


def test_the_front_door_is_light() -> None:
    took = [
        float(_python("import time; t = time.perf_counter(); import reward_monitor; print(time.perf_counter() - t)"))
        for _ in range(3)
    ]
    assert min(took) < 0.2

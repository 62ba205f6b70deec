"""Groups that are spread over ranks and messages: with group_size they count as if they had come whole."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reward_engine import bounds, sums
from reward_engine.fold import Record
from reward_engine.snapshot import decode, encode, joined
from reward_engine.state import STEP, TIME
from reward_schemas.encode import function_table
from reward_schemas.events import RewardFunction, Rollout, RunState, Tick

from tests.engine.closeness import assert_close
from tests.engine.logs import Log, Trainer, folded, kinds, last_run_row, panes

pytestmark = pytest.mark.filterwarnings("error")

FUNCTIONS = function_table((RewardFunction("a", 1.0, lo=0.0, hi=1.0), RewardFunction("b", 0.5)))
SIZE = 4


def completions(groups: int, seed: int = 0) -> Rollout:
    """A step's completions, groups of `SIZE` that stand together."""
    rng = np.random.default_rng(seed)
    n = groups * SIZE
    values = np.stack([rng.integers(0, 2, n), rng.normal(size=n)]).astype(np.float32)
    status = np.where(rng.random(values.shape) < 0.1, 1, 0).astype(np.uint8)
    length = rng.integers(1, 900, n).astype(np.int32)
    return Rollout(0, FUNCTIONS, values, np.repeat(np.arange(groups, dtype=np.int32), SIZE), status, length, group_size=SIZE)


def part(of: Rollout, columns: np.ndarray, size: int = SIZE, **changed: object) -> dict[str, object]:
    """What `Trainer.rollout` needs to send these completions."""
    told = {"table": of.table, "group": of.group[columns], "status": of.status[:, columns], "length": of.length[columns]}
    return {"values": of.rewards[:, columns], "group_size": size, **told, **changed}


def sent(of: Rollout, parts: list[np.ndarray], size: int = SIZE) -> Log:
    """A rank each sends a part of the same step."""
    log = Log()
    for rank, columns in enumerate(parts):
        trainer = Trainer(rank=rank, senders=len(parts), session=rank)
        log.append(trainer.rollout(0, 10 * rank, **part(of, columns, size)))
    return log


def table(row: object) -> np.ndarray:
    return np.frombuffer(row.values).reshape(len(row.series), -1)[:, : len(sums.NAMES)]


def products(row: object) -> np.ndarray:
    return np.frombuffer(row.products).reshape(-1, len(row.series))


@st.composite
def splits(draw: st.DrawFn, n: int, mixed: bool = True) -> list[np.ndarray]:
    """The columns 0 to n - 1 in parts of at least one, in their order or `mixed`."""
    order = np.array(draw(st.permutations(range(n)))) if mixed and draw(st.booleans()) else np.arange(n)
    cuts = draw(st.lists(st.integers(1, n - 1), max_size=5, unique=True, min_size=1).map(sorted))
    return np.split(order, cuts)


@pytest.mark.slow
@given(st.data(), st.integers(1, 6), st.integers(0, 99))
@settings(max_examples=150, deadline=None)
def test_parts_say_what_the_whole_groups_say(data: st.DataObject, groups: int, seed: int) -> None:
    """However they are cut and mixed: counts, extremes and sketch exactly, other sums within rounding."""
    whole = completions(groups, seed)
    parts = data.draw(splits(groups * SIZE))
    (row,) = panes(folded(sent(whole, parts).records)[1])
    (wanted,) = panes(folded(sent(whole, [np.arange(groups * SIZE)]).records)[1])
    assert_close(table(row), table(wanted))
    np.testing.assert_allclose(products(row), products(wanted), rtol=1e-12, atol=1e-12)
    assert (row.sketch_sizes, row.sketch_values, row.sketch_counts) == (
        wanted.sketch_sizes,
        wanted.sketch_values,
        wanted.sketch_counts,
    )


@given(st.data())
@settings(max_examples=50, deadline=None)
def test_a_group_is_added_up_in_the_order_of_its_columns(data: st.DataObject) -> None:
    """One group in parts that keep the columns' order: its own sums are bit for bit those of the group in one message."""
    whole = completions(1, data.draw(st.integers(0, 99)))
    parts = data.draw(splits(SIZE, mixed=False))
    (row,), (wanted,) = (panes(folded(sent(whole, p).records)[1]) for p in (parts, [np.arange(SIZE)]))
    of_groups = [i for i, s in enumerate(sums.SUMS) if s.level == sums.GROUPS]
    np.testing.assert_array_equal(table(row)[:, of_groups], table(wanted)[:, of_groups])
    assert row.products == wanted.products


def test_groups_are_told_as_soon_as_they_are_whole() -> None:
    # rank 0  |aa bbbb cc|            b is whole at once
    # rank 1             |aa|         now a
    # rank 2                 |cc|     now c, and the step closes
    whole = completions(3)
    parts = [np.array([0, 1, 4, 5, 6, 7, 8, 9]), np.array([2, 3]), np.array([10, 11])]
    counts = []
    log = sent(whole, parts)
    for end in (1, 2, 3):
        _, results = folded([*log.records[:end], Record(9, 10**13, Tick())])
        row = panes(results, closed=None)[-1]
        counts.append((table(row)[2, sums.INDEX["groups"]], table(row)[2, sums.INDEX["grouped"]]))
    assert [groups for groups, _ in counts] == [1, 2, 3]
    assert counts[-1][1] == (whole.status[1] == 0).sum()


def test_groups_that_never_become_whole_count_at_the_close_as_they_are() -> None:
    whole = completions(2)
    log = Log().append(Trainer(senders=2).rollout(0, 0, **part(whole, np.array([0, 1, 2, 3, 4, 5]))))
    for at in range(5_000, 200_000, 5_000):
        log.append(Tick(), at)
    _, results = folded(log.records)
    first, row = panes(results, closed=None)[0], panes(results)[-1]
    assert table(first)[0, sums.INDEX["groups"]] == 1
    assert table(row)[0, sums.INDEX["groups"]] == 2
    (wanted,) = panes(folded(sent(whole, [np.arange(6)], size=0).records)[1])
    assert_close(table(row), table(wanted))


def test_a_group_is_told_once_though_a_step_was_amended() -> None:
    """The step was closed without rank 1, its groups as they were; what comes late counts as groups of its own."""
    whole = completions(1)
    a, b = Trainer(rank=0, senders=2), Trainer(rank=1, senders=2, session=1)
    late = b.rollout(0, 0, **part(whole, np.array([2, 3])))
    log = Log()
    log.append(a.rollout(0, 0, **part(whole, np.array([0, 1]))))
    for step in range(1, bounds.STEPS_AHEAD + 1):
        log.append(a.rollout(step, 1000 * step))
    log.append(late, 20_000).append(Tick(), 20_001)
    state, results = folded(log.records)
    _, amended = (row for row in panes(results) if row.slot == 0)
    assert table(amended)[0, [sums.INDEX["count"], sums.INDEX["groups"], sums.INDEX["grouped"]]].tolist() == [4, 2, 4]
    assert not any(pane.waiting for pane in state.runs["r"].lane(STEP, "reward").held.values())


def test_too_many_waiting_completions_count_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "WAITING_MAX", 5)
    whole = completions(4)
    log = sent(whole, [np.array([0, 4, 8]), np.array([1, 5, 12]), np.array([2])])
    state, _ = folded(log.records[:1])
    (pane,) = state.runs["r"].lane(STEP, "reward").open.values()
    assert sum(len(p.group) for p in pane.waiting) == 3
    _, results = folded([*log.records[:2], Record(2, 10**13, Tick())])
    row = panes(results, closed=None)[-1]
    assert table(row)[0, sums.INDEX["groups"]] == 4  # all four, as they are


@given(st.data(), st.integers(2, 5))
@settings(max_examples=50, deadline=None)
def test_a_snapshot_while_groups_wait_changes_nothing(data: st.DataObject, groups: int) -> None:
    log = sent(completions(groups), data.draw(splits(groups * SIZE))).ticks(1_000, 40_000)
    _, whole = folded(log.records)
    cut = data.draw(st.integers(0, len(log.records)))
    state, before = folded(log.records[:cut])
    state, after = folded(log.records[cut:], decode(joined(encode(state))))
    assert not kinds(whole, "quarantine")
    assert [r.SerializeToString(deterministic=True) for r in before + after] == [
        r.SerializeToString(deterministic=True) for r in whole
    ]


def test_groups_in_parts_reach_the_slot_of_time_too() -> None:
    whole = completions(2)
    log = sent(whole, [np.arange(5), np.arange(5, 8)])
    for rank in (0, 1):
        log.append(Trainer(rank=rank, senders=2, session=rank, seq=1).state(RunState.FINISHED, 100))
    state, results = folded(log.records)
    (row,) = panes(results, window="10s")
    (wanted,) = panes(folded(sent(whole, [np.arange(8)]).records)[1])
    assert_close(table(row), table(wanted))
    assert state.runs["r"].lane(TIME, "reward").held


def test_two_runs_of_messages_with_other_functions_wait_apart() -> None:
    """A group of which each part was scored by other functions: each function's part counts by itself."""
    whole, other = completions(1), function_table((RewardFunction("c"),))
    a, b = Trainer(rank=0, senders=2), Trainer(rank=1, senders=2, session=1)
    log = Log().append(a.rollout(0, 0, **part(whole, np.array([0, 1]))))
    log.append(b.rollout(0, 1, np.ones((1, 2)), table=other, group=[0, 0], group_size=SIZE))
    _, results = folded(log.records)
    assert not kinds(results, "quarantine")
    (row,) = panes(results)
    groups = dict(zip(row.series, table(row)[:, sums.INDEX["groups"]].tolist(), strict=True))
    assert groups == {"total": 2, "a": 1, "b": 1, "c": 1}


def test_a_group_that_is_spread_without_being_declared_is_counted() -> None:
    whole = completions(3)
    log = sent(whole, [np.arange(6), np.arange(6, 12)], size=0).append(Tick(), 5_000)  # group 1 is cut in two
    _, results = folded(log.records)
    assert last_run_row(results).counts["split_groups"] == 1
    (row,) = panes(results)
    assert table(row)[0, sums.INDEX["groups"]] == 4
    for good in (sent(whole, [np.arange(6), np.arange(6, 12)]), sent(whole, [np.arange(4), np.arange(4, 12)], size=0)):
        _, results = folded(good.append(Tick(), 5_000).records)
        assert "split_groups" not in last_run_row(results).counts


def test_ids_of_groups_are_kept_while_a_step_is_open() -> None:
    whole = completions(2)
    a = Trainer(senders=2)
    log = Log().append(a.rollout(0, 0, **part(whole, np.arange(4), 0))).append(a.rollout(1, 0, **part(whole, np.arange(4), 0)))
    state, _ = folded(log.records)
    lane = state.runs["r"].lane(STEP, "reward")
    assert [pane.groups for pane in lane.open.values()] == [{0}, {0}]
    state, _ = folded(sent(whole, [np.arange(4), np.arange(4, 8)], size=0).records)
    assert [pane.groups for pane in state.runs["r"].lane(STEP, "reward").held.values()] == [set()]

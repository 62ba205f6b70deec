"""Windows: the rolled sketch is the direct merge; and the rows of completions, of many functions, of changing ranges."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reward_engine import bounds, emit, panes, sketch, sums
from reward_engine.block import Block
from reward_engine.fold import Record
from reward_engine.groups import Groups
from reward_engine.measuring import COLUMNS, measured
from reward_engine.sketch import Sketch
from reward_engine.snapshot import decode, encode, joined
from reward_engine.state import STEP, Lane, Pane, Window
from reward_schemas.encode import function_table
from reward_schemas.events import RewardFunction, Tick

from tests.engine.closeness import assert_close
from tests.engine.logs import Log, Trainer, folded, kinds, last_run_row, rewards, table_of
from tests.engine.logs import panes as rows_of
from tests.engine.test_fold_properties import logs

pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture(scope="module")
def checked() -> Iterator[list[int]]:
    """Every window's sketch is compared with the direct merge of its panes when it is told; counts how it was made."""
    seen: list[int] = []

    def rolled(lane: Lane, name: str, inside: dict[int, Pane]) -> Sketch:
        last = lane.rolling.get(name)
        whole = panes.rolled(lane, name, inside)
        direct = sketch.merged([pane.sketch for pane in inside.values()])
        assert (whole.keys.tolist(), whole.counts.tolist()) == (direct.keys.tolist(), direct.counts.tolist())
        seen.append(0 if last is None else len(last.panes.keys() - inside.keys()))
        return whole

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(emit, "rolled", rolled)
        yield seen


@pytest.mark.slow
@given(logs(), st.data())
@settings(max_examples=40, deadline=None)
def test_a_rolled_sketch_is_the_merge_of_its_panes(checked: list[int], log: list[Record], data: st.DataObject) -> None:
    """After any mix of closes, late messages and resumes, and with a snapshot anywhere in it."""
    cut = data.draw(st.integers(0, len(log)))
    state, before = folded(log[:cut])
    state, after = folded(log[cut:], decode(joined(encode(state))))
    assert not kinds(before + after, "quarantine")


@given(st.lists(st.integers(0, 30), min_size=1, max_size=60))
@settings(max_examples=60, deadline=None)
def test_a_rolled_sketch_of_a_short_window(checked: list[int], steps: list[int]) -> None:
    """Steps that go forth and back over a ring of four panes: amended, inserted, gone."""
    before = STEP.windows
    object.__setattr__(STEP, "windows", (Window("4 steps", 4),))
    try:
        trainer, log = Trainer(), Log()
        for at, step in enumerate(steps):
            log.append(trainer.rollout(step, 1_000 * at, rewards(at)))
        _, results = folded(log.append(Tick(), 100_000).records)
    finally:
        object.__setattr__(STEP, "windows", before)
    assert not kinds(results, "quarantine")
    assert len(rows_of(results, window="4 steps")) >= 1
    assert all(row.panes <= 4 for row in rows_of(results, window="4 steps"))


def test_windows_were_rolled_and_not_only_merged(checked: list[int]) -> None:
    trainer, log = Trainer(), Log()
    for step in range(110):
        log.append(trainer.rollout(step, 1_000 * step))
    folded(log.records)
    assert 1 in checked


# ---- completions --------------------------------------------------------------------------------------------------


def test_what_is_known_of_completions_has_rows_of_its_own() -> None:
    told = {
        "length": np.array([10, 20, 30, 40], np.int32),
        "advantage": np.array([1.0, -1.0, np.nan, 0.0], np.float32),
        "truncated": np.array([0, 0, 1, 1], np.uint8),
        "columns": {"kl": np.array([0.5, 0.25, 0.25, 0.0], np.float32)},
    }
    _, results = folded(Log().append(Trainer().rollout(0, 0, **told)).records)
    (row,) = rows_of(results, kind="completion")
    assert list(row.series) == ["length", "advantage", "truncated", "kl"]
    assert set(row.roles) == {"completion"}
    got = {name: found.tolist() for name, found in measured(np.frombuffer(row.values).reshape(4, -1)).items()}
    assert got["mean"] == [25, 0, 0.5, 0.25]
    assert got["non_finite"] == [0, 1, 0, 0]
    assert got["p50"][0] == 20
    assert np.isnan(got["mean_contribution"] + got["within_variance"] + got["saturation_high"]).all()


def test_completions_close_with_their_rewards_and_a_late_one_is_told_once() -> None:
    a, b = Trainer(rank=0, senders=2), Trainer(rank=1, senders=2, session=1)
    length = np.ones(4, np.int32)
    late = b.rollout(0, 0, length=length)
    log = Log()
    for step in range(bounds.STEPS_AHEAD + 1):
        log.append(a.rollout(step, 1000 * step, length=length))
    log.append(late, 20_000).append(Tick(), 20_001)
    _, results = folded(log.records)
    assert [table_of(row)["length"]["count"] for row in rows_of(results, kind="completion")] == [4, 8]
    assert [r.late_event.kind for r in kinds(results, "late_event") if r.late_event.axis == "step"] == ["reward"]


def test_columns_past_the_bound_refuse_the_whole_message(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of a refused message is counted: its dead letter is all of it."""
    monkeypatch.setattr(bounds, "SERIES_MAX", 3)
    columns = {name: np.zeros(4, np.float32) for name in "abcd"}
    log = Log().append(Trainer().rollout(0, 0, columns=columns)).append(Tick(), 1_000)
    _, results = folded(log.records)
    assert [r.dead_letter.field for r in kinds(results, "dead_letter")] == ["columns"]
    assert rows_of(results, closed=None) == []
    assert last_run_row(results).counts["refused"] == 1


# ---- many functions, ranges that change ---------------------------------------------------------------------------


def test_products_are_kept_of_the_first_functions() -> None:
    many = function_table(tuple(RewardFunction(f"f{i}") for i in range(bounds.PRODUCTS_MAX + 7)))
    few = function_table(tuple(RewardFunction(f"f{i}") for i in (38, 2, 1)))
    values = rewards(1, bounds.PRODUCTS_MAX + 7, 8)
    log = Log().append(Trainer().rollout(0, 0, values, table=many, more=True))
    state, _ = folded(log.records)
    (pane,) = state.runs["r"].lane(STEP, "reward").open.values()
    assert pane.products.shape == (bounds.PRODUCTS_MAX,) * 2
    centred = values.astype(float) - values.astype(float).mean(axis=1, keepdims=True)
    np.testing.assert_allclose(pane.products[1:, 1:], (centred @ centred.T)[: bounds.PRODUCTS_MAX - 1, : bounds.PRODUCTS_MAX - 1])
    state, results = folded([Record(1, 10**13, Trainer(seq=1).rollout(0, 5, rewards(2, 3, 8), table=few))], state)
    (row,) = rows_of(results)
    assert len(row.series) == bounds.PRODUCTS_MAX + 8
    assert len(row.products) == 8 * bounds.PRODUCTS_MAX**2


def test_a_range_that_changes_counts_for_what_comes_after() -> None:
    log, trainer = Log(), Trainer()
    for step, (lo, hi) in enumerate([(None, None), (0.0, 1.0), (0.0, 10.0)]):
        table = function_table((RewardFunction("f", lo=lo, hi=hi),))
        log.append(trainer.rollout(step, 1000 * step, [[0.0, 1.0, 1.0, 10.0]], table=table))
    _, results = folded(log.records)
    got = [measured(np.frombuffer(row.values).reshape(2, -1)) for row in rows_of(results)]
    assert [found["saturation_high"][1] for found in got[1:]] == [0.75, 0.25] and np.isnan(got[0]["saturation_high"][1])
    window = measured(np.frombuffer(rows_of(results, window="100 steps")[-1].values).reshape(2, -1))
    assert (window["saturation_high"][1], window["out_of_range"][1], window["count"][1]) == (0.5, 0.125, 12)
    row = rows_of(results)[-1]
    assert (list(row.lo), list(row.hi)) == ([0, 0], [10, 10])  # the total's too
    assert list(row.sums) == list(COLUMNS)


@pytest.mark.parametrize(
    ("functions", "ends"),
    [
        ([RewardFunction("a", 2.0, lo=0, hi=1), RewardFunction("b", -1.0, lo=0, hi=3)], (-3, 2)),
        ([RewardFunction("a", 2.0, lo=0, hi=1), RewardFunction("b", 0.0)], (0, 2)),  # without weight it is not in the total
        ([RewardFunction("a", 1.0, lo=0, hi=1), RewardFunction("b", -1.0, hi=3)], (-3, None)),
        ([RewardFunction("a", 1e10, lo=-1e300, hi=1e300), RewardFunction("b", -1e10, lo=-1e300, hi=1e300)], (None, None)),
        ([RewardFunction("a", 1.0, lo=0, hi=1), RewardFunction("b")], (None, None)),
    ],
)
def test_the_range_of_the_total(functions: list[RewardFunction], ends: tuple) -> None:
    event = Trainer().rollout(0, 0, rewards(0, 2), table=function_table(tuple(functions)))
    _, results = folded(Log().append(event).records)
    assert not kinds(results, "quarantine")
    (row,) = rows_of(results)
    assert [None if np.isnan(end) else end for end in (row.lo[0], row.hi[0])] == list(ends)


def test_a_huge_weight_makes_the_total_not_finite_and_warns_of_nothing() -> None:
    table = function_table((RewardFunction("a", 1e308), RewardFunction("b", -1e308)))
    _, results = folded(Log().append(Trainer().rollout(0, 0, np.full((2, 4), 3e38), table=table)).records)
    (row,) = rows_of(results)
    assert (table_of(row)["total"]["count"], table_of(row)["total"]["non_finite"]) == (0, 4)


# ---- panes --------------------------------------------------------------------------------------------------------


def told(rows: list[int], seed: int) -> panes.Said:
    values = np.random.default_rng(seed).integers(0, 5, (len(rows), 4)).astype(float)
    return panes.said(np.array(rows), Block(values, groups=Groups(np.array([0, 0, 1, 1]))))


@given(
    st.lists(st.permutations(range(4)).flatmap(lambda p: st.integers(1, 4).map(lambda n: list(p[:n]))), min_size=1, max_size=20)
)
@settings(max_examples=60, deadline=None)
def test_what_is_said_of_some_series_is_added_where_they_stand(many: list[list[int]]) -> None:
    """Function tables of other orders and lengths, and more messages than wait to be merged."""
    pane = Pane(0, [], 0)
    apart = [Pane(0, [], 0) for _ in range(4)]
    for seed, rows in enumerate(many):
        panes.take(pane, told(rows, seed), 4)
        for place, row in enumerate(rows):
            what = told(rows, seed)
            alone = panes.Said(np.array([0]), what.table[place : place + 1], None, None)
            panes.take(apart[row], alone, 1)
    assert len(pane.tables) < bounds.PENDING_MAX
    for row, single in enumerate(apart):
        wanted = single.table if single.tables else sums.empty(1)
        np.testing.assert_allclose(pane.table[row : row + 1], wanted, rtol=1e-12, atol=1e-12)
    assert pane.sketch.counts.sum() == sum(4 * len(rows) for rows in many)
    assert pane.products.shape == (4, 4)


def test_looking_at_a_pane_changes_nothing() -> None:
    pane = Pane(0, [], 0)
    for seed in range(3):
        panes.take(pane, told([0, 1], seed), 2)
    before = len(pane.tables), len(pane.sketches)
    assert pane.table.shape == (2, len(sums.SUMS)) and len(pane.sketch.keys)
    assert (len(pane.tables), len(pane.sketches)) == before == (3, 3)


@given(st.lists(st.integers(0, 60), min_size=1, max_size=40, unique=True).map(sorted), st.integers(1, 30))
@settings(max_examples=60, deadline=None)
def test_a_windows_sums_do_not_depend_on_the_blocks_that_were_kept(slots: list[int], width: int) -> None:
    kept, held = Lane("step", "reward"), {}
    for slot in slots:
        held[slot] = Pane(slot, [told([0, 1], slot).table], 0)
        inside = {s: pane for s, pane in held.items() if s > slot - width}
        again = panes.summed(Lane("step", "reward"), inside)
        np.testing.assert_array_equal(panes.summed(kept, inside), again)
        assert_close(again, sums.merged([pane.table for pane in inside.values()]))

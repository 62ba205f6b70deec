"""Properties of the fold over generated logs: what replay, duplicates and neighbours may not change."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reward_engine.fold import Record, skip
from reward_engine.snapshot import decode, encode, joined
from reward_engine.state import Partition
from reward_schemas.events import Event, Rollout, RunState, Tick

from tests.engine.logs import T0, Trainer, folded, kinds

pytestmark = pytest.mark.slow


@st.composite
def logs(draw: st.DrawFn, repeats: bool = False) -> list[Record]:
    """A log of up to three runs of up to three ranks: delays, skewed clocks, lost and late messages, silence, resumes."""
    sent: list[tuple[int, Event]] = []
    for run in range(draw(st.integers(1, 3))):
        senders = draw(st.integers(1, 3))
        pace_ms = draw(st.sampled_from([200, 3_000, 20_000]))
        for rank in range(senders):
            trainer = Trainer(f"run{run}", rank, senders, session=100 * run + rank)
            skew_ms = draw(st.sampled_from([0, 0, 0, -40_000, 3_600_000]))
            at = draw(st.integers(0, 2_000))
            steps = draw(st.integers(0, 14))
            for step in range(steps):
                at += pace_ms
                delay = draw(st.sampled_from([0, 0, 0, 700, 15_000, 250_000]))
                choice = draw(st.integers(0, 19))
                if choice == 0:  # a new attempt goes back a little
                    trainer = Trainer(trainer.run, rank, senders, trainer.attempt + 1, trainer.session + 10)
                    sent.append((at, trainer.state(RunState.RESUMED, at + skew_ms)))
                goes_back = 3 if choice == 1 else 0
                event = trainer.rollout(max(step - goes_back, 0), at + skew_ms, more=choice == 2)
                if choice != 3:  # else lost on the way: a hole
                    sent.append((at + delay, event))
                if rank == 0:
                    sent.append((at + delay, trainer.trainer(step, at + skew_ms)))
            if draw(st.booleans()):
                sent.append((at + 10, trainer.state(RunState.FINISHED, at + skew_ms)))
    if repeats:
        for at, event in list(sent):
            repeats_ms = draw(st.lists(st.sampled_from([0, 3, 40_000, 400_000]), max_size=2))
            sent.extend((at + later, event) for later in repeats_ms)
    end = max((at for at, _ in sent), default=0) + draw(st.sampled_from([0, 100_000, 500_000]))
    timeline: list[tuple[int, object]] = [*sent, *((at, Tick()) for at in range(1, end, 5_000))]
    timeline.sort(key=lambda item: item[0])  # stable: a repeat comes after its original
    return [Record(offset, T0 + at, event) for offset, (at, event) in enumerate(timeline)]


def essence(results: list, run: str | None = None) -> list[bytes]:
    """What must be equal: the closed rows in their order, without their place in the log."""
    return [
        result.run_id.encode() + result.pane.SerializeToString(deterministic=True)
        for result in results
        if result.WhichOneof("kind") == "pane" and result.pane.closed and run in (None, result.run_id)
    ]


@settings(max_examples=60, deadline=None)
@given(logs(), st.data())
def test_any_cut_into_prefix_snapshot_and_rest_gives_the_same_results(log: list[Record], data: st.DataObject) -> None:
    whole_state, whole = folded(log)
    assert not kinds(whole, "quarantine")
    cut = data.draw(st.integers(0, len(log)))
    state, before = folded(log[:cut])
    resumed = decode(joined(encode(state)))
    resumed, after = folded(log[cut:], resumed)
    assert [r.SerializeToString(deterministic=True) for r in before + after] == [
        r.SerializeToString(deterministic=True) for r in whole
    ]
    assert decode(joined(encode(resumed))).runs.keys() == whole_state.runs.keys()


@settings(max_examples=60, deadline=None)
@given(logs(repeats=True))
def test_repeated_messages_change_no_row(log: list[Record]) -> None:
    seen, once = set(), []
    for record in log:
        key = record.event.identity if isinstance(record.event, Event) else record.offset
        if key not in seen:
            seen.add(key)
            once.append(record)
    _, repeated = folded(log)
    _, single = folded(once)
    assert not kinds(repeated, "quarantine")
    assert sorted(essence(repeated)) == sorted(essence(single))


@settings(max_examples=60, deadline=None)
@given(logs())
def test_runs_do_not_influence_each_other(log: list[Record]) -> None:
    _, together = folded(log)
    for run in {r.event.identity.run_id for r in log if isinstance(r.event, Event)}:
        alone = [r for r in log if isinstance(r.event, Tick) or r.event.identity.run_id == run]
        _, results = folded(alone)
        assert essence(together, run) == essence(results)


@settings(max_examples=40, deadline=None)
@given(logs())
def test_every_reward_is_in_exactly_one_step_row_or_named_as_late_raw_only(log: list[Record]) -> None:
    last_ms = log[-1].append_time_ms if log else T0
    for extra in range(1, 200):  # until every run is lost and all is closed
        log.append(Record(len(log), last_ms + 5_000 * extra, Tick()))
    _, results = folded(log)
    final = {}
    for result in kinds(results, "pane"):
        if result.pane.window == "step" and result.pane.kind == "reward":
            final[result.run_id, result.pane.attempt, result.pane.slot] = result.pane
    landed = sum(np.frombuffer(p.values, "<f8").reshape(len(p.series), -1)[:, 0].sum() for p in final.values())
    raw_only = {
        (r.run_id, r.late_event.rank, r.late_event.session, r.late_event.seq)
        for r in kinds(results, "late_event")
        if r.late_event.fate == "raw only" and r.late_event.axis == "step"
    }
    sent = 0
    for record in log:
        if isinstance(record.event, Event) and isinstance(record.event.body, Rollout):
            i = record.event.identity
            if (i.run_id, i.rank, i.session, i.seq) not in raw_only:
                sent += record.event.body.rewards.size * 3 // 2  # two functions, and their total
    assert all(pane.closed for pane in final.values())
    assert landed == sent


@settings(max_examples=25, deadline=None)
@given(logs(), st.data())
def test_a_gap_is_counted_and_flagged(log: list[Record], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(log)))
    lost = data.draw(st.integers(1, 20))
    state, _ = folded(log[:cut])
    results = skip(state, cut + lost, "retention")
    assert [(r.gap.from_offset, r.gap.to_offset) for r in kinds(results, "gap")] == [(cut, cut + lost)]
    assert state.through == cut + lost - 1
    open_before = {(run.run_id, lane.kind, slot) for run in state.runs.values() for lane in run.lanes for slot in lane.open}
    _, after = folded([Record(state.through + 1, T0 + 10_000_000, Tick())], state)
    flagged = {(r.run_id, r.pane.kind, r.pane.slot) for r in kinds(after, "pane") if "gap" in r.pane.flags}
    assert open_before <= flagged


def test_the_state_of_no_record_is_neutral() -> None:
    assert decode(joined(encode(Partition(3)))) == Partition(3)

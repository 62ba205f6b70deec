"""The fates that `log.md` states, each on a small log. Times in ms after T0; a step every second unless said otherwise."""

from __future__ import annotations

import numpy as np
import pytest
from reward_engine import bounds, observe
from reward_engine.fold import Record, fold
from reward_engine.measuring import measured
from reward_engine.rules.ruleset import RuleSet
from reward_engine.state import Partition
from reward_schemas.encode import function_table
from reward_schemas.events import InvalidEvent, RewardFunction, Role, RuleSwitch, RunState, Tick

from tests.engine.logs import T0, TABLE, Log, Trainer, folded, kinds, last_run_row, panes, rewards, table_of


def test_a_step_closes_when_every_sender_has_reported_it() -> None:
    # rank 0  |--s0--|
    # rank 1         |--s0--|      closes here, not before
    a, b = Trainer(rank=0, senders=2), Trainer(rank=1, senders=2)
    log = Log().append(a.rollout(0, 0))
    assert not panes(folded(log.records)[1])
    log.append(b.rollout(0, 900))
    (row,) = panes(folded(log.records)[1])
    assert (row.slot, row.reported, row.expected, row.closed) == (0, 2, 2, True)


def test_a_batch_in_parts_reports_with_its_last() -> None:
    a = Trainer()
    log = Log().append(a.rollout(0, 0, more=True)).append(a.rollout(0, 10, more=True))
    assert not panes(folded(log.records)[1])
    (row,) = panes(folded(log.append(a.rollout(0, 20)).records)[1])
    assert table_of(row)["accuracy"]["count"] == 12


def test_sums_equal_numpy_over_what_was_sent() -> None:
    table = function_table((RewardFunction("a", 2.0), RewardFunction("b", -0.5), RewardFunction("judge", 1.0, role=Role.AUDIT)))
    values = np.array([[1e8, 1e8 + 8, np.nan, 5], [1, 2, 3, np.inf], [7, 8, 9, 10]], np.float32)
    status = np.array([[0, 0, 0, 1], [0, 0, 0, 0], [0, 2, 2, 0]], np.uint8)
    (row,) = panes(folded(Log().append(Trainer().rollout(0, 0, values, table=table, status=status)).records)[1])
    sums = np.frombuffer(row.values).reshape(4, -1)
    got = measured(sums)
    assert list(row.series) == ["total", "a", "b", "judge"]
    assert list(row.roles) == ["total", "trained", "trained", "audit"]
    assert got["count"].tolist() == [2, 2, 3, 2]
    assert got["missing"].tolist() == [0, 1, 0, 0]
    assert got["not_scored"].tolist() == [0, 0, 0, 2]
    assert got["non_finite"].tolist() == [2, 1, 1, 0]  # the total of a non-finite reward is not finite either
    a, b = values[0, :2].astype(float), values[1, :3].astype(float)
    total = 2 * values[0, :2].astype(float) - 0.5 * values[1, :2].astype(float)
    np.testing.assert_allclose(got["mean"], [total.mean(), a.mean(), b.mean(), 8.5], rtol=1e-15)
    np.testing.assert_allclose(got["std"], [total.std(ddof=1), a.std(ddof=1), b.std(ddof=1), np.std([7, 10], ddof=1)], rtol=1e-12)
    assert got["min"].tolist() == [total.min(), a.min(), 1, 7]
    assert got["max"].tolist() == [total.max(), a.max(), 3, 10]


def test_variance_near_1e8_survives_a_hundred_batches() -> None:
    log, sent, a = Log(), [], Trainer()
    table = function_table((RewardFunction("f"),))
    for step in range(100):
        values = (np.random.default_rng(step).uniform(-400, 400, size=(1, 8)) + 1e8).astype(np.float32)
        sent.append(values)
        log.append(a.rollout(step, 1000 * step, values, table=table))
    row = panes(folded(log.records)[1], window="100 steps")[-1]
    got = measured(np.frombuffer(row.values).reshape(2, -1))
    truth = np.concatenate(sent, axis=1)[0].astype(float)
    assert row.panes == 100
    np.testing.assert_allclose([got["mean"][1], got["variance"][1]], [truth.mean(), truth.var(ddof=1)], rtol=1e-12)


def test_unknown_is_not_zero() -> None:
    (row,) = panes(folded(Log().append(Trainer().rollout(0, 0, [[2.5], [np.nan]])).records)[1])
    got = measured(np.frombuffer(row.values).reshape(3, -1))
    assert got["mean"][1] == 2.5 and np.isnan(got["variance"][1]) and np.isnan(got["mean"][2]) and np.isnan(got["min"][2])


def test_a_trainers_scalars_close_by_the_ranks_that_send_them() -> None:
    a, b = Trainer(rank=0, senders=2), Trainer(rank=1, senders=2)
    log = Log()
    for step in range(3):
        log.append(a.rollout(step, 1000 * step)).append(b.rollout(step, 1000 * step))
        log.append(a.trainer(step, 1000 * step + 500, kl=0.5 * step, loss=float("nan")))
    rows = panes(folded(log.records)[1], kind="trainer")
    assert [table_of(row)["kl"]["maximum"] for row in rows] == [0.0, 0.5, 1.0]
    assert [table_of(row)["loss"]["non_finite"] for row in rows] == [1, 1, 1]


def test_a_duplicate_is_counted_and_changes_nothing() -> None:
    a = Trainer(senders=2)
    event = a.rollout(0, 0)
    _, results = folded(Log().append(event).append(event, 5).append(event, 9).append(Tick(), 10).records)
    assert table_of(panes(results, closed=False)[0])["total"]["count"] == 4
    assert last_run_row(results).counts["duplicates"] == 2


def test_a_hole_is_missing_until_it_is_filled() -> None:
    a = Trainer()
    first, lost, third = (a.rollout(step, 1000 * step) for step in range(3))
    log = Log().append(first).append(third).append(Tick(), 2001)
    assert last_run_row(folded(log.records)[1]).counts["missing"] == 1
    log.append(lost, 3000).append(Tick(), 3001)
    assert last_run_row(folded(log.records)[1]).counts["missing"] == 0


def test_a_late_event_amends_its_closed_step_at_the_next_tick() -> None:
    # rank 1's message of step 0 comes when step 0 was closed without it, 16 steps behind
    a, b = Trainer(rank=0, senders=2), Trainer(rank=1, senders=2)
    late = b.rollout(0, 0)
    log = Log()
    for step in range(bounds.STEPS_AHEAD + 1):
        log.append(a.rollout(step, 1000 * step))
    (row,) = panes(folded(log.records)[1])
    assert (row.slot, row.reported, row.expected) == (0, 1, 2)
    log.append(late, 20_000)
    assert len(panes(folded(log.records)[1])) == 1
    _, results = folded(log.append(Tick(), 20_001).records)
    _, amended = panes(results)
    assert (amended.slot, amended.reported, table_of(amended)["total"]["count"]) == (0, 2, 8)
    fates = {
        r.late_event.axis: (r.late_event.fate, r.late_event.lateness, r.late_event.rank) for r in kinds(results, "late_event")
    }
    assert fates["step"] == ("amended", 0, 1)
    assert last_run_row(results).counts["late"] == len(kinds(results, "late_event"))


def test_past_the_ring_a_late_event_is_raw_only() -> None:
    a = Trainer()
    log = Log()
    for step in range(300, 500):
        log.append(a.rollout(step, 1000 * step))
    log.append(a.rollout(350, 500_000)).append(Tick(), 500_001)
    _, results = folded(log.records)
    (late,) = [r.late_event for r in kinds(results, "late_event") if r.late_event.axis == "step"]
    assert (late.fate, late.slot, late.lateness) == ("raw only", 350, 149)
    assert len([row for row in panes(results) if row.slot == 350]) == 1


def test_a_step_that_goes_back_is_late_and_amends() -> None:
    a = Trainer()
    log = Log()
    for step in (0, 1, 2, 1):
        log.append(a.rollout(step, 1000 * (len(log.records) + 1)))
    _, results = folded(log.append(Tick(), 6000).records)
    assert [row.slot for row in panes(results)] == [0, 1, 2, 1]
    assert table_of(panes(results)[-1])["total"]["count"] == 8
    assert [r.late_event.lateness for r in kinds(results, "late_event")] == [1]


def test_a_rank_that_dies_for_ever_holds_nothing_up() -> None:
    # rank 1 speaks until step 4; after 60 s of silence steps close with rank 0 alone, coverage 1/2
    a, b = Trainer(rank=0, senders=2), Trainer(rank=1, senders=2)
    log = Log()
    for step in range(60):
        at = 2_000 * step
        log.append(a.rollout(step, at))
        if step < 5:
            log.append(b.rollout(step, at))
        if at % 5_000 == 0:
            log.append(Tick(), at)
    _, results = folded(log.append(Tick(), 118_001).records)
    rows = panes(results)
    assert [row.slot for row in rows] == list(range(60))
    assert [row.reported for row in rows] == [2] * 5 + [1] * 55
    assert {row.expected for row in rows} == {2}
    assert list(last_run_row(results).silent_ranks) == [1]
    assert [row.slot for row in panes(results, window="10s")] == [T0 + s for s in range(0, 110_000, 10_000)]


def test_silence_of_ours_is_not_silence_of_theirs() -> None:
    # our broker is down for two hours: the next tick brings 10 s of absence, not two hours
    a = Trainer()
    log = Log().append(a.rollout(0, 0)).ticks(1_000, 11_000).append(Tick(), 7_200_000).append(Tick(), 7_205_000)
    _, results = folded(log.records)
    assert last_run_row(results).state == "live"
    assert not last_run_row(results).silent_ranks


def test_a_clock_an_hour_ahead_is_clamped_and_counted() -> None:
    a, b = Trainer(rank=0, senders=2), Trainer(rank=1, senders=2)
    log = Log()
    for step in range(40):
        log.append(a.rollout(step, 1000 * step)).append(b.rollout(step, 1000 * step + 3_600_000), 1000 * step)
    _, results = folded(log.append(Tick(), 40_000).records)
    assert last_run_row(results).counts["clamped"] == 40
    assert [row.slot for row in panes(results)] == list(range(40))
    assert last_run_row(results).counts.get("late", 0) == 0  # the fast clock doesn't push the other rank out
    assert max(row.slot for row in panes(results, window="10s", closed=None)) <= T0 + 99_000


def test_a_resumed_run_starts_its_axes_anew() -> None:
    a = Trainer()
    log = Log()
    for step in range(5):
        log.append(a.rollout(step, 1000 * step))
    again = Trainer(attempt=2, session=8)
    log.append(again.state(RunState.RESUMED, 6_000))
    for step in range(3, 6):
        log.append(again.rollout(step, 7_000 + 1000 * step))
    log.append(a.rollout(5, 20_000), 20_000).append(Tick(), 20_001)  # a zombie of the first attempt
    _, results = folded(log.records)
    assert [(row.attempt, row.slot) for row in panes(results)] == [(1, s) for s in range(5)] + [(2, s) for s in (3, 4, 5)]
    (late,) = kinds(results, "late_event")
    assert (late.late_event.attempt, late.late_event.fate) == (1, "raw only")
    row = last_run_row(results)
    assert (row.attempt, row.counts["resumes"], row.last_step) == (2, 1, 5)


def test_a_finished_run_closes_everything_and_says_so() -> None:
    a, b = Trainer(rank=0, senders=2), Trainer(rank=1, senders=2)
    log = Log().append(a.rollout(0, 0)).append(b.rollout(0, 0)).append(a.rollout(1, 1000))
    log.append(a.state(RunState.FINISHED, 2000, reason="done"))
    assert last_run_row(folded(log.append(Tick(), 2100).records)[1]).state == "live"
    _, results = folded(log.append(b.state(RunState.FINISHED, 2500)).records)
    assert last_run_row(results).state == "finished"
    assert [(row.slot, row.reported) for row in panes(results)] == [(0, 2), (1, 1)]
    assert len(panes(results, window="10s")) == 1


def test_a_lost_run_is_said_and_forgotten_and_its_return_is_flagged() -> None:
    a = Trainer()
    log = Log().append(a.rollout(0, 0)).ticks(5_000, 400_000)
    state, results = folded(log.records)
    assert last_run_row(results).state == "lost"
    state, results = folded(log.ticks(405_000, 4_000_000).records)
    assert last_run_row(results).state == "forgotten"
    assert not state.runs
    _, results = folded(log.append(a.rollout(1, 4_001_000)).records)
    row = last_run_row(results)
    assert (row.state, list(row.flags)) == ("live", ["reborn"])
    assert list(panes(results)[-1].flags) == ["reborn"]


def test_an_error_quarantines_its_run_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    original = observe._BODIES[type(Trainer().rollout(0, 0).body)]

    def fails(run, body, moment, out):
        if run.run_id == "bad" and body.step == 2:
            raise ZeroDivisionError("made to fail")
        original(run, body, moment, out)

    monkeypatch.setitem(observe._BODIES, type(Trainer().rollout(0, 0).body), fails)
    bad, good = Trainer("bad"), Trainer("good")
    log = Log()
    for step in range(4):
        log.append(bad.rollout(step, 1000 * step)).append(good.rollout(step, 1000 * step))
    state, results = folded(log.append(Tick(), 5000).records)
    (quarantine,) = kinds(results, "quarantine")
    assert quarantine.run_id == "bad" and quarantine.offset == 4
    assert quarantine.quarantine.error == "ZeroDivisionError: made to fail"
    assert "in fails" in quarantine.quarantine.traceback
    assert [row.slot for row in panes(results, run="bad")] == [0, 1]
    assert [row.slot for row in panes(results, run="good")] == [0, 1, 2, 3]
    assert state.quarantined["bad"].dropped == 1

    monkeypatch.undo()
    released = Trainer("bad", session=9)
    log.append(released.state(RunState.RELEASED, 6000)).append(bad.rollout(4, 7000))
    _, results = folded(log.records[8:], state)
    assert [q.quarantine.released for q in kinds(results, "quarantine")] == [True]
    assert [row.slot for row in panes(results, run="bad")] == [4]


def test_an_invalid_message_is_a_dead_letter_once_and_no_hole() -> None:
    a = Trainer()
    good, bad, last = (a.rollout(step, 1000 * step) for step in range(3))
    invalid = InvalidEvent("rewards", "7 bytes", b"\x01" * 100_000, bad.identity)
    log = (
        Log()
        .append(good)
        .append(invalid, 1000)
        .append(invalid, 1100)
        .append(last)
        .append(InvalidEvent("message", "rubbish", b"??"), 2500)
    )
    _, results = folded(log.append(Tick(), 3000).records)
    first, second = (r.dead_letter for r in kinds(results, "dead_letter"))
    assert (first.field, first.seq, first.payload_bytes, len(first.payload)) == ("rewards", 1, 100_000, 65_536)
    assert (second.field, second.payload) == ("message", b"??")
    counts = last_run_row(results).counts
    assert (counts["missing"], counts["invalid"], counts["duplicates"]) == (0, 1, 1)


def test_bounds_refuse_the_event_and_leave_other_runs_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "SERIES_MAX", 3)
    monkeypatch.setattr(bounds, "SENDERS_MAX", 1)
    many = function_table(tuple(RewardFunction(f"f{i}") for i in range(3)))
    a, other = Trainer(), Trainer("other")
    log = Log().append(a.rollout(0, 0)).append(a.rollout(1, 1000, rewards(1, 3), table=many))
    log.append(Trainer(rank=5).rollout(1, 1000)).append(other.rollout(0, 1500))
    _, results = folded(log.append(Tick(), 2000).records)
    letters = [(r.run_id, r.dead_letter.field) for r in kinds(results, "dead_letter")]
    assert letters == [("r", "functions"), ("r", "rank")]
    assert last_run_row(results).counts["refused"] == 2
    assert [row.slot for row in panes(results, run="other")] == [0]


def test_holes_past_the_bound_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "HOLES_MAX", 2)
    a = Trainer()
    events = [a.rollout(step, 100 * step) for step in range(9)]
    _, results = folded([Record(i, T0 + 100 * i, event) for i, event in enumerate(events[::2])])
    assert [r.dead_letter.field for r in kinds(results, "dead_letter")] == ["seq"] * 3


def test_open_steps_past_the_bound_are_closed_oldest_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "OPEN_PANES_MAX", 2)
    a = Trainer(senders=2)
    log = Log()
    for step in (4, 3, 5, 6):
        log.append(a.rollout(step, 1000))
    assert [row.slot for row in panes(folded(log.records)[1])] == [3, 4]


def test_partial_rows_at_ticks_only_when_something_changed() -> None:
    a = Trainer(senders=2)
    log = Log().append(a.rollout(0, 0)).append(Tick(), 1000).append(Tick(), 6000).append(a.rollout(0, 7000)).append(Tick(), 11000)
    rows = panes(folded(log.records)[1], closed=None)
    assert [(row.closed, table_of(row)["total"]["count"]) for row in rows] == [(False, 4), (False, 8)]


def test_rule_switches_only_move_forward() -> None:
    state = Partition(0)
    for offset, version in enumerate((3, 7, 5, 7)):
        fold(state, Record(offset, T0, RuleSwitch(version)), RuleSet(version=version))
    assert state.rule_version == 7
    fold(state, Record(4, T0, RuleSwitch(9)))  # of a rule set that there is not: whoever wrote it
    assert state.rule_version == 7


def test_results_carry_their_identity() -> None:
    a = Trainer()
    log = Log().append(a.rollout(0, 0)).append(a.rollout(1, 1000))
    _, results = folded(log.records)
    assert [(r.offset, r.index) for r in results] == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)]
    assert {r.generation for r in results} == {bounds.FOLD_GENERATION}


def test_a_step_with_no_more_news_closes_by_time_out() -> None:
    a, b = Trainer(rank=0, senders=2), Trainer(rank=1, senders=2)
    log = Log().append(a.rollout(0, 0)).append(b.trainer(0, 0))
    for at in range(5_000, 140_000, 5_000):  # both live on, but rank 1 never reports the step
        log.append(a.state(RunState.HEARTBEAT, at)).append(b.state(RunState.HEARTBEAT, at)).append(Tick(), at)
    (row,) = panes(folded(log.records)[1])
    assert (row.slot, row.reported, row.expected) == (0, 1, 2)
    assert TABLE.names == ("accuracy", "format")

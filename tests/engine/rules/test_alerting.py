"""Alerts as the fold tells them: when rules are judged, by what, and what becomes of alerts when a run or the rules change."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
from reward_engine import alerting
from reward_engine.bounds import RUN_FORGOTTEN_MS
from reward_engine.fold import Record, fold
from reward_engine.rules.ruleset import RuleSet, load
from reward_engine.snapshot import decode, encode, joined
from reward_engine.state import Partition
from reward_schemas.encode import function_table
from reward_schemas.events import RewardFunction, Role, RuleSwitch, RunState
from reward_schemas.results_pb2 import Alert, Result

from tests.engine.logs import Log, Trainer, folded, kinds

STEP_MS = 4_000


def rule_set(*rules: str, version: int = -1, head: str = "") -> RuleSet:
    """Of rules as YAML's flow mappings without their braces."""
    text = (
        f"version: 1\ngroups:\n- name: g\n{head}  rules:"
        + "".join(f"\n  - {{{rule}}}" for rule in rules or [])
        + ("" if rules else " []")
    )
    found, mistakes = load({"rules.yaml": text}, version)
    assert found is not None, "\n".join(map(str, mistakes))
    return found


def rewards(mean: float) -> np.ndarray:
    """Of `accuracy` around a mean, of `format` always 1; four completions."""
    return np.array([[mean - 0.25, mean + 0.25, mean - 0.25, mean + 0.25], [1, 1, 1, 1]], np.float32)


def training(*means: float, kl: dict[int, float] | None = None) -> tuple[Log, Trainer]:
    """A run whose accuracy has these means, step by step, with a message of the trainer after the rewards of some."""
    log, trainer = Log(), Trainer()
    for step, mean in enumerate(means):
        log.append(trainer.rollout(step, step * STEP_MS, rewards(mean)))
        if kl and step in kl:
            log.append(trainer.trainer(step, step * STEP_MS + 1, kl=kl[step]))
    return log, trainer


def alerts(results: list[Result]) -> list[Alert]:
    return [result.alert for result in kinds(results, "alert")]


def told(results: list[Result]) -> list[tuple[int, str, str]]:
    return [(alert.at, alert.series, alert.state) for alert in alerts(results)]


def of(log: Log, rules: RuleSet) -> list[Result]:
    return folded(log.records, rules=rules)[1]


def test_a_rule_is_judged_when_a_step_closes_with_all_that_is_known_of_it() -> None:
    rules = rule_set(
        'uid: low, by: [run, reward], window: 2 steps, expr: mean < 0.3 and count >= 8, for: 2 steps, labels: {team: rl},'
        ' annotations: {summary: "{{ reward }} {{ mean | f2 }} ({{ std | f2 }}) at {{ step }}"}'
    )  # fmt: skip
    found = alerts(of(training(0.9, 0.1, 0.1, 0.1, 0.1, 0.9)[0], rules))
    assert [(a.at, a.series, a.state, a.episode, a.sequence) for a in found] == [
        (2, "accuracy", "pending", 1, 1),
        (4, "accuracy", "firing", 1, 2),
        (5, "accuracy", "resolved", 1, 3),
    ]
    fired = found[1]
    assert (fired.rule, fired.since, fired.window, fired.window_from, fired.window_to) == ("low", 2, "2 steps", 3, 4)
    assert (fired.severity, fired.labels, fired.expr) == ("warning", {"team": "rl"}, "mean < 0.3 and count >= 8")
    assert list(fired.names) == ["mean", "count"] and list(fired.values) == [pytest.approx(0.1), 8]
    assert fired.annotations["summary"] == "accuracy 0.10 (0.27) at 4"
    assert fired.groups == 2


def test_a_rule_of_the_run_is_judged_by_its_total() -> None:
    rules = rule_set("uid: low, window: 1 step, expr: mean < 0.5")
    assert told(of(training(0.9, 0.1, 0.9)[0], rules)) == [(1, "", "firing"), (2, "", "resolved")]


def test_measures_are_those_of_the_rows() -> None:
    from reward_engine.measures import MEASURES
    from reward_engine.measuring import measured

    names = [measure.name for measure in MEASURES]
    parts = [names[start : start + 20] for start in range(0, len(names), 20)]
    rules = rule_set(*(
        f'uid: r{i}, by: [run, reward], window: 100 steps, expr: "{" or ".join(f"default({name}, 0) < 1e9" for name in part)}"'
        for i, part in enumerate(parts)
    ))  # fmt: skip
    table = function_table((RewardFunction("x", 1.0, lo=0, hi=1), RewardFunction("y", 0.5), RewardFunction("z", role=Role.AUDIT)))
    log, trainer, draw = Log(), Trainer(), np.random.default_rng(4)
    for step in range(12):
        values = draw.integers(0, 3, (3, 12)).astype(np.float32) / 2
        more_of = {"table": table, "group": np.repeat([1, 2, 3], 4), "length": draw.integers(1, 99, 12).astype(np.int32)}
        log.append(trainer.rollout(step, step * STEP_MS, values, **more_of))
    results = of(log, rules)
    row = next(r.pane for r in kinds(results, "pane") if (r.pane.kind, r.pane.window, r.pane.slot) == ("reward", "100 steps", 0))
    table_of = np.frombuffer(row.values, "<f8").reshape(len(row.series), -1)
    want = measured(table_of, row.roles)
    firing = [alert for alert in alerts(results) if alert.state == "firing"]
    assert len(firing) == len(parts) * 3 and {alert.at for alert in firing} == {0}
    for alert in firing:
        at = list(row.series).index(alert.series)
        for name, value in zip(alert.names, alert.values, strict=True):
            assert value == want[name][at] or (math.isnan(value) and math.isnan(want[name][at])), (alert.series, name)


def test_what_a_trainer_says_after_the_rewards_is_waited_for() -> None:
    rules = rule_set("uid: kl, window: 1 step, expr: kl_mean > 0.5")
    kl = {0: 0.1, 1: 0.9, 2: 0.9, 4: 0.1}  # none of step 3
    assert told(of(training(*[0.5] * 5, kl=kl)[0], rules)) == [(1, "", "firing"), (4, "", "resolved")]


def test_own_names() -> None:
    rules = rule_set(
        'uid: buys, window: 1 step, expr: "fmt.mean > 0.9 and acc.mean < 0.3 and default(c.mean, 1) > 0",'
        " uses: {fmt: {reward: format}, acc: {reward: accuracy}, c: {scalar: no such}}"
    )
    assert told(of(training(0.9, 0.1, 0.1)[0], rules)) == [(1, "", "firing")]  # the last step may get a scalar yet


def test_windows_of_time() -> None:
    rules = rule_set("uid: low, window: 20s, expr: mean < 0.4, for: 10s")
    log, _ = training(*[0.9] * 5, *[0.1] * 20)
    found = [(at % 100_000, state) for at, _, state in told(of(log, rules))]
    assert found == [(30_000, "pending"), (40_000, "firing")]


def test_what_is_not_selected_is_not_judged() -> None:
    rules = rule_set(
        "uid: all, by: [run, reward], window: 1 step, expr: count > 0", head="  select: {reward: 'acc*', project: ''}\n"
    )
    assert told(of(training(0.5)[0], rules)) == [(0, "accuracy", "firing")]
    other = rule_set("uid: all, window: 1 step, expr: count > 0", head="  select: {project: math}\n")
    assert told(of(training(0.5)[0], other)) == []


def test_a_new_series_is_left_alone_for_a_while() -> None:
    rules = rule_set("uid: all, window: 1 step, expr: mean < 9, new_series_delay: 3 steps")
    assert told(of(training(*[0.5] * 5)[0], rules)) == [(3, "", "firing")]


def test_the_end_of_a_run() -> None:
    rules = rule_set("uid: fires, window: 1 step, expr: mean < 0.5", "uid: pends, window: 1 step, expr: mean < 0.5, for: 9 steps")
    log, trainer = training(0.9, 0.1)
    log.append(trainer.state(RunState.FINISHED, 9_000)).ticks(10_000, 30_000)
    found = alerts(of(log, rules))
    assert [(a.rule, a.state, a.reason) for a in found] == [
        ("fires", "firing", ""),
        ("pends", "pending", ""),
        ("fires", "resolved", "run finished"),
        ("pends", "inactive", "run finished"),
    ]


def test_a_run_that_is_lost_and_found_and_forgotten() -> None:
    rules = rule_set("uid: fires, window: 1 step, expr: count > 0", "uid: lost, expr: run.lost == 1, severity: critical")
    log, trainer = training(0.9)
    log.ticks(5_000, 330_000)
    log.append(trainer.rollout(1, 331_000)).ticks(335_000, 345_000)
    log.ticks(350_000, 350_000 + 330_000 + RUN_FORGOTTEN_MS)
    found = alerts(of(log, rules))
    assert [(a.rule, a.state, a.reason) for a in found] == [
        ("fires", "firing", ""),
        ("fires", "resolved", "run lost"),
        ("lost", "firing", ""),
        ("fires", "firing", ""),
        ("lost", "resolved", ""),
        ("fires", "resolved", "run lost"),
        ("lost", "firing", ""),
        ("lost", "resolved", "run forgotten"),
    ]
    assert found[2].axis == "clock" and found[2].at - log.records[0].append_time_ms == 305_000


def test_a_later_attempt_begins_anew() -> None:
    rules = rule_set("uid: fires, window: 1 step, expr: mean < 0.5")
    log, _ = training(0.9, 0.1)
    again = Trainer(attempt=2, session=8)
    log.append(again.rollout(0, 20_000, rewards(0.1)))
    found = alerts(of(log, rules))
    assert [(a.attempt, a.at, a.state, a.reason, a.episode) for a in found] == [
        (1, 1, "firing", "", 1),
        (2, 1, "resolved", "run resumed", 1),
        (2, 0, "firing", "", 2),
    ]


def test_no_data() -> None:
    keep, ok, alert = (
        f"uid: {action}, window: 1 step, expr: kl_mean > 0.5, no_data: {{after: 1m, action: {action}}}"
        for action in ("keep", "ok", "alert")
    )
    log, trainer = training(0.5, 0.5, kl={0: 0.9})
    for at in range(10_000, 120_000, 5_000):
        log.append(trainer.rollout(2 + at // 5_000, at)).ticks(at + 1, at + 1)
    found = alerts(of(log, rule_set(keep, ok, alert)))
    assert [(a.rule, a.state, a.reason) for a in found] == [
        *[(name, "firing", "") for name in ("keep", "ok", "alert")],
        ("ok", "resolved", "no data"),
    ]
    silent = Log().append(Trainer().state(RunState.STARTED)).ticks(5_000, 80_000)
    assert [(a.rule, a.state, a.reason) for a in alerts(of(silent, rule_set(keep, ok, alert)))] == [
        ("alert", "firing", "no data")
    ]


def test_what_comes_late_changes_nothing_that_was_told() -> None:
    rules = rule_set("uid: low, window: 1 step, expr: mean < 0.5")
    log, trainer = training(0.9, 0.1, 0.9)
    log.append(trainer.rollout(1, 13_000, rewards(5.0))).ticks(15_000, 20_000)
    assert told(of(log, rules)) == [(1, "", "firing"), (2, "", "resolved")]


# ---- rules that change --------------------------------------------------------------------------------------------


def switched(before: RuleSet, after: RuleSet, then: int = 2) -> list[tuple[str, str, int, str, int]]:
    log, trainer = training(0.9, 0.1)
    state, results = Partition(0), []
    log.append(RuleSwitch(3), 4_500)
    for step in range(2, 2 + then):
        log.append(trainer.rollout(step, step * STEP_MS, rewards(0.1)))
    switches = [RuleSwitch(2), *[record.event for record in log.records]]
    rules = before
    for offset, event in enumerate(switches):
        rules = after if event == RuleSwitch(3) else rules
        at = log.records[max(offset - 1, 0)].append_time_ms
        results += fold(state, Record(offset, at, event), rules)
    return [(a.rule, a.state, a.at, a.reason, a.rule_version) for a in alerts(results)]


FIRES = "uid: r, window: 1 step, expr: mean < 0.5"
PENDS = "uid: r, window: 1 step, expr: mean < 0.5, for: 2 steps"
set_2, set_3 = partial(rule_set, version=2), partial(rule_set, version=3)


def test_an_edit_of_the_words_keeps_the_alert() -> None:
    edited = set_3(FIRES + ", severity: critical, labels: {a: b}")
    assert switched(set_2(FIRES), edited) == [("r", "firing", 1, "", 2)]


def test_an_edit_of_the_condition_is_judged_at_once() -> None:
    assert switched(set_2(FIRES), set_3("uid: r, window: 1 step, expr: mean < 0.4")) == [("r", "firing", 1, "", 2)]
    assert switched(set_2(FIRES), set_3("uid: r, window: 1 step, expr: mean < -5")) == [
        ("r", "firing", 1, "", 2),
        ("r", "resolved", 1, "rule changed", 3),
    ]
    assert switched(set_2(PENDS), set_3(PENDS.replace("2 steps", "1 step"))) == [
        ("r", "pending", 1, "", 2),
        ("r", "firing", 2, "", 3),
    ]


def test_an_edit_of_what_it_is_judged_for_ends_the_others() -> None:
    each = "uid: r, by: [run, reward], window: 1 step, expr: mean < 0.5"
    assert switched(set_2(FIRES), set_3(each), then=1) == [
        ("r", "firing", 1, "", 2),
        ("r", "resolved", 1, "rule changed", 3),
        ("r", "firing", 2, "", 3),
    ]
    others = set_3(each, head="  select: {reward: format}\n")
    assert switched(set_2(each), others, then=1) == [("r", "firing", 1, "", 2), ("r", "resolved", 1, "rule changed", 3)]


def test_a_rule_that_is_gone_is_resolved() -> None:
    assert switched(set_2(FIRES), set_3()) == [("r", "firing", 1, "", 2), ("r", "resolved", 0, "rule removed", 3)]
    assert switched(set_2(PENDS), set_3()) == [("r", "pending", 1, "", 2), ("r", "inactive", 0, "rule removed", 3)]


def test_a_rule_is_judged_from_its_switch_on() -> None:
    kl = "uid: kl, window: 1 step, expr: kl_mean > 0.5"
    log, trainer = training(*[0.1] * 8, kl=dict.fromkeys(range(8), 0.9))
    log.append(RuleSwitch(2), 29_000)
    for step in range(8, 11):
        log.append(trainer.rollout(step, step * STEP_MS, rewards(0.1)))
        log.append(trainer.trainer(step, step * STEP_MS + 1, kl=0.9))
    state, results = Partition(0), []
    for record in log.records:
        in_force = state.rule_version == 2 or record.event == RuleSwitch(2)
        results += fold(state, record, set_2(FIRES, kl) if in_force else RuleSet())
    found = alerts(results)
    assert [(a.rule, a.state, a.at) for a in found] == [("kl", "firing", 7), ("r", "firing", 8)]  # the newest may be waited for


def test_another_set_than_the_log_names_is_not_judged() -> None:
    log, _ = training(0.1)
    state = Partition(0, rule_version=5)
    assert not alerts(folded(log.records, state, rule_set(FIRES, version=4))[1])


# ---- restarts, errors ---------------------------------------------------------------------------------------------


def test_a_restart_anywhere_changes_nothing() -> None:
    rules = rule_set(
        "uid: low, by: [run, reward], window: 3 steps, expr: mean < 0.5, recover: mean > 0.7, for: 2 steps, keep_firing_for: 2 steps",
        "uid: kl, window: 2 steps, expr: kl_mean > 0.5, new_series_delay: 2 steps",
        "uid: time, window: 20s, expr: p50 < 0.5, no_data: {after: 1m, action: alert}",
        "uid: lost, expr: run.lost > 0",
    )
    draw = np.random.default_rng(1)
    log, trainer = training(*draw.uniform(0, 1, 40), kl={step: draw.uniform(0, 1) for step in range(40)})
    log.append(trainer.state(RunState.FINISHED, 170_000)).ticks(171_000, 200_000)
    whole = of(log, rules)
    assert len(alerts(whole)) > 10
    for cut in range(1, len(log.records), 9):
        state, first = folded(log.records[:cut], rules=rules)
        _, rest = folded(log.records[cut:], decode(joined(encode(state))), rules=rules)
        assert [r.SerializeToString(deterministic=True) for r in first + rest] == [
            r.SerializeToString(deterministic=True) for r in whole
        ]


def test_a_condition_that_fails_is_told_once_and_keeps_what_was(monkeypatch: pytest.MonkeyPatch) -> None:
    real, failing = alerting._holds, []
    monkeypatch.setattr(alerting, "_holds", lambda *a: 1 / 0 if failing else real(*a))
    rules, state, results = rule_set(FIRES), Partition(0), []
    for step, record in enumerate(training(*[0.1] * 8)[0].records):
        failing[:] = [1] if 2 <= step < 6 else []
        results += fold(state, record, rules)
    assert told(results) == [(0, "", "firing"), (4, "", "error"), (6, "", "firing")]


def test_a_run_that_cannot_be_folded_ends_its_alerts(monkeypatch: pytest.MonkeyPatch) -> None:
    rules, state = rule_set(FIRES), Partition(0)
    log, _ = training(0.1, 0.1)
    fold(state, log.records[0], rules)
    monkeypatch.setattr("reward_engine.fold.observe", lambda *_: 1 / 0)
    results = fold(state, log.records[1], rules)
    assert [r.WhichOneof("kind") for r in results] == ["quarantine", "alert", "alert"]
    ours, rules_alert = alerts(results)
    assert (rules_alert.rule, rules_alert.state, rules_alert.reason) == ("r", "resolved", "run quarantined")
    assert (ours.rule, ours.state, ours.severity) == ("quarantine", "firing", "critical")
    assert "division by zero" in ours.annotations["summary"] and "ZeroDivisionError" in ours.annotations["traceback"]
    monkeypatch.undo()
    released = fold(state, Record(2, log.records[1].append_time_ms, Trainer(seq=9).state(RunState.RELEASED)), rules)
    (over,) = alerts(released)
    assert (over.rule, over.state, over.reason, over.episode) == ("quarantine", "resolved", "released", ours.episode)

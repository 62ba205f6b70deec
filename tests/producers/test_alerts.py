"""Rules in the trainer's own process: the tracker's `rules`, and the monitor alone."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from reward_engine.rules.ruleset import RuleSet
from reward_producers.alerts import Alert
from reward_producers.metrics_tracker import RewardMetricsTracker
from reward_producers.realtime_monitor import RealtimeMonitor
from reward_producers.rule_files import DEFAULT_PACK, RulesRefused, bare_names, rule_set, texts, texts_of_tests

RULES = """version: 1
groups:
- name: g
  rules:
  - uid: low
    by: [run, reward]
    window: 2 steps
    expr: mean < 0.3
    for: 1 step
    severity: critical
    labels: {team: rl}
    annotations: {summary: "{{ reward }} is at {{ mean | f2 }}"}
  - {uid: kl, window: 1 step, expr: kl_mean > 1}
"""


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    (tmp_path / "rules.yaml").write_text(RULES)
    return tmp_path / "rules.yaml"


def steps(monitor: RealtimeMonitor, *means: float) -> list[Alert]:
    found = []
    for step, mean in enumerate(means):
        found += monitor.check(step, {"accuracy": [mean] * 4, "format": [1.0] * 4}, kl_divergence=0.1)
    return found


def test_the_monitor_alone(rules: Path, capsys: pytest.CaptureFixture[str]) -> None:
    heard: list[Alert] = []
    monitor = RealtimeMonitor(rules, heard.append)
    found = steps(monitor, 0.9, 0.1, 0.1, 0.1)
    assert found == heard and [(a.rule, a.function, a.state, a.step) for a in found] == [
        ("low", "accuracy", "pending", 2),
        ("low", "accuracy", "firing", 3),
    ]
    fired = found[1]
    assert (fired.severity, fired.labels, fired.since_step, fired.values) == (
        "critical",
        {"team": "rl"},
        2,
        {"mean": pytest.approx(0.1)},
    )
    assert str(fired) == "firing at step 3: critical low [accuracy]: accuracy is at 0.10"
    assert monitor.firing == [fired]
    (ended,) = monitor.finish()
    assert (ended.state, ended.reason) == ("resolved", "run finished") and monitor.firing == []
    assert capsys.readouterr().err == ""


def test_without_a_callback_what_fires_is_a_line_on_stderr(rules: Path, capsys: pytest.CaptureFixture[str]) -> None:
    steps(RealtimeMonitor(rules), 0.9, 0.1, 0.1, 0.1, 0.9)
    assert capsys.readouterr().err.splitlines() == [
        "reward-monitor: firing at step 3: critical low [accuracy]: accuracy is at 0.10",
        "reward-monitor: resolved at step 4: critical low [accuracy]: accuracy is at 0.50",
    ]


def test_rules_inside_the_tracker(rules: Path) -> None:
    tracker = RewardMetricsTracker({"accuracy": 1.0}, rules=rules, on_alert=lambda _: None, window_size=5)
    for step, kl in enumerate([0.1, 2.0, 0.1, 0.1]):
        metrics = tracker.track_step(step, {"accuracy": [0.5, 0.7]}, kl_divergence=kl)
        assert metrics.kl_divergence == pytest.approx(kl)
        assert [a.state for a in tracker.changed] == {1: ["firing"], 2: ["resolved"]}.get(step, [])
    assert tracker.firing == []


def test_a_callback_that_fails_is_logged_and_ends_nothing(rules: Path, caplog: pytest.LogCaptureFixture) -> None:
    monitor = RealtimeMonitor(rules, lambda _: 1 / 0)
    with caplog.at_level(logging.ERROR, "reward_monitor"):
        assert len(steps(monitor, 0.1, 0.1, 0.1)) == 2
    assert [record.message.partition(" at ")[0] for record in caplog.records] == [
        "on_alert failed on pending",
        "on_alert failed on firing",
    ]
    assert all("ZeroDivisionError" in (record.exc_text or "") for record in caplog.records)


def test_the_rules_that_come_along_are_silent_in_a_training_that_does_well() -> None:
    heard: list[Alert] = []
    monitor, draw = RealtimeMonitor(on_alert=heard.append), np.random.default_rng(0)
    for step in range(120):
        p = 0.3 + 0.004 * step
        rewards = {"accuracy": draw.binomial(1, p, 64).astype(float), "format": draw.uniform(0.4, 0.6, 64)}
        monitor.check(step, rewards, groups=np.repeat(np.arange(8), 8), kl_divergence=0.001 * step, policy_entropy=1.0)
    assert heard == []


def test_a_run_that_goes_back_to_a_step_keeps_what_was_told(rules: Path) -> None:
    monitor = RealtimeMonitor(rules, lambda _: None)
    assert len(steps(monitor, 0.1, 0.1, 0.1)) == 2
    assert monitor.check(1, {"accuracy": [0.9] * 400, "format": [1.0] * 400}) == []
    assert len(monitor.firing) == 1


def test_files_that_cannot_be_used(tmp_path: Path, rules: Path) -> None:
    rules.write_text(RULES.replace("mean < 0.3", "maen < 0.3").replace("critical", "loud"))
    with pytest.raises(RulesRefused) as refused:
        RealtimeMonitor(rules)
    assert len(refused.value.mistakes) == 2 and f"{rules}:8:11: rule `low`: there is no `maen`: did you mean `mean`?" in str(
        refused.value
    )
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe")
    for path, says in ((tmp_path / "none.yaml", "can't be read"), (tmp_path / "bytes.yaml", "no UTF-8 text")):
        with pytest.raises(RulesRefused, match=says):
            rule_set(path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(RulesRefused, match="no rules here"):
        rule_set(tmp_path / "empty")


def test_which_files_of_a_directory_are_rules() -> None:
    assert [Path(name).name for name in texts(DEFAULT_PACK)] == ["grpo.yaml"]
    assert [Path(name).name for name in texts_of_tests(DEFAULT_PACK)] == ["grpo.test.yaml"]
    assert isinstance(rule_set(DEFAULT_PACK), RuleSet)
    assert bare_names({"a/x.yaml": "1", "b/y.yaml": "2"}) == {"x.yaml": "1", "y.yaml": "2"}
    with pytest.raises(RulesRefused, match="same name"):
        bare_names({"a/x.yaml": "1", "b/x.yaml": "2"})

"""Alerts as people read them: one row each, its changes with their evidence, and the rule sets that they come from."""

from __future__ import annotations

import numpy as np
from reward_engine.rules.ruleset import RuleSet, load
from reward_schemas.rule_sets import PublishedRules, rule_set_bytes
from reward_store.client import Client
from reward_store.event_rows import Arrived

from tests.store.logs import T0_MS, records, rollout, training
from tests.store.running import land, rows

TEXT = """version: 1
groups:
- name: g
  rules:
  - uid: low
    by: [run, reward]
    window: 2 steps
    expr: mean < 0.5 and default(kl_mean, 0) < 1
    severity: critical
    labels: {team: rl}
    annotations: {summary: "{{ reward }} is at {{ mean | f1 }}"}
  - {uid: soon, window: 1 step, expr: mean < 99, for: 20 steps}
  - {uid: by-time, window: 10s, expr: count > 0}
  - {uid: lost, expr: run.lost > 0}
"""


def rules() -> RuleSet:
    found, mistakes = load({"rules.yaml": TEXT})
    assert found is not None, mistakes
    return found


def log(run: str = "run-a") -> list[Arrived]:
    """Of eight steps, in which `format` is low in the fourth and the fifth."""
    low, usual = np.array([[1.0] * 8, [0.1] * 8, [1.0] * 8], np.float32), np.ones((3, 8), np.float32)
    steps = [rollout(run, 0, step, step, senders=1, rewards=low if step in (3, 4) else usual) for step in range(8)]
    return records(steps)


def test_an_alert_is_one_row_with_what_it_fired_by(client: Client) -> None:
    land(client, log(), rules=rules())
    found = rows(
        client,
        "SELECT function, state, severity, summary, since_step, last_step, fired_at < resolved_at, labels['team'], evidence,"
        " episode FROM {views}.alerts WHERE rule = 'low'",
    )
    assert found == [
        ("format", "resolved", "critical", "format is at 0.1", 4, 5, True, "rl", {"mean": np.float32(0.1), "kl_mean": None}, 1)
    ]
    assert rows(
        client, "SELECT rule, state, fired_at, since_step, reason FROM {views}.alerts WHERE rule IN ('soon', 'lost')"
    ) == [("soon", "pending", None, 0, "")]


def test_every_change_has_its_place_and_evidence(client: Client) -> None:
    land(client, log(), rules=rules())
    assert rows(
        client,
        "SELECT state, step, since_step, window, groups, expr, sequence FROM {views}.alert_changes WHERE rule = 'low' ORDER BY sequence",
    ) == [
        ("firing", 4, 4, "2 steps", 4, "mean < 0.5 and default(kl_mean, 0) < 1", 1),
        ("resolved", 5, 4, "2 steps", 4, "mean < 0.5 and default(kl_mean, 0) < 1", 2),
    ]


def test_landing_it_again_changes_nothing_and_another_run_is_another_alert(client: Client) -> None:
    for _ in range(2):
        land(client, log(), rules=rules())
    land(client, log("run-b"), rules=rules())
    assert rows(client, "SELECT run_id, count() FROM {views}.alerts WHERE rule = 'low' GROUP BY 1 ORDER BY 1") == [
        ("run-a", 1),
        ("run-b", 1),
    ]


def test_what_ends_with_the_run_says_so(client: Client) -> None:
    land(client, records(training("run-c", steps=5)), rules=rules())
    assert rows(client, "SELECT rule, state, reason FROM {views}.alerts WHERE rule IN ('soon', 'by-time') ORDER BY rule") == [
        ("by-time", "resolved", "run finished"),
        ("soon", "inactive", "run finished"),
    ]
    assert rows(client, "SELECT since IS NOT NULL, step FROM {views}.alert_changes WHERE rule = 'by-time' LIMIT 1") == [(1, None)]


def test_rule_sets_and_refused_ones(client: Client) -> None:
    sets = [
        PublishedRules({"rules.yaml": TEXT}, "me", 4),
        PublishedRules({"rules.yaml": "x"}, "me", 0, ["rules.yaml:1:1: the file is a text: write a mapping"]),
    ]
    published = [Arrived(0, i, T0_MS + i, b"rules", rule_set_bytes(each)) for i, each in enumerate(sets)]
    land(client, log(), rule_sets=[*published, Arrived(0, 2, T0_MS, b"rules", b"\xff")], rules=rules())
    found = rows(
        client, "SELECT version, refused, by, rules, files['rules.yaml'], mistakes[1] FROM {views}.rule_sets ORDER BY version"
    )
    assert found[:2] == [
        (0, False, "me", 4, TEXT, ""),
        (1, True, "me", 0, "x", "rules.yaml:1:1: the file is a text: write a mapping"),
    ]
    assert found[2][:3] == (2, True, "") and found[2][5].startswith("no rule set: ")

"""Backtests: what rules would have done is what they did, over a directory and over ClickHouse."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from reward_dashboards.backtest import Backtest, of_directory, of_store
from reward_dashboards.backtest_report import html, text
from reward_dashboards.runs import NoRun
from reward_engine.rules.ruleset import RuleSet, load
from reward_producers.reporter import start_run
from reward_store.client import Client

from tests.store.logs import folded, records, rollout, training
from tests.store.running import client, empty, land, stack  # noqa: F401 - fixtures

TEXT = """version: 1
groups:
- name: g
  rules:
  - uid: low
    by: [run, reward]
    window: 2 steps
    expr: mean < 0.5
    severity: critical
    annotations: {summary: "{{ reward }} is at {{ mean | f1 }}"}
  - {uid: kl, window: 1 step, expr: kl_mean > 0.05, for: 2 steps}
  - {uid: time, window: 10s, expr: count > 0}
  - {uid: lives, expr: run.lost == 0, severity: info}
  - {uid: never, window: 1 step, expr: mean > 1e9}
  - {uid: shortly, window: 1 step, expr: mean < 99, for: 1000 steps}
"""


def rules(text: str = TEXT) -> RuleSet:
    found, mistakes = load({"rules.yaml": text})
    assert found is not None, mistakes
    return found


def runs_in(folder: Path, *names: str) -> Path:
    """Runs whose `f` is low from the tenth step to the twentieth."""
    for name in names:
        with start_run("p", {"f": 1.0, "g": 0.5}, data_dir=folder, run_id=name) as run:
            for step in range(40):
                mean = 0.2 if 10 <= step < 20 else 0.9
                run.log_rollout(step, rewards={"f": [mean] * 8, "g": [1.0] * 8}, groups=np.repeat([0, 1], 4))
                run.log_trainer(step, kl=0.1 if step >= 30 else 0.0)
    return folder


def on_views(client: Client) -> Client:  # noqa: F811
    """As people come in: in the database of the views."""
    return replace(client.settings, database=client.settings.views).connect()


def alerts_of(found: Backtest) -> list[tuple]:
    return sorted((e.run_id, e.rule, e.series, e.since, e.fired, e.ended, e.reason) for e in found.episodes)


def test_over_a_directory(tmp_path: Path) -> None:
    found = of_directory(rules(), runs_in(tmp_path, "one", "two"))
    assert (found.runs, found.steps, found.pending) == (2, 80, 2)
    steps = [each for each in alerts_of(found) if each[1] in ("low", "kl")]
    assert steps == [
        (run, *rest)
        for run in ("one", "two")
        for rest in (("kl", "", 30, 32, 39, "run finished"), ("low", "f", 11, 11, 20, ""))
    ]  # fmt: skip
    assert {e.summary for e in found.episodes if e.rule == "low"} == {"f is at 0.2"}
    assert found.notifications == 2 * len(found.episodes)
    curve = found.curves["one", "low", "f"]
    assert curve[0].tolist() == list(range(40)) and curve[1][[0, 12]].tolist() == pytest.approx([0.9, 0.2])
    assert found.curves["one", "kl", ""][1][35] == pytest.approx(0.1)


def test_the_report_draws_where_a_rule_fired(tmp_path: Path) -> None:
    found = of_directory(rules(), runs_in(tmp_path, "one"))
    told = text(found)
    assert re.search(r"^  low +critical +1 +1 +9 steps +2$", told, re.MULTILINE), told
    lines = told.splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("low [f] in one: mean < 0.5"))
    assert "mean of f" in lines[at + 2] and lines[at + 3].strip() == "█" * 10 + "▁" * 10 + "█" * 20
    assert (
        lines[at + 4].index("━") - lines[at + 3].index("█") == 11
        and lines[at + 4].count("━") == 10
        and lines[at + 4].endswith("  fires")
    )
    page = html(found)
    assert "low [f] in one" in page and "f is at 0.2" in page and 'src="http' not in page


def test_two_versions_side_by_side(tmp_path: Path) -> None:
    folder = runs_in(tmp_path, "one")
    before, after = of_directory(rules(), folder), of_directory(rules(TEXT.replace("mean < 0.5", "mean < 0.05")), folder)
    told = text(after, before)
    assert re.search(r"^  low +critical +0 +0 +0 +1$", told, re.MULTILINE), told
    assert "the other version" in told and "other version" in html(after, before)


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    name = "<script>alert(1)</script>\x1b[31m"
    with start_run("p", {name: 1.0}, data_dir=tmp_path, run_id="run") as run:
        for step in range(5):
            run.log_rollout(step, rewards={name: [0.1] * 4}, groups=[0, 0, 1, 1])
    found = of_directory(rules(), tmp_path)
    assert "\x1b" not in text(found) and "<script>alert(1)" not in html(found)


def test_over_clickhouse_it_is_what_was_live(client: Client) -> None:  # noqa: F811
    low = np.array([[1.0] * 8, [0.1] * 8, [1.0] * 8], np.float32)
    log = records([
        *training("run-a", steps=30),
        *[rollout("run-b", 0, step, step, senders=1, **({"rewards": low} if step in (3, 4) else {})) for step in range(9)],
        b"\xff\x00 no message",
    ])  # fmt: skip
    land(client, log)
    live = [
        (r.run_id, r.alert.rule, r.alert.series, r.alert.since, r.alert.at)
        for r in folded(log, rules())
        if r.WhichOneof("kind") == "alert" and r.alert.state == "firing"
    ]
    found = of_store(rules(), on_views(client), 0)
    assert found.runs == 2 and len(live) == 3
    assert sorted((e.run_id, e.rule, e.series, e.since, e.fired) for e in found.episodes) == sorted(live)
    one = of_store(rules(), on_views(client), 0, ["run-b"])
    assert alerts_of(one) == [each for each in alerts_of(found) if each[0] == "run-b"]


def test_nothing_to_try_them_on(client: Client, tmp_path: Path) -> None:  # noqa: F811
    with pytest.raises(NoRun, match="no runs in that time"):
        of_store(rules(), on_views(client), 0)
    with pytest.raises(NoRun, match="no runs here"):
        of_directory(rules(), tmp_path)

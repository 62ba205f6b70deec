"""`reward-monitor rules` and `alerts`: without any service, and with a stack that is up."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from reward_jobs.settings import Settings
from reward_producers.reporter import start_run
from reward_schemas.settings import load

from tests.commands.conftest import Command
from tests.commands.test_up import eventually

RULES = """version: 1
groups:
- name: g
  rules:
  - uid: low
    by: [run, reward]
    window: 2 steps
    expr: mean < 0.5
    severity: critical
    annotations: {summary: "{{ reward }} is at {{ mean | f1 }}"}
"""
TESTS = """tests:
- name: it fires
  input: [{reward: f, values: "1x5 0x5"}]
  expect: [{at_step: 6, rule: low, reward: f, state: firing}]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "rules"
    made.mkdir()
    (made / "rules.yaml").write_text(RULES)
    (made / "rules.test.yaml").write_text(TESTS)
    return made


def test_check(command: Command, folder: Path) -> None:
    told = command("rules", "check", folder)
    assert (told.returncode, told.stdout.strip()) == (0, "1 rules in 1 files: no mistake")
    assert command("rules", "check").returncode == 0  # the rules that come along
    (folder / "rules.yaml").write_text(RULES.replace("mean < 0.5", "maen < 0.5"))
    told = command("rules", "check", folder)
    said = f"{folder}/rules.yaml:8:11: rule `low`: there is no `maen`: did you mean `mean`?"
    assert (told.returncode, told.stderr.strip()) == (1, said)
    (mistake,) = json.loads(command("rules", "check", folder, "--json").stdout)
    assert (mistake["line"], mistake["rule"], mistake["remedy"]) == (8, "low", "did you mean `mean`?")
    told = command("rules", "check", folder / "none.yaml")
    assert told.returncode == 1 and "can't be read" in told.stderr and "Traceback" not in told.stderr


def test_test(command: Command, folder: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    told = command("rules", "test", folder, "--junit", report)
    assert (told.returncode, told.stdout.splitlines()[-1]) == (0, "1 tests, 0 failed"), told.stderr
    assert ET.parse(report).getroot().attrib["failures"] == "0"
    told = command("rules", "test", folder, "--coverage")
    assert told.returncode == 1 and "low: no test expects that it doesn't fire" in told.stdout
    (folder / "rules.test.yaml").write_text(TESTS.replace("at_step: 6", "at_step: 5"))
    told = command("rules", "test", folder, "--junit", report)
    assert told.returncode == 1 and "low [f] is inactive at step 5, firing is expected" in told.stderr
    (failure,) = ET.parse(report).getroot().iter("failure")
    assert "rules.test.yaml:4:12" in (failure.text or "")


@pytest.mark.timeout(120)
def test_every_rule_that_comes_along_has_a_test(command: Command) -> None:
    told = command("rules", "test", "--coverage")
    assert told.returncode == 0, told.stdout + told.stderr


def test_words_list_and_diff_of_files(command: Command, folder: Path, tmp_path: Path) -> None:
    words = command("rules", "words").stdout
    assert "zero_variance_groups" in words and "trained_audit_split" in words and "run.silent_ranks" in words
    assert "low" in command("rules", "list", folder).stdout
    other = tmp_path / "other.yaml"
    other.write_text(
        RULES.replace("mean < 0.5", "mean < 0.4").replace("critical", "info") + "  - {uid: new, expr: run.lost > 0}\n"
    )
    told = command("rules", "diff", folder, other)
    assert told.returncode == 1 and told.stdout.splitlines() == [
        "~ low: expr mean < 0.5 -> mean < 0.4; severity critical -> info (judged anew at its newest point)",
        "+ new: run.lost > 0",
    ]
    assert command("rules", "diff", folder, folder).stdout.strip() == "no difference"


def test_backtest_over_a_directory(command: Command, folder: Path, tmp_path: Path) -> None:
    with start_run("p", {"f": 1.0}, data_dir=tmp_path / "runs", run_id="one") as run:
        for step in range(20):
            run.log_rollout(step, rewards={"f": [0.2 if step > 9 else 0.9] * 4}, groups=[0, 0, 1, 1])
    page = tmp_path / "page.html"
    told = command("rules", "backtest", folder, "--runs-dir", tmp_path / "runs", "--html", page)
    assert told.returncode == 0 and "f is at 0.2" in page.read_text(), told.stderr
    found = json.loads(command("rules", "backtest", folder, "--runs-dir", tmp_path / "runs", "--json").stdout)
    assert [(a["rule"], a["fired"], a["ended"]) for a in found["alerts"]] == [("low", 11, 19)]
    told = command("rules", "backtest", folder, "--since", "soon")
    assert told.returncode == 2 and "'soon'" in told.stderr


@pytest.mark.timeout(180)
def test_rules_that_are_applied_make_alerts(command: Command, running: Path, folder: Path, tmp_path: Path) -> None:
    here = ("--data-dir", running)
    assert "no rules are in force" in command("rules", "list", *here).stdout
    told = command("rules", "apply", folder, "--dry-run", *here)
    assert told.stdout.splitlines() == ["+ low: mean < 0.5", "nothing was published"]
    told = command("rules", "apply", folder, *here)
    assert told.returncode == 0 and "version 0, 1 rules" in told.stdout, told.stderr
    assert "nothing was published" in command("rules", "apply", folder, *here).stdout
    assert "low" in command("rules", "list", *here).stdout
    told = command("rules", "export", "--to", tmp_path / "out", *here)
    assert told.returncode == 0 and (tmp_path / "out" / "rules.yaml").read_text() == RULES
    assert command("rules", "export", "--to", tmp_path / "out", *here).returncode == 1  # it overwrites nothing

    brokers = load(Settings, {}, running / "settings.yaml").value.kafka.brokers
    with start_run("alerted", {"f": 1.0}, run_id="alerted", brokers=brokers) as run:
        for step in range(8):
            run.log_rollout(step, rewards={"f": [0.1] * 4}, groups=[0, 0, 1, 1])
        run._sender.flush(10)
        assert eventually(lambda: "f is at 0.1" in command("alerts", *here).stdout)
        (alert,) = json.loads(command("alerts", "--json", *here).stdout)
        assert (alert["rule"], alert["state"], alert["since_step"]) == ("low", "firing", 0)
    assert eventually(lambda: "(run finished)" in command("alerts", "--all", "--run", "alerted", *here).stdout)
    assert "nothing fires" in command("alerts", *here).stdout
    found = json.loads(command("rules", "backtest", folder, "--since", "1h", "--json", *here).stdout)
    assert [(a["run_id"], a["rule"], a["fired"]) for a in found["alerts"] if a["run_id"] == "alerted"] == [("alerted", "low", 0)]
    told = command("rules", "apply", folder / "none.yaml", *here)
    assert told.returncode == 1 and "can't be read" in told.stderr


@pytest.mark.timeout(180)
def test_a_directory_that_is_followed(command: Command, folder: Path, tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    here = ("--data-dir", data_dir)
    (folder / "broken.yaml").write_text("version: 1\ngroups: 3\n")
    told = command("up", "--detach", "--rules", folder, *here)
    assert told.returncode == 1 and "broken.yaml:2:9: groups is a whole number" in told.stderr  # before anything starts
    (folder / "broken.yaml").unlink()
    told = command("up", "--detach", "--rules", folder, *here)
    assert told.returncode == 0, told.stderr
    try:
        assert eventually(lambda: "version 0" in command("status", *here).stdout)
        (folder / "rules.yaml").write_text(RULES.replace("mean < 0.5", "maen < 0.5"))
        assert eventually(lambda: "did you mean `mean`?" in command("status", *here).stdout)
        assert "mean < 0.5" in command("rules", "list", *here).stdout  # what was in force stays
        (folder / "rules.yaml").write_text(RULES.replace("mean < 0.5", "mean < 0.4"))
        assert eventually(lambda: "mean < 0.4" in command("rules", "list", *here).stdout)
        sets = "SELECT version, refused, rules, length(mistakes) FROM rule_sets ORDER BY version"
        wanted = [
            {"version": 0, "refused": False, "rules": 1, "length(mistakes)": 0},
            {"version": 1, "refused": True, "rules": 0, "length(mistakes)": 1},
        ]

        def landed() -> list[dict[str, object]]:
            return [json.loads(line) for line in command("sql", sets, "--format", "json", *here).stdout.splitlines()]

        assert eventually(lambda: len(landed()) == 3)
        assert landed()[:2] == wanted
        assert "the rules are not in force, what was stays" in (data_dir / "logs" / "up.log").read_text()
    finally:
        assert command("down", *here).returncode == 0

"""Tests of rules: what they make up, what they compare, and what they say where something is not as expected."""

from __future__ import annotations

import math

import pytest
from reward_engine.made_up_runs import values
from reward_engine.rule_tests import Found, read_tests, tried, uncovered
from reward_engine.rules.ruleset import RuleSet, load
from reward_engine.rules.source import Mistake

RULES = """version: 1
groups:
- name: g
  rules:
  - {uid: low, by: [run, reward], window: 2 steps, expr: mean < 0.3, for: 5 steps, labels: {team: rl}}
  - {uid: lost, expr: run.lost == 1}
  - {uid: untried, window: 1 step, expr: mean < 0}
"""
TEST = """tests:
- name: a collapse
  input:
  - {reward: format, values: "0.5x50 0.1x40"}
  - {scalar: kl, values: "0.1..0.9x90"}
  expect:
"""


def rules() -> RuleSet:
    found, mistakes = load({"rules.yaml": RULES})
    assert found is not None, mistakes
    return found


def outcome(*expect: str, head: str = TEST) -> Found:
    mistakes: list[Mistake] = []
    ((test, node),) = read_tests(head + "".join(f"  - {{{line}}}\n" for line in expect), "a.test.yaml", mistakes)
    assert not mistakes
    return tried(test, node, rules())


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("0.5x2 1..2x3 null", [0.5, 0.5, 1.0, 1.5, 2.0, None]),
        ("-1e-3 2", [-0.001, 2.0]),
        ("nullx2", [None, None]),
        ("", []),
    ],
)
def test_values(text: str, made: list[float | None]) -> None:
    assert values(text) == made
    assert math.isnan(values("nan")[0] or 0)


@pytest.mark.parametrize("text", ["x", "1x", "ten", "1..x3", "1x2x3", "1x1000000"])
def test_values_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"write 0\.5|more than"):
        values(text)


def test_states_are_those_after_a_step() -> None:
    found = outcome(
        "at_step: 50, rule: low, reward: format, state: inactive",
        "at_step: 51, rule: low, reward: format, state: pending",
        "at_step: 55, rule: low, reward: format, state: pending",
        "at_step: 56, rule: low, reward: format, state: firing, labels: {team: rl}, severity: warning",
        "rule: low, reward: format, state: resolved, reason: run finished",
        "at_step: 80, rule: lost, state: inactive",
    )
    assert found.failures == []
    assert found.tested == {("low", False), ("low", True), ("lost", False)}
    assert uncovered(rules(), [found]) == [
        ("lost", "that it fires"),
        ("untried", "that it fires"),
        ("untried", "that it doesn't fire"),
    ]


@pytest.mark.parametrize(
    ("expected", "said"),
    [
        (
            "at_step: 55, rule: low, reward: format, state: firing",
            "low [format] is pending since step 51 (mean 0.1) at step 55, firing is expected",
        ),
        ("at_step: 5, rule: low, reward: format, state: firing", "low [format] is inactive at step 5, firing is expected"),
        ("at_step: 5, rule: lwo, state: firing", "there is no rule `lwo`"),
        (
            "at_step: 60, rule: low, reward: format, state: firing, labels: {team: x}, severity: info",
            "low [format] at step 60: severity is 'warning', 'info' is expected; labels.team is 'rl', 'x' is expected",
        ),
    ],
)
def test_what_is_not_as_expected_is_told_with_its_place(expected: str, said: str) -> None:
    (failure,) = outcome(expected).failures
    assert str(failure) == f"a.test.yaml:7:5: {said}"


def test_silence_and_lost_messages() -> None:
    head = TEST.replace("- name: a collapse\n", "- name: silence\n  ends: silent\n  step_time: 1s\n")
    found = outcome("after: 6m, rule: lost, state: inactive", "after: 8m, rule: lost, state: firing", head=head)
    assert found.failures == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tests: 3", "a.test.yaml:1:8: tests is a whole number: write a list, as [a, b], or a line `- ...` for each"),
        ("tests:\n- {name: a, input: [], expect: [], rulez: []}", "a.test.yaml:2:36: there is no `rulez` here: did you mean `rules`?"),
        ("tests:\n- {name: a, input: [{values: '1'}], expect: []}", "a.test.yaml:2:21: an input is of one series: give it one of reward, scalar, column"),
        ("tests:\n- {name: a, input: [{reward: f, values: x}], expect: []}", "a.test.yaml:2:41: values: `x`: write 0.5, 0.5x50, 0.1..0.9x40, nullx5 or nan"),
        (
            "tests:\n- {name: a, input: [], expect: [{rule: r, state: firing, after: 3 steps}]}",
            "a.test.yaml:2:65: after is `3 steps`: write a time, as `5m`",
        ),
        ("tests:\n- {name: a, input: [], expect: [], step_time: 0s}", "a.test.yaml:2:3: step_time is `0s`: write a time, as `10s`"),
        (
            "tests:\n- {name: a, input: [], expect: [{rule: r, state: firing, after: 5m, at_step: 3}]}",
            "a.test.yaml:2:33: both at_step and after: leave one of them out",
        ),
    ],
)  # fmt: skip
def test_mistakes(text: str, message: str) -> None:
    mistakes: list[Mistake] = []
    assert read_tests(text, "a.test.yaml", mistakes) == []
    assert message in [str(mistake) for mistake in mistakes]

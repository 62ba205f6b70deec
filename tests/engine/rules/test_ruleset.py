"""Files of rules: what they may say, and for every way to get it wrong the message that tells where and what to do."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reward_engine.rules import language
from reward_engine.rules.ruleset import RuleSet, load

HEAD = """version: 1
groups:
- name: g
  rules:
"""


def rule(**keys: str) -> str:
    """A file with one rule, of lines of YAML."""
    said = {"uid": "r", "window": "10 steps", "expr": "mean < 0.1"} | keys
    first, *rest = [f"{name.replace('hold', 'for')}: {value}" for name, value in said.items() if value]
    return HEAD + "".join([f"  - {first}\n", *(f"    {line}\n" for line in rest)])


def loaded(text: str) -> RuleSet:
    found, mistakes = load({"rules.yaml": text})
    assert found is not None, "\n".join(map(str, mistakes))
    return found


# Files that are wrong, each with the one message that it gets.
BAD = [
    ("", "rules.yaml: empty: begin with `version: 1`"),
    ("[1, 2]", "rules.yaml:1:1: the file is a list: write a mapping"),
    ("groups: []", "rules.yaml:1:1: `version` is missing: add it"),
    ("version: 2", "rules.yaml:1:10: version is 2: there is 1"),
    ("version: true", "rules.yaml:1:10: version is True: there is 1"),
    ("version: 1\ngrups: []", "rules.yaml:2:1: there is no `grups` here: did you mean `groups`?"),
    ("version: 1\ngroups: {}", "rules.yaml:2:9: groups is a mapping: write a list, as [a, b], or a line `- ...` for each"),
    ("version: 1\ngroups:\n- rules: []", "rules.yaml:3:3: `name` is missing: add it"),
    ("version: 1\ngroups:\n- {name: 7, rules: []}", 'rules.yaml:3:10: groups[0].name is a whole number: write a text, as "7"'),
    (
        "version: 1\ndefaults: {severity: loud}",
        "rules.yaml:2:22: defaults.severity is `loud`: there are critical, info, warning",
    ),
    (rule(uid="a b"), "rules.yaml:5:10: rule `a b`: uid is `a b`: write what matches ^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,99}$"),
    (rule(uid="quarantine"), "rules.yaml:5:10: rule `quarantine`: the uid `quarantine`: take another: this one is the monitor's own"),
    (rule(expr=""), "rules.yaml:5:5: rule `r`: `expr` is missing: add it"),
    (rule(exprr="mean < 1"), "rules.yaml:8:5: rule `r`: there is no `exprr` here: did you mean `expr`?"),
    (rule(expr="maen < 0.1"), "rules.yaml:7:11: rule `r`: there is no `maen`: did you mean `mean`?"),
    (rule(expr="mean < 1 and stdd > 3"), "rules.yaml:7:24: rule `r`: there is no `stdd`: did you mean `std`?"),
    (rule(expr="kl > 1"), "rules.yaml:7:11: rule `r`: there is no `kl`: write a measure of it, as `kl_mean`"),
    (
        rule(expr="fmt.mean > 1"),
        "rules.yaml:7:11: rule `r`: there is no `fmt.mean`: `fmt` is explained by the rule's uses: {fmt: {reward: ...}}",
    ),
    (
        rule(expr="mean.__class__ > 1"),
        "rules.yaml:7:11: rule `r`: there is no `mean.__class__`: `mean` is explained by the rule's uses: {mean: {reward: ...}}",
    ),
    (rule(expr="mean"), "rules.yaml:7:11: rule `r`: `mean` is a number: compare it, as `... > 0.5`"),
    (
        rule(expr="mean ** 2 > 1"),
        "rules.yaml:7:11: rule `r`: `mean ** 2` isn't allowed: use and, or, not, + - * /, comparisons, abs, min, max, sqrt, log, default",
    ),
    (rule(expr="3"), 'rules.yaml:7:11: rule `r`: expr is a whole number: write a text, as "3"'),
    (rule(recover="maen > 0.2"), "rules.yaml:8:14: rule `r`: there is no `maen`: did you mean `mean`?"),
    (
        rule(window=""),
        "rules.yaml:6:11: rule `r`: there is no `mean`: a measure needs a window: add `window: 10 steps`",
    ),
    (rule(window="ten"), "rules.yaml:6:13: rule `r`: the window `ten`: write `20 steps`, or a time as `30s`, `5m`, `1h`"),
    (rule(window="2 windows"), "rules.yaml:6:13: rule `r`: the window `2 windows`: write it in steps or as a time"),
    (rule(window="0 steps"), "rules.yaml:6:13: rule `r`: the window `0 steps`: write whole steps from 1, up to 100 steps"),
    (rule(window="101 steps"), "rules.yaml:6:13: rule `r`: the window `101 steps`: write whole steps from 1, up to 100 steps"),
    (rule(window="15s"), "rules.yaml:6:13: rule `r`: the window `15s`: write multiples of 10s, up to 5m"),
    (rule(window="1h"), "rules.yaml:6:13: rule `r`: the window `1h`: write multiples of 10s, up to 5m"),
    (
        rule(hold="5m"),
        "rules.yaml:8:10: rule `r`: for is `5m`: write steps or windows, as its window is in steps",
    ),
    (rule(window="5m", hold="5 steps"), "rules.yaml:8:10: rule `r`: for is `5 steps`: write a time, as `5m`"),
    (rule(keep_firing_for="soon"), "rules.yaml:8:22: rule `r`: keep_firing_for is `soon`: write `20 steps`, or a time as `30s`, `5m`, `1h`"),
    (rule(no_data="{after: 3 steps}"), "rules.yaml:8:14: rule `r`: no_data.after is `3 steps`: write a time, as `10m`"),
    (rule(no_data="{action: no}"), "rules.yaml:8:23: rule `r`: no_data.action is `no`: there are alert, keep, ok"),
    (rule(severity="page"), "rules.yaml:8:15: rule `r`: severity is `page`: there are critical, info, warning"),
    (rule(by="run"), "rules.yaml:8:9: rule `r`: by is a text: write a list, as [a, b], or a line `- ...` for each"),
    (rule(by="[]"), "rules.yaml:8:9: rule `r`: by has 0 entries: write 1 to 2 of them"),
    (
        rule(window="", expr="run.lost > 0", by="[run, reward]"),
        "rules.yaml:7:9: rule `r`: `by: [run, reward]` without a window: give it a window, or `by: [run]`",
    ),
    (rule(labels="{a: 1}"), 'rules.yaml:8:17: rule `r`: labels.a is a whole number: write a text, as "1"'),
    (
        rule(annotations='{s: "{{ maen }}"}'),
        ("rules.yaml:8:18: rule `r`: annotations.s: there is no `maen`: did you mean `mean`?; beside values there are "
        "rule, run, project, reward, step, at, since, window, severity, expr, sentence, reason"),
    ),
    (
        rule(annotations='{s: "{{ mean | f9 }}"}'),
        "rules.yaml:8:18: rule `r`: annotations.s: the filter `f9`: use f0, f1, f2, f3, f4, f5, f6, percent, int, on numbers",
    ),
    (
        rule(uses="{mean-x: {reward: f}}"),
        "rules.yaml:8:11: rule `r`: `mean-x` can't be an own name: take letters, digits and _, and no level's or verdict's name",
    ),
    (
        rule(uses="{x: {}}"),
        "rules.yaml:8:11: rule `r`: `x` stands for nothing, or for several: give it one of reward, scalar, column",
    ),
    (rule(uses="{x: {reward: f}}", expr="x.maen < 1"), "rules.yaml:7:11: rule `r`: there is no `x.maen`: did you mean `mean`?"),
    (rule() + "  - {uid: r, expr: true}\n", "rules.yaml:8:20: rule `r`: expr is true or false: write a text, as \"true\""),
    (rule() + '  - {uid: r, expr: "true"}\n', "rules.yaml:8:5: rule `r`: the uid is that of rules.yaml:5:5: give it one of its own"),
    (rule() + "version: 1\n", "rules.yaml:8:1: `version` a second time; the first is in line 1: leave one of them out"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message"), BAD, ids=[str(i) for i in range(len(BAD))])
def test_every_mistake_has_its_message(text: str, message: str) -> None:
    found, mistakes = load({"rules.yaml": text})
    assert found is None
    assert message in [str(mistake) for mistake in mistakes]


def test_all_mistakes_are_told_at_once() -> None:
    text = rule(expr="maen < 1", window="200 steps", severity="bad", hold="5m", labels="[]") + "  - {uid: s}\n"
    _, mistakes = load({"rules.yaml": text, "other.yaml": "version: 3"})
    assert [(m.place.file, m.place.line, m.rule) for m in mistakes] == [
        ("other.yaml", 1, ""), *(("rules.yaml", line, "r") for line in range(6, 11)), ("rules.yaml", 11, "s"),
    ]  # fmt: skip


def test_the_same_uid_in_two_files_is_a_mistake() -> None:
    _, mistakes = load({"a.yaml": rule(), "b.yaml": rule()})
    assert [str(m) for m in mistakes] == ["b.yaml:5:5: rule `r`: the uid is that of a.yaml:5:5: give it one of its own"]


def test_no_more_rules_than_are_judged() -> None:
    many = HEAD + "".join(f"  - {{uid: r{i}, window: 1 step, expr: mean < 1}}\n" for i in range(201))
    _, mistakes = load({"rules.yaml": many})
    assert any("200" in str(mistake) for mistake in mistakes)


def test_what_a_rule_says() -> None:
    text = rule(
        by="[run, reward]",
        recover="mean > 0.2",
        hold="2 windows",
        keep_firing_for="10 steps",
        new_series_delay="50 steps",
        no_data="{after: 10m, action: alert}",
        severity="critical",
        labels="{team: rl}",
        uses="{fmt: {reward: format}, cost: {scalar: 'a cost'}}",
        annotations='{summary: "{{ reward }} {{ mean | f3 }} {{ fmt.mean }}"}',
    ).replace("mean < 0.1", "mean < 0.1 and fmt.mean > 0.9 and default(cost.mean, 0) < 3")
    (made,) = loaded(text).rules
    assert (made.axis, made.width, made.by_reward, made.delay) == ("step", 10, True, 50)
    assert (made.timing.hold, made.timing.keep, made.absent_ms, made.no_data) == (20, 10, 600_000, "alert")
    assert (made.severity, made.labels, made.waits) == ("critical", {"team": "rl"}, True)
    assert made.condition.expression.names == ("mean", "fmt.mean", "cost.mean")
    values = {"mean": 0.05, "fmt.mean": 0.99}
    assert made.annotations["summary"].filled({"reward": "acc"}, values) == "acc 0.050 0.99"


def test_defaults_are_for_those_that_say_nothing() -> None:
    text = "version: 1\ndefaults: {severity: info, labels: {a: x, b: y}, no_data: {action: ok}}\n" + rule(labels="{b: z}")[11:]
    (made,) = loaded(text).rules
    assert (made.severity, made.labels, made.no_data) == ("info", {"a": "x", "b": "z"}, "ok")


def test_which_runs_a_rule_is_for() -> None:
    text = rule().replace("- name: g\n", "- name: g\n  select: {project: 'math-*', tags: {team: rl*}}\n")
    rules = loaded(text)
    assert [*rules.of("r1", "math-7b", {"team": "rl-a", "x": "y"}).by_uid] == ["r"]
    assert not rules.of("r1", "code", {"team": "rl-a"}).by_uid and not rules.of("r1", "math-7b", {}).by_uid


def test_what_may_change_without_touching_what_fires() -> None:
    def fingerprint(**keys: str) -> str:
        return loaded(rule(**keys)).rules[0].fingerprint

    first = fingerprint()
    alike = {"severity": "critical", "labels": "{a: b}", "annotations": "{s: t}"}
    assert all(fingerprint(**{name: value}) == first for name, value in alike.items())
    other = {"expr": "mean < 0.2", "hold": "3 steps", "recover": "mean > 1", "window": "9 steps", "by": "[run, reward]"}
    assert len({first, *(fingerprint(**{name: value}) for name, value in other.items())}) == 6


def test_the_schema_for_editors_is_what_the_structs_say() -> None:
    path = Path(language.__file__).with_name("alert_rules.schema.json")
    assert json.loads(path.read_text()) == json.loads(json.dumps(language.schema())), "write it anew: make schema"


def test_the_schema_takes_and_refuses_what_the_loader_does() -> None:
    import yaml

    check = jsonschema.Draft202012Validator(language.schema()).is_valid
    assert check(yaml.safe_load(rule(hold="3 steps", no_data="{action: ok}")))
    shapes = re.compile(r"is missing|here:|is a (list|text|mapping|whole number)|matches|there (is|are) [^`]*$|has \d+ entries")
    for text, message in BAD:
        if text and shapes.search(message) and "rule `r`: the" not in message and "annotations.s" not in message:
            assert not check(yaml.safe_load(text)), message


@settings(max_examples=300, deadline=None)
@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.sampled_from(["mean < 1", "10 steps", "r"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(
        st.sampled_from(["version", "groups", "rules", "uid", "expr", "window", "for", "by", "select", "uses", "defaults", "no_data"])
        | st.text(max_size=5), inner, max_size=6,
    ),
    max_leaves=25,
))  # fmt: skip
def test_whatever_a_file_says_it_is_read_or_refused(value: object) -> None:
    text = json.dumps(value)
    found, mistakes = load({"rules.yaml": text})
    assert (found is None) == bool(mistakes)
    assert all(mistake.remedy for mistake in mistakes)
